"""Files of variables that configure an engine alone: `.env` files, and DJL's serving.properties."""

import re
from collections.abc import Iterator

from kvplan.deploy.engine_variables import engine_of, settings_among
from kvplan.deploy.file import File
from kvplan.deploy.variables import env_values, value_of
from kvplan.deploy.workload import Workload
from kvplan.launch.text import Place, Text
from kvplan.launch.words import Given

_NAME = re.compile(r"(?:.*\.)?env(?:\.(?:example|sample|template|dist|local|prod|production|dev|\w+))?|.*\.env\.\w+")
_COMPOSE = ("docker-compose.yml", "docker-compose.yaml", "compose.yaml", "compose.yml", "podman-compose.yml")
# Of no one engine: where a model comes from, which devices there are.
_GENERAL = ("HF_", "HUGGING", "CUDA_", "NCCL_", "NVIDIA_", "TRANSFORMERS_", "NGC_", "PYTORCH_", "OMP_")
_PROPERTY = re.compile(r"^[ \t]*([A-Za-z][\w.-]*)[ \t]*[=:][ \t]*([^\r\n]*)$", re.MULTILINE)
_TEMPLATE = re.compile(r"\{\{.{0,400}?\}\}")
_ENGINES = {"vllm": "vllm", "lmi-dist": "vllm", "trtllm": "tensorrt-llm", "auto": "vllm"}


def read(file: File) -> Iterator[Workload]:
    """Yield the engine that a file's variables clearly configure, unless a compose file beside it uses them."""
    if file.name == "serving.properties":
        yield from _properties(file)
    elif _NAME.fullmatch(file.name) and "=" in file.source.text:
        environment = env_values(file.text)
        engine = engine_of(environment)
        alone = [name for name in environment if not name.startswith(_GENERAL)]
        # Files of a whole stack have a few of an engine's among many others; those are for something that puts them together.
        if engine and settings_among(environment) * 3 >= len(alone) and not _is_used(file):
            yield _workload(file, environment, engine)


def _workload(file: File, environment: dict[str, Given], engine: str) -> Workload:
    first = next(iter(environment.values())).words[0].place
    place = first.place() if isinstance(first, Text) else None
    return Workload(
        format="environment",
        name=file.path.name,
        place=place or Place(file.source, 0, 0),
        environment=environment,
        engine=engine,
    )


def _is_used(file: File) -> bool:
    """Whether a compose file in the folder reads it: by its name, or as the `.env` that it is."""
    for name in _COMPOSE:
        other = file.beside(name)
        if other is not None and (file.name.startswith(".env") or file.path.name in other.source.text):
            return True
    return False


def _properties(file: File) -> Iterator[Workload]:
    """Yield DJL's settings under the names that they have as variables: `option.model_id` is OPTION_MODEL_ID."""
    environment: dict[str, Given] = {}
    for match in _PROPERTY.finditer(file.source.text):
        name = file.text.cut(*match.span(1))
        if match[1].startswith("option."):
            name = name.replaced(match[1].upper().replace(".", "_").replace("-", "_"))
            value = file.text.cut(match.start(2), match.start(2) + len(match[2].rstrip())).masked(_TEMPLATE)
            environment[name.value] = value_of(name, value)
    batching = environment.get("OPTION_ROLLING_BATCH")
    engine = _ENGINES.get(str(batching.value).lower() if batching is not None else "vllm")
    if engine and ("OPTION_MODEL_ID" in environment or batching is not None):
        yield _workload(file, environment, engine)
