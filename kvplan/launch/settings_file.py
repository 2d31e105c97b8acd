"""Settings files that a command names (`--config serve.yaml`): the scalars of a YAML mapping, each with its place.

Nothing is built from them, so that neither depth nor aliases cost anything.
"""

import re
from collections.abc import Iterator
from typing import Any

from kvplan.launch.text import Text, standing_for

_DEEPEST = 4
# An anchor and a tag before a scalar.
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")
_NULL = frozenset(("", "~", "null", "Null", "NULL"))


def settings(text: Text) -> Iterator[tuple[tuple[str, ...], Text, Text]]:
    """Yield the scalars under the keys of a mapping: the path of keys, the last key and the value.

    Reading stops where the text is no YAML, and at the end of its first document.
    """
    import yaml  # noqa: PLC0415  only for files that are named

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # The mappings and lists that are open: the keys of each that lead further; None: of a list, or too deep to count.
    paths: list[tuple[str, ...] | None] = []
    key: list[Text | None] = []
    events: Any = yaml.parse(text.value, Loader=loader)
    try:
        for event in events:
            if isinstance(event, yaml.DocumentEndEvent):
                return
            if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                paths.pop()
                key.pop()
                continue
            if not isinstance(event, yaml.NodeEvent):
                continue
            path, named = (paths[-1], key[-1]) if paths else (None, None)
            scalar = _scalar(event, text) if isinstance(event, yaml.ScalarEvent) else None
            if path is not None and named is None:
                # A key; one that is no scalar leads nowhere.
                key[-1] = scalar or Text("")
            elif path is not None and named is not None:
                key[-1] = None
                if scalar is not None and not _is_null(event):
                    yield (*path, named.value), named, scalar
            if isinstance(event, yaml.CollectionStartEvent):
                inner = () if not paths else None if path is None or named is None else (*path, named.value)
                is_map = isinstance(event, yaml.MappingStartEvent) and inner is not None and len(inner) < _DEEPEST
                paths.append(inner if is_map else None)
                key.append(None)
    except (yaml.YAMLError, ValueError):
        return


def _is_null(event: Any) -> bool:
    return event.implicit[0] and not event.style and event.value in _NULL


def _scalar(event: Any, text: Text) -> Text:
    """Return a scalar's value, at its place without its quotes."""
    start, end = event.start_mark.index, event.end_mark.index
    if event.anchor or event.tag:
        properties = _PROPERTIES.match(text.value, start, end)
        start = properties.end() if properties is not None else start
    for first, last in ((start, end), (start + 1, end - 1)):
        if text.value[first:last] == event.value:
            return text.cut(first, last)
    return standing_for(event.value, text.cut(start, end))
