"""Terraform: models of SageMaker, and Helm values and Kubernetes manifests that stand in it."""

from collections.abc import Iterator
from dataclasses import replace

from kvplan.deploy import formats
from kvplan.deploy.engine_variables import engine_of
from kvplan.deploy.file import File
from kvplan.deploy.hcl import blocks, read_hcl
from kvplan.deploy.hcl_values import Values
from kvplan.deploy.pods import TYPE_LABELS
from kvplan.deploy.tree import NOTHING, Document, Node
from kvplan.deploy.workload import Gpus, Workload
from kvplan.launch.text import MASK, Source
from kvplan.launch.words import Given

# Files of a configuration that state what its references mean.
_BESIDE = ("variables.tf", "locals.tf", "terraform.tfvars")
_MOST_NODES, _DEEPEST = 20_000, 50
_MANIFESTS = (("kubectl_manifest", "yaml_body"), ("kubernetes_manifest", "manifest"))


def read(file: File) -> Iterator[Workload]:
    """Yield the models of SageMaker, and what the texts of YAML start."""
    if not file.name.endswith((".tf", ".tofu")) or "resource" not in file.source.text:
        return
    root = read_hcl(file.source)
    others = [read_hcl(other.source) if other is not None else NOTHING for other in map(file.beside, _BESIDE)]
    values = Values([root, *others[:2]], others[2])
    variants = [
        variant for _, body in blocks(root, "resource", 2) for _, variant in blocks(body, "production_variants")
    ]
    for (_, kind, name), body in blocks(root, "resource", 2):
        if kind.value == "aws_sagemaker_model":
            for part in ("primary_container", "container"):
                for _, container in blocks(body, part):
                    yield _model(name, container, variants, values)
        elif kind.value == "helm_release":
            yield from _inner(f"helm_release {name.value}", "values.yaml", body.get("values").each(), values)
        elif kind.value.startswith("kubernetes_"):
            yield from _pod(f"{kind.value} {name.value}", body, values)
        for manifest, key in _MANIFESTS:
            if kind.value == manifest and body.get(key):
                yield from _inner(f"{manifest} {name.value}", "manifest.yaml", [body.get(key)], values)


def _model(name: Node, container: Node, variants: list[Node], values: Values) -> Workload:
    reference = f"aws_sagemaker_model.{name.value}."
    own = [each for each in variants if reference in each.get("model_name").value] or (
        variants if len(variants) == 1 else []
    )
    types: list[Given] = []
    for each in own:
        word = values.word(each.get("instance_type"))
        if word is not None and MASK not in word.text:
            types.append(Given(word.text, (word,)))
    environment = values.mapping(container.get("environment"))
    return Workload(
        format="terraform",
        name=f"aws_sagemaker_model {name.value}",
        place=name.place,
        image=values.word(container.get("image")),
        environment=environment,
        engine=engine_of(environment) or None,
        gpus=Gpus(types=tuple(types)),
        replicas=values.number(own[0].get("initial_instance_count")) if own else None,
    )


def _pod(name: str, body: Node, values: Values) -> Iterator[Workload]:
    """Yield the containers of a workload that Terraform's own blocks describe."""
    for node in body.walk():
        for _, container in blocks(node, "container"):
            if not container.get("image"):
                continue
            limits = container.get("resources", "limits")
            count = next(
                (limits.get(key) for key in ('"nvidia.com/gpu"', "nvidia.com/gpu", "amd.com/gpu") if limits.get(key)),
                NOTHING,
            )
            command = values.words(container.get("command")) if container.get("command") else None
            own = values.word(container.get("name"))
            yield Workload(
                format="terraform",
                name=f"{name}, container {own.text}" if own is not None else name,
                place=container.place,
                image=values.word(container.get("image")),
                command=command,
                args=values.words(container.get("args")) if container.get("args") else (),
                environment={
                    value.text: Given(text.text, (value, text))
                    for _, entry in blocks(container, "env")
                    if (value := values.word(entry.get("name"))) is not None
                    and (text := values.word(entry.get("value"))) is not None
                },
                gpus=Gpus(count=values.number(count), types=_selected(body, values)),
            )


def _selected(body: Node, values: Values) -> tuple[Given, ...]:
    """Return the GPU that a node selector names."""
    for node in body.walk():
        for key, value in node.get("node_selector").entries():
            if key.value.strip('"') in TYPE_LABELS and (word := values.word(value)) is not None:
                return (Given(word.text, (word,)),)
    return ()


def _inner(name: str, path: str, nodes: list[Node], values: Values) -> Iterator[Workload]:
    """Yield what YAML inside starts, as the formats read it; a mapping stands for the YAML that it is made into."""
    for node in nodes:
        whole = values.node(node)
        if whole.kind == "map":
            inner = File(Source(path, ""))
            inner.documents = [Document(_settled(whole, values, [_MOST_NODES]), whole.place)]
        elif whole.kind == "scalar" and not whole.plain:
            inner = File.of(values.put_in(whole.text), path)
        else:
            continue
        for workload in formats.workloads(inner):
            yield replace(workload, name=f"{name}, {workload.name}")


def _settled(node: Node, values: Values, left: list[int], depth: int = 0) -> Node:
    """Return a mapping with its references put in; what goes on without end is left out."""
    node = values.node(node)
    left[0] -= 1
    if depth > _DEEPEST or left[0] < 0:
        return NOTHING
    copy = Node(node.kind, node.source, node.start, node.end, value=node.value, style=node.style, plain=node.plain)
    copy.pairs = [(key, _settled(value, values, left, depth + 1)) for key, value in node.pairs]
    copy.index = {key.value: (key, value) for key, value in copy.pairs}
    copy.items = [_settled(each, values, left, depth + 1) for each in node.items]
    if node.kind == "scalar":
        copy.text = values.text(node)
        copy.value = copy.text.value
    return copy
