"""Pods, as every Kubernetes resource holds them: containers with their command, variables, GPUs, memory and placement."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from kvplan.deploy.gpu_resources import asked_for, count_of
from kvplan.deploy.ollama import loaded
from kvplan.deploy.tree import NOTHING, Document, Node, documents
from kvplan.deploy.workload import Workload, given, word, words
from kvplan.errors import SettingError
from kvplan.launch.images import called_after
from kvplan.launch.text import MASK, Text, join
from kvplan.launch.words import MOST_CHARACTERS, Given, Word
from kvplan.units import parse_size

__all__ = [
    "TYPE_LABELS",
    "Stream",
    "container_workload",
    "count_of",
    "gpu_types",
    "gpu_types_of_terms",
    "inner_documents",
    "pod_workloads",
    "quantity",
    "read_environment",
    "resources",
    "stream_of",
    "substituted",
    "title",
    "value_text",
    "written",
]

# Labels of nodes that tell the GPU, the more telling first (GPU feature discovery, GKE, CoreWeave, EKS and Karpenter, Volcano
# Engine, AKS, Alibaba).
TYPE_LABELS = (
    "nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "gpu.nvidia.com/model", "gpu.nvidia.com/class",
    "karpenter.k8s.aws/instance-gpu-name", "eks.amazonaws.com/instance-gpu-name", "k8s.amazonaws.com/accelerator",
    "machine.cluster.vke.volcengine.com/gpu-name", "amd.com/gpu.product-name", "beta.amd.com/gpu.product-name",
    "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type", "accelerator", "accelerator-type", "gpu-type",
    "gpu.product", "cloud.google.com/gke-tpu-accelerator", "aliyun.accelerator/nvidia_name", "karpenter.k8s.aws/instance-type",
    "kubernetes.azure.com/accelerator",
)  # fmt: skip
_SHARED = "/dev/shm"  # noqa: S108  a mount's path in a container
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTPE]i?|[kmgtpe])?", re.ASCII)
# What a part of a text that stands elsewhere in the file weighs, in characters.
_WEIGHT_OF_A_PART = 16
_K8S_VARIABLE = re.compile(r"\$\$|\$\(([A-Za-z_][\w.-]*)\)")


@dataclass(slots=True)
class Stream:
    """What the documents of one stream give each other: ConfigMaps, by name."""

    config_maps: dict[str, Node] = field(default_factory=dict)


def stream_of(found: list[Document]) -> Stream:
    """Return what a stream's documents give each other."""
    stream = Stream()
    for document in found:
        for resource in resources(document.root):
            if resource.get("kind").string in ("ConfigMap", "Secret"):
                name = resource.get("metadata", "name").string
                data = resource.first("data", "stringData") if resource.get("kind").string == "ConfigMap" else NOTHING
                stream.config_maps.setdefault(name, data)
    return stream


def resources(root: Node) -> Iterator[Node]:
    """Yield the resources of a document: itself, or the items of a List."""
    if root.get("kind").string == "List" and root.get("items").kind == "list":
        for item in root.get("items").items:
            yield from resources(item)
    elif root.get("kind").string == "Template" and root.get("objects").kind == "list":
        for item in root.get("objects").items:  # OpenShift's
            yield from resources(item)
    elif root.kind == "map":
        yield root
    elif root.kind == "list":
        yield from (item for item in root.items if item.get("kind").string)


def title(resource: Node) -> str:
    """Return `Deployment serving/llama`."""
    metadata = resource.get("metadata")
    name = written(metadata.first("name", "generateName")) or "(no name)"
    namespace = written(metadata.get("namespace"))
    return f"{written(resource.get('kind'))} {namespace + '/' if namespace else ''}{name}"


def written(node: Node) -> str:
    """Return a name as it stands in the file, a template's expressions included."""
    return node.text.written() if MASK in node.string else node.string


