"""What a kernel's layout adds to the stored weights of a rank: axes rounded up, scales kept twice or spread finer.

Source: vLLM 0.33 model_executor/layers/fused_moe/oracle/mxfp4.py, layers/quantization/utils/mxfp4_utils.py (axes and scales of
MXFP4 experts by backend), oracle/unquantized.py (16-bit experts), marlin_utils_fp8.py (fp8 on GPUs without it),
models/kimi_k3/nvidia/model.py (narrow experts).
"""

from typing import NamedTuple

from kvplan.engines.vllm.changes import Version, applies
from kvplan.units import ceil_div, round_up
from kvplan.weights.formats import WeightFormat
from kvplan.weights.parts import Part

_HOPPER, _FP8_SINCE = 9, (8, 9)
_MXFP4_GROUP = 32
_FINEST_GROUP = 32
_NVIDIA = "NVIDIA"
# FlashInfer's TRT-LLM kernels on B200 take widths of whole 128s.
_BLACKWELL, _BLACKWELL_WIDTH = 10, 128
# VLLM_ROCM_MOE_PADDING (fused_moe/unquantized_fused_moe_method.py _maybe_pad_weight, from 0.6 on): rows of 16-bit experts whose
# stride is a multiple of 512 B lie 256 B further apart.
_ROCM_STRIDE, _ROCM_PADDING = 512 // 2, 256 // 2
# min_moe_intermediate_per_partition, where ranks split each expert.
_NARROWEST = {"kimi_linear": 256, "kimi_k3": 256}
# Marlin (Ampere, Ada, RTX Blackwell) and TRT-LLM (B200); ROCm's kernels; Intel's.
_MXFP4_AXES = {_NVIDIA: (256, 128), "AMD": (256, 256), "Intel": (64, 64)}
# By logs, for the kernels' own code is not vLLM's: 0.19 pads the input axis to 64 bytes, before 0.17 and in 0.33 it is 64
# weights.
_WIDER_INPUTS = ((0, 17), (0, 33))


class Kernels(NamedTuple):
    """What decides the layout.

    Attributes:
        model_type: of the model: MXFP4 experts of other types than gpt-oss run in kernels that take them as they are.
        vendor: of the GPU.
        generation: compute capability of an NVIDIA GPU.
        version: of vLLM.
        splits_experts: whether a rank has a piece of each expert.

    """

    model_type: str
    vendor: str
    generation: tuple[int, int]
    version: Version
    splits_experts: bool

    def is_older_than(self, generation: tuple[int, int]) -> bool:
        """Whether it is an NVIDIA GPU from before a compute capability."""
        return self.vendor == _NVIDIA and self.generation < generation


def added_bytes(part: Part, form: WeightFormat | None, kernels: Kernels, plain_bytes: int = 2) -> int:
    """Return what the kernel's layout adds to all copies of a rank's piece of a part."""
    if part.kind != "linear" or len(part.shape) != 2:
        return 0
    if part.component == "experts" and not _is_shared_projection(part):
        return part.count * _expert_bytes(part, form, kernels, plain_bytes)
    if form is not None and form.name.startswith("fp8") and form.block and kernels.is_older_than(_FP8_SINCE):
        return part.count * _finer_scales(part, form)
    return 0


def _expert_bytes(part: Part, form: WeightFormat | None, kernels: Kernels, plain_bytes: int) -> int:
    """Return what is added to one expert's linear."""
    if form is None:
        rows, columns = _widened(part, kernels)
        return (rows * columns - part.shape[0] * part.shape[1]) * plain_bytes
    if form.name == "mxfp4" and kernels.model_type == "gpt_oss":
        return _mxfp4_bytes(part, kernels) - form.linear_bytes(*part.shape)
    if form.name.startswith("fp8") and form.block and kernels.is_older_than(_FP8_SINCE):
        return _finer_scales(part, form)
    if form.zero_bits and kernels.splits_experts:
        return _finer_groups(part, form)
    return 0


