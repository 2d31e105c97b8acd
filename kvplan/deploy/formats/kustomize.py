"""Kustomize: patches that stand in a Kustomization, and files of JSON patches (RFC 6902); each is a half of a deployment."""

import re
from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.gpu_resources import asked_for
from kvplan.deploy.overlay import mapping, mapping_of
from kvplan.deploy.pods import gpu_types, inner_documents
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.workload import Gpus, Workload, word, words
from kvplan.launch.images import read_image
from kvplan.launch.programs import engine_of_flags
from kvplan.launch.words import Given, Word

_HALF = "this is a patch; check the built manifests (kustomize build . | kvplan check -)"
_NAMES = ("kustomization.yaml", "kustomization.yml", "kustomization")
_KINDS = ("Kustomization", "Component")
# What an operation's path leads to: the part of a container, and where in it (`args/3`, `args/-`).
_PATH = re.compile(r"(.*)/(command|args|image|resources|nodeSelector)((?:/[^/]+)*)")
_MOST = 200


def read(file: File) -> Iterator[Workload]:
    """Yield the containers that patches change."""
    for document in file.documents:
        root = document.root
        if root.kind == "list":
            yield from _operations(root, f"patch {file.path.name}", NOTHING)
        elif root.get("kind").string in _KINDS or (not root.get("kind") and file.path.name.lower() in _NAMES):
            for workload in _patches(root):
                workload.version = workload.version or _version(workload, root.get("images"))
                yield workload


def _patches(root: Node) -> Iterator[Workload]:
    seen: set[int] = set()
    entries = [each for key in ("patches", "patchesJson6902") for each in root.get(key).each()]
    listed = [(each.get("patch"), each.get("target")) for each in entries]
    listed += [(each, NOTHING) for each in root.get("patchesStrategicMerge").each()]
    for text, target in listed[:_MOST]:
        if id(text) not in seen:
            seen.add(id(text))
            label = " ".join(each for each in (target.get("kind").string, target.get("name").string) if each)
            yield from _patch(text, f"patch of {label}" if label else "patch", target)


def _patch(node: Node, name: str, target: Node) -> Iterator[Workload]:
    """Yield what a patch in a text changes: operations, or resources that are laid over those of their names."""
    if "\n" not in node.string and not node.string.lstrip().startswith(("{", "[")):
        return  # a path
    found = inner_documents(node)
    if any(each.root.kind == "list" for each in found):
        for each in found:
            yield from _operations(each.root, name, target)
    elif all(each.root.get("kind").string not in ("", *_KINDS) for each in found):
        from kvplan.deploy.formats import workloads  # noqa: PLC0415  this is one of them

        for workload in workloads(File.of(node.text, "patch.yaml")):
            workload.half = workload.half or _HALF
            yield workload


def _operations(root: Node, name: str, target: Node) -> Iterator[Workload]:
    """Yield the containers whose command or arguments operations change, each with what they say of it."""
    operations = [each for each in root.items[:_MOST] if each.get("op").string and each.get("path").string]
    if len(operations) != len(root.items[:_MOST]):
        return
    changed: dict[str, list[tuple[str, str, Node]]] = {}
    pod = NOTHING
    for each in operations:
        match = _PATH.fullmatch(each.get("path").string)
        if match is None or each.get("op").string not in ("add", "replace"):
            continue
        if match[2] == "nodeSelector":
            pod = _selector(match[3], each.get("value"))
        else:
            changed.setdefault(match[1], []).append((match[2], match[3].lstrip("/"), each.get("value")))
    for holder, parts in changed.items():
        command = _words("command", parts)
        args = _words("args", parts)
        if command or args:
            yield Workload(
                format="kustomize",
                name=f"{name}, {holder.lstrip('/')}",
                place=next(value for part, _, value in parts if part in ("command", "args")).place,
                image=next((word(value) for part, _, value in parts if part == "image"), None),
                command=command or None,
                args=args,
                gpus=_gpus(parts, gpu_types(pod)),
                half=_HALF,
                notes=(f"laid over {target.get('kind').string}",) if target.get("kind").string else (),
            )


def _selector(below: str, value: Node) -> Node:
    labels = mapping(value, [(_key(below, value), value)]) if below else value
    return mapping_of(value, nodeSelector=labels)


def _words(part: str, parts: list[tuple[str, str, Node]]) -> tuple[Word, ...]:
    """Return the words that operations put in; of single ones, flags and the values that are put in right behind them."""
    found: list[Word] = []
    expected = ""  # where the value of the flag before would be put
    for name, below, value in parts:
        one = word(value)
        if name != part:
            continue
        if not below:
            found = list(words(value.each()))
        elif one is not None:
            is_flag = one.text.startswith("-")
            if is_flag or below == expected:
                found.append(one)
            expected = _next(below) if is_flag and "=" not in one.text else ""
    return tuple(found)


def _next(index: str) -> str:
    return str(int(index) + 1) if re.fullmatch(r"\d{1,4}", index, re.ASCII) else index


def _gpus(parts: list[tuple[str, str, Node]], types: tuple[Given, ...]) -> Gpus:
    for name, below, value in parts:
        if name != "resources":
            continue
        section, _, resource = below.partition("/")
        inner = mapping(value, [(_key(resource, value), value)]) if resource else value
        asked = asked_for(mapping_of(value, **{section: inner}) if section in ("limits", "requests") else inner, types)
        if asked.count is not None:
            return asked
    return Gpus(types=types)


def _key(name: str, value: Node) -> Node:
    """Return a key that a path names: `nvidia.com~1gpu` is nvidia.com/gpu."""
    return Node(
        "scalar", value.source, value.start, value.start, value=name.strip("/").replace("~1", "/").replace("~0", "~")
    )


def _version(workload: Workload, images: Node) -> Given | None:
    """Return the engine's version where the Kustomization gives its image a tag."""
    engine = engine_of_flags((*(workload.command or ()), *workload.args))
    found = []
    for each in images.each()[:_MOST]:
        tag = each.get("newTag")
        image = read_image(f"{each.first('newName', 'name').string}:{tag.string}")
        if engine is not None and image.engine == engine and image.version is not None:
            found.append(Given(image.version, (Word(tag.value, place=tag.text),)))
    return found[0] if len(found) == 1 else None