def pod_workloads(
    spec: Node,
    *,
    format: str,  # noqa: A002  the field of Workload that it is for
    name: str,
    stream: Stream,
    labels: Node = NOTHING,
    templated: bool = False,
) -> Iterator[Workload]:
    """Yield the containers of a pod.

    Args:
        spec: of the pod.
        format: the name of the format that it stands in.
        name: of the resource; the container's is put behind it.
        stream: what other documents of the stream give.
        labels: of the pod's template, where some name the GPU.
        templated: whether the document is an unrendered template.

    """
    types = gpu_types(spec) or _of_labels(labels)
    for container in (*spec.get("containers").each(), *_sidecars(spec)):
        if container.kind == "map":
            yield container_workload(
                container, format=format, name=name, stream=stream, pod=spec, types=types, templated=templated
            )


def _sidecars(spec: Node) -> Iterator[Node]:
    """Yield init containers that stay: engines may run in them, downloaders do not."""
    for container in spec.get("initContainers").each():
        if container.get("restartPolicy").string == "Always":
            yield container


def container_workload(
    container: Node,
    *,
    format: str,  # noqa: A002  the field of Workload that it is for
    name: str,
    stream: Stream,
    pod: Node = NOTHING,
    types: tuple[Given, ...] = (),
    templated: bool = False,
) -> Workload:
    """Return one container."""
    own = written(container.get("name"))
    environment = read_environment(container, stream)
    command = container.get("command")
    found = Workload(
        format=format,
        name=f"{name}, container {own}" if own else name,
        place=(container.get("name") or container).place,
        image=word(container.get("image")),
        command=substituted(words(command.each()), environment) if command.each() else None,
        args=substituted(words(container.get("args").each()), environment),
        model=loaded(words(container.get("lifecycle", "postStart", "exec", "command").each()), environment),
        environment=environment,
        gpus=asked_for(container.get("resources"), types),
        memory=_size(container.get("resources", "limits", "memory")),
        shared_memory=_shared_memory(container, pod),
        templated=templated,
        files=_mounted(container, pod, stream),
    )
    _name_by_itself(found, own)
    return found


def _name_by_itself(workload: Workload, container: str) -> None:
    """Name the engine that a container of a template is called after, where its values give the image and all that runs."""
    masked = workload.image is not None and MASK in workload.image.text
    engine = called_after(container) if masked and not workload.command and not workload.args else None
    if engine is not None:
        workload.engine, workload.words = engine, ()


def substituted(texts: tuple[Word, ...], environment: dict[str, Given]) -> tuple[Word, ...]:
    """Return words with `$(VAR)` put in as Kubernetes does: from the container's own variables, `$$` for a dollar sign."""
    found, left = [], MOST_CHARACTERS
    for each in texts:
        one, left = (each, left) if "$" not in each.text else _substituted(each, environment, left)
        found.append(one)
    return tuple(found)


def _substituted(each: Word, environment: dict[str, Given], left: int) -> tuple[Word, int]:
    """Return a word with its variables put in, and how much may be put in after it: those that double each other have no end."""
    text = each.place if isinstance(each.place, Text) else Text(each.text)
    parts: list[Text | str] = []
    done = 0
    for match in _K8S_VARIABLE.finditer(text.value):
        parts.append(text.cut(done, match.start()))
        done = match.end()
        known = environment.get(match[1] or "")
        if match[0] == "$$":
            # `$$(VAR)` stays `$(VAR)`; elsewhere `$$` is two characters to Kubernetes and its own number to a shell.
            parts.append(
                text.cut(match.start(), match.start() + 1)
                if text.value[done : done + 1] == "("
                else text.cut(match.start(), done)
            )
        elif known is None or known.value is None or (left := left - _weight(value := value_text(known))) < 0:
            parts.append(text.cut(match.start(), done))
        else:
            parts.append(value)
    parts.append(text.cut(done))
    whole = join(parts)
    return Word(whole.value, place=whole), left


def _weight(value: Text) -> int:
    return len(value.value) + _WEIGHT_OF_A_PART * len(value.runs)


def value_text(value: Given) -> Text:
    """Return a value's characters with their places."""
    text = str(value.value)
    place = value.words[-1].place if value.words else None
    if isinstance(place, Text) and place.value.endswith(text):
        return place.cut(len(place.value) - len(text))
    return Text(text)


