"""Where charts of any make keep things: the model, the container, the GPUs and the settings of an engine.

Values are looked for in scopes, the nearest first: one model of several, the engine's values, the top of the file.
"""

import re
from collections.abc import Iterator

from kvplan.deploy.helm import SETTINGS_MAPS
from kvplan.deploy.overlay import joined_lists, mapping, mapping_of
from kvplan.deploy.pods import count_of, gpu_types
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.uris import model_at, named
from kvplan.deploy.workload import given
from kvplan.launch.text import join
from kvplan.launch.words import Given

# Keys that name the model, the surer first; in a map `model`, shorter ones do.
_MODEL = (
    "modelId", "modelID", "model_id", "hfModelId", "hfModelID", "huggingfaceId", "huggingFaceId", "hf_model_id", "hfModel",
    "hf_model", "modelReference", "modelRepo", "model_repo", "repoId", "repo_id", "modelURI", "modelUri", "model_uri",
    "modelURL", "modelUrl", "modelPath", "model_path", "modelSource", "hfModelName", "hf_model_name",
    "huggingface_name", "hf_name", "huggingfaceName", "huggingFaceName", "hfName", "modelName", "model_name", "MODEL_ID",
    "MODEL_NAME", "modelFile", "model_file", "ggufFile", "ollamaModel", "vllmModel", "llmModel",
)  # fmt: skip
_IN_MODEL = (
    "id", "hf", "hfId", "hfID", "huggingface", "repo", "repoId", "repository", "source", "uri", "url", "path", "localPath", "name",
)  # fmt: skip
_OWNERS = ("organization", "organisation", "org", "owner", "author")
# Where a model lies, in maps of any name; other addresses are those of services.
_ADDRESSES = ("uri", "url", "storageUri", "storage_uri")
_SCHEMES = ("hf://", "s3://", "gs://", "oci://", "pvc://", "ollama://")
_COUNTS = (
    "gpus", "gpuCount", "gpu_count", "numGpus", "num_gpus", "numGPUs", "nGpus", "gpuRequestCount", "requestGPU", "gpusPerPod",
    "gpusPerNode", "gpuLimit", "gpuRequest",
)  # fmt: skip
_TYPES = (
    "gpuType", "gpu_type", "gpuModel", "gpu_model", "gpuProduct", "acceleratorType", "gpuModels", "gpuName", "gpu_product",
    "gpu_name",
)  # fmt: skip
_HUB = re.compile(r"(?:hf://)?[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
# Vendors, which charts also write under `type`.
_VENDORS = re.compile(r"nvidia|amd|intel|gpu|cpu|tpu|nvidia\.com/.*|amd\.com/.*|cuda|rocm", re.IGNORECASE)


def below(scopes: tuple[Node, ...]) -> Iterator[Node]:
    """Yield scopes and the maps of settings in them, one or two deep, each once."""
    seen: set[int] = set()
    for scope in scopes:
        first = [scope.get(key) for key in SETTINGS_MAPS]
        for node in (scope, *first, *(each.get(key) for each in first if each.kind == "map" for key in SETTINGS_MAPS)):
            if node.kind == "map" and id(node) not in seen:
                seen.add(id(node))
                yield node


def value_in(scopes: tuple[Node, ...], keys: tuple[str, ...]) -> Node:
    """Return the first scalar under one of several keys that says something."""
    for scope in below(scopes):
        for key in keys:
            if scope.get(key).string:
                return scope.get(key)
    return NOTHING


def model_of(scopes: tuple[Node, ...]) -> Given | None:
    """Return the model: the first that looks like one of the Hub's or a path, else the first that is named."""
    said: list[Node] = []
    for scope in below(scopes):
        said += [scope.get(key) for key in _MODEL if scope.get(key).string]
        model = scope.get("model")
        if model.string:
            said.append(model)
        said += [model.get(key) for key in (*_MODEL, *_IN_MODEL) if model.get(key).string]
        said += [scope.get(key) for key in _ADDRESSES if scope.get(key).string.startswith(_SCHEMES)]
    # A name of the Hub says what the model is, wherever a copy of it lies.
    surest = [each for each in said if _HUB.fullmatch(each.value.strip())]
    paths = [each for each in said if "/" in each.value and not each.value.startswith(("http://", "https://"))]
    if not surest and (parted := _of_organisation(scopes)) is not None:
        return parted
    return model_at([*surest, *paths, *said][0]) if said else None


def _of_organisation(scopes: tuple[Node, ...]) -> Given | None:
    """Return a model whose name is written in two parts (`model: {organization: org, name: model-7b}`)."""
    for scope in below(scopes):
        owner, name = scope.get("model").first(*_OWNERS), scope.get("model", "name")
        if owner.string and name.string and "/" not in name.value:
            return named(join([owner.text, "/", name.text]))
    return None


def container_of(scopes: tuple[Node, ...]) -> Node:
    """Return the values as a container: its resources, and variables however the chart calls them."""
    nodes = list(below(scopes))
    resources = next((node.get("resources") for node in nodes if _asks(node.get("resources"))), NOTHING)
    if resources.get("gpu").kind == "map":
        resources = resources.get("gpu")
    names = ("env", "extraEnv", "extraEnvVars", "envVars", "environment", "envs")
    variables = [node.get(name) for node in nodes for name in names]
    lists = joined_lists(*(each for each in variables if each.kind == "list"))
    maps = next((each for each in variables if each.kind == "map" and each.pairs), NOTHING)
    mounts = joined_lists(*(node.first("volumeMounts", "extraVolumeMounts") for node in nodes))
    return mapping_of(scopes[0], resources=resources, env=lists or maps, volumeMounts=mounts)


def pod_of(scopes: tuple[Node, ...]) -> Node:
    """Return the values as a pod: what may be mounted."""
    volumes = joined_lists(*(node.first("volumes", "extraVolumes") for node in below(scopes)))
    return mapping_of(scopes[0], volumes=volumes)


def _asks(resources: Node) -> bool:
    """Whether resources name any limit or request."""
    inner = resources.get("gpu") if resources.get("gpu").kind == "map" else resources
    return any(inner.get(part).pairs for part in ("limits", "requests"))


def count_in(scopes: tuple[Node, ...]) -> Given | None:
    """Return the GPUs that a key counts, where the resources do not."""
    node = value_in(scopes, _COUNTS)
    for scope in below(scopes):
        gpu = scope.first("gpu", "gpus", "accelerator")
        node = node or (gpu if gpu.number is not None else gpu.first("count", "number", "gpus", "limit"))
        asked = scope.get("resources").first("gpu", "gpus")
        node = node or (asked.first("count", "number") if asked.kind == "map" else asked)
        node = node or scope.get("resources", "limits", "gpu", "number")
    return count_of(node) if node.number is not None else None


def _without_preferences(scope: Node) -> Node:
    """Return the placement that must hold: charts write preferences for whatever GPU there may be."""
    affinity = scope.get("affinity", "nodeAffinity")
    required = mapping(affinity, [pair for pair in affinity.entries() if not pair[0].value.startswith("preferred")])
    return mapping_of(scope, nodeSelector=scope.get("nodeSelector"), affinity=mapping_of(scope, nodeAffinity=required))


def gpu_types_in(scopes: tuple[Node, ...]) -> tuple[Given, ...]:
    """Return the GPUs that the placement or a key allows."""
    for scope in below(scopes):
        if found := gpu_types(_without_preferences(scope)):
            return found
    for scope in below(scopes):
        keys = [each.get(key) for each in (scope, scope.get("resources")) for key in _TYPES]
        for node in (*keys, scope.first("gpu", "accelerator").first("type", "model", "product", "name")):
            found = tuple(
                one for each in node.each() if (one := given(each)) and not _VENDORS.fullmatch(str(one.value))
            )
            if found:
                return found
    return ()
