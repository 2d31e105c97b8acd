"""NVIDIA's NIM operator: NIMService, and the services of a NIMPipeline. A NIM's profile decides what its variables leave open."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.pods import Stream, container_workload, count_of, gpu_types, quantity, resources, stream_of, title
from kvplan.deploy.tree import Document, Node
from kvplan.deploy.workload import Workload, given
from kvplan.launch.text import join
from kvplan.launch.words import Given, Word

# Parts of the names of NIMs that generate no text.
_NO_ENGINES = (
    "embed", "rerank", "nvclip", "riva", "parakeet", "asr", "tts", "page-elements", "table-structure", "graphic-elements",
    "paddleocr", "ocr", "cached", "maxine", "jailbreak", "nemoguard", "diffusion", "flux", "cuopt", "nemoretriever",
)  # fmt: skip


def read(file: File) -> Iterator[Workload]:
    """Yield the NIMs that serve a language model."""
    stream = stream_of(file.documents)
    for document in file.documents:
        for resource in resources(document.root):
            kind, spec = resource.get("kind").string, resource.get("spec")
            if kind == "NIMService":
                yield from _service(spec, title(resource), resource, stream, document)
            elif kind == "NIMPipeline":
                for service in spec.get("services").each():
                    own = f"{title(resource)}, service {service.get('name').string}"
                    if service.get("enabled").typed is not False:
                        yield from _service(service.get("spec"), own, service, stream, document)


def _service(spec: Node, name: str, block: Node, stream: Stream, document: Document) -> Iterator[Workload]:
    image = _image(spec.get("image"))
    if image is None or any(part in image.text.lower() for part in _NO_ENGINES):
        return
    workload = container_workload(
        spec, format="nim", name=name, stream=stream, pod=spec, types=gpu_types(spec), templated=document.templated
    )
    workload.name = name
    workload.place = block.place
    workload.image = image
    workload.engine = "nim"
    workload.sets_parallelism = "the NIM's profile"
    workload.replicas = given(spec.get("replicas") or spec.get("scale", "hpa", "minReplicas"))
    several = spec.get("multiNode")
    workload.gpus.nodes = count_of(several.get("parallelism", "pipeline") or several.get("size"))
    limit = given(spec.get("storage", "sharedMemorySizeLimit"))
    if limit is not None and (size := quantity(str(limit.value))) is not None:
        workload.shared_memory = Given(size, limit.words)
    yield workload


def _image(image: Node) -> Word | None:
    """Return `repository:tag`, each part where it stands."""
    repository, tag = image.get("repository"), image.get("tag")
    if not repository.string:
        return None
    text = join([repository.text, ":", tag.text]) if tag.string else repository.text
    return Word(text.value, place=text)
