"""Python files that start engines: Modal's functions, `subprocess`, and models of SageMaker and Vertex AI."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from kvplan.deploy.accelerators import common, named, smallest, whole
from kvplan.deploy.file import File
from kvplan.deploy.installs import pinned
from kvplan.deploy.mentions import names_model
from kvplan.deploy.python_calls import Called, Started
from kvplan.deploy.python_conditions import Value
from kvplan.deploy.python_launches import Walk
from kvplan.deploy.python_places import dotted, parsed
from kvplan.deploy.python_values import Scope
from kvplan.deploy.sagemaker import models
from kvplan.deploy.variables import value_of
from kvplan.deploy.vertex import uploaded
from kvplan.deploy.workload import Gpus, Workload
from kvplan.launch.images import read_image
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
_MOST_IMAGES = 8


def read(file: File) -> Iterator[Workload]:
    """Yield the commands that a file starts and the variables of SageMaker's containers."""
    text = file.source.text
    if not file.name.endswith(".py") or _TESTS.fullmatch(file.name) or len(text) > _LARGEST:
        return
    of_ray = "LLMConfig(" in text and "ray.serve" in text
    of_vertex = "serving_container_image_uri" in text
    worth = of_ray or of_vertex or _VARIABLES.search(text) or (_CALLS.search(text) and _WORTH.search(text))
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
        workload = _started(file, each, walk, scope)
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
    yield from models(file, tree, walk)
    yield from uploaded(file, walk) if of_vertex else ()


def _started(file: File, each: Started, walk: Walk, module: Scope) -> Workload | None:
    words = tuple(_word(part) for part in each.words) if each.words is not None else ()
    line = each.script.value if each.script is not None else " ".join(word.text for word in words)
    if not _STARTS.search(line) or _NO_STARTS.match(line) or _ASKS.search(line):
        return None
    start, end = each.scope.span(each.node)
    holder, decorator = _decorator(each.within)
    if decorator is None and not names_model(line) and not _CONTAINER.match(line) and not _asks_for_model(words):
        return None  # a function that starts what it is told is no deployment
    function = next((node.name for node in reversed(each.within) if isinstance(node, _NAMED)), "")
    gpus = Gpus()
    image: Word | None = None
    version: Given | None = None
    notes = ["words that the file adds under a condition are left out"] if each.partly else []
    environment = {name: value_of(*pair) for name, pair in walk.settings.items() if MASK not in name}
    if decorator is not None:
        keywords = {keyword.arg: keyword.value for keyword in decorator.keywords if keyword.arg}
        gpus, note = _gpus(keywords.get("gpu"), module)
        gpus.nodes = _clustered(holder, module)
        notes += [note] if note else []
        image, version, set_there = _image(keywords.get("image"), walk, module)
        environment |= set_there
        if version is None and image is not None and (release := read_image(image.text).version):
            version = Given(release, (image,))
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
            return _ENVIRON.search(value.place.written()) is not None
    return False


_MODEL_FLAGS = ("--model", "--model-path", "--model-id", "--model_path", "serve")
_ENVIRON = re.compile(r"\benviron\b|\bgetenv\b")
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _word(value: Value) -> Word:
    return Word(value.value, place=value) if isinstance(value, Text) else Word(MASK)


# -- Ray Serve LLM ---------------------------------------------------------------------------------------------------


def _ray(file: File, call: Called) -> Iterator[Workload]:
    """Yield the engine of a `ray.serve.llm.LLMConfig(...)`."""
    values = call.keywords
    loading, arguments = values.get("model_loading_config"), values.get("engine_kwargs")
    names = loading if isinstance(loading, dict) else {}
    model = next((names[key][1] for key in ("model_source", "model_id") if key in names), None)
    if not isinstance(model, Text):
        return
    words: list[Word] = []
    for name, (key, value) in (arguments if isinstance(arguments, dict) else {}).items():
        flag = Word(f"--{name.replace('_', '-')}", place=key)
        if isinstance(value, Text) and value.value in ("True", "False"):
            words += [flag] if value.value == "True" else [Word(f"--no-{name.replace('_', '-')}", place=key)]
        elif isinstance(value, Text) and value.value != "None":
            words += [flag, _word(value)]
    kind = values.get("accelerator_type")
    start, end = call.scope.span(call.node)
    yield Workload(
        format="python",
        name=f"LLMConfig {model.written()}",
        place=Place(file.source, start, end),
        words=tuple(words),
        engine="vllm",
        model=Given(model.value, (_word(model),)),
        gpus=Gpus(
            types=(Given(kind.value, (_word(kind),)),) if isinstance(kind, Text) and kind.value != "None" else ()
        ),
    )


