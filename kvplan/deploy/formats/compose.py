"""Compose files (docker-compose, podman-compose): services."""

import re
from collections.abc import Iterator

from kvplan.deploy.accelerators import size, span, whole
from kvplan.deploy.dockerfiles import Stage, parts, stages
from kvplan.deploy.file import File
from kvplan.deploy.interpolation import interpolated
from kvplan.deploy.mentions import mentions_engine
from kvplan.deploy.ollama import put_pulled
from kvplan.deploy.splitting import split_text
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.variables import env_file, listed, value_of
from kvplan.deploy.workload import Gpus, Workload
from kvplan.launch.images import called_after, read_image
from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word

# Keys of a service that hardly any other YAML has; one of them under `services` makes it a compose file.
_KEYS = frozenset({
    "image", "build", "command", "entrypoint", "environment", "env_file", "extends", "deploy", "runtime", "gpus", "devices",
    "shm_size", "mem_limit",
})  # fmt: skip
# Keys of a service that stand beside the services by mistake; a service of such a name has an image or a build.
_MISPLACED = frozenset(
    {"deploy", "environment", "command", "entrypoint", "ports", "volumes", "runtime", "gpus", "resources"}
)
_DEVICE = re.compile(r"nvidia\.com/gpu=(\S+)|/dev/nvidia(\d+)(?::.*)?")
# What ends a command for the library that compose splits with (mattn/go-shellwords).
_ENDS = ";&|<>"
_DEEPEST = 8
_MOST_FILES = 20


def read(file: File) -> Iterator[Workload]:
    """Yield the services of a compose file."""
    for document in file.documents:
        services = document.root.get("services")
        if document.root.get("apiVersion") or not any(_is_service(node) for _, node in services.entries()):
            continue
        project = _Project(file)
        misplaced = [key.value for key, node in services.entries() if _is_misplaced(key.value, node)]
        misplaced += [
            key.value for key, _ in document.root.entries() if key.value in ("deploy", "environment", "command")
        ]
        found: list[Workload] = []
        for key, node in services.entries():
            if node.kind == "map" and key.value not in misplaced and not key.value.startswith("x-"):
                workload = project.workload(key, project.layers(node, services, 0))
                workload.templated = document.templated
                project.name_built(workload, key.value, project.layers(node, services, 0))
                workload.notes += tuple(
                    f"`{name}` stands beside the services; compose refuses it" for name in misplaced
                )
                found.append(workload)
        put_pulled(found)
        yield from found


def _is_service(node: Node) -> bool:
    return node.kind == "map" and any(key.value in _KEYS for key, _ in node.entries())


def _is_misplaced(name: str, node: Node) -> bool:
    return name in _MISPLACED and not (node.get("image") or node.get("build") or node.get("extends"))


