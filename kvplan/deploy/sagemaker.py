"""Models of SageMaker in Python: the SDK's classes, boto3's calls, and mappings of variables for its containers."""

import ast
import re
from collections.abc import Iterator, Sequence

from kvplan.deploy.engine_variables import engine_of
from kvplan.deploy.file import File
from kvplan.deploy.python_calls import Called
from kvplan.deploy.python_conditions import Value
from kvplan.deploy.python_launches import Walk
from kvplan.deploy.sagemaker_containers import as_tgi_reads
from kvplan.deploy.variables import value_of
from kvplan.deploy.workload import Gpus, Workload
from kvplan.launch.images import read_image
from kvplan.launch.text import MASK, Place, Text
from kvplan.launch.words import Given, Word

_INSTANCE = re.compile(r"ml\.\w+\.\w+")
_MODELS = ("HF_MODEL_ID", "OPTION_MODEL_ID", "SM_VLLM_MODEL", "SM_SGLANG_MODEL_PATH", "MODEL_ID")
_CLASSES = ("HuggingFaceModel", "DJLModel", "Model")
_MOST_CONTAINERS = 20


def models(file: File, tree: ast.Module, walk: Walk) -> Iterator[Workload]:
    """Yield the models that a file creates, and further mappings of variables that configure an engine."""
    types = _instances(tree, walk)
    read: set[int] = set()
    for each in walk.called:
        if each.name in _CLASSES:
            parts = [(each.keywords.get("image_uri"), each.keywords.get("env"))]
        elif each.name == "create_model":
            given = each.keywords.get("Containers")
            containers = given if isinstance(given, list) else [each.keywords.get("PrimaryContainer")]
            parts = [(_under(one, "Image"), _under(one, "Environment")) for one in containers[:_MOST_CONTAINERS]]
        else:
            continue
        for image, variables in parts:
            workload = _model(
                file, each, image, variables, _placed(each, walk.called) or (types if len(types) == 1 else ())
            )
            if workload is not None and isinstance(variables, dict):
                starts = {label.runs[0].start for label, _ in variables.values() if label.runs}
                if not starts & read:
                    yield workload
                read |= starts
    for node, scope in walk.mappings:
        value = scope.value(node)
        if not isinstance(value, dict) or any(
            label.runs and label.runs[0].start in read for label, _ in value.values()
        ):
            continue
        environment = _environment(value)
        engine = engine_of(environment)
        if not engine and not ("HF_MODEL_ID" in environment and "sagemaker" in file.source.text):
            continue
        if not _names_model(environment):
            continue  # a mapping that is filled in elsewhere
        start, end = scope.span(node)
        yield Workload(
            format="python",
            name=f"environment of {_target(node, walk)}",
            place=Place(file.source, start, end),
            environment=as_tgi_reads(environment) if engine == "tgi" else environment,
            engine=engine or None,
            gpus=Gpus(types=types if len(types) == 1 else ()),
        )


def _model(file: File, call: Called, image: Value, variables: Value, types: Sequence[Given]) -> Workload | None:
    """Return a model whose image or variables say which engine it starts; None where they do not."""
    environment = _environment(variables)
    word = Word(image.value, place=image) if isinstance(image, Text) and image.value.strip(MASK) else None
    engine = engine_of(environment) or (read_image(word.text).engine if word is not None else None)
    if engine is None or not _names_model(environment):
        return None
    # Where the mapping stands that configures it; else the call.
    labels = [label.place() for label, _ in variables.values()] if isinstance(variables, dict) else []
    start, end = call.scope.span(call.node)
    first = next((place for place in labels if place is not None and place.source is file.source), None)
    return Workload(
        format="python",
        name=f"{call.name} {call.target}".strip(),
        place=Place(file.source, first.start, first.end) if first is not None else Place(file.source, start, end),
        image=word,
        environment=as_tgi_reads(environment) if engine == "tgi" else environment,
        engine=engine,
        gpus=Gpus(types=tuple(types)),
    )


def _placed(call: Called, others: Sequence[Called]) -> tuple[Given, ...]:
    """Return the instance type on which a model is deployed; boto3's where the file has the one configuration."""
    found: dict[str, Given] = {}
    for each in others:
        if each.name == "deploy" and (each.owner is call.node or (call.target and each.owner == call.target)):
            _add_type(found, each.keywords.get("instance_type"))
        elif each.name == "create_endpoint_config" and call.name == "create_model":
            variants = each.keywords.get("ProductionVariants")
            for variant in variants[:_MOST_CONTAINERS] if isinstance(variants, list) else []:
                name, own = _under(variant, "ModelName"), call.keywords.get("ModelName")
                same = isinstance(name, Text) and isinstance(own, Text) and name.value == own.value
                if same or not isinstance(name, Text) or MASK in name.value:
                    _add_type(found, _under(variant, "InstanceType"))
    return tuple(found.values()) if len(found) == 1 else ()


def _add_type(found: dict[str, Given], value: Value) -> None:
    if isinstance(value, Text) and _INSTANCE.fullmatch(value.value):
        found.setdefault(value.value, Given(value.value, (Word(value.value, place=value),)))


def _environment(value: Value) -> dict[str, Given]:
    if not isinstance(value, dict):
        return {}
    return {name: value_of(key, own) for name, (key, own) in value.items() if isinstance(own, Text)}


def _names_model(environment: dict[str, Given]) -> bool:
    return any(str(environment[name].value).strip(MASK) for name in _MODELS if name in environment)


def _under(value: Value, key: str) -> Value:
    return value[key][1] if isinstance(value, dict) and key in value else None


def _target(node: ast.Dict, walk: Walk) -> str:
    return next((name for name, value in walk.expressions.items() if value is node), "a container")


def _instances(tree: ast.Module, walk: Walk) -> tuple[Given, ...]:
    """Return the instance types that the file names."""
    found: dict[str, Given] = {}
    scope = walk.base
    if scope is None:
        return ()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _INSTANCE.fullmatch(node.value):
            text = scope.literal(node, node.value)
            found.setdefault(node.value, Given(node.value, (Word(text.value, place=text),)))
    return tuple(found.values())