def read_environment(container: Node, stream: Stream) -> dict[str, Given]:
    """Return a container's variables; those whose value is a secret's or unknown are left out."""
    found: dict[str, Given] = {}
    left = MOST_CHARACTERS
    for source in container.get("envFrom").each():
        for key, value in stream.config_maps.get(source.get("configMapRef", "name").string, NOTHING).entries():
            if (one := given(value, key)) is not None:
                found[source.get("prefix").string + key.value] = one
    for entry in container.get("env").each():
        name, value = entry.get("name"), entry.get("value")
        reference = entry.get("valueFrom", "configMapKeyRef")
        if reference:
            value = stream.config_maps.get(reference.get("name").string, NOTHING).get(reference.get("key").string)
        if (one := given(value, name)) is not None:
            whole, left = _substituted(one.words[-1], found, left)
            found[name.string] = Given(whole.text, (one.words[0], whole))
    # Some resources write variables as a mapping (KubeAI, Helm values).
    if container.get("env").kind == "map":
        for key, value in container.get("env").entries():
            if (one := given(value, key)) is not None:
                found[key.value] = one
    return found


def gpu_types(spec: Node) -> tuple[Given, ...]:
    """Return what the placement of a pod says of the GPU: node selectors, or the alternatives of a required affinity."""
    selector = spec.get("nodeSelector")
    for label in TYPE_LABELS:
        if (found := given(selector.get(label))) is not None:
            return (found,)
    required = spec.get(
        "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"
    )
    preferred = spec.get("affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution")
    terms = [*required.each(), *(each.get("preference") for each in preferred.each())]
    return gpu_types_of_terms(terms)


def gpu_types_of_terms(terms: list[Node]) -> tuple[Given, ...]:
    """Return the GPUs that terms of a node affinity allow."""
    for label in TYPE_LABELS:
        found: list[Given] = []
        for term in terms:
            for expression in term.get("matchExpressions").each():
                if expression.get("key").string == label and expression.get("operator").string in ("In", ""):
                    found += [each for value in expression.get("values").each() if (each := given(value)) is not None]
        if found:
            return tuple(found)
    return ()


def _of_labels(labels: Node) -> tuple[Given, ...]:
    for label in TYPE_LABELS[:9]:
        if (found := given(labels.get(label))) is not None:
            return (found,)
    return ()


def _size(node: Node) -> Given | None:
    found = given(node)
    size = quantity(node.string)
    return Given(size, found.words) if found is not None and size is not None else None


def quantity(text: str) -> int | None:
    """Return the bytes of a Kubernetes quantity (`16Gi`, `64G`, `1e9`); None where it is none."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or MASK in text:
        return None
    number, unit = match[1], match[2] or ""
    if unit == "m":
        return None
    try:
        return parse_size(f"{number}{unit}B" if unit else f"{number}B")
    except SettingError:
        return None


def _shared_memory(container: Node, pod: Node) -> Given | None:
    """Return the size of /dev/shm: of the volume mounted there."""
    for mount in container.get("volumeMounts").each():
        if mount.get("mountPath").string.rstrip("/") == _SHARED:
            for volume in pod.get("volumes").each():
                if volume.get("name").string == mount.get("name").string:
                    # Without a limit it may take as much as the node has.
                    return _size(volume.get("emptyDir", "sizeLimit")) or Given(
                        None, (Word(_SHARED, place=mount.get("mountPath").text),)
                    )
    return None


def _mounted(container: Node, pod: Node, stream: Stream) -> dict[str, Text]:
    """Return the texts of ConfigMaps of this stream that the container mounts, by their path in it."""
    found: dict[str, Text] = {}
    for mount in container.get("volumeMounts").each():
        folder, sub = mount.get("mountPath").string.rstrip("/"), mount.get("subPath").string
        for volume in pod.get("volumes").each():
            if volume.get("name").string != mount.get("name").string:
                continue
            data = stream.config_maps.get(volume.get("configMap", "name").string, NOTHING)
            paths = {
                each.get("key").string: each.get("path").string for each in volume.get("configMap", "items").each()
            }
            for key, value in data.entries():
                name = paths.get(key.value, key.value)
                if sub:
                    if name == sub:
                        found[folder] = value.text
                else:
                    found[f"{folder}/{name}"] = value.text
    return found


def inner_documents(node: Node) -> list[Document]:
    """Return the YAML documents in a scalar's text, with their places in the file."""
    return documents(node.text) if node.kind == "scalar" else []
