"""Values of the llm-d modelservice chart (llm-d-incubation/llm-d-modelservice, templates/_helpers.tpl)."""

from collections.abc import Iterator
from dataclasses import replace

from kvplan.deploy.file import File
from kvplan.deploy.helm import LLM_D, Block, blocks, is_off
from kvplan.deploy.pods import TYPE_LABELS, Stream, container_workload, gpu_types, substituted
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.uris import model_at, named
from kvplan.deploy.workload import Workload, given, words
from kvplan.launch.images import read_image
from kvplan.launch.text import MASK, Text, join
from kvplan.launch.words import Given, Word

# It answers as an engine does, and holds no model.
_SIMULATOR = "llm-d-inference-sim"


def read(file: File) -> Iterator[Workload]:
    """Yield the engines of the prefill and decode roles."""
    for block in blocks(file, LLM_D):
        for role in ("prefill", "decode"):
            spec = block.node.get(role)
            if spec.kind == "map" and not is_off(spec):
                for container in spec.get("containers").each():
                    if container.kind == "map" and _is_engine(container):
                        yield _workload(role, spec, container, block)


def _is_engine(container: Node) -> bool:
    image = container.get("image").string
    if _SIMULATOR in image:
        return False
    by_chart = container.get("modelCommand").string in ("vllmServe", "imageDefault")
    return by_chart or bool(container.first("command", "args")) or read_image(image).engine is not None


def _workload(role: str, spec: Node, container: Node, block: Block) -> Workload:
    values = block.node
    sizes = _Sizes(spec.get("parallelism"))
    node_types = spec.get("acceleratorTypes")
    workload = container_workload(
        container,
        format="helm-llm-d",
        name=role,
        stream=Stream(),
        pod=spec,
        types=gpu_types(spec) or gpu_types(spec.get("extraConfig")) or _types(node_types),
        templated=block.document.templated,
    )
    variables = {"TP_SIZE": sizes.tensor, "DP_SIZE": sizes.data, "DP_SIZE_LOCAL": sizes.local}
    workload.environment = {
        **{name: Given(str(size.value), size.words) for name, size in variables.items()},
        **workload.environment,
    }
    way = container.get("modelCommand").string or "custom"
    notes = ["read as values of the llm-d modelservice chart"]
    if way == "custom":
        workload.args = substituted(workload.args, workload.environment)
        workload.command = substituted(workload.command, workload.environment) if workload.command is not None else None
    else:
        workload.engine = "vllm"
        workload.model = _model(values.get("modelArtifacts"))
        # The chart writes the sizes above one before the container's own arguments, which win.
        workload.words = (*sizes.flags(), *substituted(words(container.get("args").each()), workload.environment))
        workload.command, workload.args = None, ()
    accelerator = (spec.get("accelerator") or values.get("accelerator")).get("type").string or "nvidia"
    if workload.gpus.count is None and accelerator != "cpu":
        workload.gpus.count = sizes.per_node
    if accelerator not in ("nvidia", "amd", "cpu") and not workload.gpus.types:
        kind = given((spec.get("accelerator") or values.get("accelerator")).get("type"))
        workload.gpus.types = (kind,) if kind is not None else ()
    if accelerator not in ("nvidia", "amd"):
        notes.append(f"accelerator.type is {accelerator[:40]}, which is no GPU of NVIDIA's or AMD's")
    if values.get("multinode").typed is True or spec.get("multinode").typed is True:
        workload.gpus.nodes = sizes.workers
    workload.replicas = given(spec.get("replicas"))
    workload.notes = tuple(notes)
    return workload


def _types(node_types: Node) -> tuple[Given, ...]:
    """Return what `acceleratorTypes` {labelKey, labelValues} allows: the chart makes a node affinity of it."""
    if node_types.get("labelKey").string not in TYPE_LABELS:
        return ()
    return tuple(each for value in node_types.get("labelValues").each() if (each := given(value)) is not None)


def _model(artifacts: Node) -> Given | None:
    """Return the model of `hf://org/name`, or its path on a mounted volume."""
    uri = artifacts.get("uri")
    name = given(artifacts.get("name"))
    if MASK in uri.value and "modelArtifacts.name" in uri.text.written():
        return name
    scheme, separator, path = uri.string.partition("://")
    if not uri.string:
        return name
    parts = path.split("/")
    if separator and scheme == "pvc+hf" and len(parts) > 2:
        start = uri.value.rindex(f"{parts[-2]}/{parts[-1]}")
        return named(uri.text.cut(start, start + len(parts[-2]) + len(parts[-1]) + 1))
    if separator and scheme == "pvc" and len(parts) > 1:
        mount = artifacts.get("mountPath").string or "/model-cache"
        start = len(uri.value) - len("/".join(parts[1:]))
        whole = join([f"{mount}/", uri.text.cut(start)])
        return Given(whole.value, (Word(whole.value, place=whole),))
    return model_at(uri)


class _Sizes:
    """The parallel sizes of a role, each from the others where it is not written (`dataParallelism` and its kin)."""

    def __init__(self, parallelism: Node) -> None:
        self._node = parallelism
        tensor, data = self._read("tensor"), self._read("data")
        local, workers = self._read("dataLocal"), self._read("workers")
        self.tensor = tensor or Given(1)
        self.data = data or _times(local, workers) or local or Given(1)
        self.local = local or _parts(data, workers) or data or Given(1)
        self.workers = workers or _parts(data, local) or Given(1)
        self.per_node = _times(self.tensor, self.local) or Given(1)

    def _read(self, key: str) -> Given | None:
        number = self._node.get(key).number
        name, value = self._node.index.get(key, (NOTHING, NOTHING))
        found = given(value, name)
        return Given(number, found.words) if found is not None and number else None

    def flags(self) -> Iterator[Word]:
        """Yield the flags that the chart writes."""
        for name, size in (
            ("--tensor-parallel-size", self.tensor),
            ("--data-parallel-size", self.data),
            ("--data-parallel-size-local", self.local),
        ):
            if size.value > 1:
                place = size.words[-1].place
                yield replace(size.words[0], text=name) if size.words else Word(name)
                yield Word(str(size.value), place=place if isinstance(place, Text) else None)


def _times(one: Given | None, other: Given | None) -> Given | None:
    if one is None or other is None:
        return None
    return Given(one.value * other.value, (*one.words, *other.words))


def _parts(whole: Given | None, part: Given | None) -> Given | None:
    if whole is None or part is None:
        return None
    return Given(whole.value // part.value, (*whole.words, *part.words))
