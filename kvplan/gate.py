"""`kvplan.check`: the gate over deployment files, for scripts."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from os import PathLike, fspath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvplan.rules.finding import Checked


def check(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]] = ".",
    *,
    text: str | None = None,
    gpu: str | None = None,
    engine: str | None = None,
    model: str | None = None,
    models: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    env_files: Sequence[str] = (),
    context: int | None = None,
    users: int | None = None,
    config: str | None = None,
    fail_on: str | Sequence[str] = (),
    select: str | Sequence[str] = (),
    ignore: str | Sequence[str] = (),
    baseline: str | None = None,
    against: str | None = None,
    max_loss: float | None = None,
    online: bool = False,
    all_files: bool = False,
) -> "Checked":
    """Return what a check of deployment files finds: `.units`, `.findings`, `.exit_code`, and `.to_dict()`, the contract's JSON.

    Args:
        paths: files, and folders (of which git-tracked files count); none: the current folder.
        text: what stands in the file that `paths` names, instead of reading it.
        gpu: as `kvplan.estimate`; what the files say does not count then.
        engine: and version where files name none, `vllm@0.11`.
        model: of every engine.
        models: what names and paths in files stand for.
        variables: values of variables and template expressions.
        env_files: files of such variables.
        context: tokens of one request that must fit; None: the engine's own longest.
        users: requests that must fit at once.
        config: path of a kvplan.toml; None: the one that counts for the current folder.
        fail_on: `misfit` (None given), `risk`, `unknown`, `never`: what makes `.exit_code` 1.
        select: codes of rules, or their beginnings.
        ignore: likewise.
        baseline: path of a baseline.
        against: git revision to compare capacity with.
        max_loss: percent of capacity that may be lost, with `against`.
        online: whether the hub may be asked.
        all_files: whether files count that git does not track.

    Raises:
        KvplanError: a path, GPU, engine, code or setting that there is not.

    """
    from kvplan import checking  # noqa: PLC0415  no part of the package's start
    from kvplan.hub import without_network  # noqa: PLC0415

    named = [fspath(paths)] if isinstance(paths, str | PathLike) else [fspath(path) for path in paths]
    asked = checking.options(
        gpu=gpu,
        engine=engine,
        model=model,
        models=models,
        variables=variables,
        env_files=env_files,
        context=context,
        users=users,
        config=config,
        fail_on=_listed(fail_on),
        select=_listed(select),
        ignore=_listed(ignore),
        baseline=baseline,
        all_files=all_files,
    )
    with nullcontext() if online else without_network():
        if text is not None:
            return checking.check_text(text, named[0] if named else "-", asked)
        checked = checking.check_paths(named or ["."], asked)
        if against is not None:
            from kvplan.against import compare  # noqa: PLC0415  only to compare

            compare(checked, named, against, asked, max_loss=max_loss)
        return checked


def _listed(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given
