"""What loading a model takes beside its numbers."""

from typing import Final

from kvplan.engines.vllm.changes.change import Change

CHANGES: Final[tuple[Change, ...]] = (
    Change(
        key="unsplit_loading",
        since=(0, 21),
        what="Blocks of torch's allocator of 20 MiB and more are not split while weights are loaded.",
        source="v1/worker/gpu_worker.py load_model, _scoped_allocator_max_split",
    ),
    Change(
        key="scales_freed",
        since=(0, 25),
        what="Triton's MXFP4 kernels keep the swizzled scales alone; before, the loaded ones beside them.",
        source="model_executor/layers/quantization/mxfp4.py, layers/fused_moe/oracle/mxfp4.py",
    ),
    Change(
        key="drafts_input_on_use",
        since=(0, 27),
        what="DeepSeek V4 keeps its draft's input only where a draft reads it.",
        source="models/deepseek_v4/nvidia/model.py needs_mtp_hidden_states",
    ),
    Change(
        key="mrope_by_tokens",
        since=(0, 32),
        what="Rotary tables of Qwen 3 VL, Qwen 3.5 and their kin have the model's positions; before, four times as many.",
        source="model_executor/layers/rotary_embedding/mrope.py positions_factor",
    ),
)
