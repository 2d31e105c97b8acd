"""`kvplan check --against REF`: what a change does to capacity, unit by unit."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kvplan.checking import Options, check_file
from kvplan.deploy import git
from kvplan.deploy.comments import read_comments
from kvplan.deploy.file import File
from kvplan.deploy.files import LARGEST_FILE, decoded, near, shown_as
from kvplan.deploy.unit import Unit
from kvplan.errors import SettingError
from kvplan.launch.text import Place, Source
from kvplan.plan import Plan
from kvplan.rules.finding import Checked, Finding, Label
from kvplan.rules.make import finding
from kvplan.rules.suppress import chosen, suppressed, without_known

# Of files that are gone, for units that moved; more are not looked through.
_MOST_GONE = 500
_SAME = 0.005


def compare(checked: Checked, paths: Sequence[str], reference: str, asked: Options, *, max_loss: float | None) -> None:
    """Put among the findings what each unit held at a git revision and holds now.

    Units are matched by file and name; one that moved to another file, or whose file has only one of another name, is found
    there. A loss beyond `max_loss` percent is an error; other changes are notes.

    Args:
        checked: of the files as they are.
        paths: that were checked.
        reference: the revision.
        asked: of the check; its facts count for both.
        max_loss: in percent; None: no loss is too much.

    Raises:
        SettingError: no repository, or no such revision.

    """
    first = Path(paths[0]) if paths else Path()
    past = _Past.at(reference, first if first.is_dir() else first.parent)
    found: list[Finding] = []
    moved = {(path, unit.name): unit for path in past.gone(paths) for unit in past.units(path, asked)}
    for path, units in _by_file(checked.units).items():
        before = {unit.name: unit for unit in past.units(path, asked)} if past.changed(path, units) else {}
        new: list[Finding] = []
        for unit, old in _pairs(units, before):
            was = old
            if was is None and path not in past:
                was = next((moved.pop(key) for key in list(moved) if key[1] == unit.name), None)
            new += _compared(unit, was, reference, max_loss)
        new += [_gone(old, units[0].place, reference) for old in before.values()]
        found += _counted(new, units, asked)
    found += without_known(
        _chosen([_gone(old, _nowhere(path), reference) for (path, _), old in moved.items()], asked), asked.baseline
    )
    checked.findings += found
    if "never" not in asked.fail_on and any(each.code == "KVP120" and not each.suppressed for each in found):
        checked.exit_code = 1


def _by_file(units: Iterable[Unit]) -> dict[str, list[Unit]]:
    found: dict[str, list[Unit]] = {}
    for unit in units:
        found.setdefault(unit.place.path, []).append(unit)
    return found


def _pairs(units: Sequence[Unit], before: dict[str, Unit]) -> list[tuple[Unit, Unit | None]]:
    """Return each unit with what it was, and take that from `before`: of the same name, else the only ones without a match."""
    pairs = [(unit, before.pop(unit.name, None)) for unit in units]
    new = [at for at, (unit, old) in enumerate(pairs) if old is None]
    if len(new) == len(before) == 1 and units[new[0]].engine == next(iter(before.values())).engine:
        pairs[new[0]] = (units[new[0]], before.popitem()[1])
    return pairs


def _counted(new: Sequence[Finding], units: Sequence[Unit], asked: Options) -> list[Finding]:
    """Return the findings of one file as they count."""
    if not new:
        return []
    comments = read_comments(File(units[0].place.source))
    places = {unit.name: unit.place for unit in units}
    return without_known(suppressed(_chosen(new, asked), comments, places), asked.baseline)


def _chosen(new: Sequence[Finding], asked: Options) -> list[Finding]:
    return chosen(new, asked.select, asked.ignore, asked.configuration.severity)


# -- the past --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Past:
    """A repository at a commit, read by names and contents alone.

    Attributes:
        folder: the repository's.
        files: name of each file's content, by the file's path as messages say it.

    """

    folder: Path
    files: dict[str, str]

    @classmethod
    def at(cls, reference: str, folder: Path) -> "_Past":
        """Return it.

        Raises:
            SettingError: no repository, or no such revision.

        """
        done = git.ask(["rev-parse", "--show-toplevel"], folder)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise SettingError(
                f"{os.fspath(folder)} is in no git repository that can be read ({said[0] if said else 'git does not say why'}).",
                hint="--against compares with a revision of the repository that the files are in.",
            )
        top = Path(os.fsdecode(done.stdout.removesuffix(b"\n")))
        named = [b"rev-parse", b"--verify", b"--quiet", b"--end-of-options", os.fsencode(f"{reference}^{{commit}}")]
        done = git.ask([os.fsdecode(word) for word in named], top)
        commit = done.stdout.decode("ascii", "replace").strip()
        if done.returncode or not re.fullmatch(r"[0-9a-f]{40,64}", commit):
            raise SettingError(
                f"There is no revision {reference[:60]!r} here.", hint="Was it fetched? In CI: fetch-depth: 0."
            )
        listed = git.names(git.ask(["ls-tree", "-r", "-z", "--full-tree", commit], top).stdout)
        entries = (entry.partition("\t") for entry in listed)
        return cls(top, {shown_as(top / path): about.split(" ")[2] for about, _, path in entries if " blob " in about})

    def __contains__(self, path: str) -> bool:
        return self._content_of(path) is not None

    def _content_of(self, path: str) -> str | None:
        """Return the name of a file's content; a path through a link to the repository means the same file."""
        folder, name = os.path.split(path)
        return self.files.get(path) or self.files.get(shown_as(Path(os.path.realpath(folder), name)))

    def changed(self, path: str, units: Iterable[Unit]) -> bool:
        """Whether a file, or one that its units' settings stand in, is another now."""
        paths = {
            path,
            *(given.place.path for unit in units for given in unit.inputs.values() if given.place is not None),
        }
        own = self._content_of(path)
        return own is not None and any(self._content_of(each) != _name_of(each, own) for each in paths)

    def gone(self, paths: Iterable[str]) -> Iterator[str]:
        """Yield the files below some paths that are there no more."""
        below = [shown_as(Path(path)) for path in paths]
        left = _MOST_GONE
        for path in self.files:
            inside = any(each in (".", path) or path.startswith(f"{each}/") for each in below)
            if left and inside and not os.path.lexists(path):
                left -= 1
                yield path

    def units(self, path: str, asked: Options) -> list[Unit]:
        """Return a file's units as they were."""
        file = self._file(path)
        if file is None or asked.configuration.excludes(path):
            return []
        return check_file(file, replace(asked, baseline=frozenset()), verify=False).units

    def _file(self, path: str) -> File | None:
        blob = self._content_of(path)
        if blob is None:
            return None
        done = git.ask(["cat-file", "blob", blob], self.folder)
        text, _ = decoded(done.stdout) if not done.returncode and len(done.stdout) <= LARGEST_FILE else (None, "")
        return None if text is None else File(Source(path, text), lambda name: self._file(near(path, name)))


