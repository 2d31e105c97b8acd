"""What tells that a map of values starts an engine, where no key of its own says so: an image, flags or settings further down."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from kvplan.deploy.engine_settings import OWN
from kvplan.deploy.settings import plain
from kvplan.deploy.tree import Node
from kvplan.launch.images import read_image

# Maps that say nothing of what runs.
_CLOSED = frozenset({
    "nodeSelector", "labels", "annotations", "affinity", "livenessProbe", "readinessProbe", "startupProbe", "ingress",
    "securityContext", "podSecurityContext", "serviceAccount", "persistence", "tolerations", "autoscaling", "initContainer",
    "initContainers", "gateway", "router", "routerSpec", "frontend", "epp", "ui", "sidecar", "proxy", "benchmark", "downloader",
    "modelDownload", "monitoring", "env", "podAnnotations", "podLabels", "networkPolicy", "strategy",
})  # fmt: skip
_ARGUMENTS = re.compile(r".*(?:args|arguments|flags|command|cmd)", re.IGNORECASE)
_MODEL = re.compile(
    r"(?:hf|hugging_?face)?_?model_?(?:id|name|path|repo|repository|uri|url|source|reference)?|(?:storage_?)?uri|hf_?id|repo_?id",
    re.IGNORECASE,
)
_OF_MODEL = ("id", "name", "path", "repo", "source")
_FLAG = re.compile(r"--([a-z][\w-]+)", re.ASCII)
_STARTS = re.compile(r"\bvllm serve\b|\bvllm\.entrypoints\b|\bsglang\.launch_server\b")
_DEEPEST, _MOST = 3, 80


@dataclass(slots=True)
class Evidence:
    """What the maps below one say of an engine.

    Attributes:
        engine: by the contract's name.
        parts: the maps.

    """

    engine: str = ""
    parts: tuple[Node, ...] = ()


@dataclass(slots=True)
class _Seen:
    """What was seen in maps: images of engines, how many flags and settings are an engine's alone, and what would run."""

    images: list[str] = field(default_factory=list)
    flags: dict[str, set[str]] = field(default_factory=dict)
    settings: dict[str, set[str]] = field(default_factory=dict)
    model: bool = False
    runs: bool = False
    pretends: bool = False


def evidence(node: Node, values: bool) -> Evidence | None:
    """Return the engine that a map of values starts by all that is in it; None where that is not clear.

    Args:
        node: in which no smaller map starts one.
        values: whether the file is one of values by its name or its other keys.

    """
    maps = list(_maps(node, "", 0))
    seen = _Seen()
    for key, each in maps:
        _look(each, key, seen)
    flags = max(seen.flags.items(), key=lambda item: len(item[1]), default=("", set[str]()))
    settings = max(seen.settings.items(), key=lambda item: len(item[1]), default=("", set[str]()))
    engine = ""
    if seen.pretends:
        return None
    if seen.images and values and (seen.model or flags[1] or settings[1]):
        engine = seen.images[0]
    elif len(flags[1]) > 1 and (seen.model or seen.runs) and (values or seen.runs):
        engine = flags[0]
    elif settings[1] and seen.model and seen.runs:
        engine = settings[0]
    return Evidence(engine, tuple(each for _, each in maps[1:])) if engine in OWN or engine == "tgi" else None


def _maps(node: Node, key: str, depth: int) -> Iterator[tuple[str, Node]]:
    """Yield a map and those below it, but for other programs' and what is switched off."""
    if depth and any(node.get(each).typed is False for each in ("enabled", "create", "deployed", "enable")):
        return
    if (
        depth
        and node.get("image", "repository").string
        and not read_image(node.get("image", "repository").string).engine
    ):
        return
    yield key, node
    count = 0
    for name, value in node.entries() if depth < _DEEPEST else ():
        if value.kind == "map" and name.value not in _CLOSED:
            for each in _maps(value, name.value, depth + 1):
                count += 1
                if count > _MOST:
                    return
                yield each


def _look(node: Node, within: str, seen: _Seen) -> None:
    for key, value in node.entries():
        name, low = plain(key.value), key.value.lower()
        if value.kind == "scalar" and ("image" in low or low == "repository" or "image" in within.lower()):
            engine = read_image(value.string).engine
            seen.pretends = seen.pretends or "inference-sim" in value.string
            if engine is not None:
                seen.images.append(engine)
        if _ARGUMENTS.fullmatch(key.value):
            _look_at_arguments(value, seen)
        if value.string and (_MODEL.fullmatch(key.value) or (within == "model" and name in _OF_MODEL)):
            seen.model = seen.model or "/" in value.value or name != "uri"
        if (low == "resources" and any(value.get(part).pairs for part in ("limits", "requests"))) or (
            value.string and key.value in ("gpuCount", "gpus", "replicas", "replicaCount", "numGpus", "gpuType")
        ):
            seen.runs = True
        # Keys in one word with capitals inside are a chart's; others write the engine's own names in any file.
        if value.string and re.search(r"[a-z][A-Z]", key.value):
            for engine, own in _PLAIN.items():
                if name in own:
                    seen.settings.setdefault(engine, set()).add(name)


def _look_at_arguments(value: Node, seen: _Seen) -> None:
    text = "\n".join(each.value for each in value.each() if each.kind == "scalar")[:20_000]
    names = {plain(each) for each in _FLAG.findall(text)}
    started = _STARTS.search(text)
    for engine, own in _PLAIN.items():
        if names & own:
            seen.flags.setdefault(engine, set()).update(names & own)
    if started is not None:
        seen.flags.setdefault("sglang" if "sglang" in started[0] else "vllm", set()).update(("(program)", "(starts)"))
    seen.model = seen.model or "model" in names or "modelpath" in names


_PLAIN = {engine: {plain(each) for each in own} for engine, own in OWN.items()}
