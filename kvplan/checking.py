"""`kvplan check`: from files to units, plans and findings. One file after the other; nothing of one is needed for the next."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kvplan.deploy.comments import Comments, read_comments
from kvplan.deploy.configuration import Configuration, FailOn, find_configuration, matches, read_configuration
from kvplan.deploy.file import File
from kvplan.deploy.files import Reader, find_files
from kvplan.deploy.formats import workloads
from kvplan.deploy.outside import Facts
from kvplan.deploy.plans import Planned, plan_unit
from kvplan.deploy.unit import Unit
from kvplan.deploy.units import Unread, read_units, reader
from kvplan.engines import NAMES, find_engine
from kvplan.errors import SettingError
from kvplan.gpus import find_gpu
from kvplan.launch.containers import env_file
from kvplan.launch.text import Place, Source
from kvplan.rules import dtypes, edits, memory, reading, suppress, topology
from kvplan.rules.finding import Checked, Finding, Fix, Severity
from kvplan.rules.make import finding

# Words of which every file that deploys an engine holds one; the others are not read as YAML at all.
_ENGINES = re.compile(
    r"vllm|sglang|text-generation|\btgi|trtllm|tensorrt|llama|lmdeploy|dynamo|/nim\b|\bnim[-_]|huggingface|kaito|llm|max[-_]?model"
    r"|kv_cache_config|tensor[-_]?parallel|mem[-_]fraction|model_?id\b|quantiz|model_name|gpu[-_]memory",
    re.IGNORECASE,
)
_RULES = (reading, memory, topology, dtypes)


@dataclass(slots=True, kw_only=True)
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
    folder: Path | None = None,
    fail_on: Sequence[str] = (),
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    baseline: str | None = None,
    all_files: bool = False,
) -> Options:
    """Return what a check is asked, from what is given and the configuration that counts for a folder.

    Raises:
        KvplanError: a GPU, engine, code or file that there is not.

    """
    here = (folder or Path()).resolve()
    configuration, _ = (read_configuration(Path(config)), None) if config else find_configuration(here)
    said: dict[str, str] = {}
    for name in env_files:
        said |= _read_env_file(name)
    facts = Facts(
        gpu=gpu, engine=engine, model=model, models=dict(models or {}), variables=said | dict(variables or {}), context=context, users=users
    )
    for one in (facts, configuration.facts(), *(each.facts() for each in configuration.deployment)):
        _check_facts(one)
    wanted = tuple(fail_on) or tuple(configuration.fail_on) or ("misfit",)
    for each in wanted:
        if each not in ("misfit", "risk", "unknown", "never"):
            raise SettingError(f"--fail-on {each[:40]!r} is none of misfit, risk, unknown and never.")
    kept = baseline or configuration.baseline
    suppress.check_codes(list(configuration.severity), "severity")
    return Options(
        facts=facts,
        configuration=configuration,
        fail_on=wanted,  # type: ignore[arg-type]  # checked above
        select=suppress.check_codes([*select] or configuration.select, "--select"),
        ignore=suppress.check_codes([*ignore, *configuration.ignore], "--ignore"),
        baseline=suppress.read_baseline(Path(kept)) if kept else frozenset(),
        all_files=all_files,
    )


def _read_env_file(name: str) -> dict[str, str]:
    try:
        return {key: value.strip("\"'") for key, value in env_file(Path(name).read_text(encoding="utf-8")).items()}
    except (OSError, ValueError) as error:
        raise SettingError(f"--env-file {name} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}.") from error


def _check_facts(facts: Facts) -> None:
    if facts.gpu is not None:
        find_gpu(facts.gpu)
    if facts.engine and not facts.engine.startswith("@"):
        name = facts.engine.partition("@")[0]
        if name not in NAMES and name != "nim":
            find_engine(name)  # refuses it, with the nearest names


def check_paths(paths: Sequence[str], asked: Options, *, root: Path | None = None) -> Checked:
    """Return what a check of files and folders finds.

    Raises:
        SettingError: a path that does not exist.

    """
    checked = Checked()
    source = Reader(root or Path.cwd())
    named = {str(Path(path)) for path in paths if not Path(path).is_dir()}
    passed: dict[str, int] = {}
    for shown, path in find_files(paths, all_files=asked.all_files).files:
        if any(matches(shown, pattern) for pattern in asked.configuration.exclude):
            continue
        file, why = source.read(shown, path)
        checked.files += 1
        if file is None:
            if str(path) in named:
                checked.findings.append(finding("KVP011", None, Place(Source(shown, ""), 0, 0), f"the file cannot be read: {why}.", identity=(why,)))
            else:
                passed[why] = passed.get(why, 0) + 1
            continue
        _add(checked, check_file(file, asked))
    checked.reasons = [f"{count} file{'s' if count > 1 else ''} passed over: {why}" for why, count in sorted(passed.items())]
    _finish(checked, asked)
    return checked


def check_text(text: str, name: str, asked: Options, *, root: Path | None = None) -> Checked:
    """Return what a check of one text finds, as if it stood in a file of that name."""
    checked = Checked(files=1)
    folder = root or Path.cwd()
    file = Reader(folder).file(name, text, folder / Path(name).parent if name != "-" else folder)
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
    file.variables = asked.configuration.facts_of(file.source.path).variables | asked.facts.variables
    own = workloads(file)
    facts = {id(each): asked.facts.over(comments.facts_for(file, each, own)).over(asked.configuration.facts_of(file.source.path)) for each in own}
    units, unread = read_units(file, own, lambda workload: facts[id(workload)])
    for read in units:
        launch = read.unit.launch
        files = reader(file, read.unit.workload, launch.files) if launch is not None else reader(file, read.unit.workload)
        found.planned.append(plan_unit(read, facts[id(read.unit.workload)], files))
    findings = [*_documents(file), *(_unread(each) for each in unread)]
    for planned in found.planned:
        findings += [each for module in _RULES for each in module.check(planned)]
    findings += memory.shared(found.planned)
    findings = suppress.chosen(findings, asked.select, asked.ignore, _severities(asked))
    if verify and any(each.fixes for each in findings):
        findings = [_verified(file, each, asked) for each in findings]
    findings = suppress.suppressed(findings, comments)
    about = suppress.chosen(suppress.about_comments(comments) if _counts(comments, found) else [], asked.select, asked.ignore, _severities(asked))
    found.findings = suppress.without_known([*findings, *about], asked.baseline)
    return found


def _severities(asked: Options) -> Mapping[str, Severity]:
    return asked.configuration.severity


def _counts(comments: Comments, found: FileChecked) -> bool:
    """Whether comments for kvplan stand in a file that is one of a deployment: elsewhere they are texts about it."""
    return bool(found.planned or found.findings) and bool(comments.suppressions or comments.bad)


def _documents(file: File) -> Iterator[Finding]:
    """Yield what of a stream cannot be read."""
    for document in file.documents:
        if not document.error or not _ENGINES.search(document.place.text):
            continue
        place = document.error_place or document.place
        if document.templated or "{{" in document.place.text:
            yield finding(
                "KVP002", None, place,
                f"the document is a template and cannot be read as YAML ({document.error}). "
                "Render it first: helm template . | kvplan check -",
                identity=(document.error,),
            )  # fmt: skip
        else:
            yield finding("KVP001", None, place, f"the document is not YAML: {document.error}.", identity=(document.error,))


def _unread(unread: Unread) -> Finding:
    error = unread.error
    message = f"the command seems to start an engine and cannot be read: {error.message}" + (f" {error.hint}" if error.hint else "")
    return finding("KVP010", None, unread.workload.place, message, identity=(unread.workload.name, error.message))


def _verified(file: File, each: Finding, asked: Options) -> Finding:
    """Return a finding whose fixes keep their edits only where the file, edited so, does not break the rule any more."""
    fixes: list[Fix] = []
    for fix in each.fixes:
        if fix.edits and not _settles(file, each, fix, asked):
            fix = replace(fix, edits=())  # noqa: PLW2901  the same without edits
        fixes.append(fix)
    return replace(each, fixes=tuple(fixes))


def _settles(file: File, each: Finding, fix: Fix, asked: Options) -> bool:
    if any(edit.place.source is not file.source for edit in fix.edits):
        return False
    text = edits.apply(file.source.text, fix.edits)
    after = check_file(_edited(file, text), asked, verify=False)
    broken = {(other.code, other.subject) for other in after.findings}
    before = sum(other.severity == "error" for other in check_file(file, asked, verify=False).findings)
    worse = sum(other.severity == "error" for other in after.findings) > before
    return (each.code, each.subject) not in broken and not worse


def _edited(file: File, text: str) -> File:
    return File(Source(file.source.path, text), file.beside)


def _add(checked: Checked, found: FileChecked) -> None:
    checked.units += found.units
    checked.findings += sorted(found.findings, key=lambda each: (each.place.path, each.place.start, each.code))


def _finish(checked: Checked, asked: Options) -> None:
    """Set the exit code: 1 where something at or above what the check is to fail on was found."""
    severities = {each.severity for each in checked.open}
    verdicts = {unit.verdict for unit in checked.units}
    fails = {
        "misfit": "error" in severities,
        "risk": bool(severities & {"error", "warning"}) or bool(verdicts & {"does_not_fit", "tight"}),
        "unknown": "error" in severities or "unknown" in verdicts,
        "never": False,
    }
    checked.exit_code = int("never" not in asked.fail_on and any(fails[each] for each in asked.fail_on))
