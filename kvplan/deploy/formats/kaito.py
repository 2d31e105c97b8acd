"""KAITO's Workspace, InferenceSet and MultiRoleInference: a preset on an instance type, settings in a ConfigMap."""

import re
from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.keys import flags_of, flat
from kvplan.deploy.pods import (
    TYPE_LABELS,
    Stream,
    count_of,
    inner_documents,
    pod_workloads,
    resources,
    stream_of,
    title,
)
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.workload import Gpus, Workload, given
from kvplan.launch.words import Given

# Presets whose name is not their model's on the Hub (presets/workspace/models/supported_models.yaml of KAITO).
_PRESETS = {
    "llama-3.1-8b-instruct": "meta-llama/Llama-3.1-8B-Instruct",
    "llama-3.3-70b-instruct": "meta-llama/Llama-3.3-70B-Instruct",
    "deepseek-r1-0528": "deepseek-ai/DeepSeek-R1-0528",
    "deepseek-v3-0324": "deepseek-ai/DeepSeek-V3-0324",
    "deepseek-r1-distill-llama-8b": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
    "deepseek-r1-distill-qwen-14b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
    "falcon-7b": "tiiuae/falcon-7b",
    "falcon-7b-instruct": "tiiuae/falcon-7b-instruct",
    "falcon-40b": "tiiuae/falcon-40b",
    "falcon-40b-instruct": "tiiuae/falcon-40b-instruct",
    "gemma-3-4b-instruct": "google/gemma-3-4b-it",
    "gemma-3-27b-instruct": "google/gemma-3-27b-it",
    "gpt-oss-20b": "openai/gpt-oss-20b",
    "gpt-oss-120b": "openai/gpt-oss-120b",
    "mistral-7b": "mistralai/Mistral-7B-v0.3",
    "mistral-7b-instruct": "mistralai/Mistral-7B-Instruct-v0.3",
    "ministral-3-3b-instruct": "mistralai/Ministral-3-3B-Instruct-2512",
    "ministral-3-8b-instruct": "mistralai/Ministral-3-8B-Instruct-2512",
    "ministral-3-14b-instruct": "mistralai/Ministral-3-14B-Instruct-2512",
    "mistral-large-3-675b-instruct": "mistralai/Mistral-Large-3-675B-Instruct-2512",
    "phi-2": "microsoft/phi-2",
    "phi-3-mini-4k-instruct": "microsoft/Phi-3-mini-4k-instruct",
    "phi-3-mini-128k-instruct": "microsoft/Phi-3-mini-128k-instruct",
    "phi-3-medium-4k-instruct": "microsoft/Phi-3-medium-4k-instruct",
    "phi-3-medium-128k-instruct": "microsoft/Phi-3-medium-128k-instruct",
    "phi-3.5-mini-instruct": "microsoft/Phi-3.5-mini-instruct",
    "phi-4": "microsoft/phi-4",
    "phi-4-mini-instruct": "microsoft/Phi-4-mini-instruct",
    "qwen2.5-coder-7b-instruct": "Qwen/Qwen2.5-Coder-7B-Instruct",
    "qwen2.5-coder-32b-instruct": "Qwen/Qwen2.5-Coder-32B-Instruct",
}
_PROFILE = re.compile(r"\d+g\.\d+gb", re.ASCII)


def read(file: File) -> Iterator[Workload]:
    """Yield the engines that KAITO starts; what it tunes and its RAG engines are none."""
    stream = stream_of(file.documents)
    for document in file.documents:
        for resource in resources(document.root):
            kind, spec = resource.get("kind").string, resource.get("spec")
            if not resource.get("apiVersion").string.startswith("kaito.sh/"):
                continue
            if kind == "Workspace":
                # The settings stand beside `metadata`; under `spec` some tools and drafts of later versions put them.
                holder = resource if resource.get("inference") else spec
                yield from _workspace(resource, holder, stream, document.templated)
            elif kind == "InferenceSet":
                for workload in _workspace(resource, spec.get("template"), stream, document.templated):
                    workload.replicas = given(spec.get("replicas"))
                    yield workload
            elif kind == "MultiRoleInference":
                yield from _roles(resource, stream, document.templated)


def _workspace(resource: Node, holder: Node, stream: Stream, templated: bool) -> Iterator[Workload]:
    inference, placed = holder.get("inference"), holder.get("resource")
    if inference.get("template"):
        for workload in pod_workloads(
            inference.get("template", "spec"), format="kaito", name=title(resource), stream=stream, templated=templated
        ):
            own = _gpus(placed)
            workload.gpus.types = workload.gpus.types or own.types
            workload.gpus.nodes = own.nodes
            yield workload
        return
    preset = inference.get("preset", "name")
    if not preset.string:
        return
    workload = _engine(resource, preset, inference.get("config"), stream, templated)
    workload.gpus = _gpus(placed)
    if "transformers" in resource.get("metadata", "annotations", "kaito.sh/runtime").string:
        workload.engine, workload.words = "transformers", ()
    if inference.get("adapters").items:
        workload.notes += ("adapters (LoRA) are loaded beside the model and not counted",)
    yield workload


def _roles(resource: Node, stream: Stream, templated: bool) -> Iterator[Workload]:
    """Yield the prefill and decode engines of a model that is served by both."""
    spec = resource.get("spec")
    for role in spec.get("roles").each():
        workload = _engine(
            resource, spec.get("model", "name"), role.get("config") or spec.get("config"), stream, templated
        )
        workload.name += f", role {role.get('type').string}"
        workload.place = role.place
        workload.gpus = _gpus(role)
        workload.replicas = given(role.get("replicas"))
        yield workload


def _engine(resource: Node, model: Node, config: Node, stream: Stream, templated: bool) -> Workload:
    """Return vLLM with the settings of the ConfigMap that a resource names."""
    settings = stream.config_maps.get(config.string, NOTHING).get("inference_config.yaml")
    flags = [flag for document in inner_documents(settings) for flag in flags_of(document.root.get("vllm"))]
    half = ""
    if config.string and not settings:
        half = f"the settings are in the ConfigMap {config.string}, which this file does not hold"
    named = given(model)
    if named is not None and named.value in _PRESETS:
        named = Given(_PRESETS[named.value], named.words)
    return Workload(
        format="kaito",
        name=title(resource),
        place=resource.place,
        words=flat(flags),
        engine="vllm",
        model=named,
        half=half,
        sets_parallelism="KAITO",
        templated=templated,
    )


def _gpus(placed: Node) -> Gpus:
    """Return the machines that a resource is placed on: an instance type and how many, or a part of a GPU."""
    labels = placed.get("labelSelector", "matchLabels")
    types = [given(placed.get("instanceType")), *(given(labels.get(label)) for label in TYPE_LABELS)]
    found = next((each for each in types if each is not None and each.value), None)
    profile = placed.get("partition", "profile")
    partition = given(profile) if _PROFILE.fullmatch(profile.string) else None
    count = count_of(placed.get("partition", "count"))
    if partition is not None and count is None:
        count = Given(1, partition.words)
    return Gpus(
        count=count,
        types=(found,) if found is not None else (),
        nodes=count_of(placed.get("count")),
        partition=partition,
    )
