"""Values of Helm charts: which maps of a file are one, and of which chart. Each map belongs to one reader at most."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from kvplan.deploy.evidence import evidence
from kvplan.deploy.file import File
from kvplan.deploy.pods import inner_documents, resources
from kvplan.deploy.settings import settings_in
from kvplan.deploy.tree import Document, Node
from kvplan.launch.images import read_image
from kvplan.launch.text import Text, join
from kvplan.launch.words import Word

PRODUCTION_STACK, LLM_D, KUBEAI, NIM, OPEA, OLLAMA = "production-stack", "llm-d", "kubeai", "nim", "opea", "ollama"
APP_TEMPLATE, OTHER = "app-template", "other"
CHARTS = (PRODUCTION_STACK, LLM_D, KUBEAI, NIM, OPEA, OLLAMA, APP_TEMPLATE)
# Names of engines, as sub-charts and keys are called after them, to the contract's.
ENGINES = {
    "vllm": "vllm", "sglang": "sglang", "tgi": "tgi", "text-generation-inference": "tgi", "tensorrt-llm": "tensorrt-llm",
    "tensorrtllm": "tensorrt-llm", "trtllm": "tensorrt-llm", "trt-llm": "tensorrt-llm", "lmdeploy": "lmdeploy",
    "ollama": "ollama", "llama.cpp": "llama.cpp", "llamacpp": "llama.cpp", "llama-cpp": "llama.cpp",
}  # fmt: skip
# Keys under which charts say which engine they start.
ENGINE_KEYS = ("framework", "engine", "backend", "inferenceEngine", "runtime", "servingEngine", "servingRuntime")
# What `helm create` and its kin write into values, and little else holds.
_VALUES = frozenset({
    "replicaCount", "nodeSelector", "tolerations", "affinity", "imagePullSecrets", "nameOverride", "fullnameOverride",
    "serviceAccount", "podAnnotations", "podLabels", "podSecurityContext", "ingress", "autoscaling", "persistence", "global",
    "extraArgs", "extraEnv", "extraEnvVars", "livenessProbe", "readinessProbe", "startupProbe", "shmSize",
})  # fmt: skip
# Maps that hold no chart of their own.
_CLOSED = frozenset({
    "resources", "env", "nodeSelector", "labels", "annotations", "affinity", "livenessProbe", "readinessProbe", "startupProbe",
    "service", "ingress", "securityContext", "podSecurityContext", "image", "serviceAccount", "persistence", "tolerations",
    "initContainer", "initContainers", "extraInit", "gateway", "router", "routerSpec", "frontend", "planner", "epp", "ui",
    "sidecar", "proxy", "cacheserverSpec", "benchmark", "benchmarks", "downloader", "modelDownload",
})  # fmt: skip
_DEEPEST, _MOST_BLOCKS = 8, 500
_CLIENT = re.compile(
    r"(?:api|base|server|service|llm|external|inference)?_?-?(?:url|uri|endpoint|host|api_?-?base)", re.IGNORECASE
)
_ASKS = re.compile(r"(?:ollama|vllm|sglang|tgi|openai|llm)_?(?:api)?_?(?:base)?_?(?:url|endpoint|host)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Block:
    """The values of one chart.

    Attributes:
        chart: whose reader it is for.
        name: its path in the values; "" for the whole.
        node: its values.
        root: all values that it stands in.
        document: of the file.
        engine: by the contract's name, where its key or a key in it says so.
        parts: further maps in it that hold what it says, where it is known by these alone.

    """

    chart: str
    name: str
    node: Node
    root: Node
    document: Document
    engine: str = ""
    parts: tuple[Node, ...] = ()


def blocks(file: File, chart: str) -> list[Block]:
    """Return the values in a file that are for one chart's reader."""
    return [block for block in _blocks(file) if block.chart == chart]


@lru_cache(maxsize=2)
def _blocks(file: File) -> tuple[Block, ...]:
    """Return a file's blocks; the readers ask for those of one file one after the other."""
    found: list[Block] = []
    for root, document, named in _trees(file):
        for block in _walk(root, "", root, document, named or _looks_like_values(root), 0):
            found.append(block)
            if len(found) == _MOST_BLOCKS:
                return tuple(found)
    return tuple(found)


