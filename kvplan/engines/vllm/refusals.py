"""Settings that vLLM refuses at start-up, with its reasons."""

import json
from collections.abc import Mapping
from typing import Any

from kvplan.caches import MLA, FullAttention, LayerCache, SparseIndex
from kvplan.dtypes import Dtype, find_dtype
from kvplan.engines.base import Setting
from kvplan.engines.vllm.changes import Version, applies, since
from kvplan.errors import SettingError
from kvplan.gpus import GpuSpec
from kvplan.models.config import show
from kvplan.models.spec import ModelSpec
from kvplan.parallel import Parallelism

# config/cache.py CacheDType, in kvplan's names, each with the entry of `changes` that brought it; None: always there.
_KV_DTYPES: dict[str, str | None] = {
    "float16": None, "bfloat16": None, "fp8_e4m3": None, "fp8_e5m2": None, "fp8_ds_mla": "packed_latents",
    "nvfp4": "nvfp4_format", "nvfp4_4over6": "nvfp4_4over6_format", "nvfp4_ds_mla": "nvfp4_latents",
    "int8_per_token_head": "token_head_formats", "fp8_per_token_head": "token_head_formats",
    "int4_per_token_head": "int4_format", "turboquant_k8v4": "turboquant", "turboquant_4bit_nc": "turboquant",
    "turboquant_k3v4_nc": "turboquant", "turboquant_3bit_nc": "turboquant", "ultraquant_4bit": "ultraquant",
}  # fmt: skip
# Those whose layout is not modelled, with their first release.
_NOT_MODELLED = dict.fromkeys(("octave_k3v4", "octave_k3v3", "octave_k3v3_compact"), "0.33")
# The batch comes first: it bounds the requests.
_COUNTS = (
    "max_num_batched_tokens",
    "max_num_seqs",
    "block_size",
    "num_gpu_blocks_override",
    "decode_context_parallel_size",
    "num_speculative_tokens",
    "max_loras",
    "max_lora_rank",
    "encoder_tokens",
)
_AT_LEAST_ZERO = (
    "cpu_offload_gb",
    "kv_offloading_size",
    "limit_images",
    "max_cudagraph_capture_size",
    "num_redundant_experts",
)


def check(args: Mapping[str, Setting], *, given: Mapping[str, Any], model: ModelSpec, parallel: Parallelism) -> None:
    """Refuse values out of range, and attention heads that the tensor-parallel size does not divide.

    Source: config/cache.py, config/scheduler.py (verify_max_model_len), config/model.py verify_with_parallel_config.

    Raises:
        SettingError: with the reason.

    """
    fraction = args["gpu_memory_utilization"].value
    if not 0 < fraction <= 1:
        raise SettingError(
            f"gpu_memory_utilization is {fraction:g}; more than 0 and at most 1 was expected.",
            about="gpu_memory_utilization",
        )
    for name in _COUNTS:
        value = args[name].value
        if value is not None and not 1 <= value <= 10**9:
            raise SettingError(
                f"{name} is {show(value)}; a whole number from 1 to 1,000,000,000 was expected.", about=name
            )
    for name in _AT_LEAST_ZERO:
        value = args[name].value
        if value is not None and not 0 <= value <= 10**9:
            raise SettingError(f"{name} is {show(value)}; 0 to 1,000,000,000 was expected.")
    tokens, seqs = given.get("max_num_batched_tokens"), given.get("max_num_seqs")
    if tokens and seqs and tokens < seqs:
        raise SettingError(
            f"vLLM refuses max_num_batched_tokens {tokens} below max_num_seqs {seqs}.", about="max_num_batched_tokens"
        )
    for count in attention_heads(model):
        if count % parallel.tensor:
            raise SettingError(
                f"vLLM refuses tensor parallel {parallel.tensor}: Total number of attention heads ({count}) must be "
                f"divisible by tensor parallel size ({parallel.tensor}).",
                hint="Choose a tensor-parallel size that divides the heads.",
                about="tensor_parallel",
            )


def check_vendor(gpu: GpuSpec | None) -> None:
    """Refuse GPUs that vLLM has no platform for (platforms/: CUDA, ROCm, XPU, TPU, CPU and plug-ins; none for Metal).

    Raises:
        SettingError: the GPU is Apple's.

    """
    if gpu is not None and gpu.vendor == "Apple":
        raise SettingError(
            f"vLLM does not run on {gpu.name}: it has no platform for Apple's GPUs.",
            hint="Plan with --engine transformers or --engine textbook.",
        )