# -- Modal -----------------------------------------------------------------------------------------------------------


def _decorator(within: tuple[ast.AST, ...]) -> tuple[ast.AST | None, ast.Call | None]:
    """Return the function or class that Modal runs, and the call that says how."""
    for node in reversed(within):
        for each in getattr(node, "decorator_list", []):
            if (
                isinstance(each, ast.Call)
                and isinstance(each.func, ast.Attribute)
                and each.func.attr in ("function", "cls")
            ):
                return node, each
    return None, None


def _gpus(node: ast.expr | None, scope: Scope) -> tuple[Gpus, str]:
    """Return what `gpu=` asks for: `"H100:2"`, a list of alternatives, or the older `modal.gpu.H100(count=2)`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        own = scope.literal(node.func, node.func.attr)
        keywords = {keyword.arg: scope.value(keyword.value) for keyword in node.keywords}
        number, memory = keywords.get("count"), keywords.get("size") or keywords.get("memory")
        name = f"{own.value}-{memory.value}" if isinstance(memory, Text) else own.value
        kind = Given(name, (Word(own.value, place=own),))
        return Gpus(count=whole(number) if isinstance(number, Text) else Given(1, kind.words), types=(kind,)), ""
    value = scope.value(node)
    if isinstance(value, Text) and value.value == "any":
        return Gpus(count=Given(1, (_word(value),))), ""
    found = [named(each) for each in (value if isinstance(value, list) else [value]) if isinstance(each, Text)]
    # `H100!` is that GPU and no better one.
    kinds = [smallest(Given(str(kind.value).rstrip("!"), kind.words)) for kind, _ in found if kind is not None]
    count, note = common([count for _, count in found])
    return Gpus(count=count, types=tuple(kinds)), note


def _clustered(holder: ast.AST | None, scope: Scope) -> Given | None:
    """Return the number of containers that share an engine (`@modal.experimental.clustered(size=2)`)."""
    for each in getattr(holder, "decorator_list", []):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == "clustered":
            given = each.args[0] if each.args else next((k.value for k in each.keywords if k.arg == "size"), None)
            value = scope.value(given)
            return whole(value) if isinstance(value, Text) else None
    return None


def _image(node: ast.expr | None, walk: Walk, scope: Scope) -> tuple[Word | None, Given | None, dict[str, Given]]:
    """Return a Modal image's base, the engine's version that it installs, and the variables that it sets."""
    image: Word | None = None
    version: Given | None = None
    environment: dict[str, Given] = {}
    for each in _chain(node, walk):
        if not (isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute)):
            continue
        first = scope.value(each.args[0]) if each.args else None
        if each.func.attr in ("from_registry", "from_dockerhub") and isinstance(first, Text):
            image = _word(first)
        elif each.func.attr == "env" and isinstance(first, dict):
            environment |= {
                name: value_of(key, value) for name, (key, value) in first.items() if isinstance(value, Text)
            }
        elif "install" in each.func.attr or each.func.attr == "run_commands":
            for part in each.args:
                value = scope.value(part)
                for text in value if isinstance(value, list) else [value]:
                    version = version or (pinned(text) if isinstance(text, Text) else None)
    return image, version, environment


def _chain(node: ast.expr | None, walk: Walk) -> Iterator[ast.AST]:
    """Yield what a Modal image is made by: its own calls, after those of the image or function that it goes out from."""
    made: list[ast.AST] = []
    while node is not None and len(made) < _MOST_IMAGES:
        made.append(node)
        root = node
        while isinstance(root, ast.Call | ast.Attribute):
            if isinstance(root, ast.Call) and (function := walk.functions.get(dotted(root.func))) is not None:
                made.append(function)
            root = root.func if isinstance(root, ast.Call) else root.value
        node = walk.expressions.get(root.id) if isinstance(root, ast.Name) else None
        node = None if node in made else node
    for each in reversed(made):
        yield from ast.walk(each)