class _Project:
    """What the values of a compose file are read with: the variables of its `.env`."""

    def __init__(self, file: File) -> None:
        self.file = file
        own = file.beside(".env")
        self.known = {name: value for name, (_, value) in env_file(own.text).items()} if own is not None else {}
        self.known |= {name: Text(value) for name, value in file.variables.items()}

    def workload(self, key: Node, layers: tuple[Node, ...]) -> Workload:
        """Return a service, from its own block and those that it extends."""
        image, build = _get(layers, "image"), _get(layers, "build")
        built = self.built(build)
        command, args, script = parts(built) if built is not None else (None, (), None)
        if (entrypoint := _get(layers, "entrypoint", empty=True)).kind in ("scalar", "list"):
            # An entry point of one's own leaves the image's CMD behind.
            command, args, script = self.words(entrypoint), (), None
        if (own := _get(layers, "command", empty=True)).kind in ("scalar", "list") and script is None:
            args = self.words(own)
        environment = dict(built.environment) if built is not None else {}
        environment |= self.environment(layers)
        return Workload(
            format="docker-compose",
            name=f"service {key.value}",
            place=key.place,
            image=self.word(image) if built is None else built.image,
            command=command,
            args=args,
            script=script,
            version=built.version if built is not None else None,
            environment=environment,
            gpus=self.gpus(layers, environment),
            memory=self.size(layers, ("deploy", "resources", "limits", "memory")) or self.size(layers, ("mem_limit",)),
            shared_memory=self.shared_memory(layers),
            replicas=self.count(layers, ("deploy", "replicas")) or self.count(layers, ("scale",)),
            half=""
            if image or build
            else "this service has no image: it is laid over another file (docker compose config)",
        )

    def name_built(self, workload: Workload, service: str, layers: tuple[Node, ...]) -> None:
        """Name the engine of an image that is built of a Dockerfile which is not at hand, where it is called so and has GPUs.

        The image that it is built from may stand among the arguments; else the service's name tells.
        """
        build = _get(layers, "build")
        reserves = any(
            layer.get("deploy", "resources", "reservations", "devices") or layer.get("gpus") or layer.get("runtime")
            for layer in layers
        )
        if not build or build.is_null or self.built(build) is not None or not reserves:
            return
        arguments = listed(build.get("args"), self.change, self.known)
        bases = [read_image(str(each.value)).engine for each in arguments.values() if "/" in str(each.value)]
        engine = next((each for each in (*bases, called_after(service)) if each is not None), None)
        words = (*(workload.command or ()), *workload.args)
        # Words that start an engine tell themselves; other ones are a script's, which the image holds.
        if engine is not None and not mentions_engine(*(each.text for each in words)):
            workload.engine, workload.words, workload.command, workload.args = engine, (), None, ()
            workload.half = "the image's Dockerfile, which says what runs in it"

    def layers(self, node: Node, services: Node, depth: int) -> tuple[Node, ...]:
        """Return a service's block and those that it extends, its own first."""
        extends = node.get("extends")
        name = self.text(extends if extends.kind == "scalar" else extends.get("service")).value
        if not name or depth >= _DEEPEST:
            return (node,)
        path = self.text(extends.get("file")).value
        if path:
            other = self.file.beside(path)
            services = (
                next((each.root.get("services") for each in other.documents), NOTHING) if other is not None else NOTHING
            )
        base = services.get(name)
        return (node, *self.layers(base, services, depth + 1)) if base.kind == "map" else (node,)

    # -- values ------------------------------------------------------------------------------------------------------

    def change(self, text: Text) -> Text:
        """Return a text with its variables put in."""
        return interpolated(text, self.known)

    def text(self, node: Node) -> Text:
        """Return a scalar's text, variables put in; an empty one for everything else."""
        return self.change(node.text) if node.kind == "scalar" and not node.is_null else Text("")

    def word(self, node: Node) -> Word | None:
        """Return a scalar as a word."""
        text = self.text(node)
        return Word(text.value, place=text) if text.value else None

    def words(self, node: Node) -> tuple[Word, ...]:
        """Return the words of a command: of a list as they are, of a text as compose splits it, without a shell."""
        if node.kind == "scalar":
            return tuple(each for each in split_text(self.text(node), stops=_ENDS) if each.text.strip())
        return tuple(
            Word(text.value, place=text) for item in node.items if item.kind == "scalar" for text in [self.text(item)]
        )

    def shared_memory(self, layers: tuple[Node, ...]) -> Given | None:
        """Return the bytes of /dev/shm; the host's own has no bound that the file says."""
        ipc = self.text(_get(layers, "ipc"))
        if ipc.value == "host" or ipc.value.startswith(("service:", "container:")):
            return Given(None, (Word(ipc.value, place=ipc),))
        return self.size(layers, ("shm_size",))

    def size(self, layers: tuple[Node, ...], path: tuple[str, ...]) -> Given | None:
        """Return the bytes under a path."""
        return size(self.text(_get(layers, *path)))

    def count(self, layers: tuple[Node, ...], path: tuple[str, ...]) -> Given | None:
        """Return the number under a path."""
        text = self.text(_get(layers, *path))
        return whole(text) if text.value else None

    def environment(self, layers: tuple[Node, ...]) -> dict[str, Given]:
        """Return a service's variables: those of its env files, then its own."""
        found: dict[str, Given] = {}
        for layer in reversed(layers):
            for entry in layer.get("env_file").each()[:_MOST_FILES]:
                path = self.text(entry if entry.kind == "scalar" else entry.get("path")).value
                other = self.file.beside(path) if path else None
                if other is not None:
                    found |= {name: value_of(*pair) for name, pair in env_file(other.text, self.known).items()}
        for layer in reversed(layers):
            found |= listed(layer.get("environment"), self.change, self.known)
        return found

    def built(self, build: Node) -> Stage | None:
        """Return the stage of the Dockerfile that a service is built from; None where it is not at hand."""
        if not build or build.is_null:
            return None
        context = self.text(build if build.kind == "scalar" else build.get("context")).value or "."
        name = self.text(build.get("dockerfile")).value or "Dockerfile"
        if "://" in context or context.startswith("git@"):
            return None
        other = self.file.beside(f"{context.rstrip('/')}/{name}")
        if other is None:
            return None
        given = listed(build.get("args"), self.change, self.known)
        arguments = {key: value.words[-1].place for key, value in given.items() if value.words}
        found = stages(other.source, {key: text for key, text in arguments.items() if isinstance(text, Text)})
        target = self.text(build.get("target")).value.lower()
        return next((stage for stage in found if target and stage.name == target), found[-1] if found else None)

    # -- GPUs --------------------------------------------------------------------------------------------------------

    def gpus(self, layers: tuple[Node, ...], environment: dict[str, Given]) -> Gpus:
        """Return the GPUs that a service reserves: by devices, by `gpus`, by name, or by the variable of NVIDIA's runtime."""
        for layer in layers:
            reserved = layer.get("deploy", "resources", "reservations")
            for part in (reserved.get("devices"), layer.get("gpus")):
                if part.kind == "scalar" and not part.is_null:
                    return Gpus(count=_some(self.text(part)))
                if entries := [each for each in part.items if each.kind == "map" and _is_gpu(each)]:
                    return Gpus(count=self.reserved(entries))
            for resource in reserved.get("generic_resources").each():
                spec = resource.get("discrete_resource_spec")
                if "gpu" in spec.get("kind").string.lower():
                    return Gpus(count=_some(self.text(spec.get("value"))))
            if (named := self.named(layer.get("devices"))) is not None:
                return named
        visible = environment.get("NVIDIA_VISIBLE_DEVICES")
        if visible is not None and visible.value not in ("all", "none", "void", "") and "$" not in str(visible.value):
            return Gpus(count=Given(len(str(visible.value).split(",")), visible.words))
        return Gpus()

    def reserved(self, entries: list[Node]) -> Given | None:
        """Return the number that device reservations add up to; None where one of them is for all."""
        found: list[Given | None] = []
        for entry in entries:
            ids, count = entry.get("device_ids"), entry.get("count")
            if ids.each() and not ids.is_null:
                names = [name for item in ids.each() for name in self.text(item).value.split(",") if name.strip()]
                text = span(ids)
                known = not any("$" in name or name.strip() == "all" for name in names) or len(names) > 1
                number = len(names) if known else None if names == ["all"] else names[0]
                found.append(None if number is None else Given(number, (Word(text.value, place=text),)))
            else:
                found.append(_some(self.text(count)) if count else None)
        if len(found) == 1:
            return found[0]
        numbers = [each.value for each in found if each is not None and isinstance(each.value, int)]
        if len(numbers) != len(found):
            return None
        return Given(sum(numbers), tuple(word for each in found if each is not None for word in each.words))

    def named(self, devices: Node) -> Gpus | None:
        """Return the GPUs that stand among the devices by name (CDI, /dev/nvidia0); None where none do."""
        found: list[Word] = []
        for item in devices.each():
            text = self.text(item)
            match = _DEVICE.fullmatch(text.value)
            if match is not None and match[1] == "all":
                return Gpus()
            if match is not None:
                found.append(Word(text.value, place=text))
        return Gpus(count=Given(len(found), tuple(found))) if found else None


def _get(layers: tuple[Node, ...], *path: str, empty: bool = False) -> Node:
    """Return what the first block that says something says; an empty text or list says something where `empty` is set."""
    for layer in layers:
        node = layer.get(*path)
        if node and not node.is_null and (empty or node.value or node.pairs or node.items):
            return node
    return NOTHING


def _is_gpu(entry: Node) -> bool:
    """Whether a reservation is one of GPUs: some reserve TPUs and the like."""
    kinds = [kind.string.lower() for each in entry.get("capabilities").each() for kind in each.each()]
    return not kinds or any(kind in ("gpu", "nvidia", "compute", "amd") for kind in kinds)


def _some(text: Text) -> Given | None:
    """Return a number of GPUs; None for all of them."""
    return None if text.value.strip().lower() in ("all", "-1", "") else whole(text)
