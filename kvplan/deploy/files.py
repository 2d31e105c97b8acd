"""Which files are read, and how: tracked by git or named, bounded in size, text only, inside the tree."""

import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kvplan.deploy.file import File
from kvplan.errors import SettingError
from kvplan.launch.text import Source

LARGEST_FILE = 2_000_000
MOST_FILES = 200_000
_SUFFIXES = frozenset(
    ".yaml .yml .json .sh .bash .zsh .ksh .slurm .sbatch .service .container .env .dockerfile .containerfile .tf .hcl .nomad .py .toml"
    " .properties .conf .tpl .txt .ps1 .pbs .lsf .j2 .in .template .bat .cmd .pbtxt".split()
)
# Names without a telling suffix.
_NAMES = ("dockerfile", "containerfile", ".env", "makefile", "justfile", "procfile", "compose", "run", "start", "serve", "launch", "entrypoint")
_FOLDERS = frozenset(".git .hg .svn node_modules __pycache__ .venv venv .tox .mypy_cache .ruff_cache site-packages .terraform".split())


@dataclass(slots=True)
class Found:
    """The files of a check.

    Attributes:
        files: path as it is said, and where it lies.
        passed: how many were passed over, by the reason.

    """

    files: list[tuple[str, Path]] = field(default_factory=list)
    passed: dict[str, int] = field(default_factory=dict)


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
            raise SettingError(f"There is no file or folder {name[:200]!r}.", hint="Check the path, or run `kvplan check .`.")
        if is_folder:
            for each in _in_folder(path, all_files=all_files):
                if _may_deploy(each):
                    _add(found, seen, each)
        else:
            _add(found, seen, path)
    return found


def _add(found: Found, seen: set[str], path: Path) -> None:
    shown = os.path.normpath(str(path)).replace(os.sep, "/")
    if shown not in seen and len(found.files) < MOST_FILES:
        seen.add(shown)
        found.files.append((shown, path))


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
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603  fixed words, no shell
            ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "ls-files", "-z", "--cached"],  # noqa: S607  the user's own git
            capture_output=True,
            check=False,
            timeout=60,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode:
        return None
    names = [name for name in done.stdout.decode("utf-8", "surrogateescape").split("\0") if name]
    return sorted(dict.fromkeys(names))


def _may_deploy(path: Path) -> bool:
    name = path.name.lower()
    return path.suffix.lower() in _SUFFIXES or name.startswith(_NAMES) or (not path.suffix and "." not in name)


class Reader:
    """Reads files as text, each once, and none outside the tree.

    Args:
        root: links may not lead out of it.

    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.passed: dict[str, int] = {}

    def read(self, shown: str, path: Path) -> tuple[File | None, str]:
        """Return a file, or None and why it cannot be read as text."""
        try:
            resolved = path.resolve()
            if path.is_symlink() and not _inside(resolved, self.root):
                return None, "it is a link that leads out of the tree"
            if not resolved.is_file():
                return None, "it is no regular file" if resolved.exists() else "it is a link to nothing"
            size = resolved.stat().st_size
            if size > LARGEST_FILE:
                return None, f"it is larger than {LARGEST_FILE // 1_000_000} MB"
            content = resolved.read_bytes()[: LARGEST_FILE + 1]
        except (OSError, ValueError, RuntimeError) as error:
            return None, getattr(error, "strerror", None) or type(error).__name__
        text, why = decoded(content)
        if text is None:
            return None, why
        return self.file(shown, text, path.parent), ""

    def file(self, shown: str, text: str, folder: Path) -> File:
        """Return a file of a text, with those beside it in a folder."""

        def beside(name: str) -> File | None:
            try:
                other = (folder / name).resolve()
                if not _inside(other, self.root) or not other.is_file() or other.stat().st_size > LARGEST_FILE:
                    return None
                content, _ = decoded(other.read_bytes())
            except (OSError, ValueError, RuntimeError):
                return None
            parent = os.path.dirname(shown)  # noqa: PTH120  shown paths are texts
            near = os.path.normpath(os.path.join(parent, name)).replace(os.sep, "/")  # noqa: PTH118
            return None if content is None else self.file(near, content, other.parent)

        return File(Source(shown, text), beside)


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
