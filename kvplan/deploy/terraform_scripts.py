"""Scripts that a machine of Terraform runs when it starts: user data, startup scripts, cloud-init."""

from collections.abc import Iterator
from dataclasses import replace

from kvplan.deploy import formats
from kvplan.deploy.file import File
from kvplan.deploy.hcl import blocks
from kvplan.deploy.hcl_values import Values
from kvplan.deploy.mentions import mentions_engine
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.workload import Gpus, Workload
from kvplan.launch.text import Text, join
from kvplan.launch.words import Given

# Where the clouds' resources keep the text (AWS, Hetzner, DigitalOcean; Google; Azure).
_TEXTS = ("user_data", "user_data_base64", "metadata_startup_script", "startup_script", "custom_data")
_IN_METADATA = ("startup-script", "user-data")
_MOST_LINES = 200
_MACHINES = ("instance_type", "machine_type", "vm_size", "size", "server_type", "plan")


def scripts(file: File, kind: str, name: Node, body: Node, values: Values) -> Iterator[Workload]:
    """Yield what the texts of a machine start."""
    texts = [body.get(key) for key in _TEXTS] + [body.get("metadata", key) for key in _IN_METADATA]
    for each in texts:
        node = values.node(each)
        if node.kind != "scalar" or node.plain or not mentions_engine(node.value):
            continue
        if not values.affords(len(node.value)):
            return
        text = values.put_in(node.text)
        gpus = _gpus(body, values)
        inner = _of_cloud_init(text) if text.value.lstrip().startswith("#cloud-config") else [(text, "startup.sh")]
        for workload in (each for part, path in inner for each in formats.workloads(File.of(part, path))):
            # The script as a whole stands where its text does.
            own = workload.place.source is file.source
            yield replace(
                workload,
                format="terraform",
                name=f"{kind} {name.value}, {workload.name}" if own else f"{kind} {name.value}",
                place=workload.place if own else node.place,
                gpus=replace(
                    workload.gpus, types=workload.gpus.types or gpus.types, count=workload.gpus.count or gpus.count
                ),
            )


def _of_cloud_init(text: Text) -> Iterator[tuple[Text, str]]:
    """Yield the commands that cloud-init runs, as one script, and the files that it writes."""
    for document in File.of(text, "cloud-init.yaml").documents:
        lines: list[Text | str] = []
        for key in ("bootcmd", "runcmd"):
            for item in document.root.get(key).each()[:_MOST_LINES]:
                words = [each for each in item.each() if each.kind == "scalar"][:_MOST_LINES]
                lines += [part for each in words for part in (each.text, " ")] + ["\n"]
        yield join(lines), "startup.sh"
        for item in document.root.get("write_files").each()[:_MOST_LINES]:
            if item.get("content").string:
                yield item.get("content").text, item.get("path").string.rpartition("/")[2] or "file"


def _gpus(body: Node, values: Values) -> Gpus:
    """Return the GPUs of a machine: those that are attached, else its type."""
    attached = next((each for _, each in blocks(body, "guest_accelerator")), NOTHING)
    word = values.word(attached.get("type")) or values.word(body.first(*_MACHINES))
    types = (Given(word.text.rpartition("/")[2], (word,)),) if word is not None else ()
    return Gpus(count=values.number(attached.get("count")), types=types)