def _trees(file: File) -> Iterator[tuple[Node, Document, bool]]:
    """Yield what may be values, and whether it is called so."""
    if "templates" in file.path.parts[:-1] or file.name in ("chart.yaml", "values.schema.json"):
        return
    called_so = "values" in file.name
    for document in file.documents:
        root = document.root
        if not (root.get("apiVersion").string and root.get("kind").string) and root.get("kind").string != "List":
            if root.kind == "map" and not _is_other(root):
                yield root, document, called_so
            continue
        for resource in resources(root):
            yield from ((inner, document, True) for inner in _in_resource(resource))


def _in_resource(resource: Node) -> Iterator[Node]:
    """Yield the values that a resource hands to a chart: Flux's HelmRelease, Argo CD's Application, K3s' HelmChart."""
    kind, spec = resource.get("kind").string, resource.get("spec")
    texts: list[Node] = []
    if kind == "HelmRelease":
        yield spec.get("values")
    elif kind == "HelmChart":
        texts.append(spec.get("valuesContent"))
    elif kind in ("Application", "ApplicationSet"):
        spec = spec.get("template", "spec") or spec
        for source in (spec.get("source"), *spec.get("sources").each()):
            yield source.get("helm", "valuesObject")
            texts.append(source.get("helm", "values"))
    for text in texts:
        yield from (document.root for document in inner_documents(text))


def _is_other(root: Node) -> bool:
    """Whether a map is of a format that is none of Helm's: compose, workflows, tasks, schemas."""
    services = [value for _, value in root.get("services").entries()]
    compose = any(each.get("image").string or each.get("build") or each.get("command") for each in services)
    workflow = root.get("jobs").kind == "map" and bool(root.get("on") or root.get("runs-on") or root.get("name"))
    task = bool(root.get("run").string or root.get("commands").kind == "list") and bool(root.get("resources"))
    chart = bool(root.get("apiVersion").string and root.get("version") and root.get("name"))
    return compose or workflow or task or chart or bool(root.get("$schema") or root.get("applications").kind == "list")


def _looks_like_values(root: Node) -> bool:
    maps = [root, *(value for _, value in root.entries() if value.kind == "map")]
    score = sum(key.value in _VALUES for each in maps for key, _ in each.entries())
    return score + 2 * sum(bool(each.get("image", "repository").string) for each in maps) > 1


# What a chart's reader has read of its values; engines may stand beside it.
_READ = ((KUBEAI, "catalog"), (OLLAMA, "ollama"), (APP_TEMPLATE, "controllers"))


def _walk(
    node: Node, path: str, root: Node, document: Document, values: bool, depth: int, inside: bool = False
) -> Iterator[Block]:
    """Yield the blocks of a tree; inside one, only maps with an engine's image of their own are others."""
    if node.kind != "map" or is_off(node) or depth > _DEEPEST:
        return
    key = path.rpartition(".")[2]
    chart, engine = _claim(node, key, values)
    if not chart and values and depth and (engine := _engine_of_arguments(node, root)):
        chart = OTHER  # one of several that share the image at the top
    claimed = bool(chart) and not (inside and engine_of_image(node) is None)
    if claimed:
        yield Block(chart, path, node, root, document, engine)
        if chart in (PRODUCTION_STACK, LLM_D):
            return
        inside = inside or chart not in (KUBEAI, OLLAMA)
    chosen = _chosen(node)
    found = False
    for name, value in node.entries():
        if name.value in _CLOSED or (chart, name.value) in _READ:
            continue
        if inside and name.value in (*SETTINGS_MAPS, *SEVERAL):
            continue
        if chosen and ENGINES.get(name.value.lower(), chosen) != chosen:
            continue
        below = f"{path}.{name.value}" if path else name.value
        trees = [(value, below, depth + 1)]
        trees += [(item, f"{below}[{index}]", depth + 2) for index, item in enumerate(value.items)]
        for tree, where, level in trees:
            for block in _walk(tree, where, root, document, values, level, inside):
                found = True
                yield block
    if not claimed and not found and not inside and (whole := evidence(node, values)) is not None:
        yield Block(OTHER, path, node, root, document, whole.engine, whole.parts)


def _chosen(node: Node) -> str:
    """Return the engine that values choose among several that they are prepared for."""
    return next((ENGINES[text] for key in ENGINE_KEYS if (text := node.get(key).string.lower()) in ENGINES), "")


