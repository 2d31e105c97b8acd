"""NVIDIA Dynamo's older configuration of services: their own settings, and those of `Common` that they name."""

import re
from collections.abc import Iterator
from itertools import islice

from kvplan.deploy.engine_settings import OWN
from kvplan.deploy.gpu_resources import count_of
from kvplan.deploy.keys import flags_of, flat
from kvplan.deploy.settings import plain
from kvplan.deploy.tree import Node
from kvplan.deploy.uris import model_at
from kvplan.deploy.workload import Workload, given
from kvplan.launch.words import Word

_ENGINES = (("vllm", "vllm"), ("sglang", "sglang"), ("trtllm", "tensorrt-llm"), ("tensorrt", "tensorrt-llm"))
# Workers that no engine's name stands in.
_WORKER = re.compile(r"(?:\w*(?:prefill|decode))?worker", re.IGNORECASE)
# Services called after an engine that run none: they route, split texts into tokens, encode images.
_HELPERS = re.compile(r"router|processor|frontend|encode|planner|metrics", re.IGNORECASE)
# Keys of a worker that are Dynamo's and no flags of the engine (examples/llm of its releases 0.1 to 0.3).
_OWN = frozenset({
    "ServiceArgs", "common_configs", "remote_prefill", "conditional_disagg", "max_local_prefill_length",
    "max_prefill_queue_size", "router", "min_workers", "enable_disagg", "is_prefill_worker", "disagg_mode",
    "publish_kv_cache_events", "publish_events_and_metrics", "llmapi_disaggregated_config", "prompt_template",
    "no_operation", "endpoint", "model",
})  # fmt: skip
# Each takes what it names of the shared settings, which may be many.
_MOST_WORKERS = 200
_OPTIONS = frozenset({"engine_args", "extra_engine_args"})


def services(root: Node) -> list[tuple[Node, Node, str]]:
    """Return the workers of a configuration: the name's node, the settings and the engine."""
    return list(islice(_services(root), _MOST_WORKERS))


def _services(root: Node) -> Iterator[tuple[Node, Node, str]]:
    found = [(key, each) for key, each in root.entries() if each.kind == "map"]
    if not any(each.get("ServiceArgs").kind == "map" for _, each in found):
        return
    named = {key.value: _engine_in(key.value) for key, _ in found}
    # Workers of one configuration run one engine; what no name says is what their settings say.
    only = {engine for engine in named.values() if engine} or {_engine_by_keys(each) for _, each in found} - {""}
    for key, each in found:
        if _HELPERS.search(key.value) or each.get("ServiceArgs").kind != "map":
            continue
        engine = named[key.value]
        if not engine and _WORKER.fullmatch(key.value) and len(only) == 1:
            engine = next(iter(only))
        if engine:
            yield key, each, engine


def settings_of(root: Node, service: Node, engine: str) -> tuple[Word, ...]:
    """Return a worker's settings as the engine's flags; its own go before the shared ones, and what is false is not given."""
    common = root.get("Common")
    asked = {each.value for each in service.get("common-configs").each() if each.kind == "scalar"}
    own = {_name(key) for key, _ in service.entries()}
    unasked = {_name(key) for key, _ in common.entries() if key.value not in asked}
    shared = flags_of(common, skip=own | unasked | _not_given(common))
    flags = flat((*shared, *flags_of(service, skip=_OWN | _OPTIONS | _not_given(service))))
    options = next((service.index[key] for key in service.index if _name_of(key) in _OPTIONS), None)
    if options is None or engine != "tensorrt-llm" or not options[1].string:
        return flags
    return (
        Word("--extra_llm_api_options", place=options[0].text),
        Word(options[1].value, place=options[1].text),
        *flags,
    )


def model_of(root: Node, service: Node) -> Node:
    """Return the node that names a worker's model."""
    return service.first("model", "model-path", "model_path") or root.get("Common").first("model", "model-path")


def workloads(root: Node) -> Iterator[Workload]:
    """Yield the engines of a configuration that stands in a file of its own."""
    for key, service, engine in services(root):
        asked = service.get("ServiceArgs")
        workload = Workload(
            format="engine-yaml",
            name=f"service {key.value}",
            place=key.place,
            words=settings_of(root, service, engine),
            engine=engine,
            model=model_at(model_of(root, service)),
            replicas=given(asked.get("workers")),
            notes=("taken for a service of Dynamo's own configuration",),
        )
        workload.gpus.count = count_of(asked.get("resources", "gpu"))
        yield workload


def _engine_in(name: str) -> str:
    low = name.lower()
    return "" if _HELPERS.search(name) else next((engine for part, engine in _ENGINES if part in low), "")


def _engine_by_keys(service: Node) -> str:
    """Return the engine that alone has some of a service's settings; "" where none or several do."""
    names = {plain(key.value) for key, _ in service.entries()}
    names |= {plain(each.value) for each in service.get("common-configs").each() if each.kind == "scalar"}
    found = [engine for engine in ("vllm", "sglang", "tensorrt-llm") if names & {plain(each) for each in OWN[engine]}]
    return found[0] if len(found) == 1 else ""


def _not_given(settings: Node) -> set[str]:
    return {_name(key) for key, value in settings.entries() if value.typed is False} | {"model", "ServiceArgs"}


def _name(key: Node) -> str:
    return _name_of(key.value)


def _name_of(key: str) -> str:
    return key.strip().lstrip("-").replace("-", "_")
