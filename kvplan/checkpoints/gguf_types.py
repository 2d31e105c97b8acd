"""How many bytes a row of each ggml tensor type takes: blocks of so many elements, so many bytes each.

Source: gguf-py 0.19.0 constants.py (GGML_QUANT_SIZES) and ggml/src/ggml-common.h of the llama.cpp in llama-cpp-python
0.3.36, which has one type more (Q2_0). Types 4, 5, 31 to 33 and 36 to 38 were removed from ggml; no file has had them since.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class BlockType:
    """One tensor type: its name in lower case, elements of a block along a row, and the block's bytes."""

    name: str
    elements: int
    bytes: int


# By the number that stands in the file (ggml.h, enum ggml_type). Sums show what a block holds: scales, then quants.
TYPES: Final[dict[int, BlockType]] = {
    0: BlockType("f32", 1, 4),
    1: BlockType("f16", 1, 2),
    2: BlockType("q4_0", 32, 2 + 16),
    3: BlockType("q4_1", 32, 2 + 2 + 16),
    6: BlockType("q5_0", 32, 2 + 4 + 16),
    7: BlockType("q5_1", 32, 2 + 2 + 4 + 16),
    8: BlockType("q8_0", 32, 2 + 32),
    9: BlockType("q8_1", 32, 2 + 2 + 32),  # two halves; 4 + 4 in gguf-py, which ggml-common.h block_q8_1 has not
    10: BlockType("q2_k", 256, 2 + 2 + 16 + 64),
    11: BlockType("q3_k", 256, 2 + 64 + 32 + 12),
    12: BlockType("q4_k", 256, 2 + 2 + 128 + 12),
    13: BlockType("q5_k", 256, 2 + 2 + 128 + 32 + 12),
    14: BlockType("q6_k", 256, 2 + 128 + 64 + 16),
    15: BlockType("q8_k", 256, 4 + 256 + 32),
    16: BlockType("iq2_xxs", 256, 2 + 64),
    17: BlockType("iq2_xs", 256, 2 + 64 + 8),
    18: BlockType("iq3_xxs", 256, 2 + 64 + 32),
    19: BlockType("iq1_s", 256, 2 + 32 + 16),
    20: BlockType("iq4_nl", 32, 2 + 16),
    21: BlockType("iq3_s", 256, 2 + 64 + 32 + 8 + 4),
    22: BlockType("iq2_s", 256, 2 + 64 + 16),
    23: BlockType("iq4_xs", 256, 2 + 2 + 128 + 4),
    24: BlockType("i8", 1, 1),
    25: BlockType("i16", 1, 2),
    26: BlockType("i32", 1, 4),
    27: BlockType("i64", 1, 8),
    28: BlockType("f64", 1, 8),
    29: BlockType("iq1_m", 256, 32 + 16 + 8),
    30: BlockType("bf16", 1, 2),
    34: BlockType("tq1_0", 256, 2 + 4 * 13),
    35: BlockType("tq2_0", 256, 2 + 64),
    39: BlockType("mxfp4", 32, 1 + 16),
    40: BlockType("nvfp4", 64, 4 + 32),
    41: BlockType("q1_0", 128, 2 + 16),
    42: BlockType("q2_0", 64, 2 + 16),
}
REMOVED: Final = frozenset((4, 5, 31, 32, 33, 36, 37, 38))
