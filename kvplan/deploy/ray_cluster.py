"""The GPUs of a Ray cluster: those of its workers' pods, and of its head's where it has some."""

from kvplan.deploy.pods import Stream, pod_workloads
from kvplan.deploy.tree import Node
from kvplan.deploy.workload import Gpus, given
from kvplan.launch.words import Given


def cluster_gpus(cluster: Node) -> Gpus:
    """Return the GPUs of one machine, and how many machines have them, of the first group that has any."""
    head = _gpus_of(cluster.get("headGroupSpec"))
    for group in cluster.get("workerGroupSpecs").each():
        found = _gpus_of(group)
        if found.count is None:
            continue
        replicas = next((each for key in ("replicas", "minReplicas") if (each := group.get(key)).number), None)
        machines = 1 if replicas is None or replicas.number is None else replicas.number
        machines *= group.get("numOfHosts").number or 1
        words = () if replicas is None else given(replicas)
        found.nodes = Given(machines + (head.count is not None), words.words if isinstance(words, Given) else ())
        return found
    return head


def _gpus_of(group: Node) -> Gpus:
    """Return what the first container of a group's pods that has GPUs asks for."""
    pod = group.get("template")
    found = [
        each.gpus
        for each in pod_workloads(
            pod.get("spec"), format="", name="", stream=Stream(), labels=pod.get("metadata", "labels")
        )
    ]
    return next((each for each in found if each.count is not None), Gpus())
