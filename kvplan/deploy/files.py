"""Which files are read, and how: tracked by git or named, bounded in size, text only, inside the tree."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kvplan.deploy import git
from kvplan.deploy.file import File
from kvplan.errors import SettingError
from kvplan.launch.text import Source

LARGEST_FILE = 2_000_000
MOST_FILES = 200_000
_SUFFIXES = frozenset({
    ".yaml", ".yml", ".json", ".sh", ".bash", ".zsh", ".ksh", ".slurm", ".sbatch", ".service", ".container", ".env",
    ".dockerfile", ".containerfile", ".tf", ".hcl", ".nomad", ".py", ".toml", ".properties", ".conf", ".tpl", ".txt",
    ".ps1", ".pbs", ".lsf", ".j2", ".in", ".template", ".bat", ".cmd", ".pbtxt", ".tmpl", ".tftpl", ".gotmpl", ".jinja",
    ".jinja2", ".erb", ".example", ".sample", ".dist", ".ini",
})  # fmt: skip
# Names without a telling suffix.
_NAMES = (
    "dockerfile", "containerfile", ".env", "makefile", "justfile", "procfile", "compose", "run", "start", "serve",
    "launch", "entrypoint",
)  # fmt: skip
_FOLDERS = frozenset({
    ".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", ".tox", ".mypy_cache", ".ruff_cache",
    "site-packages", ".terraform",
})  # fmt: skip
# Holds what a checkout is authorised with; no deployment names anything in it.
_PRIVATE = ".git"


class Candidate(NamedTuple):
    """A file to read: its path as it is said, where it lies, the tree that links may not leave, whether it was named itself."""

    shown: str
    path: Path
    root: Path
    named: bool


@dataclass(slots=True)
class Found:
    """The files of a check.

    Attributes:
        files: each once, in the order of the paths that mean them.
        passed: how many were passed over, by the reason.

    """

    files: list[Candidate] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)


def find_files(paths: Iterable[str], *, all_files: bool = False) -> Found:
    """Return the files that paths mean: files as they are, folders with what git tracks in them, else all that may deploy.

    Raises:
        SettingError: a path that does not exist.

    """
    found = Found()
    seen: set[str] = set()
    for name in paths:
        path = Path(name)
        try:
            is_folder, exists = path.is_dir(), path.exists()
        except (OSError, ValueError):
            is_folder = exists = False
        if not exists:
            raise SettingError(
                f"There is no file or folder {name[:200]!r}.", hint="Check the path, or run `kvplan check .`."
            )
        root = root_of(path if is_folder else path.parent)
        for each in _in_folder(path, all_files=all_files) if is_folder else [path]:
            shown = shown_as(each)
            if shown in seen or (is_folder and not _may_deploy(each)):
                continue
            seen.add(shown)
            if len(seen) > MOST_FILES:
                found.passed[f"there are more than {MOST_FILES:,} files"] += 1
            else:
                found.files.append(Candidate(shown, each, root, not is_folder))
    return found


def root_of(folder: Path) -> Path:
    """Return the tree that a folder's files may not lead out of: the current folder where it holds it, else the folder."""
    here = Path.cwd()
    return here.resolve() if Path(os.path.abspath(folder)).is_relative_to(here) else folder.resolve()  # noqa: PTH100  links stay


def shown_as(path: Path) -> str:
    """Return a path as messages say it and fingerprints hold it: from the current folder where it is below it."""
    whole = os.path.abspath(path)  # noqa: PTH100  links stay
    here = os.getcwd()  # noqa: PTH109  texts on both sides
    below = os.path.relpath(whole, here) if Path(whole).is_relative_to(here) else whole
    return below.replace(os.sep, "/")


def _in_folder(folder: Path, *, all_files: bool) -> Iterator[Path]:
    names = None if all_files else _tracked(folder)
    if names is not None:
        yield from (folder / name for name in names)
        return
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if each not in _FOLDERS)
        yield from (Path(root) / each for each in sorted(files))


def _tracked(folder: Path) -> list[str] | None:
    """Return the files that git tracks in a folder; None where it is no repository, or git is not there."""
    try:
        done = git.ask(["ls-files", "-z", "--cached"], folder)
    except SettingError:
        return None
    return None if done.returncode else sorted(set(git.names(done.stdout)))


def _may_deploy(path: Path) -> bool:
    name = path.name.lower()
    return path.suffix.lower() in _SUFFIXES or name.startswith(_NAMES) or (not path.suffix and "." not in name)


def read_file(candidate: Candidate) -> tuple[File | None, str]:
    """Return a file, or None and why it cannot be read as text; no reason for what is no file at all."""
    shown, path, root, _ = candidate
    try:
        resolved = path.resolve()
        if not _inside(resolved, root):
            return None, "it is behind a link that leads out of the tree"
        if not resolved.is_file():
            # Of what git tracks: a file that was deleted, a submodule.
            return None, "it is no regular file" if resolved.exists() and not resolved.is_dir() else ""
        content = _content(resolved)
    except (OSError, ValueError, RuntimeError) as error:
        return None, getattr(error, "strerror", None) or type(error).__name__
    if content is None:
        return None, f"it is larger than {LARGEST_FILE // 1_000_000} MB"
    text, why = decoded(content)
    return (None, why) if text is None else (as_file(shown, text, path.parent, root), "")


def as_file(shown: str, text: str, folder: Path, root: Path) -> File:
    """Return a file of a text, with those beside it in a folder.

    Args:
        shown: its path as it is said.
        text: in it.
        folder: it stands in.
        root: the tree that no path in it may leave.

    """

    def beside(name: str) -> File | None:
        try:
            other = (folder / name).resolve()
            if not _inside(other, root) or _PRIVATE in other.relative_to(root).parts or not other.is_file():
                return None
            content = _content(other)
        except (OSError, ValueError, RuntimeError):
            return None
        known, _ = decoded(content) if content is not None else (None, "")
        return None if known is None else as_file(near(shown, name), known, other.parent, root)

    return File(Source(shown, text), beside)


def near(shown: str, name: str) -> str:
    """Return what a path in a file is called, seen from where the file is."""
    parent = os.path.dirname(shown)  # noqa: PTH120  shown paths are texts
    return os.path.normpath(os.path.join(parent, name)).replace(os.sep, "/")  # noqa: PTH118


def _content(path: Path) -> bytes | None:
    """Return a file's bytes; None where they are too many."""
    with path.open("rb") as stream:
        content = stream.read(LARGEST_FILE + 1)
    return content if len(content) <= LARGEST_FILE else None


def _inside(path: Path, root: Path) -> bool:
    return path == root or root in path.parents


def decoded(content: bytes) -> tuple[str | None, str]:
    """Return the text of a file's bytes, or None and why it is none: UTF-8, or UTF-16 and -32 with their marks."""
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe\x00\x00", "utf-32-le"),
        (b"\x00\x00\xfe\xff", "utf-32-be"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ):
        if content.startswith(mark):
            try:
                return content[len(mark) :].decode(encoding), ""
            except UnicodeDecodeError:
                return None, f"it is not {encoding.upper()}, which its first bytes say"
    if b"\0" in content[:8000]:
        return None, "it is binary"
    try:
        return content.decode("utf-8"), ""
    except UnicodeDecodeError:
        # Old encodings differ in letters of comments and names; no setting holds any.
        return content.decode("latin-1"), ""
