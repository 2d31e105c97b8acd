"""Recipes of NVIDIA's srt-slurm: GPUs and workers of each role, and the engine's settings of each as a mapping."""

from collections.abc import Iterator

from kvplan.deploy.engine_settings import words_of
from kvplan.deploy.file import File
from kvplan.deploy.gpu_resources import count_of
from kvplan.deploy.keys import flags_of, flat, json_text
from kvplan.deploy.overlay import mapping_of
from kvplan.deploy.pods import Stream, read_environment
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.workload import Gpus, Workload, given
from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word

_BACKENDS = {"vllm_config": "vllm", "sglang_config": "sglang", "trtllm_config": "tensorrt-llm"}
_ENGINES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt-llm"}
# A role's name in the engine's settings, and its short form in those of the resources.
_ROLES = (("prefill", "prefill"), ("decode", "decode"), ("aggregated", "agg"))
_NAMES = frozenset(short for _, short in _ROLES) | frozenset(name for name, _ in _ROLES)


def read(file: File) -> Iterator[Workload]:
    """Yield the roles of a recipe."""
    for document in file.documents:
        recipe = document.root.get("base") if document.root.get("base").kind == "map" else document.root
        if not recipe.get("resources", "gpu_type"):
            continue
        found = list(_roles(recipe)) if recipe.get("backend").kind == "map" else []
        if recipe.get("roles").kind == "map" and recipe.get("engine").kind == "map":
            found += _roles_of_schema_2(recipe)
        for workload in found:
            workload.templated = document.templated
            if recipe is not document.root:
                workload.notes += ("only the recipe's base is read, none of its variants",)
            yield workload


def _roles(recipe: Node) -> Iterator[Workload]:
    backend = recipe.get("backend")
    for key, engine in _BACKENDS.items():
        for role, short in _ROLES:
            settings = backend.get(key, role)
            if settings.kind != "map":
                continue
            words, files = _words(settings, engine, role)
            variables = mapping_of(recipe, env=backend.get(f"{role}_environment"))
            yield Workload(
                format="srt-slurm",
                name=" ".join(each for each in (recipe.get("name").string, role) if each),
                place=settings.place,
                image=_image(recipe.get("model", "container")),
                words=words,
                engine=engine,
                version=given(recipe.get("identity", "frameworks", key.partition("_")[0])),
                model=_model(recipe),
                environment=read_environment(variables, Stream()),
                gpus=_gpus(recipe.get("resources"), short),
                replicas=given(recipe.get("resources", f"{short}_workers")),
                files=files,
            )


def _roles_of_schema_2(recipe: Node) -> Iterator[Workload]:
    """Yield the roles of a recipe that has them under `roles`, each with its nodes, workers, GPUs and the engine's settings."""
    kind = recipe.get("engine", "type").string.lower()
    engine = _ENGINES.get(kind)
    if engine is None:
        return
    for key, role in recipe.get("roles").entries():
        if role.kind != "map" or key.value not in _NAMES:
            continue
        settings = role.get("args")
        if engine == "tensorrt-llm":
            words = words_of(settings, engine)
        else:
            words, _ = _words(settings, engine, key.value)
        yield Workload(
            format="srt-slurm",
            name=" ".join(each for each in (recipe.get("name").string, key.value) if each),
            place=key.place,
            image=_image(recipe.get("model", "container")),
            words=words,
            engine=engine,
            version=given(recipe.get("identity", "frameworks", kind)),
            model=_model(recipe),
            environment=read_environment(mapping_of(recipe, env=role.get("env")), Stream()),
            gpus=_gpus_of(
                recipe.get("resources"), each=role.get("gpus"), nodes=role.get("nodes"), workers=role.get("workers")
            ),
            replicas=given(role.get("workers")),
        )


def _words(settings: Node, engine: str, role: str) -> tuple[tuple[Word, ...], dict[str, Text]]:
    """Return an engine's flags; TensorRT-LLM gets its settings as a file."""
    if engine == "tensorrt-llm":
        text = json_text(settings)
        if text is None:
            return (), {}
        name = f"trtllm_config.{role}.yaml"
        return (Word("--extra_llm_api_options"), Word(name)), {name: text}
    # What is false is left out there, and not made a `--no-` flag.
    left = {key.value.replace("-", "_") for key, value in settings.entries() if value.typed is False}
    return flat(flags_of(settings, skip=left)), {}


def _model(recipe: Node) -> Given | None:
    """Return the model's name on the Hub where the recipe has it; its path is a folder or a name of the cluster's own."""
    repository = recipe.get("identity", "model", "repo")
    path = recipe.get("model", "path")
    if repository.string:
        return given(repository)
    if path.value.startswith("hf:"):
        at = 5 if path.value.startswith("hf://") else 3
        return Given(path.value[at:], (Word(path.value[at:], place=path.text.cut(at)),))
    return given(path)


def _image(container: Node) -> Word | None:
    """Return a container's image; names without a slash are the cluster's own. Enroot writes `registry#path`."""
    if "/" not in container.string:
        return None
    return Word(container.value.replace("#", "/"), place=container.text)


def _gpus(resources_: Node, role: str) -> Gpus:
    """Return the GPUs of one worker of a role, as the keys of the resources say."""
    each, nodes, workers = (resources_.get(name) for name in (f"gpus_per_{role}", f"{role}_nodes", f"{role}_workers"))
    return _gpus_of(resources_, each, nodes, workers)


def _gpus_of(resources_: Node, each: Node, nodes: Node, workers: Node) -> Gpus:
    """Return the GPUs of one worker: so many of a node, or several nodes with all of theirs."""
    gpu = given(resources_.get("gpu_type"))
    types = (gpu,) if gpu is not None else ()
    per_node = resources_.get("gpus_per_node")
    node = per_node.number
    of_one = each.number
    source = each
    if of_one is None and nodes.number and workers.number and node:
        of_one, source = nodes.number * node // workers.number, nodes
    if not of_one:
        # Nodes that stand in an override: a worker has a whole one at least.
        return Gpus(types=types, count=count_of(per_node if each is NOTHING and not nodes else each))
    words = found.words if (found := given(source)) is not None else ()
    if node and of_one > node:
        return Gpus(types=types, count=count_of(per_node), nodes=Given(of_one // node, words))
    return Gpus(types=types, count=Given(of_one, words))
