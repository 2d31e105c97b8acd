"""GPUs that Ray Serve's and BentoML's decorators give a class."""

import ast
from collections.abc import Iterator, Mapping

from kvplan.deploy.accelerators import whole
from kvplan.deploy.python_calls import Within
from kvplan.deploy.python_conditions import Value
from kvplan.deploy.python_launches import Walk
from kvplan.deploy.python_places import dotted
from kvplan.deploy.python_values import Scope
from kvplan.deploy.workload import Gpus
from kvplan.launch.text import MASK, Text
from kvplan.launch.words import Given, Word

_MOST_BUNDLES, _MOST_DECORATORS = 64, 16


def resources(within: Within, walk: Walk, module: Scope, parallel: int | None) -> Gpus:
    """Return the GPUs of the class that a call stands in.

    Args:
        within: the functions and classes around the call.
        walk: over the file.
        module: its names.
        parallel: the GPUs that the engine needs; None where that is not known. A Ray actor's own are no bound where it
            needs more: its workers are placed apart.

    """
    count: Given | None = None
    types: tuple[Given, ...] = ()
    for keywords in _told(within, walk, module):
        own, bundles = keywords.get("resources"), keywords.get("placement_group_bundles")
        options = keywords.get("ray_actor_options")
        if isinstance(own, dict) and "gpu" in own:
            return _gpus(own, "gpu", "gpu_type")
        if isinstance(bundles, list):
            count = count or _together(bundles)
        if isinstance(options, dict):
            actor = _gpus(options, "num_gpus", "accelerator_type")
            types = types or actor.types
            number = actor.count.value if actor.count is not None else None
            if isinstance(number, int) and parallel is not None and number >= parallel:
                count = count or actor.count
    return Gpus(count=count, types=types)


def _told(within: Within, walk: Walk, module: Scope) -> Iterator[Mapping[str, Value]]:
    """Yield what `.options(...)` and decorators say of the classes around a call."""
    for each in reversed(within):
        if not isinstance(each, ast.ClassDef):
            continue
        for call in walk.called:
            if call.name == "options" and call.owner == each.name:
                yield call.keywords
        for decorator in each.decorator_list[:_MOST_DECORATORS]:
            if isinstance(decorator, ast.Call) and dotted(decorator.func).rpartition(".")[2] in (
                "deployment", "service", "remote",
            ):  # fmt: skip
                yield {name: value for name, (_, value) in module.keywords(decorator).items()}


def _gpus(mapping: Mapping[str, tuple[Text, Value]], number: str, kind: str) -> Gpus:
    count = mapping[number][1] if number in mapping else None
    name = mapping[kind][1] if kind in mapping else None
    known = isinstance(name, Text) and name.value and MASK not in name.value
    return Gpus(
        count=whole(count) if isinstance(count, Text) and MASK not in count.value else None,
        types=(Given(name.value, (Word(name.value, place=name),)),) if known and isinstance(name, Text) else (),
    )


def _together(bundles: list[Value]) -> Given | None:
    """Return the GPUs of all bundles together; None where one of them is not plain, or none has any."""
    total, words = 0, list[Word]()
    for each in bundles[:_MOST_BUNDLES]:
        if not isinstance(each, dict):
            return None
        count = each["GPU"][1] if "GPU" in each else None
        if isinstance(count, Text) and count.value.isdecimal() and len(count.value) < 5:
            total += int(count.value)
            words.append(Word(count.value, place=count))
        elif count is not None:
            return None
    return Given(total, tuple(words)) if total and len(bundles) <= _MOST_BUNDLES else None
