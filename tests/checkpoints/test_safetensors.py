"""The headers of safetensors files: what they list, and that nothing else gets through."""

import json
import tracemalloc

import pytest
from fake_hub import header
from hypothesis import given, settings
from hypothesis import strategies as st

from kvplan.checkpoints import safetensors
from kvplan.checkpoints.safetensors import MAX_HEADER_BYTES, header_length, parse_header, read_header
from kvplan.checkpoints.tensors import Tensor
from kvplan.errors import CheckpointError

GOOD = {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}


class Memory:
    """A file in memory that says its own size, and notes what is read of it."""

    def __init__(self, content: bytes, size: int | None = None) -> None:
        self.content, self.size = content, len(content) if size is None else size
        self.asked = 0

    def read(self, start: int, length: int) -> bytes:
        self.asked = max(self.asked, length)
        return self.content[start : start + length]


def parse(entries: object, data: int = 12) -> tuple[Tensor, ...]:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return parse_header(text, file_bytes=8 + len(text) + data, where="x.safetensors")


def problem(entries: object, data: int = 12) -> str:
    with pytest.raises(CheckpointError) as caught:
        parse(entries, data)
    return one_line(caught.value)


def one_line(error: CheckpointError) -> str:
    assert "\n" not in str(error)
    assert len(str(error)) < 500
    assert "x.safetensors" in error.message
    return error.message


def test_tensors_are_listed_in_the_order_of_their_data():
    """Names, dtypes in lower case, shapes and bytes; `__metadata__` is no tensor; a scalar and an empty tensor are."""
    found = parse(
        {
            "__metadata__": {"format": "pt", "config": '{"a": [1]}'},
            "b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [4, 16]},
            "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
            "none": {"dtype": "I64", "shape": [0, 7], "data_offsets": [16, 16]},
        },
        data=16,
    )
    assert found == (Tensor("a", "f32", (), 4), Tensor("b", "bf16", (2, 3), 12), Tensor("none", "i64", (0, 7), 0))


@pytest.mark.parametrize(
    "dtype, bits",
    [
        ("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("BOOL", 8), ("U8", 8), ("I8", 8), ("F8_E5M2", 8), ("F8_E4M3", 8),
        ("F8_E8M0", 8), ("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8), ("I16", 16), ("U16", 16), ("F16", 16), ("BF16", 16),
        ("I32", 32), ("U32", 32), ("F32", 32), ("C64", 64), ("F64", 64), ("I64", 64), ("U64", 64),
    ],
)  # fmt: skip
def test_every_dtype_of_the_format_has_its_size(dtype, bits):
    """16 elements of each dtype of safetensors 0.8 take the bits that its `Dtype::bitsize` states."""
    size = 16 * bits // 8
    found = parse({"a": {"dtype": dtype, "shape": [16], "data_offsets": [0, size]}}, data=size)
    assert found == (Tensor("a", dtype.lower(), (16,), size),)


def test_elements_of_four_bits_fill_whole_bytes():
    """Three elements of four bits are no number of bytes, which the library refuses too."""
    assert "but 2 bytes" in problem({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 2]}}, data=2)


