"""`kvplan check`: from files to units, plans and findings. One file after the other; nothing of one is needed for the next."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from kvplan.deploy.comments import read_comments
from kvplan.deploy.configuration import FAIL_ON, Configuration, FailOn, find_configuration, read_configuration
from kvplan.deploy.file import File
from kvplan.deploy.files import as_file, find_files, read_file, root_of
from kvplan.deploy.formats import workloads
from kvplan.deploy.outside import Facts, check_facts
from kvplan.deploy.plans import Planned, plan_unit
from kvplan.deploy.unit import Unit
from kvplan.deploy.units import Unread, read_units, reader
from kvplan.errors import SettingError
from kvplan.launch.containers import env_file
from kvplan.launch.text import Place, Source
from kvplan.rules import dtypes, memory, reading, suppress, topology
from kvplan.rules.finding import Checked, Finding
from kvplan.rules.make import finding
from kvplan.rules.verify import verified

# Words of which every file that deploys an engine holds one; the others are not read as YAML at all.
_ENGINES = re.compile(
    r"vllm|sglang|text-generation|\btgi|trtllm|tensorrt|llama|lmdeploy|dynamo|/nim\b|\bnim[-_]|huggingface|kaito|llm|max[-_]?model"
    r"|kv_cache_config|tensor[-_]?parallel|mem[-_]fraction|model_?id\b|quantiz|model_name|gpu[-_]memory",
    re.IGNORECASE,
)
_RULES = (reading, memory, topology, dtypes)
# What says that a verdict is unknown, and why.
_OPEN = frozenset({"KVP002", "KVP003", "KVP008", "KVP401", "KVP402", "KVP404"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a check is asked.

    Attributes:
        facts: from the command line; they win over comments in files, which win over the configuration's.
        configuration: of kvplan.toml.
        fail_on: what makes the exit code 1.
        select, ignore: codes or beginnings of codes.
        baseline: fingerprints of findings that were there before.
        all_files: whether files count that git does not track.

    """

    facts: Facts = field(default_factory=Facts)
    configuration: Configuration = field(default_factory=Configuration)
    fail_on: tuple[FailOn, ...] = ("misfit",)
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    baseline: frozenset[str] = frozenset()
    all_files: bool = False


def options(
    *,
    gpu: str | None = None,
    engine: str | None = None,
    model: str | None = None,
    models: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    env_files: Sequence[str] = (),
    context: int | None = None,
    users: int | None = None,
    config: str | None = None,
    fail_on: Sequence[str] = (),
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    baseline: str | None = None,
    without_baseline: bool = False,
    all_files: bool = False,
) -> Options:
    """Return what a check is asked, from what is given and the configuration that counts for the current folder.

    Raises:
        KvplanError: a GPU, engine, code or file that there is not.

    """
    configuration = read_configuration(Path(config)) if config else find_configuration(Path.cwd())
    for name, number in (("users", users), ("context", context)):
        if number is not None and number < 1:
            raise SettingError(f"{name} is {number}; it is at least 1.")
    said: dict[str, str] = {}
    for name in env_files:
        said |= _read_env_file(name)
    facts = Facts(
        gpu=gpu,
        engine=engine,
        model=model,
        models=dict(models or {}),
        variables=said | dict(variables or {}),
        context=context,
        users=users,
        insisted=frozenset(name for name, given in (("gpu", gpu), ("model", model)) if given),
    )
    for one in (facts, configuration.facts, *(each.facts for each in configuration.deployments)):
        check_facts(one)
    wanted = tuple(fail_on) or configuration.fail_on or ("misfit",)
    for each in wanted:
        if each not in FAIL_ON:
            raise SettingError(f"--fail-on {each[:40]!r} is none of {', '.join(FAIL_ON)}.")
    kept = None if without_baseline else Path(baseline) if baseline else configuration.baseline
    suppress.check_codes(configuration.severity, "severity")
    return Options(
        facts=facts,
        configuration=configuration,
        fail_on=cast("tuple[FailOn, ...]", wanted),
        select=suppress.check_codes(select or configuration.select, "--select"),
        ignore=suppress.check_codes([*ignore, *configuration.ignore], "--ignore"),
        baseline=frozenset() if kept is None else suppress.read_baseline(kept),
        all_files=all_files,
    )


def _read_env_file(name: str) -> dict[str, str]:
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SettingError(f"--env-file {name} cannot be read: {why}.") from error
    return {key: value.strip("\"'") for key, value in env_file(text).items()}


def check_paths(paths: Sequence[str], asked: Options) -> Checked:
    """Return what a check of files and folders finds.

    Raises:
        SettingError: a path that does not exist.

    """
    checked = Checked()
    found = find_files(paths, all_files=asked.all_files)
    passed: Counter[str] = Counter(found.passed)
    for candidate in found.files:
        if asked.configuration.excludes(candidate.shown):
            continue
        file, why = read_file(candidate)
        if file is not None:
            checked.files += 1
            _add(checked, check_file(file, asked))
        elif candidate.named:
            checked.files += 1
            message = f"the file cannot be read: {why or 'it is no file'}."
            place = Place(Source(candidate.shown, ""), 0, 0)
            _add_findings(checked, _chosen([finding("KVP011", None, place, message, identity=(why,))], asked), asked)
        elif why:
            passed[why] += 1
    checked.reasons = [
        f"{count:,} file{'s' if count > 1 else ''} passed over: {why}" for why, count in sorted(passed.items())
    ]
    _finish(checked, asked)
    return checked


