"""KubeAI's Model: an address, an engine, its arguments, and a resource profile `nvidia-gpu-l4:8`."""

import re
from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.pods import Stream, read_environment, resources, stream_of, substituted, title
from kvplan.deploy.tree import Node
from kvplan.deploy.uris import model_at, named
from kvplan.deploy.workload import Gpus, Workload, given, word, words
from kvplan.launch.words import Given, Word

# FasterWhisper and Infinity serve no language model that generates.
_ENGINES = {"vllm": "vllm", "ollama": "ollama"}
# The operator's own profiles name the GPU behind these (charts/kubeai/values.yaml, resourceProfiles).
_PROFILE = re.compile(r"(?:(?:nvidia|amd)-gpu-)?(?P<gpu>[^:\s]+)(?::(?P<count>\d{1,6}))?", re.ASCII)


def read(file: File) -> Iterator[Workload]:
    """Yield the models that run on an engine."""
    stream = stream_of(file.documents)
    for document in file.documents:
        for resource in resources(document.root):
            if resource.get("kind").string == "Model" and resource.get("apiVersion").string.startswith("kubeai.org/"):
                yield from _model(resource, stream, document.templated)


def _model(resource: Node, stream: Stream, templated: bool) -> Iterator[Workload]:
    spec = resource.get("spec")
    engine = _ENGINES.get(spec.get("engine").string.lower())
    if engine is None:
        return
    environment = read_environment(spec, stream)
    gpus, notes = of_profile(spec.get("resourceProfile"))
    yield Workload(
        format="kubeai",
        name=title(resource),
        place=resource.place,
        image=word(spec.get("image")),
        words=substituted(words(spec.get("args").each()), environment),
        engine=engine,
        model=model_at(spec.get("url")),
        environment=environment,
        gpus=gpus,
        replicas=given(spec.first("replicas", "minReplicas")),
        templated=templated,
        notes=notes,
    )


def of_profile(profile: Node) -> tuple[Gpus, tuple[str, ...]]:
    """Return the GPUs of a resource profile and its multiple, and what was assumed of it."""
    match = _PROFILE.fullmatch(profile.string)
    if match is None:
        return Gpus(), ()
    if match["gpu"] == "cpu":
        return Gpus(), ("the resource profile cpu has no GPU",)
    gpu = named(profile.text.cut(match.start("gpu"), match.end("gpu")))
    count = None
    if match["count"]:
        place = profile.text.cut(match.start("count"), match.end("count"))
        count = Given(int(match["count"]), (Word(place.value, place=place),))
    return Gpus(count=count, types=(gpu,)), (f"the resource profile {profile.value} is taken for one GPU each",)
