"""What stands before an engine: variables, sudo, numactl, uv, a shell's -c, docker run. Peeled off until the engine is reached."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from kvplan.errors import KvplanError, SettingError, UnknownEngineError
from kvplan.launch import containers, programs
from kvplan.launch.images import read_image
from kvplan.launch.script import Script
from kvplan.launch.text import Text
from kvplan.launch.variables import Variables
from kvplan.launch.words import Given, Word, split

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)

_DEEPEST = 8


@dataclass(slots=True, kw_only=True)
class Launch:
    """An engine's own words, and what was said around them.

    Attributes:
        engine: by the contract's name.
        words: the engine's flags and positional words.
        program: what starts it, in words, and where that stands.
        environment: variables that the engine sees, as far as the command says.
        version: of the engine, where an image or a package's version tells.
        image: that it runs in.
        gpus: how many GPUs the container is given; None: all, or not said.
        subcommand: whether the words follow `vllm serve` (which takes the model as a word of its own).
        device: what the image is for, where that is no GPU (`cpu`, `tpu`).
        wrapped: whether another program runs the engine in itself, and takes flags of its own beside the engine's.
        conditional: whether it stands in a branch that its text does not settle.
        model: where another command of the same text names it (`ollama pull`).
        files: that the same text writes (here-documents), by their paths.
        notes: what was passed over.

    """

    engine: str
    words: tuple[Word, ...]
    program: Given = field(default_factory=lambda: Given(""))
    environment: dict[str, Given] = field(default_factory=dict)
    version: Given | None = None
    image: Given | None = None
    gpus: Given | None = None
    subcommand: bool = True
    device: str | None = None
    wrapped: bool = False
    conditional: bool = False
    model: Given | None = None
    files: dict[str, Text] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Around:
    """What was read on the way to the engine."""

    environment: dict[str, Given]
    version: Given | None = None
    image: Given | None = None
    gpus: Given | None = None
    device: str | None = None
    files: dict[str, Text] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    depth: int = 0


def find_launch(
    words: Sequence[Word], read_file: Callable[[str], str | Text], environment: dict[str, Given] | None = None
) -> Launch:
    """Return the one engine that the words start, which has to be one whose commands are read.

    Args:
        words: as a shell splits them, operators included.
        read_file: returns the text of a file that the command names (`--env-file`).
        environment: variables that are set around the command.

    Raises:
        SettingError: no engine, more than one, or a part that cannot be read.
        UnknownEngineError: an engine that is not built.

    """
    found, errors = find_launches(words, read_file, environment)
    read = [launch for launch in found if launch.engine == "vllm" and launch.device is None]
    if len(read) == 1:
        return read[0]
    if read:
        raise SettingError(
            f"The command starts {len(read)} engines; one was expected.", hint="Paste the command of one."
        )
    for launch in found:
        if launch.device is not None and launch.engine == "vllm":
            raise SettingError(
                f"{launch.program.value} is vLLM for {launch.device.upper()}; kvplan plans vLLM on GPUs.",
                hint="Its memory follows other rules there.",
            )
        raise _other_engine(launch.engine, str(launch.program.value))
    if errors:
        raise next((error for error in errors if not isinstance(error, NoEngineError)), errors[0])
    raise _no_engine("")


def find_launches(
    words: Sequence[Word], read_file: Callable[[str], str | Text], environment: dict[str, Given] | None = None
) -> tuple[list[Launch], list[KvplanError]]:
    """Return every engine that the words start, and why others of their commands start none.

    Args:
        words, read_file, environment: as `find_launch`.

    Raises:
        SettingError: variables that hold each other without end.

    """
    return _in_script(words, _Around(environment=dict(environment or {})), read_file)


def find_in_image(
    image: Word | None,
    command: Sequence[Word] | None,
    args: Sequence[Word],
    environment: dict[str, Given],
    read_file: Callable[[str], str | Text],
) -> tuple[list[Launch], list[KvplanError]]:
    """Return the engines that a container starts: `command` in place of its image's entry point, `args` behind it."""
    around = _Around(environment=dict(environment), image=None if image is None else Given(image.text, (image,)))
    try:
        if image is not None:
            return _image(image, args, command, around, read_file), []
        if not command and args and args[0].text.startswith("-") and (engine := programs.engine_of_flags(args)):
            return [_launch(args, around, engine, Given(engine, (args[0],)))], []
        return _peel([*(command or ()), *args], around, read_file), []
    except (SettingError, UnknownEngineError) as error:
        return [], [error]


