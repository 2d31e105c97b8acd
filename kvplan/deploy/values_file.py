"""Configuration files of engines that charts make of their values, which a command names by their path."""

import re
from itertools import islice

from kvplan.deploy.engine_settings import recognised
from kvplan.deploy.keys import json_text
from kvplan.deploy.overlay import mapping
from kvplan.deploy.tree import Node
from kvplan.deploy.workload import Workload

_CONFIGURATION = re.compile(r"--config[= ](/[\w./-]+)", re.ASCII)
_MOST_MAPS = 2000


def put_values_as_file(workload: Workload, root: Node, engine: str = "") -> None:
    """Put in the settings among the values that charts make the file of, which the command names.

    Args:
        workload: whose command it is.
        root: all values.
        engine: whose settings they must be; "" for any.

    """
    texts = [each.text for each in (*(workload.command or ()), *workload.args, *(workload.words or ()))]
    match = _CONFIGURATION.search(" ".join(texts))
    if match is None:
        return
    for node in islice(root.walk(), _MOST_MAPS):
        settings = listed(node)
        found = recognised(settings)
        if found is not None and engine in ("", found.engine) and (text := json_text(settings)) is not None:
            workload.files[match[1]] = text
            return


def listed(node: Node) -> Node:
    """Return a list of keys and values (`- {key: max-model-len, value: 4096}`) as the mapping that it means."""
    pairs = [(each.first("key", "name"), each.get("value")) for each in node.items]
    return mapping(node, pairs) if pairs and all(key.string and value for key, value in pairs) else node
