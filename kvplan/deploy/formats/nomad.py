"""Nomad's jobs: the tasks of their groups."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.hcl import blocks, read_hcl
from kvplan.deploy.hcl_values import Values
from kvplan.deploy.interpolation import interpolated
from kvplan.deploy.tree import Node
from kvplan.deploy.workload import Gpus, Workload
from kvplan.launch.text import MASK, Text
from kvplan.launch.words import Given, Word
from kvplan.units import MIB

_SUFFIXES = (".nomad", ".nomad.hcl", ".hcl")
_IN_CONTAINERS = ("docker", "podman", "containerd-driver", "")


def read(file: File) -> Iterator[Workload]:
    """Yield the tasks of a job."""
    if not file.name.endswith(_SUFFIXES) or "task" not in file.source.text:
        return
    root = read_hcl(file.source)
    values = _NomadValues([root])
    for (_, job), job_body in blocks(root, "job", 1):
        for (_, group), group_body in blocks(job_body, "group", 1):
            for (_, task), body in blocks(group_body, "task", 1):
                names = "/".join(dict.fromkeys((job.value, group.value, task.value)))
                yield _task(names, task, body, group_body, values)


class _NomadValues(Values):
    """Values in which Nomad's own variables (`${NOMAD_PORT_http}`) stay as they are written."""

    def put_in(self, text: Text, depth: int = 0) -> Text:
        """Return a text with its `${var.x}` put in."""
        masked = super().put_in(text, depth)
        return masked if MASK not in masked.value or "var." in text.value or "local." in text.value else text


def _task(name: str, label: Node, body: Node, group: Node, values: Values) -> Workload:
    config = body.get("config")
    environment: dict[str, Given] = {}
    for key, node in body.pairs:
        if key.value == "env":
            environment |= values.mapping(node)
    texts = {key: value.words[-1].place for key, value in environment.items() if value.words}
    known = {key: text for key, text in texts.items() if isinstance(text, Text)}
    program, entrypoint = values.words(config.get("command")), values.words(config.get("entrypoint"))
    args = values.words(config.get("args"))
    in_container = body.get("driver").string in _IN_CONTAINERS
    command = (entrypoint or None) if in_container else program
    args = (*program, *args) if in_container else args
    return Workload(
        format="nomad",
        name=f"task {name}",
        place=label.place,
        image=values.word(config.get("image")),
        command=None if command is None else _put_in(command, known),
        args=_put_in(args, known),
        environment=environment,
        gpus=_gpus([body.get("resources"), body], values),
        memory=_mebibytes(values.number(body.get("resources").first("memory_max", "memory"))),
        shared_memory=values.number(config.get("shm_size")),
        replicas=values.number(group.get("count")),
    )


def _put_in(words: tuple[Word, ...], known: dict[str, Text]) -> tuple[Word, ...]:
    texts = [interpolated(word.place, known) for word in words if isinstance(word.place, Text)]
    return tuple(Word(text.value, place=text) for text in texts)


def _gpus(parts: list[Node], values: Values) -> Gpus:
    """Return the devices that are GPUs; their name may say which (`nvidia/gpu/Tesla T4`)."""
    for (_, name), body in (each for part in parts for each in blocks(part, "device", 1)):
        kind = name.value.lower()
        if not (kind in ("gpu", "nvidia", "amd") or "/gpu" in kind):
            continue
        types = (
            [Given(name.value.split("/", 2)[2], (Word(name.value, place=name.text),))] if kind.count("/") > 1 else []
        )
        for _, rule in blocks(body, "constraint"):
            wanted = values.word(rule.get("value"))
            if "device.model" in rule.get("attribute").value and wanted is not None:
                types.append(Given(wanted.text, (wanted,)))
        return Gpus(
            count=values.number(body.get("count")) or Given(1, (Word(name.value, place=name.text),)), types=tuple(types)
        )
    return Gpus()


def _mebibytes(number: Given | None) -> Given | None:
    return None if number is None else Given(number.value * MIB, number.words)
