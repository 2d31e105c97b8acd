"""Weight files of a folder: which are the model's, that the set is whole, and what stands beside it."""

import json
import os

import pytest
from fake_hub import header

from kvplan.checkpoints.folder import read_file, read_folder
from kvplan.checkpoints.index import parse_index
from kvplan.errors import CheckpointError

ONE = {"embed": ("BF16", [4, 4]), "layer.weight": ("F8_E4M3", [8, 4])}  # 32 + 32 bytes
SHARDS = [{f"layer.{number}": ("BF16", [2, 8])} for number in range(3)]  # 32 bytes each


def write(path, tensors):
    start, size = header(tensors)
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)
    return path


def shard(number, count=3, stem="model"):
    return f"{stem}-{number:05}-of-{count:05}.safetensors"


def write_set(folder, *, index=True, stem="model", total=96, count=3, **changed):
    """Write three shards and their index."""
    for number, tensors in enumerate(SHARDS, 1):
        write(folder / shard(number, count, stem), tensors)
    weight_map = {f"layer.{number}": shard(number + 1, count, stem) for number in range(3)} | changed
    if index:
        content = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(content))


def problem(read, path):
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_without_weights_is_none(tmp_path):
    """A configuration alone, an adapter, or a training's state are no weights."""
    (tmp_path / "config.json").write_text("{}")
    write(tmp_path / "adapter_model.safetensors", ONE)
    (tmp_path / "training_args.bin").write_bytes(b"x")
    write(tmp_path / "transformer" / "model.safetensors", ONE)
    assert read_folder(tmp_path) is None


def test_one_file_is_read(tmp_path):
    """`model.safetensors` alone: its tensors, each at its own dtype, and nothing left out."""
    write(tmp_path / "model.safetensors", ONE)
    (tmp_path / "empty").mkdir()
    found = read_folder(tmp_path)
    assert [(tensor.name, tensor.dtype, tensor.bytes) for tensor in found.tensors] == [
        ("embed", "bf16", 32),
        ("layer.weight", "f8_e4m3", 32),
    ]
    assert (found.container, found.total_bytes, found.left_out, found.notes) == ("safetensors", 64, (), ())
    assert "model.safetensors" in found.source


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("stem", ["model", "consolidated", "weights"])
def test_a_set_of_shards_is_read_with_its_index_and_without(tmp_path, index, stem):
    """Three shards are one checkpoint, whatever their name; any one of them stands for all."""
    write_set(tmp_path, index=index, stem=stem)
    for found in (read_folder(tmp_path), read_file(tmp_path / shard(2, stem=stem))):
        assert [tensor.name for tensor in found.tensors] == ["layer.0", "layer.1", "layer.2"]
        assert (found.total_bytes, found.notes, found.left_out) == (96, (), ())


def test_a_file_by_itself_is_that_file(tmp_path):
    """A whole that is named is read, though other files stand beside it."""
    write_set(tmp_path)
    write(tmp_path / "other.safetensors", ONE)
    assert read_file(tmp_path / "other.safetensors").total_bytes == 64


def test_a_shard_finds_the_index_that_names_it(tmp_path):
    """An index of another name is found by what it names."""
    write_set(tmp_path)
    (tmp_path / "model.safetensors.index.json").rename(tmp_path / "quantized.safetensors.index.json")
    assert "quantized.safetensors.index.json" in read_file(tmp_path / shard(1)).source


