"""A configuration from the Hugging Face hub, through the real client: cached, and read offline afterwards."""

import sys
from pathlib import Path
from typing import Any

from kvplan.errors import HubError, HubGatedError, HubNotFoundError, HubOfflineError
from kvplan.models.source import MAX_CONFIG_BYTES, parse_config, read_limited

_FILE = "config.json"


def read_hub_config(name: str) -> Any:
    """Return the parsed `config.json` of `org/name` or `org/name@revision`.

    The client's own settings hold: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_OFFLINE`, `HF_HUB_ETAG_TIMEOUT`.

    Raises:
        HubNotFoundError: no such repository, revision, or no config.json in it.
        HubGatedError: the repository asks for access.
        HubOfflineError: the hub cannot be reached, and no copy is cached.
        HubError: what the hub sent is too large, or the transfer broke off.
        ConfigError: what the hub sent is not JSON.

    """
    repository, _, revision = name.partition("@")
    path = _download(repository, revision or None)
    return parse_config(read_limited(path), where=f"{name}/{_FILE}")


def _download(repository: str, revision: str | None) -> Path:
    """Return the local path of the configuration, downloaded where the cache has no copy that is up to date."""
    from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_download, hf_hub_url  # noqa: PLC0415
    from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415  the client costs 0.2 s: only on use

    named = f"{repository}@{revision}" if revision else repository
    if not constants.HF_HUB_OFFLINE:
        try:
            # Asked first, so that nothing oversized is ever transferred.
            size = get_hf_file_metadata(hf_hub_url(repository, _FILE, revision=revision)).size
            if size is None or size <= MAX_CONFIG_BYTES:
                disable_progress_bars()  # a configuration is a few kilobytes
                return Path(hf_hub_download(repository, _FILE, revision=revision))
        except errors.GatedRepoError as error:
            raise _gated(named) from error
        except errors.RevisionNotFoundError as error:
            raise HubNotFoundError(f"{repository} has no revision {revision!r} on the hub.") from error
        except errors.EntryNotFoundError as error:
            hint = "Give the path of a config.json for its base model instead."
            raise HubNotFoundError(f"{named} is on the hub, but has no {_FILE}.", hint=hint) from error
        except errors.RepositoryNotFoundError as error:
            hint = "Check the spelling; for a private repository log in with `hf auth login`, or set HF_TOKEN."
            raise HubNotFoundError(f"There is no model {named} on the hub.", hint=hint) from error
        except errors.HFValidationError as error:
            raise HubNotFoundError(f"{named!r} is not a hub id.", hint="Write it as org/name.") from error
        except Exception as error:  # noqa: BLE001  the client's transport raises its own classes, which change with its version
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no answer'}"
        else:
            raise HubError(f"{named}: its {_FILE} has {size:,} bytes: not a model configuration.")
    else:
        reason = "HF_HUB_OFFLINE is set"
    try:
        path = Path(hf_hub_download(repository, _FILE, revision=revision, local_files_only=True))
    except Exception as error:
        raise HubOfflineError(
            f"The hub cannot be read ({reason}), and no copy of {named} is cached.",
            hint="Try again online, use a catalogue name (`kvplan models`), or give the path of its config.json.",
        ) from error
    print(f"kvplan: the hub cannot be read ({reason}); using the cached copy of {named}.", file=sys.stderr)  # noqa: T201
    return path


def _gated(named: str) -> HubGatedError:
    return HubGatedError(
        f"{named} is gated: the hub asks for an account that was granted access.",
        hint="Ask for access on its page, then log in with `hf auth login` or set HF_TOKEN; or give the path of its config.json.",
    )
