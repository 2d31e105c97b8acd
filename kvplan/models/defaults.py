"""What a configuration means where it is silent: the declared defaults of transformers' configuration classes.

`defaults.jsonl` holds one line per model type, written by `tools/extract_defaults.py` from transformers 5.18.0. A line is
found by text search, so that reading one type does not parse seven hundred.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

_FILE = Path(__file__).with_name("defaults.jsonl")


class TypeFacts(NamedTuple):
    """One configuration class.

    Attributes:
        class_name: as transformers names it.
        attribute_map: canonical key to the key that the class's files use.
        defaults: declared default of each field.
        sub_configs: key of a nested configuration to its model type.

    """

    class_name: str
    attribute_map: Mapping[str, str]
    defaults: Mapping[str, Any]
    sub_configs: Mapping[str, str]


@cache
def _lines() -> bytes:
    return _FILE.read_bytes()


@cache
def type_facts(model_type: str) -> TypeFacts | None:
    """Return what transformers 5.18.0 declares for a model type, or None where it does not know it."""
    if not model_type:  # The file's own first line has that.
        return None
    text = _lines()
    start = text.find(b'{"model_type":%b,' % json.dumps(model_type).encode())
    if start < 0:
        return None
    end = text.find(b"\n", start)
    line = json.loads(text[start : end if end >= 0 else len(text)])
    return TypeFacts(
        class_name=line["class"],
        attribute_map=line["attribute_map"],
        defaults=line["defaults"],
        sub_configs=line["sub_configs"],
    )
