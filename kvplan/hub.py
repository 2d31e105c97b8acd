"""Names on the Hugging Face hub, and what its client's errors mean to the user."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from kvplan.errors import HubError, HubGatedError, HubNotFoundError, HubOfflineError, KvplanError

_unasked: ContextVar[bool] = ContextVar("unasked", default=False)


@contextmanager
def without_network() -> Iterator[None]:
    """Answer from what is on this machine only, as long as it lasts."""
    token = _unasked.set(True)
    try:
        yield
    finally:
        _unasked.reset(token)


def why_offline() -> str | None:
    """Return why the hub is not asked; None where it is."""
    if _unasked.get():
        return "no network unless --online is given"
    from huggingface_hub import constants  # noqa: PLC0415  the client costs 0.2 s: only on use

    return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else None


class HubNoFileError(HubNotFoundError):
    """The repository is there and the file is not: for callers that ask for one name after the other."""


def split_name(name: str) -> tuple[str, str | None]:
    """Return repository and revision of `org/name` or `org/name@revision`; no revision is the default branch."""
    repository, _, revision = name.partition("@")
    return repository, revision or None


def full_name(repository: str, revision: str | None) -> str:
    """Return what `split_name` splits."""
    return f"{repository}@{revision}" if revision else repository


def explained(error: Exception, repository: str, revision: str | None, file: str) -> HubError | None:
    """Return what the hub answered, as the user is told; None where it did not answer, or not as a hub does.

    Args:
        error: what huggingface_hub raised.
        repository: that was asked for.
        revision: that was asked for.
        file: that was asked for.

    """
    from huggingface_hub import errors  # noqa: PLC0415  the client costs 0.2 s: only on use

    named = full_name(repository, revision)
    if isinstance(error, errors.GatedRepoError):
        return HubGatedError(
            f"{named} is gated: the hub asks for an account that was granted access.",
            hint="Ask for access on its page, then log in with `hf auth login` or set HF_TOKEN; "
            "or give the path of its config.json.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubNotFoundError(f"{repository} has no revision {revision!r} on the hub.")
    if isinstance(error, errors.EntryNotFoundError):
        hint = "Give the path of a config.json for its base model instead." if file == "config.json" else None
        return HubNoFileError(f"{named} is on the hub, but has no {file}.", hint=hint)
    if isinstance(error, errors.RepositoryNotFoundError):
        hint = "Check the spelling; for a private repository log in with `hf auth login`, or set HF_TOKEN."
        return HubNotFoundError(f"There is no model {named} on the hub.", hint=hint)
    if isinstance(error, errors.HFValidationError):
        return HubNotFoundError(f"{named!r} is not a hub id.", hint="Write it as org/name.")
    return None


def reason(error: Exception) -> str:
    """Return why the hub cannot be read, on one line; the classes are the transport's own and change with the client's version."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no answer'}"


@contextmanager
def told(repository: str, revision: str | None, file: str) -> Iterator[None]:
    """Turn what the client raises while it asks for a file into what the user is told.

    Raises:
        HubNoFileError: the repository has no such file (HubNotFoundError, HubGatedError: `explained`).
        HubOfflineError: the hub cannot be reached, or the transfer broke off.

    """
    try:
        yield
    except KvplanError:
        raise
    except Exception as error:
        named = full_name(repository, revision)
        answer = explained(error, repository, revision, file)
        if answer is None and getattr(getattr(error, "response", None), "status_code", None) == 404:
            # A server that is not quite a hub says no more than this.
            answer = HubNoFileError(f"{named} has no {file} on the hub.")
        if answer is None:
            hint = "Try again online, or give a folder that holds the files."
            answer = HubOfflineError(f"{file} of {named} cannot be read: {reason(error)}.", hint=hint)
        raise answer from error