def _in_script(
    words: Sequence[Word],
    around: _Around,
    read_file: Callable[[str], str | Text],
    arguments: Sequence[Word] | None = None,
) -> tuple[list[Launch], list[KvplanError]]:
    """Return the launches among the commands of a shell text; settings of variables hold for those after them."""
    found: list[Launch] = []
    errors: list[KvplanError] = []
    files: dict[str, Text] = dict(around.files)
    pulled: Given | None = None
    # Each nested text counts its own characters; what surrounds it is bounded already.
    variables = Variables(values=dict(around.environment), arguments=None if arguments is None else list(arguments))
    for step in Script(variables).steps(words):
        if step.input is not None and step.output:
            files[step.output] = step.input.place or Text(step.input.text)
        if not step.words or step.words[0].text in programs.PASSED:
            continue
        if step.words[0].text == "ollama" and len(step.words) > 2 and step.words[1].text in ("pull", "run"):
            pulled = Given(step.words[2].text, (step.words[2],))
        inner = replace(around, environment=dict(step.variables.values), files=files)
        try:
            launches = _peel(step.words, inner, read_file)
        except (SettingError, UnknownEngineError) as error:
            errors.append(error)
            continue
        found += [replace(launch, conditional=launch.conditional or step.conditional) for launch in launches]
    return [_with_pulled(launch, pulled) for launch in found], errors


def _with_pulled(launch: Launch, model: Given | None) -> Launch:
    """Return a launch of Ollama with the model that the same text has it load."""
    if launch.engine != "ollama" or model is None or "OLLAMA_MODEL" in launch.environment:
        return launch
    return replace(launch, model=model)


class NoEngineError(SettingError):
    """A command that starts no engine."""


def _no_engine(program: str) -> SettingError:
    what = (
        f"{program!r} is no program that kvplan knows to start an engine"
        if program
        else "The command after -- is empty"
    )
    return NoEngineError(
        f"{what}.",
        hint="Paste one that does: vllm serve MODEL ..., docker run ... vllm/vllm-openai:v0.11.0 --model MODEL ...",
    )


def _assignments(words: Sequence[Word]) -> dict[str, Given]:
    return {
        name: Given(value, (word,))
        for word in words
        if _ASSIGNMENT.match(word.text)
        for name, _, value in [word.text.partition("=")]
    }


def _peel(words: Sequence[Word], around: _Around, read_file: Callable[[str], str | Text]) -> list[Launch]:
    """Return what a command starts: one engine, or those in a shell's text.

    Raises:
        NoEngineError: none.
        SettingError: a part of it cannot be read.

    """
    at, outer = 0, ""
    while at < len(words):
        word = words[at]
        name = PurePosixPath(word.text.replace("\\", "/")).name or word.text
        if _ASSIGNMENT.match(word.text):
            around.environment.update(_assignments([word]))
            at += 1
        elif at == 0 and word.text in ("$", "#", "%", ">", ">>>"):
            at += 1
        elif name in programs.WRAPPERS:
            if name == "env" and at + 1 < len(words) and words[at + 1].text in ("-i", "-", "--ignore-environment"):
                around.environment = {}
            takes, own = programs.WRAPPERS[name]
            at = _after_flags(words, at + 1, takes) + own
        elif name in programs.RUNNERS:
            at = _after_runner(words, at, name, around)
        elif name == "uvx":
            at = _after_flags(words, at + 1, frozenset(programs.UVX.split()), around)
        elif name in programs.SHELLS:
            return _in_shell(words[at + 1 :], name, around, read_file)
        elif name in containers.PROGRAMS:
            return _in_container(words[at + 1 :], around, read_file)
        elif (launch := _engine(words, at, name, around)) is not None:
            return [launch]
        elif name in programs.STARTS_NOTHING:
            raise _no_engine(word.text[:80])
        elif re.match(r"\$\{?\w+\}?$", word.text):
            return _of_variable(words, at, around, read_file)
        elif name in programs.TAKES_A_TEXT and (text := _shell_text(words, at + 1)) is not None:
            return _nested(text, around, read_file)
        else:
            # Programs that are not known may still start the engine that their words name.
            start = _engine_within(words, at + 1)
            if start is None:
                raise _no_engine(outer or word.text[:80])
            passed = " ".join(each.text for each in words[at:start])[:80]
            around.notes += (f"{passed!r} before the engine is passed over",)
            outer, at = word.text[:80], start
    raise _no_engine(outer or (words[-1].text[:80] if words else ""))


