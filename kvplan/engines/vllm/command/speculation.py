"""Speculation as the command line sets it: method, draft model, tokens."""

from collections.abc import Mapping
from typing import Any

from kvplan.engines.vllm.command.arguments import Arguments, json_value
from kvplan.errors import SettingError
from kvplan.launch.command import Command
from kvplan.launch.words import Given

# Methods without weights of their own (config/speculative.py); host memory only.
_WITHOUT_MODEL = ("ngram", "[ngram]", "ngram_gpu", "suffix")
_WITH_MODEL = ("eagle", "eagle3", "draft_model", "medusa", "mlp_speculator", "dflash", "dspark")
# The flags of each of these, before one JSON value held them (until 0.8.2), and beside it now.
_SINGLE = {
    "--speculative-model": "model", "--num-speculative-tokens": "num_speculative_tokens", "--spec-method": "method",
    "--spec-model": "model", "--spec-tokens": "num_speculative_tokens",
}  # fmt: skip
_HARMLESS = {
    "method", "model", "num_speculative_tokens", "prompt_lookup_max", "prompt_lookup_min", "disable_by_batch_size",
    "acceptance_method", "posterior_threshold", "posterior_alpha", "disable_logprobs", "rejection_sample_method",
    "draft_sample_method", "revision", "code_revision", "tensor_parallel_size",
}  # fmt: skip


def read_speculation(found: Arguments, command: Command) -> None:
    """Put the draft and its tokens among the settings.

    Raises:
        SettingError: a value that cannot be meant, or a method that needs a model and has none.

    """
    given = found.values.get("--speculative-config")
    config, words = (_config(given), given.words) if given is not None else ({}, ())
    for flag, key in _SINGLE.items():
        single = found.values.get(flag)
        if single is not None and single.value not in ("", "None"):
            if key in config:
                raise SettingError(
                    f"vLLM refuses {flag} beside the {key} of {words[0].text}.", hint="Keep one of the two."
                )
            config, words = {**config, key: single.value}, (*words, *single.words)
    if not config:
        return
    shown = Given(None, words)
    count = config.get("num_speculative_tokens")
    if count is not None:
        if isinstance(count, bool) or not str(count).isdecimal() or not 0 < int(str(count)[:9]) <= 1000:
            raise SettingError(f"{shown}: num_speculative_tokens is {str(count)[:40]!r}; 1 or more was expected.")
        command.engine_args["num_speculative_tokens"] = Given(int(count), words)
    _read_draft(config, words, command)
    for key in sorted(set(config) - _HARMLESS):
        command.note(f"{key} of the speculative config is not modelled")


def _config(given: Given) -> dict[str, Any]:
    value = json_value(given.value, given) if isinstance(given.value, str) else given.value
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SettingError(
            f"{given}: a JSON object was expected.", hint='For example {"method": "mtp", "num_speculative_tokens": 1}.'
        )
    return {str(key).replace("-", "_"): each for key, each in value.items() if each is not None}


def _read_draft(config: Mapping[str, Any], words: tuple[Any, ...], command: Command) -> None:
    method, model = config.get("method"), config.get("model")
    if not isinstance(method, str | None) or not isinstance(model, str | None):
        raise SettingError(f"{Given(None, words)}: method and model are texts.")
    method = method.lower() if method else method
    if method in _WITHOUT_MODEL or (method is None and model in _WITHOUT_MODEL):
        return
    target = command.settings.get("model")
    if (method or "").endswith("mtp") or (method is None and model is None) or (target and model == target.value):
        # The model's own next-token layers (the default where neither is named).
        if model is not None and target is not None and model != target.value:
            command.settings["draft"] = Given(model, words)
        else:
            command.settings["draft"] = Given("mtp", words)
        return
    if method is not None and method not in _WITH_MODEL:
        raise SettingError(
            f"Speculation by {method[:40]!r} is not planned.",
            hint=f"Known: mtp, {', '.join((*_WITH_MODEL, *_WITHOUT_MODEL))}.",
        )
    if not model:
        raise SettingError(f"{Given(None, words)}: {method} needs a model.", hint='Add "model": "org/draft".')
    command.settings["draft"] = Given(model, words)
