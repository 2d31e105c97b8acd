"""Rules on memory: weights, cache, users, margins, what a host has."""

import re
from collections.abc import Iterator, Sequence

from kvplan.deploy.plans import Planned, requests_held
from kvplan.deploy.unit import Input
from kvplan.engines import find_engine
from kvplan.launch.text import Place
from kvplan.plan import Plan
from kvplan.rules.explain import labels, notes
from kvplan.rules.finding import Finding, Label
from kvplan.rules.fixes import fixes
from kvplan.rules.make import finding
from kvplan.units import GIB, MIB, format_bytes

_SHARED = "/dev/shm"  # noqa: S108  a mount's path in a container
# A container's /dev/shm where nothing says more (runc and containerd's default spec).
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
_CONTAINERS = ("kubernetes", "docker-compose", "leader-worker-set")
_DEFAULT_SHARED = 64 * MIB
# Releases of vLLM that set swap space aside in host memory, each GPU its own (config/cache.py swap_space, 4 GiB).
_SWAPS_UNTIL = (0, 11)


def check(planned: Planned) -> Iterator[Finding]:
    """Yield what is wrong with a unit's memory."""
    plan = planned.unit.plan
    if plan is not None:
        yield from _capacity(planned, plan)
        yield from _batch(planned, plan)
    yield from _shrinks(planned)
    yield from _host(planned)
    yield from _shared_memory(planned)


def _capacity(planned: Planned, plan: Plan) -> Iterator[Finding]:
    unit = planned.unit
    length = unit.inputs["max_model_len"].place
    at = length or unit.inputs["model"].place or unit.place
    if plan.verdict == "does_not_fit":
        budget = plan.budget
        if budget is not None and budget.kv_cache_bytes <= 0 and plan.deployment.kv_cache_memory is None:
            at = unit.inputs["model"].place or unit.place
            yield _memory(planned, "KVP101", at, plan.reasons[0])
            return
        if plan.deployment.refusal(plan.request.context_tokens):
            yield _memory(planned, "KVP106", at, plan.reasons[0])
            return
        message = (
            f"the cache holds {_most(plan)}, less than one request of {plan.request.context_tokens:,}: that takes "
            f"{format_bytes(plan.bytes_per_request)} per GPU, {format_bytes(plan.kv_cache_bytes or 0)} are there."
        )
        yield _memory(planned, "KVP102", at, message)
    elif planned.held == "does_not_fit":
        yield _memory(planned, "KVP103", at, _too_few(planned, plan))
    elif unit.verdict == "tight":
        yield _memory(planned, "KVP104", at, f"it fits, but by less than the error of the estimate: {plan.reasons[-1]}")


def _too_few(planned: Planned, plan: Plan) -> str:
    """Return what of the declared requests does not fit, in requests of the same length."""
    longest, asked = plan.request.context_tokens, planned.facts.users or 1
    context = planned.facts.context or longest
    if context > longest:
        return f"requests of {context:,} tokens are to be served; the engine takes at most {longest:,} (its longest request)."
    held = requests_held(plan, context)
    holds = "fewer" if held is None else f"{held:,.1f}"
    return f"{asked:,} requests of {context:,} tokens are to fit at once; the cache holds {holds}."


def _most(plan: Plan) -> str:
    most = plan.capacity.max_context_tokens
    return f"{most:,} tokens" if most is not None else "no bounded number of tokens"


def _memory(planned: Planned, code: str, at: Place, message: str) -> Finding:
    here = ""
    for name, text in (("max_model_len", "the longest request"), ("model", "its weights")):
        if planned.unit.inputs[name].place == at:
            here = text
            break
    return finding(
        code,
        planned,
        at,
        message,
        here=here,
        labels=labels(planned, at),
        notes=notes(planned),
        fixes=fixes(planned),
        identity=("memory",),
    )


def _batch(planned: Planned, plan: Plan) -> Iterator[Finding]:
    """Say that a stated batch is larger than the cache: the requests beyond it wait, or are preempted."""
    given = planned.unit.inputs["max_num_seqs"]
    most = plan.capacity.max_concurrency
    if plan.verdict == "does_not_fit" or given.origin != "given" or given.place is None or most is None:
        return
    if isinstance(given.value, int) and most < given.value:
        tokens = plan.request.context_tokens
        yield finding(
            "KVP111", planned, given.place,
            f"the cache holds {most:,.1f} requests of {tokens:,} tokens, a batch may have {given.value:,}: "
            "long requests beyond it are preempted and computed again.",
            here=f"up to {given.value:,} requests at once",
            labels=labels(planned, given.place),
            identity=("batch",),
        )  # fmt: skip


def _shrinks(planned: Planned) -> Iterator[Finding]:
    """Name what starts in any case, with less than it looks: vLLM's `auto` length, llama.cpp's fitting."""
    unit = planned.unit
    length = unit.inputs["max_model_len"]
    if unit.engine == "vllm" and length.value == "auto":
        plan = unit.plan
        picked = f" (about {plan.request.context_tokens:,} tokens here)" if plan is not None else ""
        yield finding(
            "KVP108", planned, length.place or unit.place,
            f"vLLM takes the longest request that fits{picked}: with less memory it starts all the same and refuses longer ones.",
            here="whatever fits", identity=("auto",),
        )  # fmt: skip
    elif (
        unit.engine == "llama.cpp"
        and length.value in (None, 0)
        and length.origin != "unresolved"
        and not _fit_is_off(planned)
    ):
        yield finding(
            "KVP108", planned, length.place or unit.place,
            "no context size is stated: llama.cpp shrinks it to what fits, down to 4,096 tokens, and says so only in its log.",
            identity=("fit",),
        )  # fmt: skip


