"""Headers of GGUF files: every tensor's bytes, split files, and files that are broken or lie."""

import struct
import tracemalloc

import fake_hub
import pytest
from gguf_writer import NUMBER, Counted, File, tensor_bytes
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st

from kvplan.checkpoints.gguf import part_names, read_gguf, read_gguf_hub, split_hub_name
from kvplan.checkpoints.gguf_bytes import FIRST_CHUNK, MAX_HEADER_BYTES, Skipped
from kvplan.checkpoints.gguf_header import read_header
from kvplan.checkpoints.gguf_types import REMOVED, TYPES
from kvplan.errors import CheckpointError, UnknownModelError
from kvplan.hub import HubNoFileError

ARCHITECTURE = {"general.architecture": "llama"}

# Bytes of 256 elements as gguf-py 0.19.0 (constants.py GGML_QUANT_SIZES) and ggml-common.h have them.
BYTES_OF_256 = {
    "f64": 2048, "f32": 1024, "f16": 512, "bf16": 512, "i8": 256, "i16": 512, "i32": 1024, "i64": 2048,
    "q1_0": 36, "q2_0": 72, "q4_0": 144, "q4_1": 160, "q5_0": 176, "q5_1": 192, "q8_0": 272, "q8_1": 288,
    "q2_k": 84, "q3_k": 110, "q4_k": 144, "q5_k": 176, "q6_k": 210, "q8_k": 292,
    "iq1_s": 50, "iq1_m": 56, "iq2_xxs": 66, "iq2_xs": 74, "iq2_s": 82, "iq3_xxs": 98, "iq3_s": 110, "iq4_nl": 144,
    "iq4_xs": 136, "tq1_0": 54, "tq2_0": 66, "mxfp4": 136, "nvfp4": 144,
}  # fmt: skip


def header(file: File):
    return read_header(Counted(file.bytes()), "x.gguf")


