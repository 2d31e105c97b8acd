"""Models of Vertex AI's SDK for Python: containers that are uploaded as models, and the machines they are deployed on."""

from collections.abc import Iterator

from kvplan.deploy.accelerators import whole
from kvplan.deploy.file import File
from kvplan.deploy.mentions import names_model
from kvplan.deploy.python_calls import Called
from kvplan.deploy.python_conditions import Value
from kvplan.deploy.python_launches import Walk
from kvplan.deploy.python_places import dotted
from kvplan.deploy.variables import value_of
from kvplan.deploy.workload import Gpus, Workload
from kvplan.launch.text import MASK, Place, Text
from kvplan.launch.words import Given, Word

_CONTAINER = "serving_container_"
_MODELS = ("MODEL_ID", "HF_MODEL_ID", "MODEL_NAME", "VLLM_MODEL")


def uploaded(file: File, walk: Walk) -> Iterator[Workload]:
    """Yield the containers of `Model.upload(...)` that say which model they serve."""
    for each in walk.called:
        image = each.keywords.get(f"{_CONTAINER}image_uri")
        if each.name != "upload" or not isinstance(image, Text):
            continue
        command = _words(each.keywords.get(f"{_CONTAINER}command"))
        args = _words(each.keywords.get(f"{_CONTAINER}args"))
        variables = each.keywords.get(f"{_CONTAINER}environment_variables")
        environment = {
            name: value_of(key, value)
            for name, (key, value) in (variables if isinstance(variables, dict) else {}).items()
            if isinstance(value, Text)
        }
        known = any(str(environment[name].value).strip(MASK) for name in _MODELS if name in environment)
        if not known and not names_model(" ".join(word.text for word in (*command, *args))):
            continue
        start, end = each.scope.span(each.node)
        yield Workload(
            format="python",
            name=f"Model.upload {each.target}".strip(),
            place=Place(file.source, start, end),
            image=Word(image.value, place=image) if image.value.strip(MASK) else None,
            command=command or None,
            args=args,
            environment=environment,
            gpus=_gpus(each, walk),
        )


def _words(value: Value) -> tuple[Word, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(Word(each.value, place=each) if isinstance(each, Text) else Word(MASK) for each in value)


def _gpus(call: Called, walk: Walk) -> Gpus:
    """Return the GPUs of the machine that a model is deployed on; the machine's own where no accelerator is named."""
    found: list[Gpus] = []
    for each in walk.called:
        if each.name != "deploy":
            continue
        passed = next((one.value for one in each.node.keywords if one.arg == "model"), None)
        names = {each.owner if isinstance(each.owner, str) else "", dotted(passed) if passed is not None else ""}
        if each.owner is not call.node and (not call.target or call.target not in names):
            continue
        kind, count = each.keywords.get("accelerator_type"), each.keywords.get("accelerator_count")
        machine = each.keywords.get("machine_type")
        own = next((one for one in (kind, machine) if isinstance(one, Text) and one.value.strip(MASK)), None)
        found.append(
            Gpus(
                count=whole(count) if isinstance(count, Text) else Given(1, ()) if own is kind and own else None,
                types=(Given(own.value, (Word(own.value, place=own),)),) if own is not None else (),
            )
        )
    return found[0] if len(found) == 1 else Gpus()
