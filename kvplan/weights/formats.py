"""Bytes of weights by number format, to first order: what a quantisation touches and what it costs per weight.

A format turns each linear of the layers into `bits` per weight plus scales; embeddings, head, norms, routers,
convolutions and towers stay in 16 bits unless the format says otherwise. GGUF mixes and plain bits per weight are
averages over the whole file.
"""

import math
import re
from dataclasses import dataclass

from kvplan.errors import SettingError
from kvplan.units import ceil_div
from kvplan.weights.parts import Component, Part

# What quantisers leave alone by default: the head, the router, towers and what joins them, and the next-token layers.
# Source: vLLM's and compressed-tensors' `ignore` lists of published checkpoints (lm_head, router/gate, visual, mtp).
_QUANTISED: frozenset[Component] = frozenset(
    {"attention", "mixer", "mlp", "experts", "shared_experts", "encoder", "indexer"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFormat:
    """One way of storing weights.

    Attributes:
        name: as `--quantization` takes it.
        bits: per quantised weight, without scales.
        group: weights that share a scale along the input; 0: none do.
        group_bits: bits of scale (and zero point) per group.
        row_bytes: bytes of scale per output row.
        block: side of a square block that shares one float32 scale; 0: none.
        only: the components that are quantised.
        experts: the format of routed experts where it is another one.
        spread: the least and the most of a published file's bytes, in thousandths of the figure here.
        average_bits: for formats known by the bits per weight of whole files: everything counts that much.
        source: where the layout is defined.

    """

    name: str
    bits: float = 16
    group: int = 0
    group_bits: float = 0
    row_bytes: int = 0
    block: int = 0
    only: frozenset[Component] = _QUANTISED
    experts: "WeightFormat | None" = None
    spread: tuple[int, int] = (1000, 1000)
    average_bits: float | None = None
    source: str = ""

    def approximate_bytes(self, parameters: int) -> int:
        """Return the bytes of that many parameters where their parts are not known: all at the format's width."""
        bits = self.bits + self.group_bits / self.group if self.group else self.bits
        # Bits are known to four places: whole ten-thousandths keep the arithmetic in integers.
        return ceil_div(parameters * round((self.average_bits or bits) * 10_000), 80_000)

    def bounds(self, size: int) -> tuple[int, int]:
        """Return the bounds of a size in this format."""
        low, high = self.spread
        return size * low // 1000, ceil_div(size * high, 1000)

    def part_bytes(self, part: Part, unquantised_bytes: int = 2) -> int:
        """Return the bytes of all copies of a part; `unquantised_bytes` is the width of what is left alone."""
        if self.average_bits is not None:
            return self.approximate_bytes(part.parameters)
        if self.experts is not None and part.component == "experts":
            return self.experts.part_bytes(part, unquantised_bytes)
        if part.kind != "linear" or part.component not in self.only or self.bits == 16:
            return part.parameters * unquantised_bytes
        rows, columns = part.shape
        size = ceil_div(math.ceil(rows * columns * self.bits), 8) + rows * self.row_bytes
        if self.group:
            size += math.ceil(rows * ceil_div(columns, self.group) * self.group_bits / 8)
        if self.block:
            size += ceil_div(rows, self.block) * ceil_div(columns, self.block) * 4
        return part.count * (size + (rows * unquantised_bytes if part.bias else 0))


# How far published files are from the figures here, over the 25 quantised checkpoints in model_specs/ whose bytes are
# known (22 Nov 2026; tests/catalogue/test_checkpoints.py holds them to it): 8 bits 0.999 to 1.024 (next-token layers), 4
# bits 1.000 to 1.183 (what stays in 16 bits differs by publisher), GGUF mixes 0.948 to 1.022 but for one model of 0.5B.
# gpt-oss-120b in three vLLM logs: 64.4 to 66.0 GiB, 1.06 to 1.09 (padding). They were set by these files, so they are no
# measure of others; a later issue reads the headers.
_EIGHT, _FOUR, _PADDED, _MIX = (990, 1030), (990, 1190), (990, 1090), (940, 1070)
_EXPERTS: frozenset[Component] = frozenset({"experts"})
# The aliases are the dialects of one width: AWQ, GPTQ and w4a16 all store 4 bits, a 16-bit scale and a 4-bit zero point.
_FORMATS = (
    WeightFormat(
        name="fp8",
        spread=_EIGHT,
        bits=8,
        row_bytes=4,
        source="compressed-tensors FP8_DYNAMIC: one float32 scale per output row",
    ),
    WeightFormat(
        name="fp8-block", spread=_EIGHT, bits=8, block=128, source="DeepSeek-V3: one float32 scale per 128 x 128 block"
    ),
    WeightFormat(
        name="int8",
        spread=_EIGHT,
        bits=8,
        row_bytes=4,
        source="compressed-tensors W8A8: one float32 scale per output row",
    ),
    WeightFormat(
        name="int4",
        spread=_FOUR,
        bits=4,
        group=128,
        group_bits=20,
        source="AWQ / GPTQ: per 128 weights a fp16 scale, a 4-bit zero",
    ),
    WeightFormat(
        name="nvfp4", spread=_FOUR, bits=4, group=16, group_bits=8, source="NVFP4: an fp8 scale per 16 weights"
    ),
    WeightFormat(
        name="mxfp4", spread=_FOUR, bits=4, group=32, group_bits=8, source="OCP MX: an 8-bit exponent per 32 weights"
    ),
    WeightFormat(
        name="mxfp8", spread=_EIGHT, bits=8, group=32, group_bits=8, source="OCP MX: an 8-bit exponent per 32 weights"
    ),
    WeightFormat(
        name="mxfp4-experts",
        spread=_PADDED,
        bits=4,
        group=32,
        group_bits=8,
        only=_EXPERTS,
        source="gpt-oss: mxfp4 experts, the rest bf16",
    ),
    WeightFormat(
        name="nf4",
        spread=_FOUR,
        bits=4,
        group=64,
        group_bits=8.125,
        source="QLoRA: an 8-bit scale per 64, a float32 per 256 of them",
    ),
    WeightFormat(
        name="fp4", spread=_FOUR, bits=4, group=64, group_bits=32, source="bitsandbytes: a float32 scale per 64 weights"
    ),
)
_BY_NAME = {form.name: form for form in _FORMATS}
_ALIASES = {
    "awq": "int4",
    "gptq": "int4",
    "w4a16": "int4",
    "w8a8": "int8",
    "fp8_e4m3": "fp8",
    "awq_marlin": "int4",
    "pack-quantized": "int4",
    "mxfp4-pack-quantized": "mxfp4",
    "gptq-int8": "int8",
    "gptq_marlin": "int4",
}
# Bytes of a number in the formats that are not quantised.
PLAIN_BYTES = {"bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2, "half": 2, "fp32": 4, "float32": 4, "float": 4}
_CONTAINERS = (
    "compressed-tensors",
    "modelopt",
    "modelopt_fp4",
    "auto-round",
    "bitsandbytes",
    "torchao",
    "quark",
    "gguf",
    "auto",
)

# Bits per weight of Llama-3.1-8B files; other shapes differ by a few percent. Source: llama.cpp tools/quantize/README.md.
_GGUF = {
    "iq1_s": 2.0042, "iq1_m": 2.1460, "iq2_xxs": 2.3824, "iq2_xs": 2.5882, "iq2_s": 2.7403, "iq2_m": 2.9294,
    "iq3_xxs": 3.2548, "iq3_xs": 3.4977, "iq3_s": 3.6606, "iq3_m": 3.7628, "iq4_xs": 4.4597, "iq4_nl": 4.6818,
    "q2_k_s": 2.9697, "q2_k": 3.1593, "q3_k_s": 3.6429, "q3_k_l": 4.2979, "q4_k_s": 4.6672, "q4_k_m": 4.8944,
    "q5_k_s": 5.5704, "q5_k_m": 5.7036, "q6_k": 6.5633, "q8_0": 8.5008, "f16": 16.0005,
    # Not in that table: the block's own bits, 32 weights with a 16-bit scale (and minimum), from ggml-common.h.
    "q4_0": 4.5, "q4_1": 5.0, "q5_0": 5.5, "q5_1": 6.0,
}  # fmt: skip


def find_format(name: str) -> tuple[WeightFormat, int]:
    """Return the format of a `--quantization` and the bytes of a number it leaves alone.

    Raises:
        SettingError: no such format, or a container that does not say a width.

    """
    key = name.strip().lower()
    if key in PLAIN_BYTES:
        return WeightFormat(name=key, bits=8 * PLAIN_BYTES[key], source="plain numbers"), PLAIN_BYTES[key]
    found = _BY_NAME.get(_ALIASES.get(key, key))
    if found is not None:
        return found, 2
    if key in _GGUF:
        return WeightFormat(
            name=key, average_bits=_GGUF[key], spread=_MIX, source="llama.cpp tools/quantize/README.md, Llama-3.1-8B"
        ), 2
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*bpw", key)
    if match and 0.5 <= (bits := float(match[1])) <= 32:
        return WeightFormat(name=key, average_bits=bits, source="given bits per weight, over all weights"), 2
    if key in _CONTAINERS:
        raise SettingError(
            f"--quantization {key} names a container, not a width, and the model's configuration does not say one.",
            hint="Name the width: fp8, int8, int4, nvfp4, mxfp4, nf4 or 4.5bpw.",
        )
    known = ", ".join(["bf16", "fp16", "fp32", *_BY_NAME, *_ALIASES, "q4_k_m", "4.5bpw"])
    raise SettingError(f"{name!r} is not a quantisation that kvplan knows.", hint=f"Known: {known}.")