def is_off(node: Node) -> bool:
    """Whether a chart or one of its parts is switched off."""
    return any(node.get(key).typed is False for key in ("enabled", "create", "deployed", "enable"))


def _claim(node: Node, key: str, values: bool) -> tuple[str, str]:
    """Return the chart whose values a map holds, and the engine where a key names it; "" for none."""
    if node.get("servingEngineSpec", "modelSpec").each():
        return PRODUCTION_STACK, "vllm"
    if node.get("modelArtifacts").kind == "map" and any(node.get(role).kind == "map" for role in ("decode", "prefill")):
        return LLM_D, ""
    catalog = [value for _, value in node.get("catalog").entries()]
    if any(each.get("url").string and each.first("engine", "resourceProfile") for each in catalog):
        return KUBEAI, ""
    image = image_of(node)
    named = engine_of_image(node)
    by_key = next((ENGINES[name] for name in _names(key) if name in ENGINES), "")
    opea = node.get("LLM_MODEL_ID") or node.get("accelDevice") or node.get("extraCmdArgs")
    if opea and (named or by_key):
        return OPEA, by_key or named or ""
    if named == "nim" or (image is not None and node.get("model").first("ngcAPISecret", "ngcAPIKey")):
        return NIM, "nim"
    if not values:
        return "", ""
    if any(each.get("containers").kind == "map" for _, each in node.get("controllers").entries()):
        return APP_TEMPLATE, ""
    own_ollama = node.get("ollama")
    if own_ollama.kind == "map" and _is_ollama(own_ollama):
        return OLLAMA, "ollama"
    has_model, runs, set_up = node.first(*_HAS_MODEL), node.first(*_RUNS), node.first(*SETTINGS)
    listed = [
        item for name in SEVERAL for item in node.get(name).items[:20] if item.first(*_ONE_MODEL) and item.first(*_RUNS)
    ]
    if by_key and listed:
        return OTHER, by_key
    if any(_ASKS.fullmatch(key.value) and value.string for key, value in node.entries()):
        return "", ""  # a program that uses an engine's image to ask one: a downloader of models, a test
    if named and (has_model or runs or set_up or node.first("command") or node.get("image", "command")):
        return OTHER, named
    if is_client(node):
        return "", ""
    own = _chosen(node)
    beside = [ENGINES[name.value] for name, each in node.entries() if name.value in ENGINES and _has_settings(each)]
    below = beside[0] if len(beside) == 1 and node.first(*_ONE_MODEL) else ""
    if (own or below) and has_model and (runs or image is not None) and (image is None or set_up):
        # An image of its own that is no engine's is rather a program that talks to one.
        return OTHER, own or below
    set_by_key = bool(set_up) or len(list(islice(settings_in(node, by_key), 2))) > 1
    if by_key and (has_model or set_by_key) and (runs or set_by_key or image is not None):
        return OTHER, by_key
    alone = image is None and (_asks_for_gpus(node) or node.get("image", "tag").string)
    if (by_key and alone) or (own and node.get("storageUri").string):
        return OTHER, by_key or own
    return "", ""


def _is_ollama(node: Node) -> bool:
    """Whether a map is the part of the Ollama chart's values that says what is served and on what."""
    models, gpu = node.get("models"), node.get("gpu")
    pulls = models.kind == "map" and bool(
        {"pull", "run", "create", "clean"} & {key.value for key, _ in models.entries()}
    )
    listed = models.kind == "list" and all(each.string for each in models.items)
    beside = node.first("image", "resources", "args", "url", "baseUrl", "model", "env")
    on_gpu = gpu.kind == "map" and isinstance(gpu.get("enabled").typed, bool)
    return not beside and (pulls or listed or on_gpu) and not (is_off(node) or is_client(node))


def _asks_for_gpus(node: Node) -> bool:
    limits = node.get("resources", "limits")
    return node.get("gpuCount").number is not None or any(key.value.endswith(".com/gpu") for key, _ in limits.entries())


