"""Workloads to units: which engines each starts, what is stated of them, and where."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from kvplan.deploy.accelerator_names import find_named_gpu
from kvplan.deploy.engine_style import style_words
from kvplan.deploy.engine_variables import engine_of
from kvplan.deploy.file import File
from kvplan.deploy.gpu_resources import OTHER_KINDS
from kvplan.deploy.outside import Facts
from kvplan.deploy.unit import Input, Open, Unit, place_of
from kvplan.deploy.workload import Workload
from kvplan.engines import flag_table
from kvplan.errors import KvplanError, SettingError
from kvplan.gpus import find_gpu
from kvplan.launch.peel import Launch, NoEngineError, find_in_image, find_launches
from kvplan.launch.stated import Stated, read_stated, unsettled
from kvplan.launch.text import MASK, Text
from kvplan.launch.words import Given, Word, split_far

# Of the contract, and what else of a launch counts for a plan; every unit has each of the first.
NAMES = (
    "model", "gpu", "gpu_count_requested", "tensor_parallel", "pipeline_parallel", "data_parallel", "nodes", "max_model_len",
    "gpu_memory_utilization", "kv_cache_dtype", "quantization", "max_num_seqs", "max_num_batched_tokens",
)  # fmt: skip
# Longer ones are shown by what is open in them.
_LONGEST_SHOWN = 200
_MORE = ("dtype", "enforce_eager", "cpu_offload_gb", "swap_space", "data_parallel_local", "draft_model")

# Engines of one file; what is beyond is said to be left out.
MOST_UNITS = 1_000


@dataclass(slots=True, kw_only=True)
class Read:
    """A unit as far as its file tells, with what its rules need.

    Attributes:
        unit: the unit.
        stated: every flag with its words.
        errors: why parts of it could not be read.

    """

    unit: Unit
    stated: Stated
    errors: list[KvplanError] = field(default_factory=list)


@dataclass(slots=True)
class Unread:
    """A command that seems to start an engine and cannot be read."""

    workload: Workload
    error: KvplanError


def read_units(
    file: File, workloads: Sequence[Workload], facts_for: Callable[[Workload], Facts]
) -> tuple[list[Read], list[Unread]]:
    """Return the engines that a file's workloads start.

    Args:
        file: it stands in.
        workloads: of the file.
        facts_for: what is said from outside of a workload.

    """
    found: list[Read] = []
    unread: list[Unread] = []
    groups: set[str] = set()
    for workload in workloads:
        if workload.group and workload.group in groups:
            continue
        if len(found) >= MOST_UNITS:
            unread.append(_too_many(workload))
            break
        facts = facts_for(workload)
        launches, errors = _launches(file, workload, facts)
        if launches and workload.group:
            groups.add(workload.group)
        unread += [Unread(workload, error) for error in errors if not launches and not isinstance(error, NoEngineError)]
        launches = _one_of_alternatives(workload, _different(launches))
        if len(launches) > MOST_UNITS - len(found):
            # Loops and functions of a script can start engines without end.
            unread.append(_too_many(workload))
            launches = launches[: MOST_UNITS - len(found)]
        for number, launch in enumerate(launches, 1):
            name = workload.name if len(launches) == 1 else f"{workload.name}, engine {number}"
            try:
                found.append(_read(file, workload, launch, name, facts))
            except SettingError as error:
                unread.append(Unread(workload, error))
    return list(_each_once(found)), unread


def _each_once(found: Sequence[Read]) -> Iterator[Read]:
    """Yield the units, a script of a ConfigMap only where no container of the stream runs it."""
    run = {(read.unit.place.path, read.unit.place.start) for read in found if read.unit.workload.format != "config-map"}
    for read in found:
        place = read.unit.place
        if read.unit.workload.format != "config-map" or (place.path, place.start) not in run:
            yield read


def _too_many(workload: Workload) -> Unread:
    return Unread(workload, SettingError(f"the first {MOST_UNITS:,} engines of the file are read, and no more."))


def _launches(file: File, workload: Workload, facts: Facts) -> tuple[list[Launch], list[KvplanError]]:
    read_file = reader(file, workload)
    environment = dict(workload.environment)
    environment |= {
        name: Given(value, (Word(f"{name}={value}", origin="--set"),))
        for name, value in facts.variables.items()
        if name not in environment or unsettled(environment[name].value)
    }
    try:
        if workload.words is not None:
            launches = [_of_keys(workload, environment)]
            errors: list[KvplanError] = []
        elif workload.script is not None:
            words, broken = split_far(workload.script)
            launches, errors = find_launches(words, read_file, environment)
            errors += [broken] if broken is not None and not launches else []
        else:
            image = None if workload.image is None else facts.put_in(workload.image)
            command = None if workload.command is None else [facts.put_in(word) for word in workload.command]
            if command and all(not word.text.replace(MASK, "").strip("'\"[]") for word in command):
                command = None  # a template's expression: what it puts there is not known, and may be nothing
            launches, errors = find_in_image(
                image, command, [facts.put_in(word) for word in workload.args], environment, read_file
            )
    except (SettingError, RecursionError) as error:
        return [], [error if isinstance(error, KvplanError) else SettingError("The command nests too deep.")]
    if not launches and workload.engine is not None and workload.words is None and not _starts_other(workload):
        launches = [_of_keys(workload, environment)]
    if not launches and _runs_on_gpus(workload) and (engine := engine_of(environment)):
        launches = [_of_keys(replace(workload, engine=engine, args=()), environment)]
        workload.notes += ("its own start script decides what of its variables reaches the engine",)
    # llama-cli answers once and ends; it holds no server's requests.
    launches = [launch for launch in launches if not str(launch.program.value).endswith("llama-cli")]
    return [_completed(launch, workload, facts) for launch in launches], errors


def _different(launches: list[Launch]) -> list[Launch]:
    """Return launches without those that start again with the same words: in a loop, a function, or another branch.

    Branches with the same words are ways to start one engine: in a container or not, in the background or not.
    """
    kept: dict[tuple[object, ...], Launch] = {}
    for launch in launches:
        words = [word.text for word in launch.words]
        place = launch.program.words[0].place if launch.program.words else None
        start = place.place() if place is not None else None
        if launch.conditional and len(words) > 1:
            kept.setdefault((launch.engine, *words), launch)
        elif start is not None:
            told = (str(each.value) for each in (launch.model, launch.gpus, launch.image) if each is not None)
            kept.setdefault((start.path, start.start, launch.engine, *words, *told), launch)
        else:
            kept[id(launch),] = launch
    return list(kept.values())


def _one_of_alternatives(workload: Workload, launches: list[Launch]) -> list[Launch]:
    """Return the launches of a container without those of branches that stand beside another of the same engine.

    A container runs one program in the end; its text chooses between forms of the same command. The one that says most is read.
    """
    if workload.script is not None or len(launches) < 2:
        return launches
    kept: list[Launch] = []
    for engine in dict.fromkeys(launch.engine for launch in launches):
        same = [launch for launch in launches if launch.engine == engine]
        if any(launch.conditional for launch in same):
            best = max(same, key=lambda launch: len(launch.words))
            same = [
                replace(
                    best, notes=(*best.notes, f"its text chooses between {len(same)} commands; the longest is read")
                )
            ]
        kept += same
    return kept


def _runs_on_gpus(workload: Workload) -> bool:
    """Whether a container, or the image of a Dockerfile, has a start script of its own and GPUs to run an engine on."""
    return workload.words is None and (workload.gpus.count is not None or workload.format == "dockerfile")


def _starts_other(workload: Workload) -> bool:
    """Whether a workload has a command of its own, which starts no engine; one that a variable holds may start any."""
    texts = [word.text for word in (*(workload.command or ()), *workload.args)]
    return workload.script is not None or (
        bool(workload.command) and not any(unsettled(text) == text for text in texts)
    )


def _of_keys(workload: Workload, environment: dict[str, Given]) -> Launch:
    """Return the launch of an engine that a resource describes by keys alone."""
    return Launch(
        engine=workload.engine or "vllm",
        words=tuple(workload.words or ()) if workload.words is not None else tuple(workload.args),
        environment=environment,
        image=None if workload.image is None else Given(workload.image.text, (workload.image,)),
        version=workload.version or _image_version(workload.image),
        program=Given(workload.format, ()),
        subcommand=True,
    )


def _image_version(image: Word | None) -> Given | None:
    from kvplan.launch.images import read_image  # noqa: PLC0415  only for resources that describe an engine by keys

    named = read_image(image.text) if image is not None else None
    return Given(named.version, (image,)) if named is not None and image is not None and named.version else None


def _completed(launch: Launch, workload: Workload, facts: Facts) -> Launch:
    """Return a launch with what its format adds: flags of keys, those of variables, what is known from outside."""
    words = [word for added in workload.adds for word in added]
    words += style_words(launch)
    if workload.words is None or launch.words is not workload.words:
        words += launch.words
    else:
        words = [*words, *workload.words]
    version = launch.version or workload.version
    return replace(
        launch,
        words=tuple(facts.put_in(word) for word in words),
        version=version,
        gpus=launch.gpus or workload.gpus.count,
        environment=workload.environment | launch.environment,
    )


def reader(
    file: File, workload: Workload, files: Mapping[str, Text] = MappingProxyType({})
) -> Callable[[str], str | Text]:
    """Return how a command reads files that it names: those that its text writes or mounts, then those beside its own file."""

    def read_file(name: str) -> str | Text:
        if (text := files.get(name, workload.files.get(name))) is not None:
            return text
        beside = None if unsettled(name) or MASK in name else file.beside(name)
        if beside is None:
            raise SettingError(f"The command names {name[:80]!r}, which is not among the files here.")
        return beside.text

    return read_file


def _read(file: File, workload: Workload, launch: Launch, name: str, facts: Facts) -> Read:
    release = _release(facts, launch)
    stated = read_stated(launch, release, reader(file, workload, launch.files))
    place = place_of(launch.program) or workload.place
    if place.source.path != workload.place.source.path:
        place = workload.place
    version = str(launch.version.value) if launch.version is not None else release
    unit = Unit(workload=workload, launch=launch, name=name, place=place, engine=launch.engine, version=version)
    _put_model(unit, stated, facts)
    for each in (*NAMES[3:], *_MORE):
        if (given := stated.values.get(each)) is not None:
            unit.inputs[each] = _input(given)
    _put_gpus(unit, facts)
    if not stated.open_words:
        # A word that is not settled may be any flag: what is not stated beside it is not known to be the default.
        for each, value in _defaults(launch, version).items():
            unit.inputs.setdefault(each, Input(value=value, origin="default"))
    for each in NAMES:
        unit.inputs.setdefault(each, Input(value=None, origin="not stated"))
    return Read(unit=unit, stated=stated)


def _release(facts: Facts, launch: Launch) -> str | None:
    """Return the version of the engine that is asked for from outside."""
    name, _, version = (facts.engine or "").partition("@")
    return version if version and name in ("", launch.engine) else None


def _defaults(launch: Launch, version: str | None) -> dict[str, Any]:
    if launch.engine == "vllm":
        from kvplan.engines import find_engine  # noqa: PLC0415  only for units
        from kvplan.engines.vllm.command.stated import defaults_of  # noqa: PLC0415  only for units of vLLM

        return defaults_of(version or find_engine("vllm")[1])
    table = flag_table(launch.engine)
    return dict(table["defaults"]) if table is not None else {}


def _input(given: Given) -> Input:
    """Return a stated value with its places; what is not settled has no value."""
    place = place_of(given)
    label = place_of(given.words[0]) if len(given.words) > 1 else None
    word = given.words[-1] if given.words else None
    written = word.place.written() if word is not None and word.place is not None else str(given.value)
    if open_part := unsettled(given.value):
        # A path that begins with a variable is told from others by what follows it.
        whole = str(given.value) if isinstance(given.value, str) and len(given.value) <= _LONGEST_SHOWN else open_part
        shown = whole if MASK not in whole else written
        return Input(value=None, origin="unresolved", place=place, label=label, written=shown)
    origin: Any = "option" if word is not None and word.origin == "--set" else "given"
    return Input(value=given.value, origin=origin, place=place, label=label, written=written)


def _put_model(unit: Unit, stated: Stated, facts: Facts) -> None:
    given, other = stated.values.get("model"), unit.workload.model
    if unit.engine == "nim":
        other = _model_of_image(unit) or other  # charts for these images have a name of their own, which is only served
    if given is not None and other is not None and _is_path(str(given.value)) and not _is_path(str(other.value)):
        given = other  # what lies at that path
    given = given or other
    if given is not None and given is other and given.words:
        put_in = facts.put_in(given.words[-1])
        given = Given(put_in.text, (*given.words[:-1], put_in)) if put_in is not given.words[-1] else given
    if given is not None and not str(given.value).strip():
        given = None  # a variable that is asked for outside
    if given is None and (variable := unit.launch.environment.get("VLLM_MODEL") if unit.launch else None) is not None:
        given = variable
    if given is None:
        if facts.model is not None:
            unit.inputs["model"] = Input(value=facts.model, origin="option")
        return
    unit.inputs["model"] = _input(given)


def _model_of_image(unit: Unit) -> Given | None:
    """Return the model that one of NVIDIA's images is for: `nvcr.io/nim/meta/llama-3.1-8b-instruct:1.3` names it."""
    image = unit.launch.image if unit.launch is not None else None
    if image is None or not image.words:
        return None
    text = whole_text(image.words[-1])
    found = re.search(r"/nim/([\w.-]+/[\w.-]+)", text.value)
    if found is None or found[1].endswith(("/llm-nim", "/nim-llm")):
        return None
    return Given(found[1], (Word(found[1], place=text.cut(found.start(1), found.end(1))),))


