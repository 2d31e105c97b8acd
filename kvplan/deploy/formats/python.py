"""Python files that start engines: Modal's functions, `subprocess`, and models of SageMaker and Vertex AI."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from kvplan.deploy import python_modal as modal
from kvplan.deploy.file import File
from kvplan.deploy.mentions import names_model
from kvplan.deploy.python_arguments import needed
from kvplan.deploy.python_calls import Called, Started, is_main, word_of
from kvplan.deploy.python_launches import Walk
from kvplan.deploy.python_places import parsed
from kvplan.deploy.python_servers import ENVIRON, TRIES, engines, flags, makes_engine
from kvplan.deploy.python_values import Scope
from kvplan.deploy.sagemaker import models
from kvplan.deploy.variables import value_of
from kvplan.deploy.vertex import uploaded
from kvplan.deploy.workload import Gpus, Workload
from kvplan.launch.text import MASK, Place, Text
from kvplan.launch.words import Given, Word

# Without these nothing in a file starts an engine; most files of Python hold none of them.
_CALLS = re.compile(r"subprocess|Popen|os\.system|\bexec[lv]")
_WORTH = re.compile(
    r"(?:vllm|sglang|lmdeploy|ollama)[\"',\s]+serve\b|vllm\.entrypoints|sglang\.launch_server|llama-server|llama_cpp\.server"
    r"|text-generation-launcher|trtllm-serve|tensorrt_llm\.|dynamo\.(?:vllm|sglang|trtllm)|(?:docker|podman)[\"',\s]+run\b"
)
_VARIABLES = re.compile(r"[\"'](?:HF_MODEL_ID|OPTION_MODEL_ID|SM_(?:VLLM|SGLANG)_\w+)[\"']")
_STARTS = re.compile(
    r"\bvllm serve\b|vllm\.entrypoints|sglang serve\b|sglang\.launch_server|llama-server|llama_cpp\.server"
    r"|text-generation-launcher|trtllm-serve|tensorrt_llm\.|lmdeploy serve api_server|ollama serve|dynamo\.(?:vllm|sglang|trtllm)"
    r"|\b(?:docker|podman) run\b.{0,4000}?(?:vllm|sglang|text-generation-inference|llama\.cpp|ollama|trtllm|lmdeploy)",
    re.DOTALL,
)
_NO_STARTS = re.compile(r"(?:\S*/)?(?:pkill|pgrep|killall|kill|ramalama|which|pip\d?|apt(?:-get)?|grep|ps|git|curl)\b")
_CONTAINER = re.compile(r"(?:docker|podman) run\b")
_ASKS = re.compile(r"\s--(?:help|version)\b")
_TESTS = re.compile(r"test_.*\.py|.*_test\.py|conftest\.py")
_LARGEST = 1_000_000


def read(file: File) -> Iterator[Workload]:
    """Yield the commands that a file starts and the variables of SageMaker's containers."""
    text = file.source.text
    if not file.name.endswith(".py") or _TESTS.fullmatch(file.name) or len(text) > _LARGEST:
        return
    of_ray = "LLMConfig(" in text and "ray.serve" in text
    of_vertex = "serving_container_image_uri" in text
    serves = makes_engine(text) and TRIES.search(file.name) is None
    worth = of_ray or of_vertex or serves or _VARIABLES.search(text) or (_CALLS.search(text) and _WORTH.search(text))
    if not worth:
        return
    tree = parsed(text)
    if tree is None:
        return
    walk = Walk()
    scope = Scope(file.source)
    walk.module(scope, tree)
    seen: set[tuple[object, ...]] = set()
    for each in walk.started:
        workload = _started(file, each, walk, scope, tree)
        words = workload.command or () if workload is not None else ()
        first = words[0].place.place() if words and words[0].place is not None else None
        key = (None if first is None else first.start, *(word.text for word in words))
        # One list that several functions start is one command.
        if workload is not None and (first is None or key not in seen):
            seen.add(key)
            yield workload
    for call in walk.called if of_ray else ():
        if call.name == "LLMConfig":
            yield from _ray(file, call)
    yield from engines(file, tree, walk, scope) if serves else ()
    yield from models(file, tree, walk)
    yield from uploaded(file, walk) if of_vertex else ()


