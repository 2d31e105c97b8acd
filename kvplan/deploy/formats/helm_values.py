"""Values of charts that kvplan does not know: an engine's image or name beside arguments, settings and resources."""

import re
from collections.abc import Iterator

from kvplan.deploy import chart
from kvplan.deploy.engine_settings import recognised, words_of
from kvplan.deploy.file import File
from kvplan.deploy.helm import ENGINES, OTHER, SETTINGS, SEVERAL, Block, blocks, image_of, is_off
from kvplan.deploy.keys import words_in
from kvplan.deploy.overlay import mapping, mapping_of
from kvplan.deploy.pods import Stream, container_workload, count_of, quantity, value_text
from kvplan.deploy.settings import settings_in
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.values_file import listed, put_values_as_file
from kvplan.deploy.workload import Workload, given, word, words
from kvplan.launch.images import read_image
from kvplan.launch.words import Given, Word

_ARGS = (
    "args", "extraArgs", "extra_args", "vllmArgs", "vllmExtraArgs", "extraVllmArgs", "additionalArgs", "engineArgs",
    "engine_args", "engineExtraArgs", "serverArgs", "serverExtraArgs", "extraCmdArgs", "runtimeArgs", "modelArgs",
    "extraEngineArgs",
)  # fmt: skip
# Variables that start scripts of images put behind the command.
_VARIABLES = ("EXTRA_ARGS", "VLLM_ARGS", "ENGINE_ARGS", "SERVER_ARGS")
_SEVERAL_WORDS = re.compile(r"-{1,2}[A-Za-z][\w.-]*\s+\S")


def read(file: File) -> Iterator[Workload]:
    """Yield what each set of values starts."""
    found = blocks(file, OTHER)
    for block in found:
        # What stands at the top of the file is meant for the one engine in it.
        top = (_top(block),) if len(found) == 1 and block.node is not block.root else ()
        parts = [(name, part) for key in SEVERAL for name, part in _parts(block.node.get(key))]
        for name, part in parts or [("", NOTHING)]:
            if not is_off(part):
                scopes = tuple(each for each in (part, block.node, *block.parts, *_around(block, found), *top) if each)
                workload = workload_of(block, name, scopes)
                _put_configuration(workload, block, scopes, file)
                put_values_as_file(workload, block.root, block.engine)
                # The tag of an image that the chart itself names.
                tagged = block.node.get("image", "tag").string and not block.node.get("image", "repository").string
                if tagged or _starts_something(workload):
                    yield workload


def _around(block: Block, found: list[Block]) -> Iterator[Node]:
    """Yield the maps around a block in which it is the only one, the nearest first."""
    names = block.name.split(".")
    for size in range(len(names) - 1, 0, -1):
        within = f"{'.'.join(names[:size])}."
        node = block.root.get(*names[:size])
        if sum(each.name.startswith(within) for each in found) == 1 and node.kind == "map":
            yield _without_others(node, block.engine)


def _top(block: Block) -> Node:
    """Return what stands at the top of the file, without what is kept there for other engines."""
    return _without_others(block.root, block.engine)


def _without_others(node: Node, engine: str) -> Node:
    own = [pair for pair in node.entries() if ENGINES.get(pair[0].value.lower(), engine) == engine]
    return mapping(node, own)


def _parts(several: Node) -> Iterator[tuple[str, Node]]:
    for key, value in several.entries():
        if value.kind == "map" and (chart.model_of((value,)) is not None or value.first(*SETTINGS)):
            yield key.value, value
    for index, item in enumerate(several.items):
        if item.kind == "map" and chart.model_of((item,)) is not None:
            yield item.get("name").string or str(index), item


def workload_of(block: Block, part: str, scopes: tuple[Node, ...]) -> Workload:
    """Return what values start.

    Args:
        block: the values.
        part: of several in them; "" for the whole.
        scopes: the maps that say something of it, the nearest first.

    """
    own = scopes[0]
    name = ".".join(each for each in (block.name, part) if each)
    container = chart.container_of(scopes)
    workload = container_workload(
        container,
        format="helm-values",
        name=f"values {name}" if name else "values",
        stream=Stream(),
        pod=chart.pod_of(scopes),
        types=chart.gpu_types_in(scopes),
        templated=block.document.templated,
    )
    workload.name = f"values {name}" if name else "values"
    workload.place = own.place
    workload.image = _image(block, scopes)
    workload.model = chart.model_of(scopes)
    workload.gpus.count = workload.gpus.count or chart.count_in(scopes)
    workload.gpus.nodes = count_of(chart.value_in(scopes, ("nnodes", "numNodes", "nodes", "nodeCount")))
    workload.replicas = given(chart.value_in(scopes, ("replicaCount", "replicas", "minReplicas")))
    workload.shared_memory = workload.shared_memory or _shared_memory(scopes)
    command, arguments = _command(scopes), _arguments(scopes, block.engine)
    arguments += _of_variables(workload)
    _say_what_runs(workload, block.engine, command, arguments)
    workload.adds = tuple(_settings(block.engine, scopes))
    if block.engine == "ollama":
        for variable, keys in _OLLAMA.items():
            if variable not in workload.environment and (one := given(chart.value_in(scopes, keys))) is not None:
                workload.environment[variable] = one
    if not _names_model(workload) and block.engine != "ollama":
        workload.half = "the chart's template, which says what runs"
    workload.notes = (
        "read as values of a chart that kvplan does not know: keys called as the engine's flags are taken for these",
    )
    return workload


