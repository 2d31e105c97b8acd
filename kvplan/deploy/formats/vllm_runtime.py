"""VLLMRuntime of vLLM's production stack: vLLM's settings under keys of the operator's own."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.keys import flag_for, flat
from kvplan.deploy.overlay import joined_lists, mapping_of
from kvplan.deploy.pods import Stream, count_of, gpu_types, quantity, read_environment, resources, stream_of, title
from kvplan.deploy.tree import Node
from kvplan.deploy.uris import model_at
from kvplan.deploy.workload import Gpus, Workload, given, words
from kvplan.launch.text import join
from kvplan.launch.words import Given, Word

_FLAGS = (
    ("tensorParallelSize", "--tensor-parallel-size"),
    ("pipelineParallelSize", "--pipeline-parallel-size"),
    ("maxModelLen", "--max-model-len"),
    ("dtype", "--dtype"),
    ("maxNumSeqs", "--max-num-seqs"),
    ("gpuMemoryUtilization", "--gpu-memory-utilization"),
    ("maxLoras", "--max-loras"),
    ("enableLoRA", "--enable-lora"),
    ("enablePrefixCaching", "--enable-prefix-caching"),
    ("enableChunkedPrefill", "--enable-chunked-prefill"),
)


def read(file: File) -> Iterator[Workload]:
    """Yield the runtimes of a stream."""
    stream = stream_of(file.documents)
    for document in file.documents:
        for resource in resources(document.root):
            if resource.get("kind").string == "VLLMRuntime":
                workload = _runtime(resource, stream)
                workload.templated = document.templated
                yield workload


def _runtime(resource: Node, stream: Stream) -> Workload:
    spec = resource.get("spec")
    # Later versions of the operator hold the same keys one level down.
    config, deployment, model = spec.get("vllmConfig") or spec, spec.get("deploymentConfig") or spec, spec.get("model")
    flags = [flag_for(flag, holder, key) for key, flag in _FLAGS for holder in (config, model)]
    asked = deployment.get("resources")
    pod = spec.get("podTemplate", "spec")
    variables = joined_lists(deployment.get("env"), config.get("env"))
    memory = given(asked.get("memory"))
    size = quantity(str(memory.value)) if memory is not None else None
    return Workload(
        format="vllm-runtime",
        name=title(resource),
        place=resource.place,
        image=_image(deployment.get("image")),
        words=(*flat(flags), *words(config.get("extraArgs").each())),
        engine="vllm",
        model=model_at(model.get("modelURL")),
        environment=read_environment(mapping_of(spec, env=variables), stream),
        gpus=Gpus(count=count_of(asked.get("gpu")), types=gpu_types(pod) or gpu_types(deployment)),
        memory=Given(size, memory.words) if memory is not None and size is not None else None,
        replicas=given(deployment.get("replicas")),
    )


def _image(image: Node) -> Word | None:
    """Return `registry/name`, each part where it stands."""
    registry, name = image.get("registry"), image.get("name")
    if not name.string:
        return None
    text = join([registry.text, "/", name.text]) if registry.string else name.text
    return Word(text.value, place=text)