def _name_of(path: str, like: str) -> str | None:
    """Return git's name of a file's content (a hash of kind, size and content), by the algorithm that another is made by."""
    try:
        content = Path(path).read_bytes()
    except OSError:
        return None
    made = hashlib.sha256 if len(like) == 64 else hashlib.sha1
    return made(b"blob %d\0" % len(content) + content).hexdigest()


# -- findings --------------------------------------------------------------------------------------------------------


def _compared(unit: Unit, before: Unit | None, reference: str, max_loss: float | None) -> Iterator[Finding]:
    """Yield what a unit's capacity was and is, for requests of its length now; nothing where it is the same, or new."""
    if before is None:
        return
    old, new = before.plan, unit.plan
    verdicts = "" if before.verdict == unit.verdict else f"{_words(before)} → {_words(unit)}"
    if old is None or new is None:
        if verdicts:
            yield _note("KVP121", unit, f"since {reference}: {verdicts}.", before)
        return
    tokens = new.request.context_tokens
    held, holds = _requests(old, tokens), _requests(new, tokens)
    if held is None or holds is None or (abs(held - holds) < _SAME and not verdicts):
        return
    loss = 100 * (1 - holds / held) if held else 0.0
    too_much = max_loss is not None and loss > max_loss
    allowed = f", more than the {max_loss:g} % that are allowed" if too_much else ""
    size = f" ({'-' if loss > 0 else '+'}{abs(loss):.1f} %{allowed})" if held else ""
    message = f"since {reference}: {held:,.1f} → {holds:,.1f} requests of {tokens:,} tokens at once{size}"
    yield _note(
        "KVP120" if too_much else "KVP121", unit, f"{message}; {verdicts}." if verdicts else f"{message}.", before
    )


def _note(code: str, unit: Unit, message: str, before: Unit) -> Finding:
    labels = tuple(_changed(unit, before))
    return finding(code, None, unit.place, message, labels=labels, identity=(unit.name,), subject=unit.name)


def _gone(before: Unit, place: Place, reference: str) -> Finding:
    plan = before.plan
    tokens = plan.request.context_tokens if plan is not None else 0
    held = _requests(plan, tokens) if plan is not None else None
    size = f"; it held {held:,.1f} requests of {tokens:,} tokens at once" if held is not None else ""
    message = f"since {reference}: {before.name} is gone{size}."
    return finding("KVP121", None, place, message, identity=("gone", before.name))


def _nowhere(path: str) -> Place:
    return Place(Source(path, ""), 0, 0)


def _words(unit: Unit) -> str:
    return unit.verdict.replace("_", " ")


def _requests(plan: Plan, tokens: int) -> float | None:
    """Return the requests of a length that a plan's deployment holds in all replicas; None where nothing bounds them."""
    deployment = plan.deployment
    stage = deployment.deciding_stage(tokens)
    share = deployment.share(stage, tokens)
    if share is None:
        return None
    held = deployment.layouts[stage].concurrency(max(share.bytes, 0), tokens, deployment.encoder_tokens(tokens))
    return None if held == float("inf") else held * deployment.parallel.data


def _changed(unit: Unit, before: Unit) -> Iterator[Label]:
    """Yield the settings that differ, each with what it was."""
    seen: set[Place] = set()
    for name, given in unit.inputs.items():
        other = before.inputs.get(name)
        if given.place is None or given.place in seen or other is None or other.value == given.value:
            continue
        seen.add(given.place)
        yield Label(given.place, f"was {'not stated' if other.value is None else other.value}")
