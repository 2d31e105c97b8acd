"""Number formats of a cache and of weights, with their real overheads.

A format stores `block_elements` numbers in `block_bytes` bytes, scales included; a row of n numbers takes
`ceil(n / block_elements) * block_bytes`. `scale_bytes` are added once per token and head (per-token-head scales), for keys
and for values.
"""

from dataclasses import dataclass, replace
from math import gcd

from kvplan.errors import SettingError
from kvplan.units import round_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Dtype:
    """One storage format.

    Attributes:
        name: how kvplan writes it.
        block_elements: numbers stored together, sharing their scales.
        block_bytes: bytes of one such block, scales included.
        scale_bytes: bytes added per token and head, outside the blocks.
        values: how values are stored, where not as keys are.
        slot_bytes: what a head's key and value take together is a multiple of this.
        packed_mla_bytes: bytes of one token of an MLA layer in a packed layout that is not a function of its width.
        source: where the layout is defined.

    """

    name: str
    block_elements: int = 1
    block_bytes: int
    scale_bytes: int = 0
    values: "Dtype | None" = None
    slot_bytes: int = 1
    packed_mla_bytes: int | None = None
    source: str

    def row_bytes(self, elements: int) -> int:
        """Return the bytes of one row of `elements` numbers: whole blocks."""
        return -(-elements // self.block_elements) * self.block_bytes

    def head_bytes(self, key_dim: int, value_dim: int) -> int:
        """Return the bytes of one head's key and value at one token, each a row with its scale; 0 wide: there is none."""
        key = self.row_bytes(key_dim) + self.scale_bytes if key_dim else 0
        form = self.values or self
        value = form.row_bytes(value_dim) + form.scale_bytes if value_dim else 0
        return round_up(key + value, self.slot_bytes)

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


def _turboquant(name: str, key_bits: int, value_bits: int) -> Dtype:
    """Return a TurboQuant format: keys of 8 bits as they are, of fewer with a float16 norm; values with scale and zero.

    vLLM 0.33 layers/quantization/turboquant/config.py key_packed_size, value_packed_size, slot_size_aligned.
    """
    source = f"vLLM 0.33 turboquant/config.py: {key_bits}-bit keys, {value_bits}-bit values, slots of even bytes"
    keys = _bits(name, key_bits, scale_bytes=0 if key_bits == 8 else 2, source=source)
    return replace(keys, values=_bits(name, value_bits, scale_bytes=4, source=source), slot_bytes=2)


def _bits(name: str, bits: int, *, scale_bytes: int, source: str) -> Dtype:
    """Return numbers of so many bits in the fewest whole bytes."""
    together = 8 // gcd(bits, 8)
    return Dtype(
        name=name,
        block_elements=together,
        block_bytes=together * bits // 8,
        scale_bytes=scale_bytes,
        source=source,
    )


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
    _bits(
        "int4_per_token_head",
        4,
        scale_bytes=4,
        source="vLLM 0.33 triton_attn.py customize_spec: two numbers a byte, 4 B per token and head for scale and zero point",
    ),
    _turboquant("turboquant_k8v4", 8, 4),
    _turboquant("turboquant_4bit_nc", 4, 4),
    _turboquant("turboquant_k3v4_nc", 3, 4),
    _turboquant("turboquant_3bit_nc", 3, 3),
    Dtype(
        name="ultraquant_4bit",
        block_elements=32,
        block_bytes=17,
        source="vLLM 0.33 v1/attention/ops/ultraquant/format.py: 32 values of 4 bits + one 8-bit exponent",
    ),
    Dtype(
        name="int4",
        block_elements=64,
        block_bytes=36,
        source="optimum-quanto, group 64: 32 B of values + a bf16 scale and a bf16 shift (measured: 4.5 bits)",
    ),
    Dtype(name="nvfp4", block_elements=16, block_bytes=9, source="NVFP4: 16 values of 4 bits + one fp8 scale"),
    Dtype(name="nvfp4_4over6", block_elements=16, block_bytes=9, source="vLLM 0.33 config/cache.py: laid out as nvfp4"),
    Dtype(
        name="nvfp4_ds_mla",
        block_elements=16,
        block_bytes=9,
        packed_mla_bytes=352,
        source="vLLM 0.33 flashmla_sparse.py: 512 fp4 latents in 256 B + 64 fp8 rope + 32 fp8 scales = 352 B per token",
    ),
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
            f"{name[:40]!r} is not a KV-cache dtype that kvplan knows.",
            hint="Known: auto, " + ", ".join(sorted(DTYPES)) + ".",
        )
    return dtype
