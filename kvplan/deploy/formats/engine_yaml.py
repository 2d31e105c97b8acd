"""Engines' own configuration files: vLLM's and SGLang's --config, TensorRT-LLM's options, LMDeploy's, Dynamo's services."""

from collections.abc import Iterator

from kvplan.deploy import dynamo_services
from kvplan.deploy.engine_settings import MODEL_KEYS, PROGRAMS, Recognised, recognised, words_of
from kvplan.deploy.file import File
from kvplan.deploy.tree import Document, Node
from kvplan.deploy.uris import model_at
from kvplan.deploy.workload import Workload


def read(file: File) -> Iterator[Workload]:
    """Yield the engines that a configuration file is for."""
    for document in file.documents:
        root = document.root
        found = recognised(root)
        if found is not None:
            yield _workload(root, found, document, file.path.name)
        else:
            for workload in dynamo_services.workloads(root):
                workload.templated = document.templated
                yield workload


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