def _after_flags(words: Sequence[Word], at: int, takes: frozenset[str], around: _Around | None = None) -> int:
    """Return where the first word stands that is neither a flag nor a flag's value."""
    while at < len(words) and words[at].text.startswith("-") and words[at].text != "-":
        text = words[at].text
        at += 1
        if text == "--":
            return at
        name, equals, value = text.partition("=")
        if name in takes and not equals and at < len(words):
            value = words[at].text
            at += 1
        if around is not None and name in ("--from", "--with"):
            match = re.search(r"\bvllm(?:\[[\w,]*\])?==?([\d.]+\w*)", value)
            if match:
                around.version = Given(match[1], (words[at - 1],))
    return at


def _after_runner(words: Sequence[Word], at: int, name: str, around: _Around) -> int:
    """Return where the program stands that `uv run`, `conda run` and the like start."""
    takes = frozenset(programs.RUNNERS[name].split())
    at = _after_flags(words, at + 1, takes, around)
    verb = words[at].text if at < len(words) else ""
    if name == "uv" and verb == "tool":
        return _after_flags(words, at + 2, frozenset(programs.UVX.split()), around)
    if verb not in ("run", "exec"):
        raise _no_engine(f"{name} {verb}".strip())
    return _after_flags(words, at + 1, takes, around)


def _in_shell(words: Sequence[Word], name: str, around: _Around, read_file: Callable[[str], str | Text]) -> list[Launch]:
    """Return the launches in the text after a shell's -c."""
    at = 0
    while at < len(words) and words[at].text.startswith(("-", "+")):
        flag = words[at].text
        at += 1
        if flag.startswith("-") and not flag.startswith("--") and "c" in flag:
            if at < len(words) and words[at].text == "--":
                at += 1
            break
        if flag in ("-o", "+o", "-O", "+O"):
            at += 1
    else:
        # A script that is not here; scripts of entry points run the words that they are given.
        start = _engine_within(words, at + 1)
        if start is None:
            raise _no_engine(f"{name} {words[at].text}"[:80] if at < len(words) else name)
        around.notes += (f"{words[at].text[:80]!r} is taken to run the words after it",)
        return _peel(words[start:], around, read_file)
    if at < len(words) and words[at].text == "--":
        at += 1
    if at >= len(words):
        raise _no_engine(f"{name} -c")
    # The word behind the text is its `$0`, those after it are `$1`, `$2` ...
    return _nested(words[at], around, read_file, words[at + 2 :])


def _shell_text(words: Sequence[Word], at: int) -> Word | None:
    """Return the word that holds a shell's text, where a program takes one (`tmux new -d 'vllm serve ...'`)."""
    return next((word for word in words[at:] if re.search(r"\s", word.text) and _LAUNCHES.search(word.text)), None)


_LAUNCHES = re.compile(r"serve|launch|server|docker|podman|python|ollama")


def _nested(
    outer: Word, around: _Around, read_file: Callable[[str], str | Text], arguments: Sequence[Word] | None = None
) -> list[Launch]:
    around = _one_deeper(around)
    inner = [replace(word, start=-1, end=-1, origin=outer.origin) for word in split(outer.place or outer.text)]
    found, errors = _in_script(inner, around, read_file, arguments)
    if not found:
        raise next((error for error in errors if not isinstance(error, NoEngineError)), errors[0] if errors else _no_engine(""))
    return found


def _one_deeper(around: _Around) -> _Around:
    if around.depth >= _DEEPEST:
        raise SettingError(
            f"The command nests more than {_DEEPEST} shells and containers.", hint="Paste what the innermost one runs."
        )
    return replace(around, depth=around.depth + 1)


def _in_container(words: Sequence[Word], around: _Around, read_file: Callable[[str], str | Text]) -> list[Launch]:
    around = _one_deeper(around)
    inner = containers.inside_running(words)
    if inner is not None:
        return _peel(inner, replace(around, environment={}), read_file)
    found = containers.read_container(words, read_file)
    # Variables of the host do not reach the container.
    inside = replace(
        around, environment=found.environment, gpus=found.gpus, image=Given(found.image.text, (found.image,))
    )
    entrypoint = found.entrypoint
    program = (
        None if entrypoint is None else [Word(entrypoint.value, origin="--entrypoint")] if entrypoint.value else []
    )
    return _image(found.image, found.rest, program, inside, read_file)


