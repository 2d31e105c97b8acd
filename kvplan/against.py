"""`kvplan check --against REF`: what a change does to capacity, unit by unit."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kvplan.checking import Options, check_file
from kvplan.deploy.comments import read_comments
from kvplan.deploy.file import File
from kvplan.deploy.files import Reader, decoded
from kvplan.deploy.unit import Unit
from kvplan.errors import SettingError
from kvplan.plan import Plan
from kvplan.rules.finding import Checked, Finding, Label
from kvplan.rules.make import finding
from kvplan.rules.suppress import chosen, suppressed

_PATIENCE_S = 120


def compare(checked: Checked, reference: str, asked: Options, *, max_loss: float | None) -> None:
    """Put among the findings what each unit held at a git revision and holds now.

    Units are matched by file and name. A loss beyond `max_loss` percent is an error; other changes are notes.

    Args:
        checked: of the files as they are.
        reference: the revision.
        asked: of the check; its facts count for both.
        max_loss: in percent; None: no loss is too much.

    Raises:
        SettingError: no repository, or no such revision.

    """
    root = Path(_git(["rev-parse", "--show-toplevel"], "This is no git repository").strip())
    commit = _git(["rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}"], f"There is no revision {reference[:60]!r}").strip()
    changed = {name for name in _git(["diff", "--name-only", "-z", "--no-ext-diff", commit, "--"], "git diff failed").split("\0") if name}
    found: list[Finding] = []
    for path, units in _by_file(checked.units).items():
        try:
            name = Path(path).resolve().relative_to(root.resolve()).as_posix()
        except ValueError:
            continue
        if name not in changed:
            continue
        before = {unit.name: unit for unit in _units_at(commit, name, path, asked)}
        new = [each for unit in units if (each := _compared(unit, before.get(unit.name), reference, max_loss)) is not None]
        if new:
            source = units[0].place.source
            comments = read_comments(File(source))
            configured = asked.configuration.severity
            found += suppressed(chosen(new, asked.select, asked.ignore, configured), comments)
    checked.findings += found
    if max_loss is not None and "never" not in asked.fail_on and any(each.severity == "error" and not each.suppressed for each in found):
        checked.exit_code = 1


def _by_file(units: Sequence[Unit]) -> Mapping[str, list[Unit]]:
    found: dict[str, list[Unit]] = {}
    for unit in units:
        found.setdefault(unit.place.path, []).append(unit)
    return found


def _units_at(commit: str, name: str, path: str, asked: Options) -> list[Unit]:
    """Return the units of a file as it was; none where it was not there or no text."""
    done = _run(["show", f"{commit}:{name}"])
    if done.returncode:
        return []
    text, _ = decoded(done.stdout)
    if text is None:
        return []
    file = Reader(Path.cwd()).file(path, text, Path(path).parent)
    return check_file(file, asked, verify=False).units


def _compared(unit: Unit, before: Unit | None, reference: str, max_loss: float | None) -> Finding | None:
    """Return what a unit's capacity was and is, for requests of its length now; None where nothing changed, or was there before."""
    if before is None:
        return None
    old, new = before.plan, unit.plan
    if old is None or new is None:
        if before.verdict == unit.verdict:
            return None
        message = f"since {reference}: {before.verdict.replace('_', ' ')} → {unit.verdict.replace('_', ' ')}."
        return finding("KVP121", None, unit.place, message, identity=(unit.name,), subject=unit.name)
    tokens = new.request.context_tokens
    held, holds = _requests(old, tokens), _requests(new, tokens)
    if held is None or holds is None or (abs(held - holds) < 0.005 and old.verdict == new.verdict):
        return None
    loss = 100 * (1 - holds / held) if held else 0.0
    change = f"{held:,.1f} → {holds:,.1f} requests of {tokens:,} tokens at once"
    verdict = "" if before.verdict == unit.verdict else f"; {before.verdict.replace('_', ' ')} → {unit.verdict.replace('_', ' ')}"
    too_much = max_loss is not None and loss > max_loss
    allowed = f", more than the {max_loss:g} % that are allowed" if too_much else ""
    size = f" ({'-' if loss > 0 else '+'}{abs(loss):.1f} %{allowed})" if held else ""
    message = f"since {reference}: {change}{size}{verdict}."
    return finding(
        "KVP120" if too_much else "KVP121", None, unit.place, message,
        labels=tuple(_changed(unit, before)), identity=(unit.name,), subject=unit.name,
    )  # fmt: skip


def _requests(plan: Plan, tokens: int) -> float | None:
    """Return the requests of a length that a plan's deployment holds in all replicas; None where nothing bounds them."""
    deployment = plan.deployment
    stage = deployment.deciding_stage(tokens)
    share = deployment.share(stage, tokens)
    if share is None:
        return None
    held = deployment.layouts[stage].concurrency(max(share.bytes, 0), tokens, deployment.encoder_tokens(tokens))
    return None if held == float("inf") else held * deployment.parallel.data


def _changed(unit: Unit, before: Unit) -> list[Label]:
    """Return the settings that differ, each with what it was."""
    found: list[Label] = []
    for name, given in unit.inputs.items():
        other = before.inputs.get(name)
        if given.place is not None and other is not None and other.value != given.value:
            found.append(Label(given.place, f"was {'not stated' if other.value is None else other.value}"))
    seen: set[int] = set()
    return [label for label in found if not (label.place.start in seen or seen.add(label.place.start))]


def _git(words: list[str], failed: str) -> str:
    done = _run(words)
    if done.returncode:
        raise SettingError(f"{failed}.", hint="--against compares with a revision of the repository that the files are in.")
    return done.stdout.decode("utf-8", "surrogateescape")


def _run(words: list[str]) -> "subprocess.CompletedProcess[bytes]":
    import os  # noqa: PLC0415  only to call git

    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.pager=cat", *words]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE_S, env=environment)  # noqa: S603  fixed words
    except (OSError, subprocess.SubprocessError) as error:
        raise SettingError("git cannot be run.", hint="--against needs git.") from error


