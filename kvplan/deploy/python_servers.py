"""Servers in Python that hold the engine in their own process: Ray Serve, BentoML, Truss, Triton, Modal, FastAPI."""

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import islice, pairwise

from kvplan.deploy import python_modal as modal
from kvplan.deploy.file import File
from kvplan.deploy.python_calls import Called, word_of
from kvplan.deploy.python_conditions import Absent, Fields, Number, Value
from kvplan.deploy.python_launches import Walk
from kvplan.deploy.python_placement import resources
from kvplan.deploy.python_places import dotted
from kvplan.deploy.python_values import Scope
from kvplan.deploy.workload import Workload
from kvplan.launch.text import MASK, Place, Text
from kvplan.launch.words import Given, Word

_WORTH = re.compile(r"^[ \t]*(?:from|import)[ \t]+(?:vllm|sglang|lmdeploy)\b", re.MULTILINE)
_MAKES = re.compile(
    r"EngineArgs\(|\bLLM\(|\bEngine\(|ServerArgs\(|prepare_server_args\(|parse_args\(|serve\(|pipeline\("
)
# A program that listens; without one an engine in a file is for that file's own prompts.
_LISTENS = re.compile(
    r"\bserve\.(?:deployment|run|ingress)\b|\buvicorn\.(?:run|Server)\b|\b(?:FastAPI|APIRouter|Flask|Quart|Sanic|Starlette)\("
    r"|\bweb\.(?:Application|run_app)\(|\bserverless\.start\(|\bgrpc(?:\.aio)?\.server\(|\bLitServer\("
)
_SERVICES = frozenset({"deployment", "ingress", "service"})
# Python files of these names try engines out, whatever else is in them.
TRIES = re.compile(r"(?<![a-z])(?:bench|tests?(?![a-z])|eval|client)", re.IGNORECASE)
ENVIRON = re.compile(r"\benviron\b|\bgetenv\b")
_MOST_ENGINES, _MOST_FLAGS = 50, 500
_MODELS = ("model", "model_path", "model_id")
# LMDeploy's settings by Python's names that its command has others for (lmdeploy/cli/utils.py, ArgumentHelper).
_RENAMED = {"block_size": "cache-block-seq-len"}
# The engines that make one by a call of that name, or are told by it how to.
_OF = {
    "AsyncEngineArgs": "vllm", "EngineArgs": "vllm", "LLM": "vllm", "Engine": "sglang", "ServerArgs": "sglang",
    "prepare_server_args": "sglang", "serve": "lmdeploy", "pipeline": "lmdeploy",
}  # fmt: skip
# Settings that are true or false, in the engines' own naming.
_SWITCH = re.compile(r"(?:enable|disable|enforce|trust|use|skip|allow|log|calculate|return|async)_")
# Of LMDeploy's `serve` and `pipeline`, what holds settings of its own or none of the engine's.
_ASIDE = frozenset({*_MODELS, "backend_config", "chat_template_config", "log_level", "server_name", "server_port"})


def makes_engine(text: str) -> bool:
    """Return whether a file may make an engine in its own process."""
    return _WORTH.search(text) is not None and _MAKES.search(text) is not None


def engines(file: File, tree: ast.Module, walk: Walk, module: Scope) -> Iterator[Workload]:
    """Yield the engines that a file's own server holds, each once for a class."""
    text, packages = file.source.text, _packages(tree)
    seen: set[tuple[int, str, str]] = set()
    named: set[str] = set()
    for call in walk.called:
        engine = _engine(call, text, packages)
        if not engine:
            continue
        arguments, labels = _arguments(call)
        listed = call.values[0] if call.name in ("parse_args", "prepare_server_args") and call.values else None
        words = (
            _listed(listed)
            if listed is not None
            else flags(engine, {name: each for name, each in arguments.items() if name not in _MODELS}, labels)
        )
        model = _listed_model(words) if listed is not None else _model(call, arguments)
        if model is None:
            continue
        holder = next((each for each in reversed(call.within) if isinstance(each, ast.ClassDef)), None)
        key = (id(holder), engine, model.written() if MASK in model.value else model.value)
        if key in seen:
            continue  # made in several ways, or as a base of the other
        seen.add(key)
        if len(seen) > _MOST_ENGINES:
            return
        own = next(
            (each.name for each in reversed(call.within) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)),
            "",
        )
        name = f"class {holder.name}" if holder is not None else f"function {own}" if own else "module"
        name = f"{name}, {model.written()}" if name in named else name
        named.add(name)
        yield _workload(file, call, walk, module, name, engine, model, words)


def _workload(
    file: File, call: Called, walk: Walk, module: Scope, name: str, engine: str, model: Text, words: tuple[Word, ...]
) -> Workload:
    start, end = call.scope.span(call.node)
    unknown = any(
        each.arg is None and not isinstance(call.scope.value(each.value), dict) for each in call.node.keywords
    )
    found = Workload(
        format="python",
        name=name,
        place=Place(file.source, start, end),
        words=words,
        engine=engine,
        model=Given(model.value, (word_of(model),)),
        notes=("settings that the engine is given from elsewhere in the program are left out",) if unknown else (),
    )
    holder, decorator = modal.decorator_of(call.within)
    if decorator is not None:
        placed = modal.placed(holder, decorator, walk, module)
        found.format, found.gpus, found.image, found.version = "modal", placed.gpus, placed.image, placed.version
        found.environment = placed.environment
        found.notes += (placed.note,) if placed.note else ()
    else:
        found.gpus = resources(call.within, walk, module, _parallel(words))
    return found


