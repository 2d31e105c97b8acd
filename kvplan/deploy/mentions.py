"""Words without which no text starts an engine: what holds none of them need not be read closely."""

import re

from kvplan.launch.text import MASK

_ENGINES = re.compile(
    r"vllm|sglang|sgl-|text-generation|tgi|trtllm|tensorrt|llama|ollama|lmdeploy|dynamo|huggingfaceserver|nim|transformers|djl",
    re.IGNORECASE,
)


# What tells an engine's program which model it serves; a character that is masked tells nothing.
_MODEL = re.compile(
    rf"\s(?:--model(?:[-_](?:path|id|name|url))?|--hf[-_]repo|-hfr?|--config|-mu)[ =][^\s{MASK}]"
    rf"|\s-m[ =](?=\S*[/$]|\S*\.gguf)[^\s{MASK}]"
    rf"|vllm serve [^-\s{MASK}]|trtllm-serve (?:serve )?[^-\s{MASK}]|api_server [^-\s{MASK}]"
)


def names_model(line: str) -> bool:
    """Return whether a command says which model is served."""
    return _MODEL.search(f" {line}") is not None


def mentions_engine(*texts: str) -> bool:
    """Return whether one of the texts names an engine."""
    return any(_ENGINES.search(text) for text in texts)