@pytest.mark.parametrize(
    "entries, says",
    [
        (b"", "is missing at character 0"),
        (b"[]", "it is not a JSON object"),
        (b'{"a": 1', "a has no dtype, shape and data_offsets"),
        (b'{"a": {"dtype": "F16"', "the entry of a is not JSON"),
        (b"{} x", "more behind its end"),
        (b'{"\xff": 1}', "not UTF-8 text"),
        (b'{"a\\ud800": {}}', "a name is not text"),
        (b'{"a": {"dtype": "U8", "shape": [NaN], "data_offsets": [0, 12]}}', "NaN is no JSON"),
        (b'{"a": {"dtype": "U8", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 12]}}', "the entry of a is not JSON"),
        (b'{"a": ' + b"[" * 3000 + b"}", "the entry of a is not JSON"),
        (b'{"a": {"dtype": "U8", "dtype": "U8", "shape": [12], "data_offsets": [0, 12]}}', "'dtype' stands twice"),
        (json.dumps({"a": GOOD})[:-1].encode() + b', "a": {}}', "a stands twice"),
        ({"__metadata__": {"format": 1}, "a": GOOD}, "a value of __metadata__ is not a string"),
        ({"__metadata__": [], "a": GOOD}, "it is not a JSON object"),
        ({"a": None}, "a has no dtype"),
        ({"a": {"dtype": "F16", "shape": [2, 3]}}, "a has no dtype, shape and data_offsets"),
        ({"a": GOOD | {"dtype": "F17"}}, "has dtype 'F17', which safetensors does not have"),
        ({"a": GOOD | {"dtype": ["F16"]}}, "which safetensors does not have"),
        ({"a": GOOD | {"shape": [-2, -3]}}, "a shape that cannot be meant: [-2, -3]"),
        ({"a": GOOD | {"shape": [2.0, 3]}}, "a shape that cannot be meant"),
        ({"a": GOOD | {"shape": [True, 6]}}, "a shape that cannot be meant"),
        ({"a": GOOD | {"shape": 6}}, "a shape that cannot be meant"),
        ({"a": GOOD | {"shape": [2**64, 0]}}, "a shape that cannot be meant"),
        ({"a": GOOD | {"shape": [2**62] * 40}}, "but 12 bytes of data"),
        ({"a": GOOD | {"shape": [2, 2]}}, "has shape [2, 2] in F16, but 12 bytes"),
        ({"a": GOOD | {"data_offsets": [12, 0]}}, "not a begin and an end"),
        ({"a": GOOD | {"data_offsets": [0, 12, 24]}}, "not a begin and an end"),
        ({"a": GOOD | {"data_offsets": "0-12"}}, "not a begin and an end"),
        ({"a": GOOD | {"data_offsets": [2, 14]}}, "begins at byte 2 of the data and leaves a hole before it"),
        ({"a": GOOD, "b": GOOD | {"data_offsets": [10, 22]}}, "b begins at byte 10 of the data and overlaps"),
        ({"a": GOOD, "b": GOOD}, "overlaps"),
        ({"a": GOOD, "b": GOOD | {"data_offsets": [12, 24]}}, "is truncated: its tensors take 24 bytes, the file has 12"),
        ({}, "its tensors take 0 bytes, but 12 bytes of data are there"),
        ({"a\x1b[31m\n": GOOD | {"shape": [1]}}, "a\\x1b[31m\\n has shape"),
        ({"a" * 90_000: GOOD | {"shape": [1]}}, "aaa… has shape"),
    ],
)  # fmt: skip
def test_each_broken_header_is_one_clear_line(entries, says):
    """Whatever is wrong, one line names the file, the tensor and the problem, and cannot steer a terminal."""
    assert says in problem(entries)


@pytest.mark.parametrize(
    "content, size, says",
    [
        (b"", 0, "is truncated: it has 0 bytes"),
        (b"\x02\0\0", 3, "is truncated: it has 3 bytes"),
        ((10).to_bytes(8, "little") + b"{}", 10, "is truncated: its header has 10 bytes, the file 10"),
        ((2**63).to_bytes(8, "little"), 2**64, "its header would have 9,223,372,036,854,775,808 bytes"),
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little"), 2**40, "of at most 100,000,000"),
        (b"\x80\x02}q\x00X\x01\x00", 100, "is not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1", 130, "is a pointer of Git LFS"),
    ],
)
def test_a_length_that_cannot_be_meant_is_never_read(content, size, says):
    """A header that announces more than the file has, or more than the library's limit, is refused after 8 bytes."""
    file = Memory(content, size)
    with pytest.raises(CheckpointError) as caught:
        read_header(file, where="x.safetensors")
    assert says in one_line(caught.value)
    assert file.asked == 8