# -- which engine ----------------------------------------------------------------------------------------------------


def _engine(call: Called, text: str, packages: Mapping[str, str]) -> str:
    """Return the engine that a call makes in a process that serves; "" for none."""
    owner = call.owner if isinstance(call.owner, str) else ""
    if call.name == "parse_args":
        listed = bool(call.values) and isinstance(call.values[0], list)
        return "vllm" if listed and "vllm" in packages.values() and "run_server(" in text else ""
    engine = _OF.get(call.name, "")
    if not engine or packages.get(owner.partition(".")[0] or call.name) != engine:
        return ""
    if call.name == "serve":
        return engine
    if call.name in ("ServerArgs", "prepare_server_args"):
        return engine if "launch_server(" in text or "run_server(" in text else ""
    if call.name in ("AsyncEngineArgs", "EngineArgs") and "from_engine_args(" not in text and "run_server" not in text:
        return ""
    return engine if _listens(call.within, text) else ""


def _packages(tree: ast.Module) -> dict[str, str]:
    """Return the names that a file imports, each with the package that it is of."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {each.asname or each.name: node.module.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.Import):
            roots = [(each, each.name.partition(".")[0]) for each in node.names]
            found |= {each.asname or root: root for each, root in roots}
    return found


def _listens(within: tuple[ast.AST, ...], text: str) -> bool:
    """Return whether what a call stands in serves: by its decorators or methods, or as the file listens."""
    for each in within:
        if not isinstance(each, ast.ClassDef):
            continue
        methods = {part.name for part in each.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
        if each.name == "TritonPythonModel" or (each.name == "Model" and {"load", "predict"} <= methods):
            return True
        for decorator in each.decorator_list:
            name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
            if name.rpartition(".")[2] in _SERVICES and name.partition(".")[0] in ("serve", "bentoml", "ray"):
                return True
    return modal.decorator_of(within)[1] is not None or _LISTENS.search(text) is not None


# -- its settings ----------------------------------------------------------------------------------------------------


def _arguments(call: Called) -> tuple[dict[str, Value], dict[str, Text]]:
    """Return a call's arguments, and where their names stand; what its result is given behind it wins."""
    arguments, labels = dict(call.keywords), dict(call.labels)
    later = call.scope.names.get(call.target) if call.target else None
    starts = {label.runs[0].start for label in labels.values() if label.runs}
    if isinstance(later, Fields) and (
        not labels or any(label.runs and label.runs[0].start in starts for label, _ in later.values())
    ):
        for name, (label, value) in later.items():
            arguments[name], labels[name] = value, label
    config = arguments.get("backend_config")
    if isinstance(config, Fields):
        for name, (label, value) in config.items():
            arguments[name], labels[name] = value, label
    return arguments, labels


def flags(engine: str, arguments: Mapping[str, Value], labels: Mapping[str, Text]) -> tuple[Word, ...]:
    """Return an engine's settings as its command's flags for them; switches that are not known are left out."""
    found: list[Word] = []
    for name, value in islice(arguments.items(), _MOST_FLAGS):
        if isinstance(value, Absent) or not name.isidentifier() or (name in _ASIDE and engine != "vllm"):
            continue
        flag = _RENAMED.get(name, name.replace("_", "-")) if engine == "lmdeploy" else name.replace("_", "-")
        place = labels.get(name)
        said = value.value if isinstance(value, Text) else MASK
        if said in ("False", "false"):
            # Only vLLM's flags have a way to say no.
            found += [Word(f"--no-{flag}", place=place)] if engine == "vllm" else []
        elif said in ("True", "true"):
            found.append(Word(f"--{flag}", place=place))
        elif MASK not in said or not _SWITCH.match(name):
            found += [Word(f"--{flag}", place=place), word_of(value)]
    return tuple(found)


def _model(call: Called, arguments: Mapping[str, Value]) -> Text | None:
    """Return the model; None where whoever uses the program names it, but for a variable of the environment."""
    value = next((arguments[name] for name in _MODELS if name in arguments), None)
    if value is None and call.values:
        value = call.values[0]
    if not isinstance(value, Text) or isinstance(value, Number) or not value.value:
        return None
    known = not value.value.startswith(MASK)
    return value if known or ENVIRON.search(value.written()) else None


def _listed(value: Value) -> tuple[Word, ...]:
    return tuple(word_of(each) for each in value) if isinstance(value, list) else ()


def _listed_model(words: tuple[Word, ...]) -> Text | None:
    """Return the model of a list of a command's words."""
    for flag, value in pairwise(words):
        if flag.text in ("--model", "--model-path") and value.place is not None:
            known = value.text and not value.text.startswith(MASK)
            return value.place if known or ENVIRON.search(value.place.written()) else None
    return None


def _parallel(words: tuple[Word, ...]) -> int | None:
    """Return the GPUs that the engine's sizes ask for; None where one is not known."""
    product = 1
    for flag, value in pairwise(words):
        if flag.text in ("--tensor-parallel-size", "--pipeline-parallel-size", "--tp-size", "--tp", "--pp-size"):
            if re.fullmatch(r"\d{1,4}", value.text, re.ASCII) is None:
                return None
            product *= int(value.text)
    return product
