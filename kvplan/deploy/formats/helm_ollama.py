"""Values of the Ollama chart (otwld/ollama-helm), alone or as a sub-chart: ollama.gpu, ollama.models, image, extraEnv."""

from collections.abc import Iterator

from kvplan.deploy import chart
from kvplan.deploy.file import File
from kvplan.deploy.helm import OLLAMA, Block, blocks, image_of
from kvplan.deploy.overlay import mapping_of
from kvplan.deploy.pods import Stream, container_workload, count_of, gpu_types
from kvplan.deploy.tree import Node
from kvplan.deploy.workload import Workload, given
from kvplan.launch.words import Given


def read(file: File) -> Iterator[Workload]:
    """Yield the servers that the values start."""
    for block in blocks(file, OLLAMA):
        yield _workload(block)


def _workload(block: Block) -> Workload:
    values, own = block.node, block.node.get("ollama")
    name = f"values {block.name}" if block.name else "values"
    workload = container_workload(
        mapping_of(values, resources=values.get("resources"), env=values.first("extraEnv", "env")),
        format="helm-ollama",
        name=name,
        stream=Stream(),
        pod=chart.pod_of((values,)),
        types=gpu_types(values),
        templated=block.document.templated,
    )
    workload.name = name
    workload.place = own.place
    workload.image = image_of(values)
    workload.engine = "ollama"
    workload.words, workload.command, workload.args = (), None, ()
    workload.replicas = given(values.get("replicaCount"))
    workload.gpus.count = _gpus(own.get("gpu")) or workload.gpus.count
    models = [one for each in _models(own) if (one := given(each)) is not None]
    names = dict.fromkeys(str(each.value) for each in models)
    workload.model = models[0] if len(names) == 1 else None
    note = "read as values of the Ollama chart"
    workload.notes = (note, *([f"several models: {', '.join(names)[:200]}"] if len(names) > 1 else ()))
    return workload


def _gpus(gpu: Node) -> Given | None:
    """Return the GPUs that the chart requests: `number` of them, of a device's slices, or one where only `enabled` is set."""
    if gpu.get("enabled").typed is not True:
        return None
    slices = (
        [value for _, value in gpu.get("mig", "devices").entries()] if gpu.get("mig", "enabled").typed is True else []
    )
    number = slices[0] if len(slices) == 1 else gpu.get("number")
    if number.number is not None:
        return count_of(number)
    one = given(gpu.get("enabled"))
    return Given(1, one.words) if one is not None else None


def _models(own: Node) -> list[Node]:
    """Return the models that are loaded at the start, else those that are there to be asked for."""
    models = own.get("models")
    if models.kind == "list":
        return [each for each in models.items if each.string] or [own.get("defaultModel")]
    for key in ("run", "pull", "create"):
        found = [each if each.string else each.get("name") for each in models.get(key).each()]
        if any(each.string for each in found):
            return [each for each in found if each.string]
    return [own.get("defaultModel")]
