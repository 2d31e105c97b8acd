"""GitLab's pipelines: the scripts of jobs."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.mentions import mentions_engine
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.variables import listed
from kvplan.deploy.workload import Workload
from kvplan.launch.text import Text, join
from kvplan.launch.words import Given, Word

_DEEPEST = 8
_MOST_LAYERS = 20


def read(file: File) -> Iterator[Workload]:
    """Yield the jobs of a pipeline; those whose name starts with a dot are templates."""
    if not file.name.endswith((".gitlab-ci.yml", ".gitlab-ci.yaml")):
        return
    for document in file.documents:
        root = document.root
        variables = _variables(root.get("variables"))
        for key, job in root.entries():
            if (
                job.kind != "map"
                or key.value.startswith(".")
                or key.value in ("default", "variables", "workflow", "include")
            ):
                continue
            layers = (*_layers(job, root), root.get("default"), root)
            script = _script(layers)
            if script is None:
                continue
            environment = dict(variables)
            for layer in reversed(layers[:-1]):
                environment |= _variables(layer.get("variables"))
            if not mentions_engine(script.value, *(str(value.value) for value in environment.values())):
                continue
            image = _first(layers, "image")
            image = image.get("name") if image.kind == "map" else image
            yield Workload(
                format="gitlab-ci",
                name=f"job {key.value}",
                place=key.place,
                image=Word(image.value, place=image.text) if image.string else None,
                script=script,
                environment=environment,
                templated=document.templated,
            )


def _layers(job: Node, root: Node) -> tuple[Node, ...]:
    """Return a job and those that it extends, its own first; the last of several that are extended wins."""
    found: list[Node] = []
    waiting = [job]
    while waiting and len(found) < _MOST_LAYERS:
        found.append(waiting.pop(0))
        bases = [root.get(name.string) for name in reversed(found[-1].get("extends").each()[:_MOST_LAYERS])]
        waiting = [base for base in bases if base.kind == "map"] + waiting
    return tuple(found)


def _first(layers: tuple[Node, ...], key: str) -> Node:
    return next((node for layer in layers if (node := layer.get(key))), NOTHING)


def _variables(node: Node) -> dict[str, Given]:
    found = listed(node)
    for key, value in node.entries():
        if value.kind == "map":
            own = listed(value)
            if "value" in own:
                found[key.value] = own["value"]
    return found


def _script(layers: tuple[Node, ...]) -> Text | None:
    """Return the lines of a job before and in its script; None where it has none."""
    script = _first(layers[:-1], "script")
    if not script:
        return None
    lines = [line for part in (_first(layers, "before_script"), script) for line in _lines(part, 0)]
    return join(part for line in lines for part in (line, "\n"))


def _lines(node: Node, depth: int) -> Iterator[Text]:
    """Yield the lines of a script; lists of lists come from anchors."""
    for each in node.each() if node.kind == "list" else [node]:
        if each.kind == "scalar" and not each.is_null:
            yield each.text
        elif each.kind == "list" and depth < _DEEPEST:
            yield from _lines(each, depth + 1)