def _engine_of_arguments(node: Node, root: Node) -> str:
    """Return the engine whose arguments a map without an image holds, the model among them; "" for none.

    They are llama.cpp's if they name its files, and else those of the engine whose image stands at the top of the values.
    """
    texts = [item.string for item in node.get("args").items[:100]]
    if node.get("image") or not texts:
        return ""
    if any(text in ("-m", "--model", "-hf") for text in texts) and any(text.endswith(".gguf") for text in texts):
        return "llama.cpp"
    return (engine_of_image(root) or "") if any(text.startswith("--model") for text in texts) else ""


_ONE_MODEL = (
    "model", "modelId", "modelID", "model_id", "modelName", "model_name", "modelPath", "model_path", "modelURL", "modelUri",
    "modelReference", "huggingfaceId", "hfModel", "modelFile", "ollamaModel", "vllmModel", "llmModel",
)  # fmt: skip
_HAS_MODEL = (*_ONE_MODEL, "storageUri", "config", "models")
# Maps beside or in an engine's values that hold its settings.
SETTINGS_MAPS = (
    "vllm", "vllmConfig", "sglang", "tgi", "trtllm", "tensorrtllm", "lmdeploy", "ollama", "llamacpp", "llamaCpp", "config",
    "configuration", "engine", "engineConfig", "server", "runtime", "params", "parameters", "modelParameters", "modelConfig",
    "settings", "serve", "serving", "inference", "modelServer", "model", "options", "flags", "deployment", "deploy",
    "workload", "job", "servingModel", "predictor", "worker", "llama",
)  # fmt: skip
# Lists and maps of models that share the rest of the values.
SEVERAL = ("models", "modelSpecs", "deployments", "instances", "engines")
_RUNS = (
    "resources", "replicaCount", "replicas", "nodeSelector", "gpus", "gpu", "gpuCount", "env", "args", "extraArgs",
    "configFile", "modelServer", "deployment", "tolerations", "extraEnv", "job", "affinity", "runtimeClassName",
)  # fmt: skip
SETTINGS = (
    "tensorParallelSize", "tensor_parallel_size", "maxModelLen", "max_model_len", "gpuMemoryUtilization",
    "gpu_memory_utilization", "tpSize", "memFractionStatic", "contextLength",
)  # fmt: skip


def _names(key: str) -> Iterator[str]:
    """Yield a key's own name and what it may be called after: `vllm-guardrails` is a vLLM."""
    low = re.sub(r"\[\d+\]$", "", key).lower()
    yield low
    yield low.partition("-")[0].partition("_")[0]
    yield "-".join(re.split(r"[-_]", low)[:2])  # `llama-cpp-engine`


def _has_settings(node: Node) -> bool:
    """Whether a map holds an engine's settings, and no chart of its own."""
    return (
        node.kind == "map"
        and not node.first("image", "model", "LLM_MODEL_ID", "resources", "repository")
        and not is_off(node)
    )


def engine_of_image(node: Node) -> str | None:
    """Return the engine that an image in values holds."""
    image = image_of(node)
    return read_image(image.text).engine if image is not None else None


def is_client(node: Node) -> bool:
    """Whether a map says where an engine is, and none of what one would run with."""
    return not node.first("resources", "image") and any(_CLIENT.fullmatch(key.value) for key, _ in node.entries())


# Keys of a map `image` that may hold all of it.
_WHOLE_IMAGE = ("version", "full", "fullName", "image", "uri", "url", "ref", "default")


def image_of(node: Node) -> Word | None:
    """Return the image that values name: a text, or `registry`, `repository` and `tag`, each where it stands."""
    image = node.get("image")
    if image.string:
        tag = node.first("imageTag", "tag")
        whole = ":" not in image.value.rpartition("/")[2] and tag.string
        text = join([image.text, ":", tag.text]) if whole else image.text
        return Word(text.value, place=text)
    if image.kind != "map":
        image = node
    repository = image.get("repository")
    name = repository if repository.string else image.get("name") if image is not node else repository
    if not name.string:
        texts = [image.get(key) for key in _WHOLE_IMAGE] if image is not node else []
        found = next((each for each in texts if read_image(each.string).engine), None)
        return Word(found.value, place=found.text) if found is not None else None
    parts: list[Text | str] = []
    if image.get("registry").string:
        parts += [image.get("registry").text, "/"]
    parts.append(name.text)
    if image.get("tag").string:
        parts += [":", image.get("tag").text]
    text = join(parts)
    return Word(text.value, place=text)
