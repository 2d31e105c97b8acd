"""Values of NVIDIA's NIM charts: image, model.name, env NIM_*, resources. A NIM's profile decides what they leave open."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.formats.nim import _NO_ENGINES
from kvplan.deploy.helm import NIM, Block, blocks, image_of
from kvplan.deploy.pods import Stream, container_workload, count_of, gpu_types
from kvplan.deploy.workload import Workload, given, words

# Further NIMs that are no language models: of molecules, proteins, sound and pictures.
_OTHERS = (
    "msa-search", "fold", "genmol", "molmim", "diffdock", "proteinmpnn", "rfdiffusion", "esm2", "evo2", "boltz", "studiovoice",
    "audio2face", "changenet", "cosmos-predict", "cosmos-transfer", "trellis", "bionemo", "corrdiff", "fourcastnet", "retail",
)  # fmt: skip


def read(file: File) -> Iterator[Workload]:
    """Yield the NIMs that serve a language model."""
    for block in blocks(file, NIM):
        image = image_of(block.node)
        if image is None or not any(part in image.text.lower() for part in (*_NO_ENGINES, *_OTHERS)):
            yield _workload(block)


def _workload(block: Block) -> Workload:
    values = block.node
    name = f"values {block.name}" if block.name else "values"
    workload = container_workload(
        values,
        format="helm-nim",
        name=name,
        stream=Stream(),
        pod=values,
        types=gpu_types(values),
        templated=block.document.templated,
    )
    workload.name = name
    workload.place = values.place
    workload.image = image_of(values)
    workload.engine = "nim"
    workload.model = given(values.get("model", "name"))
    workload.command = words(values.get("customCommand").each()) or workload.command
    workload.args = words(values.get("customArgs").each()) or workload.args
    workload.sets_parallelism = "the NIM's profile"
    workload.replicas = given(values.get("replicaCount"))
    if values.get("multiNode", "enabled").typed is True:
        workload.gpus.nodes = count_of(values.get("multiNode", "workers"))
        workload.gpus.count = count_of(values.get("multiNode", "gpusPerNode")) or workload.gpus.count
    workload.notes = ("read as values of a NIM chart",)
    return workload
