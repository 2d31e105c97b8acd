"""Values of OPEA's charts for vLLM, TGI and Ollama (opea-project/GenAIInfra, helm-charts/common), alone or as sub-charts."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.helm import OPEA, Block, blocks, image_of
from kvplan.deploy.pods import Stream, container_workload, gpu_types, quantity, substituted
from kvplan.deploy.tree import Node
from kvplan.deploy.workload import Workload, given, words
from kvplan.launch.words import Given


def read(file: File) -> Iterator[Workload]:
    """Yield the engines among the values."""
    for block in blocks(file, OPEA):
        yield _workload(block)


def _workload(block: Block) -> Workload:
    values = block.node
    name = f"values {block.name}" if block.name else "values"
    workload = container_workload(
        values,
        format="helm-opea",
        name=name,
        stream=Stream(),
        pod=values,
        types=gpu_types(values) or gpu_types(block.root),
        templated=block.document.templated,
    )
    workload.name = name
    workload.place = values.place
    workload.image = image_of(values)
    workload.engine = block.engine
    workload.model = given(values.get("LLM_MODEL_ID"))
    workload.environment = {**_variables(values), **workload.environment}
    # The template writes these before `--model`, and its own server's address.
    workload.words = substituted(words(values.get("extraCmdArgs").each()), workload.environment)
    workload.command, workload.args = None, ()
    workload.replicas = given(values.get("replicaCount"))
    size, shared = given(values.get("shmSize")), quantity(values.get("shmSize").string)
    workload.shared_memory = Given(shared, size.words) if size is not None and shared is not None else None
    workload.half = "" if workload.model is not None else "the values that name the model (LLM_MODEL_ID)"
    device = values.get("accelDevice").string
    on = f"on {device[:40]}" if device else "on the CPU, as accelDevice names no device"
    gpus = workload.gpus.count is not None
    workload.notes = ("read as values of an OPEA chart", *([] if gpus else [f"the chart runs it {on}"]))
    return workload


def _variables(values: Node) -> dict[str, Given]:
    """Return the keys in capitals, which the charts hand on as variables."""
    return {
        key.value: one
        for key, value in values.entries()
        if key.value.isupper()
        and key.value != "LLM_MODEL_ID"
        and value.string
        and (one := given(value, key)) is not None
    }
