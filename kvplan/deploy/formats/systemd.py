"""Units of systemd that start an engine, and containers of podman's quadlets."""

import re
from collections.abc import Iterator

from kvplan.deploy.accelerators import size
from kvplan.deploy.engine_variables import engine_of
from kvplan.deploy.file import File
from kvplan.deploy.splitting import split_text
from kvplan.deploy.unit_files import Setting, command_words, settings
from kvplan.deploy.variables import assigned, env_values, value_of
from kvplan.deploy.workload import Gpus, Workload
from kvplan.errors import SettingError
from kvplan.launch.containers import gpus_given
from kvplan.launch.text import Place, Text
from kvplan.launch.words import Given, Word

_NAME = re.compile(
    r".+\.(?:service|container|conf)(?:\.(?:j2|tmpl|template|in|example|sample|erb|tpl))?|.*override\.conf"
)
_MOST_STARTS = 50
_DEVICE = re.compile(r"nvidia\.com/gpu=(\S+)")


def read(file: File) -> Iterator[Workload]:
    """Yield the service of a unit, or the container of a quadlet."""
    if not _NAME.fullmatch(file.name) or "[" not in file.source.text:
        return
    found = list(settings(file.text))
    if any(each.section == "Container" and each.name == "Image" for each in found):
        yield _container(file, found)
    elif any(each.section == "Service" for each in found):
        yield from _service(file, [each for each in found if each.section == "Service"])


def _service(file: File, found: list[Setting]) -> Iterator[Workload]:
    environment = _environment(file, found)
    starts: list[Setting] = []
    for each in found:
        if each.name == "ExecStart":
            # An empty one takes back those before it.
            starts = [*starts, each] if each.value.value.strip() else []
    memory = _memory(found, ("MemoryMax", "MemoryHigh", "MemoryLimit"))
    for index, start in enumerate(starts[:_MOST_STARTS]):
        yield Workload(
            format="systemd",
            name=file.path.name if len(starts) == 1 else f"{file.path.name}, ExecStart {index + 1}",
            place=_place(file, start),
            command=command_words(start.value, environment),
            environment=dict(environment),
            memory=memory,
            gpus=Gpus(),
        )
    if not starts and environment and (engine := engine_of(environment)):
        yield Workload(
            format="systemd",
            name=file.path.name,
            place=_place(file, found[0]),
            engine=engine,
            environment=environment,
            memory=memory,
            half="this is laid over a unit that starts the engine (systemctl cat shows the whole)",
        )


def _container(file: File, every: list[Setting]) -> Workload:
    found = [each for each in every if each.section == "Container"]
    image = _last(found, "Image")
    environment = _environment(file, found)
    entrypoint, exec_ = _last(found, "Entrypoint"), _last(found, "Exec")
    podman = [word for each in found if each.name == "PodmanArgs" for word in split_text(each.value)]
    service = [each for each in every if each.section == "Service"]
    return Workload(
        format="quadlet",
        name=file.path.name,
        place=_place(file, image or found[0]),
        image=None if image is None else _word(image.value),
        command=None if entrypoint is None else split_text(entrypoint.value),
        args=() if exec_ is None else split_text(exec_.value),
        environment=environment | _podman_environment(podman),
        gpus=Gpus(count=_gpus(found, podman)),
        memory=_memory(found, ("Memory",))
        or _option(podman, "--memory", "-m")
        or _memory(service, ("MemoryMax", "MemoryHigh")),
        shared_memory=_memory(found, ("ShmSize",)) or _option(podman, "--shm-size"),
    )


def _environment(file: File, found: list[Setting]) -> dict[str, Given]:
    """Return the variables that a unit sets; files of them win, as systemd reads them last."""
    own: dict[str, Given] = {}
    files: dict[str, Given] = {}
    for each in found:
        if each.name == "Environment":
            if not each.value.value:
                own = {}
            for word in split_text(each.value):
                if isinstance(word.place, Text) and (pair := assigned(word.place)) is not None:
                    own[pair[0].value] = value_of(*pair)
        elif each.name == "EnvironmentFile":
            path = each.value.value.strip().removeprefix("-").strip("\"'")
            other = file.beside(path) if path and not path.startswith("/") else file.beside(path.rpartition("/")[2])
            if other is not None:
                files |= env_values(other.text)
    return own | files


def _memory(found: list[Setting], names: tuple[str, ...]) -> Given | None:
    """Return the bytes of the first of several settings that is there; systemd and podman both count in 1024s."""
    for name in names:
        setting = _last(found, name)
        if setting is None or (value := size(setting.value)) is None:
            continue
        return Given(value.value, (Word(name, place=setting.label), *value.words))
    return None


def _gpus(found: list[Setting], podman: list[Word]) -> Given | None:
    """Return how many GPUs a container is given; None where all are, or none is named."""
    named = [word for each in found if each.name == "AddDevice" for word in split_text(each.value)]
    for index, word in enumerate(podman):
        name, equals, value = word.text.partition("=")
        follows = podman[index + 1] if index + 1 < len(podman) else word
        if name == "--gpus":
            try:
                return gpus_given(value if equals else follows.text, (word,) if equals else (word, follows))
            except SettingError:
                return None
        if name == "--device":
            named.append(Word(value, place=word.place) if equals else follows)
    devices = [(match[1], word) for word in named if (match := _DEVICE.fullmatch(word.text.rstrip(":rwm"))) is not None]
    if not devices or any(device == "all" for device, _ in devices):
        return None
    return Given(len(devices), tuple(word for _, word in devices))


def _podman_environment(podman: list[Word]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for index, word in enumerate(podman):
        own = word
        if word.text in ("-e", "--env") and index + 1 < len(podman):
            own = podman[index + 1]
        elif not word.text.startswith("--env="):
            continue
        text = own.place if isinstance(own.place, Text) else Text(own.text)
        text = text.cut(len("--env=")) if own.text.startswith("--env=") else text
        if (pair := assigned(text)) is not None:
            found[pair[0].value] = value_of(*pair)
    return found


def _option(podman: list[Word], *names: str) -> Given | None:
    for index, word in enumerate(podman):
        text = word.place if isinstance(word.place, Text) else Text(word.text)
        name, equals, _ = word.text.partition("=")
        if name in names and equals:
            return size(text.cut(len(name) + 1))
        if name in names and index + 1 < len(podman):
            value = podman[index + 1]
            return size(value.place if isinstance(value.place, Text) else Text(value.text))
    return None


def _last(found: list[Setting], name: str) -> Setting | None:
    return next((each for each in reversed(found) if each.name == name), None)


def _word(text: Text) -> Word:
    return Word(text.value, place=text)


def _place(file: File, setting: Setting) -> Place:
    return setting.label.place() or Place(file.source, 0, 0)