def test_the_other_formats_and_folders_are_left_out(tmp_path):
    """What an engine does not load is not counted, and is listed with its reason and bytes."""
    write_set(tmp_path)
    write(tmp_path / "consolidated.safetensors", ONE)
    write(tmp_path / "model.fp16.safetensors", ONE)
    write(tmp_path / "extra.safetensors", ONE)
    for name, size in {
        "pytorch_model-00001-of-00002.bin": 7,
        "pytorch_model-00002-of-00002.bin": 3,
        "m.gguf": 5,
    }.items():
        (tmp_path / name).write_bytes(bytes(size))
    for folder in ("original", "onnx"):
        (tmp_path / folder).mkdir()
    (tmp_path / "original" / "consolidated.00.pth").write_bytes(bytes(11))
    (tmp_path / "original" / "params.json").write_bytes(b"{}")
    (tmp_path / "onnx" / "model.onnx").write_bytes(bytes(13))
    found = read_folder(tmp_path)
    assert found.total_bytes == 96
    left = {left.what: left for left in found.left_out}
    one = (tmp_path / "extra.safetensors").stat().st_size
    assert {what: left.bytes for what, left in left.items()} == {
        "consolidated.safetensors": one,
        "extra.safetensors": one,
        "m.gguf": 5,
        "model.fp16.safetensors": one,
        "onnx/": 13,
        "original/": 11,
        "pytorch_model-00001-of-00002.bin, pytorch_model-00002-of-00002.bin": 10,
    }
    assert left["m.gguf"].why == "the same weights as GGUF files"
    assert left["original/"].why == "a folder: engines load what stands at the root"
    assert left["model.fp16.safetensors"].why.startswith("a variant")


def test_transformers_files_go_before_mistrals(tmp_path):
    """`model*.safetensors` before `consolidated*.safetensors` before PyTorch files."""
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(100))
    assert read_folder(tmp_path).container == "torch"
    write(tmp_path / "consolidated.safetensors", ONE)
    assert read_folder(tmp_path).total_bytes == 64
    write_set(tmp_path)
    assert read_folder(tmp_path).total_bytes == 96


def test_what_differs_from_the_index_without_contradiction_is_noted(tmp_path):
    """Another total, and tensors the index does not list: counted as the headers say, and told."""
    write_set(tmp_path, total=101)
    write(tmp_path / shard(3), {**SHARDS[2], "extra": ("BF16", [2])})
    found = read_folder(tmp_path)
    assert found.total_bytes == 100
    assert "does not list them: extra" in found.notes[0]
    assert "states 101 bytes; the headers list 100" in found.notes[1]


def broken(folder, case):
    write_set(folder, index=not case.startswith("no index"))
    if case == "missing shard":
        (folder / shard(2)).unlink()
    elif case == "mixed":
        for number in (1, 2, 3):
            (folder / shard(number)).rename(folder / shard(number, 7))
    elif case == "no index, missing shard":
        (folder / shard(2)).unlink()
    elif case == "no index, two sets":
        write(folder / shard(1, 2), ONE)
    elif case == "tensor nowhere":
        write_set(folder, **{"layer.9": shard(1)})
    elif case == "tensor elsewhere":
        write_set(folder, **{"layer.2": shard(1), "layer.3": shard(3)})
        write(folder / shard(3), {**SHARDS[2], "layer.3": ("BF16", [2])})
    elif case == "tensor twice":
        write(folder / shard(3), {**SHARDS[2], **SHARDS[0]})
    elif case == "outside":
        write_set(folder, **{"layer.9": "../../etc/passwd"})
    elif case == "no map":
        (folder / "model.safetensors.index.json").write_text('{"metadata": {}}')
    elif case == "not json":
        (folder / "model.safetensors.index.json").write_text("x")
    elif case == "map twice":
        (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "b", "a": "c"}}')
    elif case == "truncated":
        os.truncate(folder / shard(2), 20)
    elif case.endswith("dangling link"):
        (folder / shard(2)).unlink()
        (folder / shard(2)).symlink_to(folder / "blobs")
    elif case == "no index, pipe":
        (folder / shard(2)).unlink()
        os.mkfifo(folder / shard(2))
    elif case == "no index, unnumbered":
        (folder / shard(1)).rename(folder / shard(9, 3))


