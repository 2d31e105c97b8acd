"""Engines' own configuration files: vLLM's and SGLang's --config, TensorRT-LLM's options, LMDeploy's, Dynamo's services."""

from collections.abc import Iterator

from kvplan.deploy.engine_settings import MODEL_KEYS, PROGRAMS, Recognised, recognised, words_of
from kvplan.deploy.file import File
from kvplan.deploy.keys import flags_of, flat
from kvplan.deploy.pods import count_of
from kvplan.deploy.tree import Document, Node
from kvplan.deploy.uris import model_at
from kvplan.deploy.workload import Workload, given


def read(file: File) -> Iterator[Workload]:
    """Yield the engines that a configuration file is for."""
    for document in file.documents:
        root = document.root
        found = recognised(root)
        if found is not None:
            yield _workload(root, found, document, file.path.name)
        else:
            yield from _services(document)


def _workload(root: Node, found: Recognised, document: Document, name: str) -> Workload:
    model = next((one for key in MODEL_KEYS if (one := model_at(root.get(key))) is not None), None)
    program = PROGRAMS[found.engine]
    return Workload(
        format="engine-yaml",
        name=f"configuration {name}",
        place=root.place,
        words=words_of(root, found.engine),
        engine=found.engine,
        model=model,
        half="" if model is not None else f"the command that starts {program} with it",
        templated=document.templated,
        notes=(f"taken for a configuration of {program}, by its {', '.join(found.by[:3])}",),
    )


def _services(document: Document) -> Iterator[Workload]:
    """Yield the workers of Dynamo's older configurations: `VllmWorker: {..., ServiceArgs: {resources: {gpu: 1}}}`."""
    common = document.root.get("Common")
    for key, service in document.root.entries():
        asked = service.get("ServiceArgs")
        engine = next((each for each in ("vllm", "sglang") if each in key.value.lower()), "")
        if not asked or not engine:
            continue
        shared = {name.value for name in service.get("common-configs").each()}
        others = {name.value.replace("-", "_") for name, _ in common.entries() if name.value not in shared}
        skip = {"ServiceArgs", "common_configs", "remote_prefill", "conditional_disagg", "router", "model"}
        inherited = {name.value.replace("-", "_") for name, _ in service.entries()} | others | skip
        workload = Workload(
            format="engine-yaml",
            name=f"service {key.value}",
            place=key.place,
            words=(*flat(flags_of(common, skip=inherited)), *flat(flags_of(service, skip=skip))),
            engine=engine,
            model=model_at(service.get("model") or common.get("model")),
            templated=document.templated,
            replicas=given(asked.get("workers")),
            notes=("taken for a service of Dynamo's own configuration",),
        )
        workload.gpus.count = count_of(asked.get("resources", "gpu"))
        yield workload
