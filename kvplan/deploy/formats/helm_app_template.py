"""Values of the app-template chart (bjw-s-labs/helm-charts): controllers.NAME.containers.NAME, each a pod's container."""

from collections.abc import Iterator
from itertools import islice

from kvplan.deploy.file import File
from kvplan.deploy.helm import APP_TEMPLATE, Block, blocks, image_of, is_off
from kvplan.deploy.overlay import overlaid
from kvplan.deploy.pods import Stream, container_workload, gpu_types
from kvplan.deploy.tree import Node
from kvplan.deploy.values_file import put_values_as_file
from kvplan.deploy.workload import Workload, given
from kvplan.launch.text import Text

_MOST = 100


def read(file: File) -> Iterator[Workload]:
    """Yield the containers; those that prepare something stand under `initContainers` and are none."""
    for block in blocks(file, APP_TEMPLATE):
        yield from islice(_workloads(block), _MOST)


def _workloads(block: Block) -> Iterator[Workload]:
    for name, controller in block.node.get("controllers").entries():
        pod = overlaid(block.node.get("defaultPodOptions"), controller.get("pod"))
        for own, container in controller.get("containers").entries() if not is_off(controller) else ():
            if not is_off(container):
                yield _workload(block, f"{name.value}.{own.value}", controller, container, pod)


def _workload(block: Block, name: str, controller: Node, container: Node, pod: Node) -> Workload:
    workload = container_workload(
        container,
        format="helm-app-template",
        name=f"values {block.name + '.' if block.name else ''}{name}",
        stream=Stream(),
        pod=pod,
        types=gpu_types(pod),
        templated=block.document.templated,
    )
    workload.place = container.place
    workload.image = image_of(container)
    workload.replicas = given(controller.get("replicas"))
    put_values_as_file(workload, block.root)
    workload.files.update(_mounted(block.node))
    workload.notes = ("read as values of the app-template chart",)
    return workload


def _mounted(values: Node) -> dict[str, Text]:
    """Return the texts of the chart's own ConfigMaps, by the paths that they are mounted at."""
    found: dict[str, Text] = {}
    for _, volume in values.get("persistence").entries():
        data = values.get("configMaps", volume.first("identifier", "name").string, "data")
        mounts = list(volume.get("globalMounts").each())
        mounts += [
            mount
            for _, one in volume.get("advancedMounts").entries()
            for _, each in one.entries()
            for mount in each.each()
        ]
        for mount in mounts[:_MOST] if volume.get("type").string == "configMap" else ():
            path, sub = mount.get("path").string.rstrip("/"), mount.get("subPath").string
            for name, value in data.entries():
                if not sub:
                    found[f"{path}/{name.value}"] = value.text
                elif sub == name.value:
                    found[path] = value.text
    return found
