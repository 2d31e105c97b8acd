"""Every number format of a cache with its real overhead."""

import pytest

from kvplan.caches import MLA, FullAttention, SparseIndex
from kvplan.dtypes import DTYPES, find_dtype
from kvplan.errors import SettingError

# Bytes of a row of 128 numbers, scales inside the row included; then bytes beside it per token and head. Where values are
# stored otherwise than keys, the same of a value.
ROWS = {
    "float32": (128 * 4, 0),
    "float16": (128 * 2, 0),
    "bfloat16": (128 * 2, 0),
    "fp8_e4m3": (128, 0),
    "fp8_e5m2": (128, 0),
    "fp8_ds_mla": (128, 0),  # its packed form counts for latents only
    "int8": (128, 0),
    "int8_per_token_head": (128, 4),  # a float32 scale for K and one for V
    "fp8_per_token_head": (128, 4),
    "int4_per_token_head": (128 // 2, 4),  # two numbers a byte; scale and zero point share 4 B
    "turboquant_k8v4": (128, 0, 128 * 4 // 8, 4),  # a value's float16 scale and zero
    "turboquant_4bit_nc": (128 * 4 // 8, 2, 128 * 4 // 8, 4),  # a key's float16 norm
    "turboquant_k3v4_nc": (128 * 3 // 8, 2, 128 * 4 // 8, 4),
    "turboquant_3bit_nc": (128 * 3 // 8, 2, 128 * 3 // 8, 4),
    "ultraquant_4bit": (128 * 17 // 32, 0),  # 32 x 4 bits + an 8-bit exponent
    "int4": (128 * 36 // 64, 0),  # 64 x 4 bits + a bf16 scale + a bf16 shift = 36 B
    "nvfp4": (128 * 9 // 16, 0),  # 16 x 4 bits + an fp8 scale = 9 B
    "nvfp4_4over6": (128 * 9 // 16, 0),
    "nvfp4_ds_mla": (128 * 9 // 16, 0),  # its packed form counts for latents only
    "mxfp4": (128 * 17 // 32, 0),  # 32 x 4 bits + an 8-bit exponent = 17 B
    "q8_0": (128 * 34 // 32, 0),  # 32 x 8 bits + an fp16 scale
    "q5_1": (128 * 24 // 32, 0),  # 32 x 5 bits + an fp16 scale + an fp16 minimum
    "q5_0": (128 * 22 // 32, 0),  # 32 x 5 bits + an fp16 scale
    "q4_1": (128 * 20 // 32, 0),  # 32 x 4 bits + an fp16 scale + an fp16 minimum
    "q4_0": (128 * 18 // 32, 0),  # 32 x 4 bits + an fp16 scale
    "iq4_nl": (128 * 18 // 32, 0),  # 32 indices of 4 bits + an fp16 scale
}


def test_the_table_has_every_format():
    """No format is without a worked row here."""
    assert ROWS.keys() == DTYPES.keys()


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_128(name):
    """A row of 128 numbers takes its whole blocks, and a head its scales beside them, for K and for V."""
    row, scale, *value = ROWS[name]
    dtype = find_dtype(name)
    assert dtype.row_bytes(128) == row
    stored = row + scale + sum(value or (row, scale))
    assert FullAttention(heads=8, key_dim=128, value_dim=128).token_bytes(dtype) == 8 * stored


@pytest.mark.parametrize(
    "name, elements, size",
    [("q8_0", 1, 34), ("q8_0", 33, 68), ("nvfp4", 17, 18), ("mxfp4", 80, 51), ("int4", 80, 72), ("bf16", 0, 0)],
)
def test_a_row_takes_whole_blocks(name, elements, size):
    """A row that does not divide into blocks pays for the last one whole: ceil(n / block) x bytes of a block."""
    assert find_dtype(name).row_bytes(elements) == size


@pytest.mark.parametrize(
    "name, bits",
    [("q8_0", 8.5), ("q5_1", 6), ("q5_0", 5.5), ("q4_1", 5), ("q4_0", 4.5), ("nvfp4", 4.5), ("mxfp4", 4.25)],
)
def test_bits_count_the_scales(name, bits):
    """Bits per number are those stored, block scales included."""
    assert find_dtype(name).bits == bits


def test_a_slot_of_key_and_value_is_even():
    """40 numbers: a 3-bit key of 15 B + 2 and a 4-bit value of 20 B + 4 are 41 B, which take 42 (slot_size_aligned)."""
    assert find_dtype("turboquant_k3v4_nc").head_bytes(40, 40) == 42
    assert find_dtype("turboquant_k8v4").head_bytes(100, 100) == 100 + 50 + 4


def test_packed_latents_have_a_size_of_their_own():
    """512 latents in fp8 with 4 float32 scales and 64 bf16: 656 B; in fp4 with 32 fp8 scales and 64 fp8: 352 B."""
    latent = MLA(latent_dim=512, rope_dim=64)
    assert latent.token_bytes(find_dtype("fp8_ds_mla")) == 512 + 4 * 4 + 64 * 2
    assert latent.token_bytes(find_dtype("nvfp4_ds_mla")) == 512 // 2 + 32 + 64


def test_a_latent_is_one_row():
    """Latent and rotary key share a row: 576 in q8_0 are 18 blocks of 34 B, and one scale per token where there are any."""
    latent = MLA(latent_dim=512, rope_dim=64)
    assert latent.token_bytes(find_dtype("q8_0")) == 18 * 34
    assert latent.token_bytes(find_dtype("fp8_per_token_head")) == 576 + 4
    assert MLA(latent_dim=500, rope_dim=12).token_bytes(find_dtype("q8_0")) == 16 * 34


def test_an_index_key_carries_its_scale():
    """An index key of 128 with a per-token scale is 132 B, as vLLM stores DSA's."""
    assert SparseIndex(dim=128).token_bytes(find_dtype("fp8_per_token_head")) == 132


@pytest.mark.parametrize(
    "text, name",
    [
        ("bf16", "bfloat16"),
        ("torch.bfloat16", "bfloat16"),
        ("Half", "float16"),
        ("fp8", "fp8_e4m3"),
        ("FP8-E5M2", "fp8_e5m2"),
        ("float8_e4m3fn", "fp8_e4m3"),
        (" f32 ", "float32"),
        ("Q8_0", "q8_0"),
        ("int8-per-token-head", "int8_per_token_head"),
    ],
)
def test_formats_are_found_in_usual_spellings(text, name):
    """torch's, vLLM's and llama.cpp's spellings name the same formats."""
    assert find_dtype(text).name == name


@pytest.mark.parametrize("text", ["", "fp", "int3", "q8", "bfloat16\0", "🙂", "x" * 10_000])
def test_an_unknown_format_is_refused_with_those_there_are(text):
    """A name that is no format is an error that lists the formats."""
    with pytest.raises(SettingError, match="bfloat16"):
        find_dtype(text)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=lambda dtype: dtype.name)
def test_every_format_says_where_it_is_defined(dtype):
    """A format's layout has a source."""
    assert dtype.source