def connector(text: str) -> str:
    """Return the KV connector's name from `kv_transfer_config`: the name itself, or vLLM's JSON with `kv_connector`.

    Raises:
        SettingError: JSON without a connector.

    """
    if not text.lstrip().startswith("{"):
        return text.strip()
    try:
        name = json.loads(text).get("kv_connector")
    except (ValueError, RecursionError):
        name = None
    if not isinstance(name, str) or not name:
        raise SettingError(
            f"kv_transfer_config is {text[:60]!r}; a connector's name or JSON with 'kv_connector' was expected.",
            hint='For example {"kv_connector": "NixlConnector", "kv_role": "kv_both"}.',
        )
    return name


def attention_heads(model: ModelSpec) -> list[int]:
    """Return the distinct numbers of query heads."""
    heads = {cache.query_heads for cache, _ in model.caches if isinstance(cache, FullAttention)}
    heads |= {cache.heads for cache, _ in model.caches if isinstance(cache, MLA)}
    return sorted(heads - {0, 1})


def known_kv_dtype(name: str) -> Dtype:
    """Return the cache format of that name.

    Raises:
        SettingError: kvplan does not know it.

    """
    if since := _NOT_MODELLED.get(name.strip().lower().replace("-", "_")):
        raise SettingError(
            f"vLLM has the KV-cache dtype {name} since {since}; kvplan does not model its layout.",
            hint=f"Modelled: auto, {', '.join(_KV_DTYPES)}.",
            about="kv_cache_dtype",
        )
    try:
        return find_dtype(name)
    except SettingError as error:
        raise SettingError(error.message, hint=error.hint, about="kv_cache_dtype") from error


def check_kv_dtype(dtype: Dtype, version: Version) -> None:
    """Refuse a cache format that this release of vLLM does not have.

    Raises:
        SettingError: with those it has, or with the first release that has this one.

    """
    if dtype.name not in _KV_DTYPES:
        has = [name for name, key in _KV_DTYPES.items() if key is None or applies(key, version)]
        raise SettingError(
            f"vLLM has no KV-cache dtype {dtype.name!r}.",
            hint=f"It has: auto, {', '.join(has)}.",
            about="kv_cache_dtype",
        )
    key = _KV_DTYPES[dtype.name]
    if key is not None and not applies(key, version):
        release = ".".join(map(str, since(key)))
        raise SettingError(
            f"vLLM has no KV-cache dtype {dtype.name!r} before {release}.",
            hint=f"Plan with vllm@{release} or newer, or with --kv-dtype fp8 or auto.",
            about="kv_cache_dtype",
        )


def check_context_parallel(model: ModelSpec, parallel: Parallelism) -> None:
    """Refuse decode context parallelism where the heads do not leave ranks over, and for windows.

    Source: config/model.py verify_with_parallel_config; v1/kv_cache_interface.py SlidingWindowSpec.

    Raises:
        SettingError: with the reason.

    """
    ranks = parallel.context
    if ranks == 1:
        return
    for cache, _ in model.caches:
        if not isinstance(cache, FullAttention):
            continue
        if cache.window_tokens is not None:
            raise SettingError("vLLM refuses decode_context_parallel_size for sliding windows.")
        most = parallel.tensor // cache.heads
        if parallel.tensor <= cache.heads or ranks > most:
            raise SettingError(
                f"vLLM refuses decode_context_parallel_size {ranks}: with tensor parallel {parallel.tensor} and "
                f"{cache.heads} KV heads at most {max(most, 1)} is supported.",
                hint="Raise the tensor-parallel size above the number of KV heads.",
            )
        if cache.query_heads // cache.heads % ranks:
            raise SettingError(
                f"vLLM refuses decode_context_parallel_size {ranks}: {cache.query_heads // cache.heads} query heads per "
                "KV head are not divisible by it."
            )


def check_kv_heads(cache: LayerCache, tensor: int) -> None:
    """Refuse KV heads that neither divide over the ranks nor are divided by them, as vLLM's models do (models/llama.py).

    Raises:
        SettingError: they do not.

    """
    heads = cache.kv_heads
    if heads is None or isinstance(cache, MLA | SparseIndex) or heads % tensor == 0 or tensor % heads == 0:
        return
    raise SettingError(
        f"vLLM refuses tensor parallel {tensor}: the model's {heads} KV heads are neither divisible by it nor divide it.",
        hint="Choose a tensor-parallel size that divides the heads.",
        about="tensor_parallel",
    )
