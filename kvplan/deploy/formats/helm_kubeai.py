"""Values of KubeAI's models chart: `catalog.<name>`, of which the enabled become Model resources (charts/models)."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.formats.kubeai import of_profile
from kvplan.deploy.helm import KUBEAI, Block, blocks
from kvplan.deploy.overlay import mapping_of
from kvplan.deploy.pods import Stream, container_workload, gpu_types, read_environment, substituted
from kvplan.deploy.tree import Node
from kvplan.deploy.uris import model_at
from kvplan.deploy.workload import Gpus, Workload, given, word, words
from kvplan.launch.words import Given

_ENGINES = {"vllm": "vllm", "ollama": "ollama"}


def read(file: File) -> Iterator[Workload]:
    """Yield the enabled models of a catalogue that run on an engine."""
    for block in blocks(file, KUBEAI):
        everything = block.node.get("all", "enabled").typed is True
        for key, model in block.node.get("catalog").entries():
            engine = _ENGINES.get(model.get("engine").string.lower())
            if engine and (everything or model.get("enabled").typed is True):
                yield _workload(key, model, engine, block)


def _workload(key: Node, model: Node, engine: str, block: Block) -> Workload:
    environment = read_environment(model, Stream())
    gpus, notes = _gpus(model.get("resourceProfile"), block)
    return Workload(
        format="helm-kubeai",
        name=f"catalog {key.value}",
        place=key.place,
        image=word(model.get("image")),
        words=substituted(words(model.get("args").each()), environment),
        engine=engine,
        model=model_at(model.get("url")),
        environment=environment,
        gpus=gpus,
        replicas=given(model.first("replicas", "minReplicas")),
        templated=block.document.templated,
        notes=("read as values of KubeAI's models chart", *notes),
    )


def _gpus(profile: Node, block: Block) -> tuple[Gpus, tuple[str, ...]]:
    """Return the GPUs of a profile: from the file's own table of profiles, else by the profile's name."""
    name, _, times = profile.string.partition(":")
    table = block.node.get("resourceProfiles", name) or block.root.get("resourceProfiles", name)
    if not table:
        return of_profile(profile)
    named, _ = of_profile(profile)
    as_container = mapping_of(table, resources=table)
    own = container_workload(as_container, format="", name="", stream=Stream(), types=gpu_types(table)).gpus
    each = own.count.value if own.count is not None else None
    count = own.count
    if isinstance(each, int) and times.isdecimal() and len(times) < 6:
        words_ = (*(own.count.words if own.count is not None else ()), *(named.count.words if named.count else ()))
        count = Given(each * int(times), words_)
    return Gpus(count=count or named.count, types=own.types or named.types, partition=own.partition), ()