def _fit_is_off(planned: Planned) -> bool:
    given = planned.read.stated.flags.get("--fit")
    return given is not None and str(given.value).lower() in ("off", "0", "false")


def _host(planned: Planned) -> Iterator[Finding]:
    """Compare what a unit keeps in host memory with what its container may have."""
    unit = planned.unit
    limit = unit.workload.memory
    if limit is None or not isinstance(limit.value, int) or unit.engine != "vllm":
        return
    ranks = _whole(unit.inputs["tensor_parallel"]) * _whole(unit.inputs["pipeline_parallel"])
    needs: list[tuple[str, int, Place | None]] = []
    offload = unit.inputs.get("cpu_offload_gb")
    if offload is not None and isinstance(offload.value, float):
        needs.append(("offloaded weights", int(offload.value * GIB) * ranks, offload.place))
    swap = unit.inputs.get("swap_space")
    if swap is not None and isinstance(swap.value, float) and _swaps(unit.version):
        needs.append(("swap space", int(swap.value * GIB) * ranks, swap.place))
    total = sum(size for _, size, _ in needs)
    if total <= limit.value or not needs:
        return
    place = next((place for _, _, place in needs if place is not None), unit.place)
    where = limit.words[-1].place.place() if limit.words and limit.words[-1].place is not None else None
    yield finding(
        "KVP109", planned, place,
        f"{' and '.join(name for name, _, _ in needs)} take {format_bytes(total)} of host memory; "
        f"the container may have {format_bytes(limit.value)}.",
        labels=() if where is None else (Label(where, f"at most {format_bytes(limit.value)}"),),
        identity=("host",),
    )  # fmt: skip


def _swaps(version: str | None) -> bool:
    parts = tuple(int(part) for part in (version or find_engine("vllm")[1]).split(".")[:2] if part.isdecimal())
    return parts < _SWAPS_UNTIL


def _whole(given: Input) -> int:
    return given.value if isinstance(given.value, int) and not isinstance(given.value, bool) and given.value > 0 else 1


def _shared_memory(planned: Planned) -> Iterator[Finding]:
    """Say that several ranks of one container share a /dev/shm that is too small for NCCL and their queues."""
    unit = planned.unit
    ranks = _whole(unit.inputs["tensor_parallel"])
    if ranks < 2 or unit.engine not in ("vllm", "sglang", "tgi", "tensorrt-llm"):
        return
    size = unit.workload.shared_memory
    if size is not None and isinstance(size.value, int) and size.value < GIB:
        place = size.words[-1].place.place() if size.words and size.words[-1].place is not None else unit.place
        yield finding(
            "KVP110", planned, place or unit.place,
            f"{_SHARED} has {format_bytes(size.value)}; {ranks} ranks exchange data through it, and NCCL fails where it is full.",
            identity=("shm",),
        )  # fmt: skip
    elif size is None and unit.workload.format in _CONTAINERS and not unit.workload.half:
        yield finding(
            "KVP110", planned, unit.inputs["tensor_parallel"].place or unit.place,
            f"{_SHARED} has {format_bytes(_DEFAULT_SHARED)} unless the file says more; {ranks} ranks exchange data through it.",
            identity=("shm",),
        )  # fmt: skip


def shared(units: Sequence[Planned]) -> Iterator[Finding]:
    """Yield units of one file whose fractions of the same GPU come to more than all of it."""
    seen: dict[tuple[str, str], list[tuple[Planned, Input]]] = {}
    for planned in units:
        unit = planned.unit
        fraction = unit.inputs["gpu_memory_utilization"]
        if unit.engine == "vllm" and unit.launch is not None and isinstance(fraction.value, float):
            for device in _devices(planned):
                machine = _machine(unit.workload.name, unit.workload.format)
                seen.setdefault((machine, device), []).append((planned, fraction))
    said: set[tuple[str, ...]] = set()
    for (_, device), sharing in seen.items():
        total = sum(fraction.value for _, fraction in sharing)
        names = tuple(planned.unit.name for planned, _ in sharing)
        if len(sharing) < 2 or total <= 1 + 1e-9 or names in said:
            continue
        said.add(names)
        planned, fraction = sharing[-1]
        parts = " + ".join(f"{each.value:g}" for _, each in sharing)
        others = [(other, each, each.place or other.unit.place) for other, each in sharing[:-1]]
        yield finding(
            "KVP105", planned, fraction.place or planned.unit.place,
            f"{len(sharing)} engines share GPU {device}: {parts} = {total:g} of its memory, more than all of it.",
            labels=tuple(Label(place, f"{other.unit.name}: {each.value:g}") for other, each, place in others),
            identity=("shared", device),
        )  # fmt: skip


def _devices(planned: Planned) -> set[str]:
    """Return the numbers of the GPUs that a unit is shown: by variables, `--gpus device=0`, or a list of device ids."""
    launch = planned.unit.launch
    if launch is None:
        return set()
    visible = next((launch.environment[name] for name in _VISIBLE if name in launch.environment), None)
    text = str(visible.value) if visible is not None else ""
    if not text and launch.gpus is not None:
        written = " ".join(word.text for word in launch.gpus.words)
        named = re.search(r"device=([\d,]+)", written)
        text = named[1] if named else written.strip("[] ") if written.lstrip().startswith("[") else ""
    return {part.strip("\"' ") for part in text.split(",") if part.strip("\"' ").isdecimal()}


def _machine(name: str, format_: str) -> str:
    """Return what tells machines apart: pods get GPUs of their own, services of a compose file and lines of a script share them."""
    return "" if format_ in ("docker-compose", "shell", "systemd", "supervisord", "llama-swap") else name