def test_a_header_at_the_limit_is_allowed():
    """The limit is the library's own: 100,000,000 bytes of JSON, and not one more."""
    start = MAX_HEADER_BYTES.to_bytes(8, "little")
    assert header_length(start, file_bytes=2**40, where="x") == MAX_HEADER_BYTES


def test_more_tensors_than_a_model_has_are_refused(monkeypatch):
    """The number of tensors is limited, so that their memory is."""
    monkeypatch.setattr(safetensors, "MAX_TENSORS", 3)
    empty = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    assert len(parse(dict.fromkeys("abc", empty), data=0)) == 3
    assert "lists more than 3 tensors" in problem(dict.fromkeys("abcd", empty), data=0)
    many = {str(number): "" for number in range(100_001)}
    assert "__metadata__ has more than 100,000 entries" in problem({"__metadata__": many}, data=0)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": [' + b"[]," * 1_000_000 + b"[]]}",
        b'{"a": {"dtype": "F16", "shape": [' + b"1.5," * 1_000_000 + b"1]}}",
        b'{"__metadata__": {"a": [' + b"{}," * 1_000_000 + b"{}]}}",
        b'{"a": ' + b"[" * 3_000_000,
        b'{"' + b"a" * 3_000_000 + b'": {}}',
    ],
    ids=["lists", "numbers", "metadata", "depth", "name"],
)
def test_a_hostile_header_takes_no_more_memory_than_its_text(text):
    """Three megabytes that a parser would make hundreds of are refused within four times their own size."""
    tracemalloc.start()
    try:
        problem(text)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(text)
    finally:
        tracemalloc.stop()


names = st.text(max_size=8).filter(lambda name: name != "__metadata__")
valid = st.dictionaries(
    names, st.tuples(st.sampled_from(["BF16", "F32", "BOOL"]), st.lists(st.integers(0, 5), max_size=3))
)


@given(valid)
def test_every_valid_header_is_read(tensors):
    """What is written in the format is read: each tensor once, its bytes summing to the file's."""
    start, size = header(tensors)
    found = read_header(Memory(start, size), where="x.safetensors")
    assert {tensor.name: list(tensor.shape) for tensor in found} == {
        name: shape for name, (_, shape) in tensors.items()
    }
    assert sum(tensor.bytes for tensor in found) == size - len(start)


@given(st.binary(max_size=200), st.integers(0, 2**64))
def test_any_bytes_give_tensors_or_one_clear_line(content, size):
    """No bytes whatever make anything but tensors or a CheckpointError."""
    for file in (Memory(content), Memory(content, size), Memory(len(content).to_bytes(8, "little") + content)):
        try:
            read_header(file, where="x.safetensors")
        except CheckpointError as error:
            one_line(error)
        assert file.asked <= max(8, len(file.content), file.size)


@settings(max_examples=300)
@given(
    tensors=valid.filter(bool),
    changes=st.lists(
        st.tuples(st.integers(0, 10_000), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=4
    ),
    grown=st.integers(-30, 30),
)
def test_a_damaged_header_gives_tensors_or_one_clear_line(tensors, changes, grown):
    """Bytes of a valid file changed, removed or added anywhere: tensors that add up to the file, or a CheckpointError."""
    start, size = header(tensors)
    content = bytearray(start)
    for place, new, removed in changes:
        at = place % (len(content) + 1)
        content[at : at + removed] = new
    file = Memory(bytes(content), max(0, size + grown))
    try:
        found = read_header(file, where="x.safetensors")
    except CheckpointError as error:
        one_line(error)
    else:
        length = int.from_bytes(content[:8], "little")
        assert sum(tensor.bytes for tensor in found) == file.size - 8 - length
    assert file.asked <= max(8, file.size)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["F16", "BF16"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "a"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_gives_tensors_or_one_clear_line(value):
    """Values of every kind in every place of a header: tensors, or a CheckpointError."""
    try:
        parse(value, data=0)
    except CheckpointError as error:
        one_line(error)