def _image(
    image: Word,
    words: Sequence[Word],
    entrypoint: Sequence[Word] | None,
    around: _Around,
    read_file: Callable[[str], str | Text],
) -> list[Launch]:
    """Return what an image starts: the entry point that is given, else its own, with the words after it."""
    named = read_image(image.text)
    if named.device is not None:
        around.device = named.device
    if named.version is not None:
        around.version = Given(named.version, (image,))
    if entrypoint is not None:
        return _peel([*entrypoint, *words], around, read_file)
    first = words[0].text if words else ""
    first = first if first.startswith("-") else PurePosixPath(first).name
    starts_itself = (
        first in programs.SHELLS
        or first in ("vllm", "sglang", *programs.PROGRAMS)
        or first.startswith("python")
        or first in programs.WRAPPERS
    )
    flags_follow = not first or first.startswith("-")
    # vLLM alone takes a word of its own, the model.
    own = named.starts_engine and (flags_follow or named.engine == "vllm" or first == "serve")
    engine = named.engine if own or flags_follow else None
    if engine is None and named.engine is None and not starts_itself and (engine := programs.engine_of_flags(words)):
        around.notes += (f"{image.text} is taken to start {engine}: its flags are",)
    if engine is None or starts_itself:
        if not words:
            raise NoEngineError(
                f"What the image {image.text[:80]} starts is not known, and nothing stands after it.",
                hint="Add the command that runs in it: ... IMAGE vllm serve MODEL ...",
            )
        if named.starts_engine and starts_itself and named.engine == "vllm":
            around.notes += (f"{image.text} starts vLLM itself: {first!r} after it needs an --entrypoint",)
        return _peel(words, around, read_file)
    if not named.starts_engine and not around.notes:
        if not words and named.engine not in programs.BY_ENVIRONMENT:
            raise NoEngineError(
                f"What the image {image.text[:80]} starts is not known, and nothing stands after it.",
                hint="Add the command that runs in it: ... IMAGE vllm serve MODEL ...",
            )
        around.notes += (f"{image.text} is taken to start {programs.TITLES.get(engine, engine)} itself",)
    return [_launch(_behind_subcommand(engine, words), around, engine, Given(f"The image {image.text[:80]}", (image,)))]


def _behind_subcommand(engine: str, words: Sequence[Word]) -> Sequence[Word]:
    """Return the words of an engine's flags behind its own word for serving (`ollama serve`)."""
    return words[1:] if words and words[0].text == "serve" and engine != "vllm" else words


def _engine(words: Sequence[Word], at: int, name: str, around: _Around) -> Launch | None:
    """Return the launch if the word at `at` is an engine's program; None where it is something else."""
    package, _, version = name.partition("@")
    if package == "vllm" or re.fullmatch(r"vllm(\[[\w,]*\])?==?[\d.]+\w*", name):
        version = version or name.partition("=")[2].lstrip("=")
        if version and version != "latest":
            around.version = Given(version, (words[at],))
        return _subcommand(words, at + 1, around)
    if re.fullmatch(r"(?:python|pypy)[\d.]*(?:\.exe)?", name):
        return _python(words, at + 1, around)
    if name in programs.PROGRAMS:
        return _of_program(words, at, name, around)
    if name in programs.NO_ENGINE:
        raise NoEngineError(
            f"{name} is {programs.NO_ENGINE[name]}, not an engine.", hint="Paste the command that starts the engine."
        )
    return None


def _python(words: Sequence[Word], at: int, around: _Around) -> Launch | None:
    while at < len(words) and words[at].text.startswith("-") and words[at].text not in ("-m", "-c", "-"):
        at += 2 if words[at].text in ("-X", "-W") else 1
    if at >= len(words):
        return None
    if words[at].text == "-m":
        module = words[at + 1].text if at + 1 < len(words) else ""
        if module in programs.SERVERS:
            return _of_module(_launch(words[at + 2 :], around, program=Given(f"python -m {module[:80]}", (words[at + 1],))))
        if module in programs.CLI_MODULES:
            return _subcommand(words, at + 2, around)
        if module.startswith("vllm."):
            raise NoEngineError(
                f"The module {module[:80]} serves no model.", hint="Paste the command that does: vllm serve MODEL ..."
            )
        head = module.partition(".")[0]
        if head in programs.NO_ENGINE:
            raise NoEngineError(
                f"{head} is {programs.NO_ENGINE[head]}, not an engine.",
                hint="Paste the command that starts the engine.",
            )
        if (engine := programs.engine_of_module(module)) is not None:
            started = Given(f"python -m {module[:80]}", (words[at + 1],))
            wrapped = module.startswith(("dynamo.", "huggingfaceserver"))
            return replace(_of_module(_launch(words[at + 2 :], around, engine, started)), wrapped=wrapped)
        return None
    if (
        words[at]
        .text.replace("\\", "/")
        .endswith(("vllm/entrypoints/openai/api_server.py", "vllm/entrypoints/api_server.py"))
    ):
        return _of_module(_launch(words[at + 1 :], around))
    return _engine(words, at, PurePosixPath(words[at].text).name, around) if words[at].text.endswith("/vllm") else None