def _image(block: Block, scopes: tuple[Node, ...]) -> Word | None:
    """Return the image: of the values, else the one that all values keep for it (`images.vllm`, `image.llamaCpp`)."""
    own = next((image for scope in chart.below(scopes) if (image := image_of(scope)) is not None), None)
    if own is not None and read_image(own.text).engine:
        return own
    for images in (scope.first("images", "image") for scope in (*scopes, block.root)):
        for key, value in images.entries():
            holder = mapping_of(value, image=value)
            if ENGINES.get(key.value.lower(), key.value) in (block.engine, block.name) and image_of(holder) is not None:
                return image_of(holder)
    return own


def _names_model(workload: Workload) -> bool:
    known = {"MODEL_ID", "HF_MODEL_ID", "MODEL_NAME", "MODEL", "MODEL_PATH", "LLM_MODEL_ID"} & set(workload.environment)
    given_words = (*(workload.command or ()), *workload.args, *(workload.words or ()))
    return bool(
        known or workload.model is not None or workload.command or any("model" in each.text for each in given_words)
    )


def _starts_something(workload: Workload) -> bool:
    """Whether anything but an image's name says that an engine runs: images of programs beside engines are named alike."""
    told = any(name.startswith(_OWN_VARIABLES) for name in workload.environment)
    itself = workload.image is not None and _ITSELF.search(workload.image.text) is not None
    stated = _names_model(workload) or workload.words or workload.adds or workload.gpus.count is not None
    return bool(stated or told or itself)


# Images that are called as an engine is, and by nothing more.
_ITSELF = re.compile(
    r"(?:^|/)(?:ollama|vllm|vllm-openai|sglang|llama\.cpp|llama-cpp|lmdeploy|text-generation-inference)(?:[:@]|$)"
)

# What charts call the variables of Ollama.
_OLLAMA = {
    "OLLAMA_CONTEXT_LENGTH": ("contextLength", "context_length", "numCtx", "num_ctx", "contextSize"),
    "OLLAMA_NUM_PARALLEL": ("numParallel", "num_parallel"),
    "OLLAMA_KV_CACHE_TYPE": ("kvCacheType", "kv_cache_type"),
    "OLLAMA_MAX_LOADED_MODELS": ("maxLoadedModels", "max_loaded_models"),
}
# Engines that are told everything by variables of these names.
_OWN_VARIABLES = ("OLLAMA_NUM_", "OLLAMA_MAX_", "OLLAMA_FLASH_", "OLLAMA_CONTEXT_", "OLLAMA_KV_", "LLAMA_ARG_")


def _put_configuration(workload: Workload, block: Block, scopes: tuple[Node, ...], file: File) -> None:
    """Put in the engine's configuration file that the values name, if it lies beside them."""
    name = chart.value_in(scopes, ("configFile",)).string
    if not name:
        return
    beside = file.beside(name)
    root = beside.documents[0].root if beside is not None and beside.documents else NOTHING
    found = recognised(root)
    if found is None or found.engine != block.engine:
        workload.half = f"the engine's configuration in {name[:80]}"
    elif workload.words is not None:
        workload.words = (*words_of(root, found.engine), *workload.words)


def _say_what_runs(workload: Workload, engine: str, command: tuple[Word, ...], arguments: tuple[Word, ...]) -> None:
    """Put in the command as a container's, or as the engine's own words where there are only flags."""
    if command or (arguments and not arguments[0].text.startswith("-") and workload.image is not None):
        workload.command, workload.args, workload.words = command or None, arguments, None
    else:
        workload.command, workload.args, workload.words = None, (), arguments
        workload.engine = engine


def _command(scopes: tuple[Node, ...]) -> tuple[Word, ...]:
    for scope in chart.below(scopes):
        command = scope.get("command") or scope.get("image", "command") or scope.get("customCommand")
        if command.kind == "list" and command.items:
            return words(command.items)
        if command.string:
            return words_in(command.text)
    return ()


def _arguments(scopes: tuple[Node, ...], engine: str) -> tuple[Word, ...]:
    """Return all arguments: those of lists and texts, one behind the other, and mappings as flags."""
    found: list[Word] = []
    seen: set[int] = set()
    for scope in chart.below(scopes):
        for node in (scope.get("image", "args"), *(scope.get(key) for key in _ARGS)):
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.kind == "list" and (named := listed(node)) is not node:
                found += words_of(named, engine)
            elif node.kind == "list":
                for item in node.items:
                    only = word(item)
                    if only is not None:
                        # `--max-model-len 4096` in one item: charts join their items for a shell.
                        found += words_in(item.text) if _SEVERAL_WORDS.match(only.text) else [only]
            elif node.string:
                found += words_in(node.text)
            elif node.kind == "map" and any(re.search("[a-z][A-Z]", name.value) for name, _ in node.entries()):
                found += [each for _, one in settings_in(node, engine) for each in one]
            elif node.kind == "map":
                found += words_of(node, engine)
    return tuple(found)


def _of_variables(workload: Workload) -> tuple[Word, ...]:
    texts = [value_text(workload.environment[name]) for name in _VARIABLES if name in workload.environment]
    return tuple(each for text in texts if text.value.startswith("-") for each in words_in(text))


def _settings(engine: str, scopes: tuple[Node, ...]) -> Iterator[tuple[Word, ...]]:
    """Yield the keys that are the engine's flags; those of the part before those of the whole."""
    seen: set[str] = set()
    for scope in chart.below(scopes):
        for flag, found in settings_in(scope, engine):
            if flag not in seen:
                seen.add(flag)
                yield found


def _shared_memory(scopes: tuple[Node, ...]) -> Given | None:
    node = chart.value_in(scopes, ("shmSize", "shm_size", "sharedMemorySize", "dshmSize"))
    node = node or next((each for scope in scopes if (each := scope.get("shm").first("size", "sizeLimit"))), NOTHING)
    found, size = given(node), quantity(node.string)
    return Given(size, found.words) if found is not None and size is not None else None
