"""Kubernetes' own workloads: Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob, Pod."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.pods import pod_workloads, resources, stream_of, title
from kvplan.deploy.tree import Node
from kvplan.deploy.workload import Workload, given
from kvplan.launch.text import MASK

_PODS = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Rollout": ("spec", "template"),
    "Pod": (),
}


def read(file: File) -> Iterator[Workload]:
    """Yield the containers of the workloads in a stream of resources."""
    stream = stream_of(file.documents)
    for document in file.documents:
        for resource in resources(document.root):
            kind = resource.get("kind").string
            path = ("spec", "template") if MASK in kind else _PODS.get(kind)
            if path is None:
                continue
            pod = resource.get(*path) if path else resource
            for workload in pod_workloads(
                pod.get("spec"),
                format="kubernetes",
                name=title(resource),
                stream=stream,
                labels=pod.get("metadata", "labels"),
                templated=document.templated,
            ):
                workload.replicas = given(resource.get("spec", "replicas"))
                workload.half = _half(resource, pod)
                yield workload


def _half(resource: Node, pod: Node) -> str:
    """Return what a patch of a workload lacks: the workload that it is put on."""
    spec = resource.get("spec")
    patch = not spec.get("selector") and resource.get("kind").string in ("Deployment", "StatefulSet", "DaemonSet")
    if patch and not any(each.get("image") for each in pod.get("spec", "containers").each()):
        return "this is a patch; check the built manifests (kustomize build . | kvplan check -)"
    return ""