def _is_path(name: str) -> bool:
    return (
        name.startswith(("/", "./", "../", "~"))
        or ("://" in name and not name.startswith("hf://"))
        or bool(unsettled(name))
    )


def _put_gpus(unit: Unit, facts: Facts) -> None:
    """Put the GPU's type and how many are asked for: from outside, else as the file says."""
    gpus = unit.workload.gpus
    launch = unit.launch
    count = (launch.gpus if launch is not None else None) or gpus.count
    if count is not None:
        read = _input(count)
        unit.inputs["gpu_count_requested"] = (
            read if isinstance(count.value, int) or read.value is None else replace(read, value=None)
        )
    if gpus.nodes is not None and "nodes" not in unit.inputs:
        unit.inputs["nodes"] = _input(gpus.nodes)
    if (outside := gpu_from_outside(unit, facts)) is not None:
        unit.inputs["gpu"] = Input(value=find_gpu(outside).gpu.id, origin="option")
        return
    if not gpus.types or is_size(str(gpus.types[0].value)):
        return
    partition = str(gpus.partition.value) if gpus.partition is not None else None
    read = _input(gpus.types[0])
    if read.value is not None:
        group = find_named_gpu(str(read.value), partition)
        read = replace(read, value=group.gpu.id if group is not None else read.value, written=str(read.value))
    unit.inputs["gpu"] = read


