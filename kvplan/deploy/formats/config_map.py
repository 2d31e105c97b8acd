"""ConfigMaps that hold start scripts, which containers here or elsewhere run."""

from collections.abc import Iterator

from kvplan.deploy.fallback import SERVES
from kvplan.deploy.file import File
from kvplan.deploy.mentions import mentions_engine
from kvplan.deploy.pods import resources, title
from kvplan.deploy.workload import Workload

_SUFFIXES = (".sh", ".bash", ".zsh")


def read(file: File) -> Iterator[Workload]:
    """Yield the scripts of a stream's ConfigMaps."""
    for document in file.documents:
        for resource in resources(document.root):
            if resource.get("kind").string != "ConfigMap":
                continue
            for key, value in resource.get("data").entries():
                if not key.value.endswith(_SUFFIXES) and not value.string.startswith("#!"):
                    continue
                if value.kind == "scalar" and mentions_engine(value.value) and SERVES.search(value.value):
                    yield Workload(
                        format="config-map",
                        name=f"{title(resource)}, {key.value}",
                        place=key.place,
                        script=value.text,
                        templated=document.templated,
                    )
