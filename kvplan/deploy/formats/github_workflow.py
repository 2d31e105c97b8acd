"""GitHub's workflows and composite actions: the scripts of steps, and containers of jobs and services."""

from collections.abc import Iterator, Mapping

from kvplan.deploy.accelerators import size
from kvplan.deploy.expressions import settled
from kvplan.deploy.file import File
from kvplan.deploy.mentions import mentions_engine
from kvplan.deploy.splitting import split_text
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.variables import listed
from kvplan.deploy.workload import Gpus, Workload
from kvplan.errors import SettingError
from kvplan.launch.containers import gpus_given
from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word

_SHELLS = ("", "bash", "sh", "zsh")


def read(file: File) -> Iterator[Workload]:
    """Yield the steps that run scripts, and the services."""
    for document in file.documents:
        root = document.root
        environment = _environment(root.get("env"), _inputs(root))
        if root.get("jobs").kind == "map" and (root.get("on") or root.get("name")) and not root.get("kind"):
            for key, job in root.get("jobs").entries():
                if job.kind == "map":
                    yield from _job(key.value, job, environment, _inputs(root))
        elif root.get("runs", "steps").kind == "list":
            yield from _steps("action", root.get("runs"), environment, _defaults(root.get("inputs")), NOTHING)


def _inputs(root: Node) -> dict[str, Text]:
    return _defaults(root.get("on", "workflow_dispatch", "inputs")) | _defaults(
        root.get("on", "workflow_call", "inputs")
    )


def _defaults(inputs: Node) -> dict[str, Text]:
    """Return the defaults of inputs, by the names that expressions have for them."""
    found: dict[str, Text] = {}
    for key, node in inputs.entries():
        default = node.get("default")
        if default.kind == "scalar" and default.string:
            found[f"inputs.{key.value}"] = default.text
    return found


def _job(name: str, job: Node, environment: Mapping[str, Given], known: Mapping[str, Text]) -> Iterator[Workload]:
    known = dict(known) | _matrix(job.get("strategy", "matrix"))
    container = job.get("container")
    for key, service in job.get("services").entries():
        if service.get("image").kind == "scalar":
            yield _service(f"job {name}, service {key.value}", key, service, known)
    inner = dict(environment)
    inner |= _environment(job.get("env"), known | _named(inner))
    inner |= _environment(container.get("env"), known | _named(inner))
    yield from _steps(f"job {name}", job, inner, known, container)


def _steps(
    name: str, holder: Node, environment: Mapping[str, Given], known: Mapping[str, Text], container: Node
) -> Iterator[Workload]:
    node = container if container.kind == "scalar" else container.get("image")
    image = settled(node.text, known) if node.kind == "scalar" and not node.is_null else None
    options = _options(container, known)
    for index, step in enumerate(holder.get("steps").each()):
        # Actions that run a command for a step take it as one of these (nick-fields/retry, appleboy/ssh-action).
        run = step.get("run") or step.get("with").first("command", "run", "script")
        if run.kind != "scalar" or run.is_null or step.get("shell").string.partition(" ")[0] not in _SHELLS:
            continue
        own = dict(environment) | _environment(step.get("env"), dict(known) | _named(environment))
        if not mentions_engine(run.value, *(str(value.value) for value in own.values())):
            continue
        title = step.get("name").string or step.get("id").string or str(index + 1)
        yield Workload(
            format="github-workflow",
            name=f"{name}, step {title}",
            place=(step.get("name") or run).place,
            image=None if image is None else Word(image.value, place=image),
            script=settled(run.text, dict(known) | _named(own)),
            environment=own,
            gpus=Gpus(count=_gpus(options)),
            shared_memory=_shared(options),
        )


def _named(environment: Mapping[str, Given]) -> dict[str, Text]:
    """Return variables by the names that expressions have for them."""
    texts = {name: value.words[-1].place for name, value in environment.items() if value.words}
    return {f"env.{name}": text for name, text in texts.items() if isinstance(text, Text)}


def _environment(node: Node, known: Mapping[str, Text]) -> dict[str, Given]:
    return listed(node, lambda text: settled(text, known))


def _matrix(matrix: Node) -> dict[str, Text]:
    """Return what a matrix settles: the values that are the only ones."""
    found: dict[str, Text] = {}
    several = {key.value for each in matrix.get("include").items for key, _ in each.entries()}
    for key, node in matrix.entries():
        if node.kind == "list" and len(node.items) == 1 and node.items[0].kind == "scalar" and key.value not in several:
            found[f"matrix.{key.value}"] = node.items[0].text
    included = matrix.get("include").items
    if len(included) == 1 and len(list(matrix.entries())) == 1:
        found |= {f"matrix.{key.value}": value.text for key, value in included[0].entries() if value.kind == "scalar"}
    return found


def _service(name: str, key: Node, service: Node, known: Mapping[str, Text]) -> Workload:
    image = settled(service.get("image").text, known)
    words = _options(service, known)
    command = service.get("command")
    return Workload(
        format="github-workflow",
        name=name,
        place=key.place,
        image=Word(image.value, place=image),
        args=split_text(settled(command.text, known)) if command.kind == "scalar" else (),
        environment=_environment(service.get("env"), known),
        gpus=Gpus(count=_gpus(words)),
        shared_memory=_shared(words),
    )


def _options(container: Node, known: Mapping[str, Text]) -> tuple[Word, ...]:
    """Return the flags that Docker is given for a container."""
    options = container.get("options")
    return split_text(settled(options.text, known)) if options.kind == "scalar" else ()


def _option(words: tuple[Word, ...], name: str) -> Text | None:
    for index, word in enumerate(words):
        text = word.place if isinstance(word.place, Text) else Text(word.text)
        if word.text.startswith(f"{name}="):
            return text.cut(len(name) + 1)
        if word.text == name and index + 1 < len(words):
            value = words[index + 1]
            return value.place if isinstance(value.place, Text) else Text(value.text)
    return None


def _gpus(words: tuple[Word, ...]) -> Given | None:
    text = _option(words, "--gpus")
    try:
        return None if text is None else gpus_given(text.value, (Word(text.value, place=text),))
    except SettingError:
        return None


def _shared(words: tuple[Word, ...]) -> Given | None:
    text = _option(words, "--shm-size")
    return None if text is None else size(text)