def gpu_from_outside(unit: Unit, facts: Facts) -> str | None:
    """Return the GPU that is said outside the file, where that counts: insisted on, or the file names none that is known."""
    if facts.gpu is None or "gpu" in facts.insisted:
        return facts.gpu
    stated = [str(given.value) for given in unit.workload.gpus.types]
    told = [text for text in stated if not is_size(text)]
    return None if any(find_named_gpu(text) is not None or OTHER_KINDS.fullmatch(text) for text in told) else facts.gpu


def is_size(text: str) -> bool:
    """Whether what is said of a GPU is its memory alone (`80GB`, `24GB..48GB`), so that any GPU of that memory may come."""
    return (
        re.fullmatch(
            r"\s*(?:\.\.)?\s*\d+(?:\.\d+)?\s*[GgMm]i?[Bb]?\s*(?:\.\.\s*(?:\d+(?:\.\d+)?\s*[GgMm]i?[Bb]?)?)?\s*", text
        )
        is not None
    )


def alternatives(unit: Unit) -> Iterator[Given]:
    """Yield the GPUs that the scheduler may choose from, as the file names them."""
    yield from unit.workload.gpus.types


def note_open(unit: Unit, what: str, settle: str, place: Any = None) -> None:
    """Keep what a verdict lacks."""
    if all(each.what != what for each in unit.open):
        unit.open.append(Open(what, settle, place))


def whole_text(word: Word) -> Text:
    """Return a word's text with its places."""
    return word.place if word.place is not None else Text(word.text)
