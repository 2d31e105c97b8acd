"""Terraform: containers, models of SageMaker, Helm releases, Kubernetes manifests and scripts of machines that stand in it."""

import re
from collections.abc import Iterator

from kvplan.deploy.engine_settings import words_of
from kvplan.deploy.engine_variables import engine_of
from kvplan.deploy.file import File
from kvplan.deploy.hcl import blocks, read_hcl
from kvplan.deploy.hcl_values import Values
from kvplan.deploy.helm import ENGINES
from kvplan.deploy.sagemaker_containers import as_tgi_reads
from kvplan.deploy.terraform_containers import containers
from kvplan.deploy.terraform_releases import inner, release, settled
from kvplan.deploy.terraform_scripts import scripts
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.workload import Gpus, Workload
from kvplan.launch.images import read_image
from kvplan.launch.text import MASK
from kvplan.launch.words import Given

# Files of a configuration that state what its references mean.
_BESIDE = ("variables.tf", "locals.tf", "vars.tf", "terraform.tfvars")
_MANIFESTS = (("kubectl_manifest", "yaml_body"), ("kubernetes_manifest", "manifest"))
_MODELS = ("hf_model_id", "huggingface_model_id", "model_id", "model_name", "model_path", "model")
_MOST_NODES = 2_000


def read(file: File) -> Iterator[Workload]:
    """Yield what the resources and modules of a file start."""
    text = file.source.text
    if not file.name.endswith((".tf", ".tofu")) or not ("resource" in text or "module" in text):
        return
    root = read_hcl(file.source)
    others = [read_hcl(other.source) if other is not None else NOTHING for other in map(file.beside, _BESIDE)]
    values = Values([root, *others[:-1]], others[-1])
    variants = [
        variant for _, body in blocks(root, "resource", 2) for _, variant in blocks(body, "production_variants")
    ]
    for (_, kind, name), body in blocks(root, "resource", 2):
        if kind.value == "aws_sagemaker_model":
            for part in ("primary_container", "container"):
                for _, container in blocks(body, part):
                    yield _model(name, container, variants, values)
        elif kind.value == "helm_release":
            yield from release(name, body, values)
        for manifest, key in _MANIFESTS:
            if kind.value == manifest and body.get(key):
                yield from inner(f"{manifest} {name.value}", "manifest.yaml", [body.get(key)], values)
        yield from containers(kind.value, name, body, values)
        yield from scripts(file, kind.value, name, body, values)
    for (_, name), body in blocks(root, "module", 1):
        yield from _module(name, body, values)


def _model(name: Node, container: Node, variants: list[Node], values: Values) -> Workload:
    reference = f"aws_sagemaker_model.{name.value}."
    own = [each for each in variants if reference in each.get("model_name").value] or (
        variants if len(variants) == 1 else []
    )
    environment = values.mapping(container.get("environment"))
    image = values.word(container.get("image"))
    engine = engine_of(environment)
    if engine == "tgi" or (image is not None and read_image(image.text).engine == "tgi"):
        environment = as_tgi_reads(environment)
    return Workload(
        format="terraform",
        name=f"aws_sagemaker_model {name.value}",
        place=name.place,
        image=image,
        environment=environment,
        engine=engine or None,
        gpus=Gpus(types=_types([each.get("instance_type") for each in own], values)),
        replicas=values.number(own[0].get("initial_instance_count")) if own else None,
    )


def _types(nodes: list[Node], values: Values) -> tuple[Given, ...]:
    found = [values.word(each) for each in nodes]
    return tuple(Given(word.text, (word,)) for word in found if word is not None and MASK not in word.text)


def _module(name: Node, body: Node, values: Values) -> Iterator[Workload]:
    """Yield the engine that a module is told the settings of, by an argument that is called after it, beside the model's."""
    model = next((word for key in _MODELS if (word := values.word(body.get(key))) is not None), None)
    for key, value in body.entries():
        engine = ENGINES.get(re.split(r"[-_]", key.value.lower())[0])
        node = values.node(value)
        if engine is None or node.kind != "map" or model is None:
            continue
        yield Workload(
            format="terraform",
            name=f"module {name.value}",
            place=name.place,
            words=words_of(settled(node, values, [_MOST_NODES]), engine),
            engine=engine,
            model=Given(model.text, (model,)),
            gpus=Gpus(types=_types([body.get("instance_type")], values)),
        )