def check_text(text: str, name: str, asked: Options) -> Checked:
    """Return what a check of one text finds, as if it stood in a file of that name."""
    checked = Checked(files=1)
    folder = Path.cwd() if name == "-" else Path(name).parent
    try:
        file = as_file(name, text, folder, root_of(folder))
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingError(f"{name[:200]!r} is no file's name.") from error
    _add(checked, check_file(file, asked))
    _finish(checked, asked)
    return checked


@dataclass(slots=True)
class FileChecked:
    """What the check of one file finds."""

    file: File
    planned: list[Planned] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def units(self) -> list[Unit]:
        """Its engines."""
        return [each.unit for each in self.planned]


def check_file(file: File, asked: Options, *, verify: bool = True) -> FileChecked:
    """Return the units and findings of a file.

    Args:
        file: to check.
        asked: of the check.
        verify: whether each fix is tried, and its edits kept only if the finding goes.

    """
    found = FileChecked(file)
    if not _ENGINES.search(file.source.text) and not _ENGINES.search(file.source.path):
        return found
    comments = read_comments(file)
    own = workloads(file)
    outside = asked.configuration.facts_of(file.source.path)
    facts = {
        id(workload): asked.facts.over(said).over(outside)
        for workload, said in zip(own, comments.facts_of(own), strict=True)
    }
    units, unread = read_units(file, own, lambda workload: facts[id(workload)])
    for read in units:
        launch, workload = read.unit.launch, read.unit.workload
        files = reader(file, workload) if launch is None else reader(file, workload, launch.files)
        found.planned.append(plan_unit(read, facts[id(workload)], files))
    findings = [*_documents(file), *(_unread(each) for each in unread)]
    for planned in found.planned:
        findings += [each for rule in _RULES for each in rule.check(planned)]
    findings += memory.shared(found.planned)
    findings = _chosen(findings, asked)
    if verify and any(each.fixes for each in findings):

        def again(text: str) -> tuple[Sequence[Unit], Sequence[Finding]]:
            edited = check_file(File(Source(file.source.path, text), file.beside), asked, verify=False)
            return edited.units, edited.findings

        findings = verified(file.source, found.units, findings, again)
    findings = suppress.suppressed(findings, comments, {unit.name: unit.place for unit in found.units})
    if found.planned or findings:
        # Elsewhere comments for kvplan are texts about it.
        findings += _chosen(suppress.about_comments(comments), asked)
    found.findings = suppress.without_known(findings, asked.baseline)
    return found


def _chosen(findings: Sequence[Finding], asked: Options) -> list[Finding]:
    return suppress.chosen(findings, asked.select, asked.ignore, asked.configuration.severity)


def _documents(file: File) -> Iterator[Finding]:
    """Yield what of a stream cannot be read."""
    for document in file.documents:
        if not document.error or not _ENGINES.search(document.place.text):
            continue
        place = document.error_place or document.place
        if document.templated or "{{" in document.place.text:
            message = (
                f"the document is a template and cannot be read as YAML ({document.error}). "
                "Render it first: helm template . | kvplan check -"
            )
            yield finding("KVP002", None, place, message, identity=(document.error,))
        else:
            message = f"the document is not YAML: {document.error}."
            yield finding("KVP001", None, place, message, identity=(document.error,))


def _unread(unread: Unread) -> Finding:
    error, workload = unread.error, unread.workload
    message = f"the command seems to start an engine and cannot be read: {error.message}"
    message += f" {error.hint}" if error.hint else ""
    return finding("KVP010", None, workload.place, message, identity=(workload.name, error.message))


def _add(checked: Checked, found: FileChecked) -> None:
    checked.units += found.units
    checked.findings += sorted(found.findings, key=lambda each: (each.place.path, each.place.start, each.code))


def _add_findings(checked: Checked, findings: Sequence[Finding], asked: Options) -> None:
    checked.findings += suppress.without_known(findings, asked.baseline)


def _finish(checked: Checked, asked: Options) -> None:
    """Set the exit code: 1 where something at or above what the check is to fail on was found."""
    severities = {each.severity for each in checked.open}
    misfit = "error" in severities
    fails: dict[FailOn, bool] = {
        "misfit": misfit,
        "risk": misfit or "warning" in severities,
        "unknown": misfit or any(unit.verdict == "unknown" for unit in _new(checked)),
        "never": False,
    }
    checked.exit_code = int("never" not in asked.fail_on and any(fails[each] for each in asked.fail_on))


def _new(checked: Checked) -> Iterator[Unit]:
    """Yield the units but those whose every reason to be unknown is in the baseline.

    Comments and --ignore take a note away and not the verdict; a baseline is there to fail on what is new alone.
    """
    known: set[tuple[str, str]] = set()
    new: set[tuple[str, str]] = set()
    for each in checked.findings:
        if each.code in _OPEN and each.subject:
            (known if each.suppressed == suppress.BASELINE else new).add((each.place.path, each.subject))
    for unit in checked.units:
        if (name := (unit.place.path, unit.name)) not in known or name in new:
            yield unit
