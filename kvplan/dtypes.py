"""Number formats of a cache and of weights, with their real overheads.

A format stores `block_elements` numbers in `block_bytes` bytes, scales included; a row of n numbers takes
`ceil(n / block_elements) * block_bytes`. `scale_bytes` are added once per token and head (per-token-head scales).
"""

from dataclasses import dataclass

from kvplan.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Dtype:
    """One storage format.

    Attributes:
        name: how kvplan writes it.
        block_elements: numbers stored together, sharing their scales.
        block_bytes: bytes of one such block, scales included.
        scale_bytes: bytes added per token and head, outside the blocks.
        packed_mla_bytes: bytes of one token of an MLA layer in a packed layout that is not a function of its width.
        source: where the layout is defined.

    """

    name: str
    block_elements: int = 1
    block_bytes: int
    scale_bytes: int = 0
    packed_mla_bytes: int | None = None
    source: str

    def row_bytes(self, elements: int) -> int:
        """Return the bytes of one row of `elements` numbers: whole blocks."""
        return -(-elements // self.block_elements) * self.block_bytes

    @property
    def bits(self) -> float:
        """Bits per number, block scales included."""
        return 8 * self.block_bytes / self.block_elements


def _plain(name: str, size: int) -> Dtype:
    return Dtype(
        name=name,
        block_bytes=size,
        source="IEEE 754 / OCP 8-bit floats; per-tensor scales are not stored with the cache",
    )


def _gguf(name: str, block_bytes: int) -> Dtype:
    return Dtype(name=name, block_elements=32, block_bytes=block_bytes, source="llama.cpp ggml-common.h, block_" + name)


_ALL = (
    _plain("float32", 4),
    _plain("float16", 2),
    _plain("bfloat16", 2),
    _plain("fp8_e4m3", 1),
    _plain("fp8_e5m2", 1),
    Dtype(
        name="fp8_ds_mla",
        block_bytes=1,
        packed_mla_bytes=656,
        source="vLLM 0.33 mla_attention.py: 512 fp8 latents + 4 float32 scales + 64 bf16 rope = 656 B per token and layer",
    ),
    _plain("int8", 1),
    Dtype(
        name="int8_per_token_head",
        block_bytes=1,
        scale_bytes=4,
        source="vLLM 0.33 triton_attn.py: one float32 scale per token and head, for K and for V",
    ),
    Dtype(
        name="fp8_per_token_head",
        block_bytes=1,
        scale_bytes=4,
        source="vLLM 0.33 triton_attn.py: one float32 scale per token and head, for K and for V",
    ),
    Dtype(
        name="int4",
        block_elements=64,
        block_bytes=36,
        source="optimum-quanto, group 64: 32 B of values + a bf16 scale and a bf16 shift (measured: 4.5 bits)",
    ),
    Dtype(name="nvfp4", block_elements=16, block_bytes=9, source="NVFP4: 16 values of 4 bits + one fp8 scale"),
    Dtype(name="mxfp4", block_elements=32, block_bytes=17, source="OCP MX: 32 values of 4 bits + one 8-bit exponent"),
    _gguf("q8_0", 34),
    _gguf("q5_1", 24),
    _gguf("q5_0", 22),
    _gguf("q4_1", 20),
    _gguf("q4_0", 18),
    _gguf("iq4_nl", 18),
)
DTYPES: dict[str, Dtype] = {dtype.name: dtype for dtype in _ALL}

_ALIASES = {
    "fp32": "float32", "f32": "float32", "float": "float32",
    "fp16": "float16", "f16": "float16", "half": "float16",
    "bf16": "bfloat16",
    "fp8": "fp8_e4m3", "fp8_e4m3fn": "fp8_e4m3", "float8_e4m3fn": "fp8_e4m3", "e4m3": "fp8_e4m3", "fp8_inc": "fp8_e4m3",
    "float8_e5m2": "fp8_e5m2", "e5m2": "fp8_e5m2",
    "int4_g64": "int4", "fp4": "nvfp4",
}  # fmt: skip


def find_dtype(name: str) -> Dtype:
    """Return the format of this name or alias (`bf16`, `torch.bfloat16`, `fp8`, `q8_0`).

    Raises:
        SettingError: no such format; names those there are.

    """
    key = name.strip().lower().removeprefix("torch.").replace("-", "_")
    dtype = DTYPES.get(_ALIASES.get(key, key))
    if dtype is None:
        raise SettingError(
            f"{name!r} is not a KV-cache dtype that kvplan knows.",
            hint="Known: auto, " + ", ".join(sorted(DTYPES)) + ".",
        )
    return dtype