def _finer_groups(part: Part, form: WeightFormat) -> int:
    """Return what AWQ and GPTQ take more where a rank's piece of an expert ends within a group: groups are halved until not.

    The kernel that takes such pieces keeps no zero points of GPTQ, which are all the same, and none of its indices.
    Source: quantization/moe_wna16.py MoeWNA16Method.create_weights.
    """
    rows, columns = part.shape
    width, finer = columns if _is_last(part) else rows, form.group
    while width % finer and finer > _FINEST_GROUP:
        finer //= 2
    if finer == form.group:
        return 0
    groups, stored = ceil_div(columns, finer), ceil_div(columns, form.group)
    if not form.column_bytes:
        return rows * (groups - stored) * round(form.scale_bits + form.zero_bits) // 8
    scales = rows * groups * round(form.scale_bits) // 8
    return scales - rows * stored * round(form.scale_bits + form.zero_bits) // 8 - columns * form.column_bytes


def _finer_scales(part: Part, form: WeightFormat) -> int:
    """Return what Marlin's 16-bit scale for each row of a block takes more than one for the block."""
    rows, columns = part.shape
    block = form.block or (1, 1)
    groups = ceil_div(columns, block[1])
    return max(rows * groups * 2 - ceil_div(rows, block[0]) * groups * form.block_bytes, 0)


def _widened(part: Part, kernels: Kernels) -> tuple[int, int]:
    """Return rows and columns of a 16-bit expert's linear: its width on a rank is rounded up on B200, at least 256 for Kimi.

    On ROCm rows are padded.
    """
    rows, columns = part.shape
    width = columns if _is_last(part) else rows
    if kernels.model_type in _NARROWEST and kernels.splits_experts:
        width = max(width, _NARROWEST[kernels.model_type])
    if kernels.vendor == _NVIDIA and kernels.generation[0] == _BLACKWELL:
        width = round_up(width, _BLACKWELL_WIDTH)
    rows, columns = (rows, width) if _is_last(part) else (width, columns)
    if kernels.vendor == "AMD" and columns % _ROCM_STRIDE == 0:
        columns += _ROCM_PADDING
    return rows, columns


def _is_last(part: Part) -> bool:
    return part.name.endswith(("down_proj", "fc2"))


def _is_shared_projection(part: Part) -> bool:
    """Whether it is a projection around the experts, not one of theirs."""
    return part.split != "experts"


def _mxfp4_bytes(part: Part, kernels: Kernels) -> int:
    """Return the bytes of one expert's linear as the backend of this GPU lays it out."""
    rows, columns = part.shape
    last = _is_last(part)
    if kernels.vendor == _NVIDIA and kernels.generation[0] == _HOPPER:
        return _triton_bytes(rows, columns, kernels.version, last=last)
    # The model's width and an expert's are rounded up.
    hidden, inner = _MXFP4_AXES[kernels.vendor] if kernels.vendor in _MXFP4_AXES else _MXFP4_AXES[_NVIDIA]
    rows, columns = (
        (round_up(rows, hidden), round_up(columns, inner))
        if last
        else (
            round_up(rows, inner),
            round_up(columns, hidden),
        )
    )
    return rows * columns // 2 + rows * ceil_div(columns, _MXFP4_GROUP)


def _triton_bytes(rows: int, columns: int, version: Version, *, last: bool) -> int:
    """Return the bytes in Triton's layout for Hopper: an expert's width to 64, scales to 256 rows and 4 columns.

    Gate and up are one tensor of twice the rows: half of it is counted here.
    """
    if last:
        columns = round_up(columns, 64)
    else:
        rows = round_up(rows, 64)
    wide = _WIDER_INPUTS[0] <= version < _WIDER_INPUTS[1]
    weights = rows * round_up(columns, 128 if wide else 64) // 2
    groups = ceil_div(columns, _MXFP4_GROUP)
    tall = round_up(rows, 256) if last else round_up(2 * rows, 256) // 2
    scales = tall * round_up(groups, 4)
    kept = rows * groups if not applies("scales_freed", version) else 0
    return weights + scales + kept
