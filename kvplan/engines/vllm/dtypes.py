"""The formats that vLLM loads a model in and keeps its cache in."""

from kvplan.dtypes import Dtype, find_dtype
from kvplan.engines.vllm import changes, defaults, refusals
from kvplan.engines.vllm.departures import ignores_kv_dtype
from kvplan.errors import SettingError
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec

# Families that take fp8 where no format is given: on Blackwell (model_executor/models/config.py), or always, and then in
# the packed form (models/deepseek_v4/attention.py _resolve_dsv4_kv_cache_dtype).
_FP8_ON_BLACKWELL = ("glm_moe_dsa", "glm5_next")
_FP8_ONLY = ("deepseek_v4", "deepseek_ref")


def model_dtype(model: ModelSpec, asked: str) -> Dtype:
    """Return the format of what is not quantised; `auto` loads float32 checkpoints in 16 bits (config/model.py)."""
    if asked != "auto":
        return find_dtype(asked)
    dtype = find_dtype(model.dtype)
    return find_dtype("bfloat16") if dtype.name == "float32" else dtype


def cache_dtype(asked: str, model: ModelSpec, plain: Dtype, gpu: GpuSpec | None, version: changes.Version) -> Dtype:
    """Return the cache's format: `plain`, the model's, unless another is asked for or the family has its own.

    Raises:
        SettingError: a format that this release does not have, or the family does not take.

    """
    dtype = plain if asked == "auto" else refusals.known_kv_dtype(asked)
    if asked == "auto" and model.model_type in _FP8_ON_BLACKWELL and defaults.generation(gpu)[0] == 10:
        dtype = find_dtype("fp8_e4m3") if changes.applies("glm_fp8_on_blackwell", version) else dtype
    if model.model_type in _FP8_ONLY:
        if asked != "auto" and not dtype.name.startswith("fp8"):
            raise SettingError(
                f"vLLM refuses the KV-cache dtype {asked}: {model.model_type} is cached in fp8 only.",
                hint="Use --kv-dtype fp8 or auto.",
                about="kv_cache_dtype",
            )
        return find_dtype("fp8_ds_mla")
    if dtype != plain:
        refusals.check_kv_dtype(dtype, version)
    return plain if ignores_kv_dtype(model) else dtype