def _started(file: File, each: Started, walk: Walk, module: Scope, tree: ast.Module) -> Workload | None:
    words = tuple(word_of(part) for part in each.words) if each.words is not None else ()
    line = each.script.value if each.script is not None else " ".join(word.text for word in words)
    if not _STARTS.search(line) or _NO_STARTS.match(line) or _ASKS.search(line):
        return None
    start, end = each.scope.span(each.node)
    holder, decorator = modal.decorator_of(each.within)
    told = names_model(line) or _CONTAINER.match(line) or _asks_for_model(words) or _is_launcher(file, words, tree)
    if decorator is None and not told:
        return None  # a function that starts what it is told is no deployment
    function = next((node.name for node in reversed(each.within) if isinstance(node, _NAMED)), "")
    gpus = Gpus()
    image: Word | None = None
    version: Given | None = None
    notes = ["words that the file adds under a condition are left out"] if each.partly else []
    environment = {name: value_of(*pair) for name, pair in walk.settings.items() if MASK not in name}
    if decorator is not None:
        placed = modal.placed(holder, decorator, walk, module)
        gpus, image, version = placed.gpus, placed.image, placed.version
        notes += [placed.note] if placed.note else []
        environment |= placed.environment
    return Workload(
        format="modal" if decorator is not None else "python",
        name=f"function {function}" if function else "module",
        place=Place(file.source, start, end),
        image=image,
        command=words if each.script is None else None,
        script=each.script,
        version=version,
        environment=environment,
        gpus=gpus,
        notes=tuple(notes),
    )


def _asks_for_model(words: tuple[Word, ...]) -> bool:
    """Whether the model is a variable of the environment without a default, as a container's is: what starts it sets that."""
    for flag, value in pairwise(words):
        if flag.text in _MODEL_FLAGS and MASK in value.text and value.place is not None:
            return ENVIRON.search(value.place.written()) is not None
    return False


def _is_launcher(file: File, words: tuple[Word, ...], tree: ast.Module) -> bool:
    """Whether a file is a program that starts an engine for the model that it must be told, with settings of its own."""
    if TRIES.search(file.name) or not any(_SETS.match(word.text) for word in words):
        return False
    if not any(isinstance(each, ast.If) and is_main(each.test) for each in tree.body):
        return False
    asked = {
        value.place.written().rpartition(".")[2]
        for flag, value in pairwise(words)
        if flag.text in _MODEL_FLAGS and value.text.startswith(MASK) and value.place is not None
    }
    return bool(asked) and bool(asked & needed(tree))


# An engine's own settings of what it holds; a host and a port say nothing of it.
_SETS = re.compile(
    r"--(?:tensor[-_]parallel|tp\b|pipeline[-_]parallel|pp\b|max[-_]model[-_]len|context[-_]length|ctx[-_]size|gpu[-_]memory"
    r"|mem[-_]fraction|max[-_]num|max[-_]running|kv[-_]cache|quantization|n[-_]gpu[-_]layers|session[-_]len)"
)
_MODEL_FLAGS = ("--model", "--model-path", "--model-id", "--model_path", "serve")
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


# -- Ray Serve LLM ---------------------------------------------------------------------------------------------------


def _ray(file: File, call: Called) -> Iterator[Workload]:
    """Yield the engine of a `ray.serve.llm.LLMConfig(...)`."""
    values = call.keywords
    loading, arguments = values.get("model_loading_config"), values.get("engine_kwargs")
    names = loading if isinstance(loading, dict) else {}
    model = next((names[key][1] for key in ("model_source", "model_id") if key in names), None)
    if not isinstance(model, Text):
        return
    told = arguments if isinstance(arguments, dict) else {}
    words = flags(
        "vllm", {name: value for name, (_, value) in told.items()}, {name: key for name, (key, _) in told.items()}
    )
    kind = values.get("accelerator_type")
    start, end = call.scope.span(call.node)
    yield Workload(
        format="python",
        name=f"LLMConfig {model.written()}",
        place=Place(file.source, start, end),
        words=words,
        engine="vllm",
        model=Given(model.value, (word_of(model),)),
        gpus=Gpus(
            types=(Given(kind.value, (word_of(kind),)),) if isinstance(kind, Text) and kind.value != "None" else ()
        ),
    )
