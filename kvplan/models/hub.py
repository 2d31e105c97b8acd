"""A model from the Hugging Face hub, through the real client: cached, and read offline afterwards."""

import contextlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvplan.checkpoints.hub import read_hub
from kvplan.errors import HubError, HubOfflineError
from kvplan.hub import HubNoFileError, explained, full_name, reason, split_name, why_offline
from kvplan.models.hugging_face import QUANTISATION_FILE, lacks_quantisation, read_config, with_quantisation
from kvplan.models.source import MAX_CONFIG_BYTES, parse_config, read_limited
from kvplan.models.spec import ModelSpec, Note

_FILE = "config.json"


def read_hub_model(name: str) -> ModelSpec:
    """Return the model of `org/name` or `org/name@revision`: its configuration, and its weight files by their headers.

    The client's own settings hold: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_OFFLINE`, `HF_HUB_ETAG_TIMEOUT`. Where the
    headers cannot be had, the configuration alone is planned with, and that is said.

    Raises:
        HubNotFoundError: no such repository, revision, or no config.json in it.
        HubGatedError: the repository asks for access.
        HubOfflineError: the hub cannot be reached, and no copy is cached.
        HubError: what the hub sent is too large, or the transfer broke off.
        ConfigError: what the hub sent is not JSON, or no configuration.
        CheckpointError: the weight files are broken, incomplete or contradict each other.

    """
    values = _read_json(name, _FILE)
    if lacks_quantisation(values):
        with contextlib.suppress(HubNoFileError, HubOfflineError):
            values = with_quantisation(values, _read_json(name, QUANTISATION_FILE, quietly=True))
    spec = read_config(values, spec_id=name, source=f"hub: {name}", where=f"{name}/{_FILE}")
    try:
        checkpoint = read_hub(name, progress=_progress if sys.stderr.isatty() else None)
    except HubError as error:
        note = Note(f"The weight files' headers could not be read: {error.message}", "the configuration counts instead")
        return replace(spec, assumptions=(*spec.assumptions, note))
    return replace(spec, checkpoint=checkpoint)


def _progress(done: int, files: int) -> None:
    """Show how many headers are read, on one line that is wiped at the end."""
    text = f"\rkvplan: headers of {done} of {files} weight files" if done < files else "\r\x1b[K"
    print(text, end="", file=sys.stderr, flush=True)  # noqa: T201  progress goes to stderr


def _read_json(name: str, file: str, *, quietly: bool = False) -> Any:
    """Return a parsed file of a repository."""
    path = _download(*split_name(name), file, quietly=quietly)
    return parse_config(read_limited(path), where=f"{name}/{file}")


def _cached(repository: str, revision: str | None, file: str) -> Path | None:
    """Return the copy in the client's cache; None where there is none. Neither the network nor a token is touched."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  the client costs 0.2 s: only on use
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    with contextlib.suppress(HFValidationError, OSError, ValueError):
        found = try_to_load_from_cache(repository, file, revision=revision)
        return Path(found) if isinstance(found, str) else None
    return None


def _download(repository: str, revision: str | None, file: str, *, quietly: bool) -> Path:
    """Return the local path of the configuration, downloaded where the cache has no copy that is up to date."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url  # noqa: PLC0415
    from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415  the client costs 0.2 s: only on use

    named = full_name(repository, revision)
    why = why_offline()
    if why is None:
        try:
            # Asked first, so that nothing oversized is ever transferred.
            size = get_hf_file_metadata(hf_hub_url(repository, file, revision=revision)).size
            if size is None or size <= MAX_CONFIG_BYTES:
                disable_progress_bars()  # a configuration is a few kilobytes
                return Path(hf_hub_download(repository, file, revision=revision))
        except Exception as error:
            if (told := explained(error, repository, revision, file)) is not None:
                raise told from error
            why = reason(error)
        else:
            raise HubError(f"{named}: its {file} has {size:,} bytes: not a model configuration.")
    path = _cached(repository, revision, file)
    if path is None:
        raise HubOfflineError(
            f"The hub cannot be read ({why}), and no copy of {named} is cached.",
            hint="Try again online, use a catalogue name (`kvplan models`), or give the path of its config.json.",
        )
    if not quietly:
        print(f"kvplan: the hub cannot be read ({why}); using the cached copy of {named}.", file=sys.stderr)  # noqa: T201
    return path