@pytest.mark.parametrize(
    "case, says",
    [
        ("missing shard", "names 3 files, and only 2 of them are there; missing: model-00002-of-00003.safetensors."),
        ("mixed", "names 3 files, and none of them are there"),
        ("no index, missing shard", "1 of the 3 shards of model are missing"),
        ("no index, two sets", "are of two sets, of 2 and 3 files"),
        ("no index, unnumbered", "1 of the 3 shards of model are missing"),
        ("tensor nowhere", "holds layer.9, which no file holds"),
        (
            "tensor elsewhere",
            "model-00001-of-00003.safetensors holds layer.2, which is in model-00003-of-00003.safetensors",
        ),
        ("tensor twice", "layer.0 stands in two files, model-00001-of-00003.safetensors and model-00003"),
        ("outside", "'../../etc/passwd', which is not a file of this checkpoint"),
        ("no map", "its weight_map is missing or empty"),
        ("not json", "it is not a JSON object"),
        ("map twice", "a stands twice"),
        ("truncated", "model-00002-of-00003.safetensors is truncated"),
        ("dangling link", "model-00002-of-00003.safetensors"),
        ("no index, dangling link", "is a link to a file that is not there"),
        ("no index, pipe", "is not a regular file"),
    ],
)
def test_each_broken_set_is_one_clear_line(tmp_path, case, says):
    """Missing, mixed, doubled or contradicting files: one line names what is wrong; a pipe is not waited for."""
    broken(tmp_path, case)
    assert says in problem(read_folder, tmp_path)


@pytest.mark.parametrize(
    "name, says", [("none.safetensors", "is not there"), ("model.bin", "is not a .safetensors file")]
)
def test_a_file_that_cannot_be_read_is_said(tmp_path, name, says):
    """No such file, or one of another kind."""
    assert says in problem(read_file, tmp_path / name)
    assert "is not a regular file" in problem(read_file, write(tmp_path / "x.safetensors" / "a", ONE).parent)


def test_links_are_followed_to_files(tmp_path):
    """The hub's cache links every file to its content elsewhere."""
    write(tmp_path / "blobs" / "abc", ONE)
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "model.safetensors").symlink_to("../blobs/abc")
    assert read_folder(tmp_path / "snapshot").total_bytes == 64


@pytest.mark.parametrize(
    "index, expected, says",
    [
        (None, 600, "their size on disk stands in"),
        ({}, 600, "their size on disk stands in"),
        ({"total_size": 598}, 598, ""),
        ({"total_size": 300}, 300, "states 300 bytes of tensors, but its files have 600"),
    ],
)
def test_pytorch_files_are_sized_and_never_opened(tmp_path, index, expected, says):
    """The index's total where it states one, else the files' sizes, which is said; a difference beyond 1 % is said too."""
    names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    for name in names:
        (tmp_path / name).write_bytes(b"not a pickle".ljust(300))
    if index is not None:
        content = {"metadata": index, "weight_map": {"a": names[0], "b": names[1]}}
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(content))
    found = read_folder(tmp_path)
    assert (found.container, found.tensors, found.total_bytes) == ("torch", (), expected)
    assert says in " ".join(found.notes)
    assert bool(says) == bool(found.notes)


@pytest.mark.parametrize(
    "stated, total", [(1.4e10, 14_000_000_000), (7, 7), (0, None), ("7", None), (1.5, None), (True, None)]
)
def test_the_total_of_an_index_is_a_whole_number(stated, total):
    """Some tools write it as 1.4e10; what is no number of bytes is as if it were not stated."""
    content = json.dumps({"metadata": {"total_size": stated}, "weight_map": {"a": "b"}, "other": [1]}).encode()
    assert parse_index(content, where="x").total_bytes == total


def test_an_index_beyond_its_limit_is_refused():
    """64 MiB is five times the largest that was published."""
    with pytest.raises(CheckpointError, match="larger than 64 MiB"):
        parse_index(bytes(64 * 2**20 + 1), where="x")