def problem(file: File) -> str:
    with pytest.raises(CheckpointError) as caught:
        header(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- tensors -----------------------------------------------------------------------------------------------------------


def test_every_type_of_the_source_is_known():
    assert {block.name for block in TYPES.values()} == set(BYTES_OF_256)
    assert not REMOVED & TYPES.keys()


@pytest.mark.parametrize("name", BYTES_OF_256)
def test_a_tensor_takes_rows_times_blocks(name):
    """The bytes of a tensor are exactly those of its blocks, and its shape is outermost first."""
    found = header(File(ARCHITECTURE, [("a", name, (3, 5, 512)), ("b", "f32", (7,))])).tensors[0]
    assert found.dtype == name
    assert found.shape == (3, 5, 512)
    assert found.bytes == 3 * 5 * 2 * BYTES_OF_256[name]


def test_scalars_and_empty_tensors_have_their_bytes():
    """By ggml a tensor may have no axis, which is one element, or an axis of 0, which is none."""
    scalar, empty = header(File(ARCHITECTURE, [("a", "f32", ()), ("b", "f32", (4, 0))])).tensors
    assert (scalar.bytes, scalar.shape) == (4, ())
    assert (empty.bytes, empty.shape) == (0, (4, 0))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_versions_1_to_3_are_read(version, tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(File(ARCHITECTURE | {"a": [1, 2]}, [("t", "q4_0", (2, 64))], version=version).bytes())
    gguf = read_gguf(path)
    assert gguf.metadata == ARCHITECTURE | {"a": [1, 2]}
    assert [(t.name, t.dtype, t.shape, t.bytes) for t in gguf.checkpoint.tensors] == [("t", "q4_0", (2, 64), 72)]
    assert gguf.checkpoint.total_bytes == 72
    assert gguf.checkpoint.container == "gguf"
    assert gguf.checkpoint.source == f"file: {path}"


def test_every_kind_of_value_is_read():
    values = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    metadata = {f"k{kind}": struct.pack("<I" + letter, kind, 1) for kind, letter in values.items()}
    found = header(File(metadata | {"text": "ä"})).metadata
    assert found == dict.fromkeys(metadata, 1) | {"text": "ä"}


def test_vocabularies_are_counted_and_not_kept():
    """A long array or text leaves only its length."""
    tokens = [f"token {i}" for i in range(100_000)]
    metadata = {"tokenizer.ggml.tokens": tokens, "scores": [0.5] * 100_000, "template": "x" * 100_000, "after": 7}
    found = header(File(metadata)).metadata
    assert isinstance(found["tokenizer.ggml.tokens"], Skipped)
    assert [len(found[key]) for key in ("tokenizer.ggml.tokens", "scores", "template")] == [100_000] * 3
    assert found["after"] == 7


def test_texts_longer_than_a_chunk_are_stepped_over():
    found = header(File({"tokens": ["a" * 3 * FIRST_CHUNK, "b", "", "c" * 2 * FIRST_CHUNK], "after": 7})).metadata
    assert (len(found["tokens"]), found["after"]) == (4, 7)


def test_an_alignment_of_its_own_is_followed():
    file = File(ARCHITECTURE | {"general.alignment": 64}, [("a", "f32", (1,)), ("b", "f32", (1,))], alignment=64)
    assert len(header(file).tensors) == 2
    file.offsets = {"b": 32}
    assert problem(file) == "x.gguf is broken: the tensor b starts at 32, no multiple of 64."


# -- broken files ------------------------------------------------------------------------------------------------------

TWO = [("a", "q8_0", (4, 64)), ("b", "f32", (8,))]


@pytest.mark.parametrize(
    "file, words",
    [
        (File(ARCHITECTURE, TWO, cut=10), "is no GGUF file: it has 10 bytes."),
        (File(ARCHITECTURE, TWO, cut=60), "is incomplete: it claims 2 tensors, but has 60 bytes."),
        (File(ARCHITECTURE, TWO, cut=120), "is incomplete: its header goes on beyond the file's 120 bytes."),
        (File(ARCHITECTURE, [*TWO, ("c", "f32", (64,))], cut=500), "is incomplete: the tensor b ends at byte 512"),
        (File(ARCHITECTURE, TWO, version=4), "has version 4 of GGUF; 1 to 3 are known."),
        (File(ARCHITECTURE, TWO, version=3 << 24), "is written for a big-endian machine"),
        (File(ARCHITECTURE, TWO, version=0), "has version 0"),
        (File(ARCHITECTURE, TWO, offsets={"b": 33}), "the tensor b starts at 33, no multiple of 32."),
        (File(ARCHITECTURE, TWO, offsets={"b": 256}), "the tensors a and b overlap."),
        (File(ARCHITECTURE, TWO, offsets={"b": 2**63}, cut=600), "is incomplete: the tensor b ends at byte 9,223,"),
        (File(ARCHITECTURE, [("a", "f32", (1,)), ("a", "f32", (1,))]), "the tensor a stands in it twice."),
        (File(ARCHITECTURE, [("a", "q4_k", (2, 128))]), "a row of the tensor a has 128 elements, no multiple of q4_k's 256."),
        (File(ARCHITECTURE, [("a", "f32", (1, 1, 1, 1, 1))]), "the tensor a has 5 axes; 4 are possible."),
        (File(ARCHITECTURE, [("a", "f32", (2**62, 2))], cut=300), "is not believed: the tensor a has the shape"),
        (File(ARCHITECTURE, [("a", 31, (2,))]), "of ggml type 31, which ggml has removed"),
        (File(ARCHITECTURE, [("a", 99, (2,))]), "of ggml type 99, which kvplan does not know"),
        (File(ARCHITECTURE, [("a" * 300, "f32", (2,))]), "the name of tensor 0 is 300 bytes long."),
        (File(ARCHITECTURE, [(b"\xff", "f32", (2,))]), "the name of tensor 0 is no text."),
        (File(ARCHITECTURE, TWO, tensor_count=2**60), "is not believed: it claims 1,152,921,504,606,846,976 tensors."),
        (File(ARCHITECTURE, TWO, tensor_count=50), "is incomplete: it claims 50 tensors, but has"),
        (File(ARCHITECTURE, TWO, key_count=2**60), "metadata keys."),
        (File({"a": struct.pack("<I", 13)}, TWO), "a has the value type 13, which GGUF does not have."),
        (File({"a": struct.pack("<IIQ", 9, 9, 1)}, TWO), "a is an array of arrays, which ggml does not read."),
        (File({"a": struct.pack("<IIQ", 9, 77, 1)}, TWO), "a is an array of the value type 77"),
        (File({"a": struct.pack("<IIQ", 9, 4, 2**61)}, TWO), "its header goes on beyond the file's"),
        (File({"a": struct.pack("<IIQ", 9, 8, 2**61)}, TWO), "a has 2,305,843,009,213,693,952 texts."),
        (File({"a": struct.pack("<IQ", 8, 2**61)}, TWO), "its header goes on beyond the file's"),
        (File({b"\xff\xff": 1}, TWO), "metadata key 0 is no text."),
        (File({"general.alignment": 24}, TWO), "general.alignment is 24; a power of two was expected."),
        (File({"general.alignment": "32"}, TWO), "general.alignment is '32'"),
    ],
    ids=lambda value: None if isinstance(value, File) else value[:40],
)  # fmt: skip
def test_a_broken_file_has_one_clear_line(file, words):
    said = problem(file)
    assert said.startswith("x.gguf ")
    assert words in said


def test_a_key_that_stands_twice_is_named():
    file = File({"abc": 1, "abd": 2})
    content = file.bytes().replace(b"abd", b"abc")
    with pytest.raises(CheckpointError, match="the metadata key abc stands in it twice"):
        read_header(Counted(content), "x.gguf")


def test_names_from_the_file_cannot_steer_a_terminal():
    said = problem(File(ARCHITECTURE, [("\x1b[31m", "f32", (1,)), ("\x1b[31m", "f32", (1,))]))
    assert "\x1b" not in said


def test_other_files_are_told_apart(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(CheckpointError, match=r"a\.gguf is no GGUF file: it starts with b'PK"):
        read_gguf(tmp_path / "a.gguf")
    with pytest.raises(UnknownModelError, match="There is no file"):
        read_gguf(tmp_path / "b.gguf")
    with pytest.raises(UnknownModelError, match="There is no file"):
        read_gguf("a\0b.gguf")
    with pytest.raises(UnknownModelError, match="There is no file"):
        read_gguf(tmp_path)


# -- what is read of them ----------------------------------------------------------------------------------------------


class Sparse:
    """A huge file of which only the start exists."""

    def __init__(self, start: bytes, size: int) -> None:
        self.start, self.size, self.read_bytes = start, size, 0

    def read(self, start: int, length: int) -> bytes:
        self.read_bytes += length
        return self.start[start : start + length].ljust(length, b"\0")


def test_a_sparse_file_of_10_gb_is_read_by_its_header_alone(tmp_path):
    """Ten gigabytes of weights on the disk cost one chunk."""
    path = tmp_path / "large.gguf"
    tensors = [(f"blk.{i}.ffn", "f16", (1024, 1024, 1024)) for i in range(5)]
    with path.open("wb") as file:
        file.write(File(ARCHITECTURE, tensors).header())
        file.truncate(5 * 2**31 + 4096)
    tracemalloc.start()
    checkpoint = read_gguf(path).checkpoint
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert checkpoint.total_bytes == 5 * 2**31
    assert peak < 8 * 2**20


def test_no_more_than_twice_the_header_is_read():
    """Requests grow: a header of megabytes takes few of them, and few bytes beyond it."""
    start = File({"tokens": ["word"] * 500_000} | ARCHITECTURE, [("a", "f32", (10**9,))]).header()
    source = Sparse(start, 5 * 10**9)
    found = read_header(source, "x.gguf")
    assert found.bytes == len(start)
    assert source.read_bytes <= 2 * len(start) + FIRST_CHUNK


def test_arrays_of_numbers_are_passed_over_without_a_read():
    big = struct.pack("<IIQ", 9, 6, 20_000_000) + bytes(80_000_000)
    source = Counted(File({"scores": big} | ARCHITECTURE).bytes())
    assert len(read_header(source, "x.gguf").metadata["scores"]) == 20_000_000
    assert source.read_bytes <= 2 * FIRST_CHUNK + 2**20


@pytest.mark.parametrize(
    "start",
    [
        struct.pack("<IQ", 8, MAX_HEADER_BYTES),
        struct.pack("<IIQ", 9, 0, MAX_HEADER_BYTES),
        struct.pack("<IIQ", 9, 8, 4_000_000) + struct.pack("<Q", MAX_HEADER_BYTES),
    ],
)
def test_a_header_beyond_the_limit_is_not_believed(start):
    """A lying length in a large file is refused before anything is read for it."""
    content = File({"a": start}).bytes()
    source = Sparse(content, 10**12)
    with pytest.raises(CheckpointError, match="its header is larger than 128 MiB"):
        read_header(source, "x.gguf")
    assert source.read_bytes <= FIRST_CHUNK


def test_metadata_that_would_fill_the_memory_is_not_believed():
    """Many small arrays cost more in memory than in the file: the sum is bounded too."""
    array = struct.pack("<IIQ", 9, 0, 4096) + b"\xc8" * 4096
    source = Counted(File({f"k{i}": array for i in range(5000)}).bytes())
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="its metadata takes more than 32 MiB"):
        read_header(source, "x.gguf")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_a_file_that_shrinks_while_it_is_read_is_told():
    source = Counted(File(ARCHITECTURE, TWO).bytes())
    source.size += 1000
    with pytest.raises(CheckpointError, match="it changed while it was read"):
        read_header(source, "x.gguf")


# -- parts -------------------------------------------------------------------------------------------------------------


def part(no: int, count: int, *tensors, total: int | None = None, **more) -> File:
    split = {"split.no": no, "split.count": count} | ({"split.tensors.count": total} if total is not None else {})
    return File((ARCHITECTURE if no == 0 else {}) | split | more, list(tensors))


def write_parts(folder, *parts: File, count: int | None = None) -> list[str]:
    names = []
    for i, file in enumerate(parts):
        names.append(f"m-{i + 1:05}-of-{count or len(parts):05}.gguf")
        (folder / names[-1]).write_bytes(file.bytes())
    return names


A, B, C = ("a", "f32", (8,)), ("b", "q8_0", (32,)), ("c", "f16", (4,))


@pytest.mark.parametrize("named", [0, 1, 2])
def test_any_part_stands_for_all(tmp_path, named):
    names = write_parts(tmp_path, part(0, 3, A, total=3), part(1, 3, B), part(2, 3, C))
    gguf = read_gguf(tmp_path / names[named])
    assert [t.name for t in gguf.checkpoint.tensors] == ["a", "b", "c"]
    assert gguf.checkpoint.total_bytes == 32 + 34 + 8
    assert gguf.metadata["general.architecture"] == "llama"
    assert gguf.checkpoint.source.endswith("(3 files)")


def test_a_first_part_may_hold_metadata_alone(tmp_path):
    """llama-gguf-split --no-tensor-first-split."""
    names = write_parts(tmp_path, part(0, 2, total=1), part(1, 2, A))
    assert [t.name for t in read_gguf(tmp_path / names[0]).checkpoint.tensors] == ["a"]


def test_missing_parts_are_named(tmp_path):
    names = write_parts(tmp_path, part(0, 6, A, total=3), count=6)
    with pytest.raises(CheckpointError) as caught:
        read_gguf(tmp_path / names[0])
    assert str(caught.value) == (
        "m-00001-of-00006.gguf is one of 6 parts; missing: m-00002-of-00006.gguf, m-00003-of-00006.gguf,"
        " m-00004-of-00006.gguf and 2 more."
    )


@pytest.mark.parametrize(
    "second, words",
    [
        (part(1, 3, B), "m-00002-of-00002.gguf says that it is one of 3 parts; its name says 2."),
        (part(0, 2, B), "m-00002-of-00002.gguf says that it is part 0 counted from 0; its name says 1."),
        (part(1, 2, A), "m-00002-of-00002.gguf has the tensor a, which another part has too."),
        (part(1, 2), "m-00001-of-00002.gguf says that there are 2 tensors in all; the parts have 1."),
        (File({}, [B]), "m-00002-of-00002.gguf says that it is one of 0 parts; its name says 2."),
        (part(1, 2, B, **{"split.count": "many"}), "says that it is one of 'many' parts"),
    ],
)
def test_parts_that_do_not_belong_together_are_told(tmp_path, second, words):
    names = write_parts(tmp_path, part(0, 2, A, total=2), second)
    with pytest.raises(CheckpointError) as caught:
        read_gguf(tmp_path / names[0])
    assert words in str(caught.value)


def test_a_renamed_part_is_no_whole_file(tmp_path):
    (tmp_path / "m.gguf").write_bytes(part(0, 2, A).bytes())
    with pytest.raises(
        CheckpointError, match=r"m\.gguf says that it is one of 2 parts; its name says 1\. Give the name"
    ):
        read_gguf(tmp_path / "m.gguf")


def test_numbers_in_a_name_that_cannot_be_are_told():
    assert part_names("a.gguf") == ["a.gguf"]
    assert part_names("a-00002-of-00002.gguf") == ["a-00001-of-00002.gguf", "a-00002-of-00002.gguf"]
    for name in ("a-00003-of-00002.gguf", "a-00000-of-00002.gguf", "a-00001-of-99999.gguf"):
        with pytest.raises(CheckpointError, match="which cannot be"):
            part_names(name)


# -- the hub -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, expected",
    [
        ("org/name:a.gguf", ("org/name", None, "a.gguf")),
        ("org/name/a.gguf", ("org/name", None, "a.gguf")),
        ("org/name/Q4_K_M/a.gguf", ("org/name", None, "Q4_K_M/a.gguf")),
        ("org/name:Q4_K_M/a.gguf", ("org/name", None, "Q4_K_M/a.gguf")),
        ("org/name@main:a.gguf", ("org/name", "main", "a.gguf")),
        ("org/name@refs/pr/1:a.gguf", ("org/name", "refs/pr/1", "a.gguf")),
    ],
)
def test_names_on_the_hub_are_taken_apart(name, expected):
    assert split_hub_name(name) == expected


@pytest.mark.parametrize("name", ["a.gguf", "org/name", "org/name:a.txt", "org/name:../a.gguf", ""])
def test_other_names_are_no_gguf_on_the_hub(name):
    with pytest.raises(UnknownModelError, match="names no GGUF file on the hub"):
        read_gguf_hub(name)


class Hub:
    """A hub of files in memory."""

    def __init__(self, **files: File) -> None:
        self.files = {name: Counted(file.bytes()) for name, file in files.items()}

    def open_range(self, repository: str, file: str, revision: str | None):
        assert (repository, revision) == ("org/name", None)
        if file not in self.files:
            raise HubNoFileError(f"org/name is on the hub, but has no {file}.")
        return self.files[file]


def test_a_file_on_the_hub_takes_one_request():
    hub = Hub(**{"q4/m.gguf": File(ARCHITECTURE, [A, B])})
    gguf = read_gguf_hub("org/name:q4/m.gguf", open_range=hub.open_range)
    assert gguf.checkpoint.total_bytes == 66
    assert gguf.checkpoint.source == "hub: org/name:q4/m.gguf"
    assert len(hub.files["q4/m.gguf"].requests) == 1


def test_parts_on_the_hub_lie_in_the_same_folder():
    parts = {f"q/m-{i + 1:05}-of-00002.gguf": part(i, 2, t) for i, t in enumerate((A, B))}
    assert (
        read_gguf_hub("org/name/q/m-00002-of-00002.gguf", open_range=Hub(**parts).open_range).checkpoint.total_bytes
        == 66
    )
    del parts["q/m-00002-of-00002.gguf"]
    with pytest.raises(CheckpointError, match=r"missing: m-00002-of-00002\.gguf"):
        read_gguf_hub("org/name/q/m-00001-of-00002.gguf", open_range=Hub(**parts).open_range)
    with pytest.raises(HubNoFileError):
        read_gguf_hub("org/name:m.gguf", open_range=Hub(**parts).open_range)


def test_a_split_model_of_20_gb_is_read_over_http(monkeypatch, tmp_path):
    """Through the real client a part costs one request of half a megabyte, whatever it weighs."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
    starts = [part(i, 2, (f"t{i}", "f16", (5, 2**30)), total=2).header() for i in range(2)]
    starts = [start.ljust(FIRST_CHUNK, b"\0") for start in starts]
    files = {
        f"acme/large/q/m-{i + 1:05}-of-00002.gguf": fake_hub.File(s, 10 * 2**30 + 4096) for i, s in enumerate(starts)
    }
    with fake_hub.serving(hub := fake_hub.FakeHub(files)) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        assert read_gguf_hub("acme/large:q/m-00001-of-00002.gguf").checkpoint.total_bytes == 20 * 2**30
        assert sum(hub.sent.values()) <= 2 * FIRST_CHUNK
        del hub.files["acme/large/q/m-00002-of-00002.gguf"]
        with pytest.raises(CheckpointError, match=r"missing: m-00002-of-00002\.gguf"):
            read_gguf_hub("acme/large:q/m-00001-of-00002.gguf")


# -- fuzz --------------------------------------------------------------------------------------------------------------

VALID = File(
    ARCHITECTURE | {"llama.block_count": 2, "list": [1, 2, 3], "tokenizer.ggml.tokens": ["a", "bc", ""], "f": 0.5},
    [("a", "q4_k", (4, 256)), ("b", "f32", (8,)), ("c", "mxfp4", (2, 2, 32))],
).bytes()


def survives(content: bytes, size: int | None = None) -> None:
    """Check that a header is read or refused in one line, and no byte read twice."""
    source = Counted(content) if size is None else Sparse(content, size)
    said = ""
    try:
        found = read_header(source, "x.gguf")
        assert sum(tensor.bytes for tensor in found.tensors) <= source.size
    except CheckpointError as error:
        said = str(error)
    assert "\n" not in said
    assert source.read_bytes <= (len(content) if size is None else min(size, 2 * MAX_HEADER_BYTES))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(content):
    survives(content)
    survives(b"GGUF\x03\0\0\0" + content)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_mutated_files_are_read_or_refused(data):
    content = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 9))
        change = data.draw(st.binary(min_size=1, max_size=8))
        content[at : at + len(change)] = change
    survives(bytes(content[: data.draw(st.integers(0, len(content)))]))
    survives(bytes(content))


@settings(max_examples=100, deadline=None)
@given(st.integers(8, len(VALID) - 9), st.sampled_from([2**16, 2**31, 2**40, 2**63, 2**64 - 1]))
def test_a_lying_number_in_a_large_file_costs_little(at, number):
    """Wherever a count, length, axis or offset lies, in a file that seems to have the bytes."""
    content = bytearray(VALID)
    content[at : at + 8] = struct.pack("<Q", number)
    survives(bytes(content), size=10**12)


def test_the_writer_agrees_with_the_reader():
    """The helper's own arithmetic of block bytes is the table's."""
    assert tensor_bytes("q4_0", (2, 64)) == 72
    assert NUMBER["q4_k"] == 12