def _subcommand(words: Sequence[Word], at: int, around: _Around) -> Launch:
    verb = words[at].text if at < len(words) else ""
    if verb != "serve":
        raise NoEngineError(
            f"`vllm {verb[:80]}` serves no model; kvplan plans `vllm serve`."
            if verb
            else "`vllm` alone serves no model.",
            hint="Paste the command that does: vllm serve MODEL ...",
        )
    return _launch(words[at + 1 :], around, program=Given("vllm", (words[at - 1],)))


def _of_variable(words: Sequence[Word], at: int, around: _Around, read_file: Callable[[str], str | Text]) -> list[Launch]:
    """Return what a program starts that a variable names: a container's if `run` follows, else the engine whose flags follow."""
    if at + 1 < len(words) and words[at + 1].text in ("run", "exec"):
        return _in_container(words[at + 1 :], around, read_file)
    engine = programs.engine_of_flags(words[at + 1 :])
    start = _engine_within(words, at + 1) if engine is None else None
    if start is not None:
        return _peel(words[start:], around, read_file)
    if engine is None:
        raise _no_engine(words[at].text[:80])
    around.notes += (f"{words[at].text} is taken to be {engine}: its flags follow",)
    subcommand = at + 1 < len(words) and words[at + 1].text == "serve"
    first = at + 2 if subcommand else at + 1
    return [replace(_launch(words[first:], around, engine, Given(engine, (words[at],))), subcommand=engine == "vllm")]


def _of_program(words: Sequence[Word], at: int, name: str, around: _Around) -> Launch | None:
    """Return the launch of another engine's program; None where its words only ask it something."""
    engine, verbs = programs.PROGRAMS[name]
    follows = [word.text for word in words[at + 1 : at + 1 + len(verbs)]]
    if verbs and follows != list(verbs):
        if engine == "tensorrt-llm" or (engine == "lmdeploy" and follows[:1] == ["serve"]):
            verbs = ()
        else:
            raise _no_engine(" ".join([name, *follows])[:80])
    return _launch(words[at + 1 + len(verbs) :], around, engine, Given(name, (words[at],)))


def _launch(
    words: Sequence[Word], around: _Around, engine: str = "vllm", program: Given | None = None
) -> Launch:
    return Launch(
        engine=engine,
        words=tuple(words),
        program=program or around.image or Given("vllm", tuple(words[:1])),
        device=around.device,
        environment=around.environment,
        version=around.version,
        image=around.image,
        gpus=around.gpus,
        files=around.files,
        notes=around.notes,
    )


def _of_module(launch: Launch) -> Launch:
    """Return the launch of a module, which takes no model as a word of its own."""
    return replace(launch, subcommand=False)


def _engine_within(words: Sequence[Word], at: int) -> int | None:
    """Return where an engine starts behind programs that are not known."""
    for index in range(at, len(words)):
        text = words[index].text
        follows = words[index + 1].text if index + 1 < len(words) else ""
        name = PurePosixPath(text).name
        if name == "vllm" and follows == "serve":
            return index
        if name in programs.PROGRAMS and name not in ("transformers", "ollama", "sglang", "lmdeploy") and (
            follows.startswith("-") or name.startswith("trtllm")
        ):
            return index
        if name in ("sglang", "lmdeploy", "ollama") and follows == "serve":
            return index
        if name in programs.SHELLS and follows.startswith("-") and "c" in follows:
            return index
        if re.fullmatch(r"(?:.*/)?python[\d.]*", text) and follows == "-m":
            return index
        if PurePosixPath(text).name in containers.PROGRAMS and follows in ("run", "container"):
            return index
    return None


def _other_engine(engine: str, what: str) -> UnknownEngineError:
    from kvplan.engines import built  # noqa: PLC0415  on the way to an error

    return UnknownEngineError(
        f"The command starts {engine} ({what}); kvplan reads commands of vLLM.",
        hint=f"Engines that can be planned with --engine and --engine-arg: {', '.join(built())}.",
    )
