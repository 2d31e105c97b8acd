"""What a plan says beside its figures: where vLLM's choices were not known, or where this release has no rules of its own."""

from collections.abc import Iterator

from kvplan.caches import MLA
from kvplan.engines.vllm import changes
from kvplan.engines.vllm.profile.items import has_rule
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec, Note
from kvplan.parallel import Parallelism


def notes(
    version: str, gpu: GpuSpec | None, model: ModelSpec, parallel: Parallelism, on_v0: str | None
) -> Iterator[Note]:
    """Yield them; `on_v0` is why the V0 engine runs."""
    if parallel.data > 1 and model.moe is not None:
        ranks = parallel.tensor * parallel.data
        yield Note(
            f"Experts are split over {ranks} tensor x data-parallel ranks; for separate servers plan one of them",
            "vLLM 0.33 fused_moe/config.py FusedMoEParallelConfig.make",
        )
    yield from _version_notes(version)
    if on_v0 is not None:
        yield Note(f"The V0 engine is planned: {on_v0}", "vLLM engine/arg_utils.py _is_v1_supported_oracle")
        if any(cache.kind == "recurrent_state" for cache, _ in model.caches):
            yield Note(
                "V0 keeps recurrent states outside the cache; they are not counted",
                "vLLM 0.8 model_executor/models",
            )
    vendor = gpu.vendor if gpu is not None else "unknown"
    if vendor == "AMD" and any(isinstance(cache, MLA) for cache, _ in model.caches):
        yield Note(
            "Triton's kernel for latents on AMD; AITER's (VLLM_ROCM_USE_AITER=1) is not planned",
            "vLLM platforms/rocm.py",
        )
    if {"vision", "audio"} & {part.component for part in model.outer} and not has_rule(model.model_type):
        yield Note(
            f"How large vLLM's profile run makes a picture of {model.model_type} is not known: 4,096 tokens, as most have",
            "vLLM model_executor/models: get_mm_max_tokens_per_item",
        )
    if vendor not in ("NVIDIA", "AMD", "Intel", "unknown"):
        yield Note(f"Block sizes of NVIDIA kernels used for {vendor}", "vLLM platforms/cuda.py")


def _version_notes(version: str) -> Iterator[Note]:
    """Say where a version has no rules of its own here."""
    release = changes.version_tuple(version)
    if release < changes.OLDEST:
        text = f"Versions before 0.8 are planned as V0 was in 0.8, {version} included"
    elif release[:2] > changes.NEWEST:
        text = f"vLLM {version} is newer than the rules known here: those of 0.33 are used"
    elif "dev" in version or "rc" in version:
        text = f"A build on the way is planned as the release before it: {version}"
    else:
        return
    yield Note(text, "kvplan engines vllm --changes")
