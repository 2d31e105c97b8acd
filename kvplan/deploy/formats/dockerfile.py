"""Dockerfiles whose image starts an engine with settings of its own, or holds the model that it serves."""

import re
from collections.abc import Iterator

from kvplan.deploy.dockerfiles import parts, stages
from kvplan.deploy.engine_variables import engine_of
from kvplan.deploy.file import File
from kvplan.deploy.mentions import mentions_engine, names_model
from kvplan.deploy.workload import Workload
from kvplan.launch.images import read_image
from kvplan.launch.words import Word

_SERVES = re.compile(r"(?:^|[\s/])ollama serve\b")
_LOADS = re.compile(r"\bollama serve\b.*\bollama (?:pull|run) [^-\s$]", re.DOTALL)
_NAME = re.compile(r"(?:docker|container)file(?:[._-].*)?|.*[._-](?:docker|container)file")


def read(file: File) -> Iterator[Workload]:
    """Yield what the image of the last stage starts; nothing where it is for others to start, with a model of theirs."""
    if not _NAME.fullmatch(file.name):
        return
    found = stages(file.source)
    if not found:
        return
    last = found[-1]
    command, args, script = parts(last)
    line = script.value if script is not None else " ".join(each.text for each in ((command or ()) + args))
    image = last.image.text if last.image is not None else ""
    named = names_model(line) or "MODEL_ID" in last.environment or bool(engine_of(last.environment))
    # vLLM's own image takes the model as the first word of its command.
    first = args[0].text if args and command is None else ""
    named = named or (len(args) > 1 and re.match(r"[^-\s]+/", first) is not None and "vllm-openai" in image)
    baked = last.pulled if script is None and _serves_ollama(image, command, args) else ()
    if not (named or baked or _LOADS.search(line)) or not mentions_engine(line, image):
        return
    place = last.entrypoint or last.command or last.place
    where = place.place()
    names = ", ".join(dict.fromkeys(str(each.value) for each in baked))
    if where is None:
        return
    yield Workload(
        format="dockerfile",
        name=f"stage {last.name}" if last.name and len(found) > 1 else "image",
        place=where,
        image=last.image,
        command=command,
        args=args,
        script=script,
        version=last.version,
        model=baked[0] if baked else None,
        environment=dict(last.environment),
        notes=(f"several models: {names[:200]}",) if len({each.value for each in baked}) > 1 else (),
    )


def _serves_ollama(image: str, command: tuple[Word, ...] | None, args: tuple[Word, ...]) -> bool:
    """Whether what an image starts is Ollama's server: by its own entry point, or by one that says so."""
    words = [each.text for each in (*(command or ()), *args)]
    if command is None and read_image(image).engine == "ollama":
        return words in ([], ["serve"]) or _SERVES.search(" ".join(words)) is not None
    return _SERVES.search(" ".join(words)) is not None
