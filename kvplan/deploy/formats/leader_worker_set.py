"""Sets of pods that are one engine: LeaderWorkerSet, DisaggregatedSet, AIBrix's StormService."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.gpu_resources import count_of
from kvplan.deploy.groups import is_one, put_in_group
from kvplan.deploy.pods import Stream, pod_workloads, resources, stream_of, title
from kvplan.deploy.tree import Node
from kvplan.deploy.workload import Workload, given
from kvplan.launch.words import Given

_FORMAT = "leader-worker-set"


def read(file: File) -> Iterator[Workload]:
    """Yield the containers of a group's leader and of its workers, as parts of one engine."""
    stream = stream_of(file.documents)
    for document in file.documents:
        for resource in resources(document.root):
            kind, spec, name = resource.get("kind").string, resource.get("spec"), title(resource)
            if kind == "LeaderWorkerSet":
                yield from _group(spec, name, stream, templated=document.templated)
            elif kind == "DisaggregatedSet":
                for role in spec.get("roles").each():
                    own = f"{name}, role {role.get('name').string}"
                    yield from _group(role.first("spec", "template"), own, stream, templated=document.templated)
            elif kind in ("StormService", "RoleSet"):
                holder = spec.get("template", "spec") if kind == "StormService" else spec
                for role in holder.get("roles").each():
                    yield from _role(role, f"{name}, role {role.get('name').string}", stream, document.templated)


def _group(spec: Node, name: str, stream: Stream, *, templated: bool) -> Iterator[Workload]:
    """Yield the pods of a LeaderWorkerSet; without a template of its own the leader is started as the workers are."""
    template = spec.get("leaderWorkerTemplate")
    leader, worker = template.get("leaderTemplate"), template.get("workerTemplate")
    size = count_of(template.get("size"))
    written = given(template.get("size"))
    # A patch states no size: what it is then is the patched set's.
    variables = {} if written is None else {"LWS_GROUP_SIZE": written}
    parts = [(leader, "leader"), (worker, "worker")] if leader else [(worker, "leader")]
    for pod, part in parts:
        if part == "worker" and is_one(size):
            continue
        for workload in pod_workloads(
            pod.get("spec"),
            format=_FORMAT,
            name=f"{name}, {part}" if leader else name,
            stream=stream,
            labels=pod.get("metadata", "labels"),
            templated=templated,
        ):
            workload.replicas = given(spec.get("replicas"))
            index = {"LWS_WORKER_INDEX": Given("0")} if part == "leader" else {}
            yield put_in_group(workload, "" if is_one(size) else name, size, variables | index)


def _role(role: Node, name: str, stream: Stream, templated: bool) -> Iterator[Workload]:
    """Yield the pods of a role of a StormService: so many replicas of so many pods."""
    pod = role.get("template")
    size = count_of(role.get("podGroupSize"))
    variables = {"POD_GROUP_SIZE": written} if (written := given(role.get("podGroupSize"))) is not None else {}
    for workload in pod_workloads(
        pod.get("spec"),
        format="aibrix",
        name=name,
        stream=stream,
        labels=pod.get("metadata", "labels"),
        templated=templated,
    ):
        workload.replicas = given(role.get("replicas"))
        yield put_in_group(workload, "" if is_one(size) else name, size, variables)
