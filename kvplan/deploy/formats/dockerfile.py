"""Dockerfiles whose image starts an engine with settings of its own."""

import re
from collections.abc import Iterator

from kvplan.deploy.dockerfiles import parts, stages
from kvplan.deploy.engine_variables import engine_of
from kvplan.deploy.file import File
from kvplan.deploy.mentions import mentions_engine, names_model
from kvplan.deploy.workload import Workload

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
    if not named or not mentions_engine(line, image):
        return
    place = last.entrypoint or last.command or last.place
    where = place.place()
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
        environment=dict(last.environment),
    )
