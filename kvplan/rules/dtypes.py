"""Rules on number formats, and on what else the engine refuses outright."""

from collections.abc import Iterator

from kvplan.deploy.plans import Planned
from kvplan.errors import HubError, SettingError
from kvplan.rules.finding import Finding, Label
from kvplan.rules.make import finding

_CODES = {"kv_cache_dtype": "KVP301", "quantization": "KVP302", "gpu_memory_utilization": "KVP107"}
# Rules of their own say these.
_ELSEWHERE = ("tensor_parallel", "pipeline_parallel")


def check(planned: Planned) -> Iterator[Finding]:
    """Yield why the engine would not start with a unit's settings."""
    error = planned.error
    unit = planned.unit
    if error is None or isinstance(error, HubError):
        return
    about = error.about if isinstance(error, SettingError) else ""
    if about in _ELSEWHERE or any(problem.message == error.message for problem in planned.read.stated.problems):
        return
    given = unit.inputs.get(about)
    place = given.place if given is not None else None
    gpu = unit.inputs["gpu"].place
    labels = [
        Label(at, text) for at, text in ((unit.inputs["model"].place, "the model"), (gpu, "the GPU")) if at is not None
    ]
    yield finding(
        _CODES.get(about, "KVP106"), planned, place or unit.place,
        f"{error.message.rstrip('.')}." + (f" {error.hint}" if error.hint else ""),
        labels=tuple(label for label in labels if label.place != place),
        identity=(about or "refused",),
    )  # fmt: skip
