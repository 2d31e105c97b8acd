"""Recurrent states: their formats, shapes and how many a request holds."""

from typing import Final

from kvplan.engines.vllm.changes.change import Change

CHANGES: Final[tuple[Change, ...]] = (
    Change(
        key="states_cached",
        since=(0, 11, 1),
        what="Prefix caching of states where the model supports it and it is asked for: one state for every block of the length.",
        source="model_executor/models/config.py MambaModelConfig, v1/kv_cache_interface.py MambaSpec",
    ),
    Change(
        key="kernel_blocks_of_hybrids",
        since=(0, 11, 1),
        what="Hybrids' blocks are multiples of what the kernel reads: 64 for latents, 32 for 256-wide heads on B200, else 16.",
        source="model_executor/models/config.py HybridAttentionMambaModelConfig",
    ),
    Change(
        key="nemotron_states",
        since=(0, 13),
        what="Nemotron-H's recurrent states take the format that its file names, float16 where it names none.",
        source="model_executor/models/config.py NemotronHForCausalLMConfig",
    ),
    Change(
        key="states_aligned",
        since=(0, 15),
        what="Prefix caching of hybrids by mode: `all` where supported, else `align` with 2 states; drafts add one each.",
        source="v1/kv_cache_interface.py MambaSpec.max_memory_usage_bytes",
    ),
    Change(
        key="delta_net_states",
        since=(0, 17),
        what="The recurrent states of gated delta nets follow mamba_ssm_cache_dtype, Qwen 3.5's its file's mamba_ssm_dtype.",
        source="model_executor/layers/mamba/mamba_utils.py gated_delta_net_state_dtype",
    ),
    Change(
        key="mamba2_draft_taps",
        since=(0, 17),
        what="Mamba-2 convolutions keep a tap more for each draft token; gated delta nets always did.",
        source="model_executor/layers/mamba/mamba_utils.py mamba2_state_shape",
    ),
    Change(
        key="no_32_for_wide_heads",
        since=(0, 18),
        what="256-wide heads on Blackwell no longer ask hybrids for multiples of 32.",
        source="model_executor/models/config.py HybridAttentionMambaModelConfig",
    ),
    Change(
        key="hybrids_by_kernel",
        since=(0, 20),
        what="Hybrids' blocks are multiples of the chosen kernel's own block size.",
        source="platforms/interface.py _align_hybrid_block_size",
    ),
    Change(
        key="nemotron_float32",
        since=(0, 20),
        what="Nemotron-H's recurrent states are float32 where its file names no format.",
        source="model_executor/models/config.py NemotronHForCausalLMConfig",
    ),
    Change(
        key="drafts_align_states",
        since=(0, 20),
        what="With drafts prefix caching of states is `align` where it would be `all`.",
        source="model_executor/models/config.py MambaModelConfig",
    ),
    Change(
        key="drafts_keep_all_states",
        since=(0, 22),
        what="With drafts it is `all` again, with a state more for each draft token.",
        source="model_executor/models/config.py MambaModelConfig, v1/kv_cache_interface.py MambaSpec",
    ),
    Change(
        key="latent_hybrids_by_128",
        since=(0, 27),
        what="Hybrids with latents have blocks of at least 128.",
        source="platforms/interface.py _align_hybrid_block_size",
    ),
    Change(
        key="kda_draft_taps",
        since=(0, 27),
        what="KDA's convolutions keep a tap more for each draft token.",
        source="model_executor/layers/mamba/mamba_utils.py kda_state_shape",
    ),
    Change(
        key="hybrids_cached",
        since=(0, 28),
        what="Prefix caching is on by default for hybrids, always `align`.",
        source="engine/arg_utils.py _set_default_chunked_prefill_and_prefix_caching_args",
    ),
    Change(
        key="kda_checkpoints",
        since=(0, 29),
        what="Kimi K3's KDA layers that prefill with FlashKDA hold one state more, exported inside a prefill.",
        source="models/kimi_k3/nvidia/kda.py get_kv_cache_spec",
    ),
    Change(
        key="short_conv_draft_taps",
        since=(0, 29),
        what="Short convolutions keep a tap more for each draft token.",
        source="model_executor/layers/mamba/mamba_utils.py short_conv_state_shape",
    ),
    Change(
        key="kda_state_format",
        since=(0, 30),
        what="KDA's recurrent states follow mamba_ssm_cache_dtype; before, always float32.",
        source="model_executor/layers/mamba/mamba_utils.py kda_state_dtype",
    ),
    Change(
        key="glm_kda_checkpoints",
        since=(0, 32),
        what="GLM-5.3-Flash's KDA layers hold one state more.",
        source="models/glm5next/common/kda.py get_kv_cache_spec",
    ),
    Change(
        key="mamba2_checkpoints",
        since=(0, 32),
        what="Mamba-2 layers hold one state more.",
        source="model_executor/layers/mamba/mamba_mixer2.py get_kv_cache_spec",
    ),
    Change(
        key="delta_net_checkpoints",
        since=(0, 33),
        what="Gated delta nets that prefill with FlashInfer hold one state more, and blocks are multiples of 64.",
        source="model_executor/layers/mamba/gdn/qwen_gdn_linear_attn.py, platforms/interface.py _align_hybrid_block_size",
    ),
)
