"""Headers of a repository through the real huggingface_hub client, against a local server that counts what it is asked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fake_hub import COMMIT, FakeHub, File, header, serving, sharded
from huggingface_hub import constants

from kvplan.checkpoints import hub as hub_module
from kvplan.checkpoints.hub import read_hub
from kvplan.checkpoints.index import MAX_INDEX_BYTES
from kvplan.checkpoints.ranges import RangeReader
from kvplan.errors import CheckpointError, HubError, HubGatedError, HubNotFoundError, HubOfflineError

TINY = {"embed": ("BF16", [4, 4]), "layer.weight": ("F8_E4M3", [8, 4])}  # 32 + 32 bytes
TOKEN = "hf_" + "x" * 34


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """Give each test an empty home of the hub's client, short time-outs, and a token that must not leak."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return tmp_path


@pytest.fixture
def connect(monkeypatch):
    """Point the client at a server."""

    def to(address):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        return address

    return to


def tiny(name="model.safetensors", tensors=TINY):
    return {f"acme/tiny/{name}": File(*header(tensors))}


def problem(error, name="acme/tiny"):
    with pytest.raises(error) as caught:
        read_hub(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("redirected", [False, True])
def test_only_the_headers_are_transferred(connect, redirected):
    """Two hundred shards: 8 bytes and the header of each, the index, and not a byte more; each file is asked twice."""
    files = sharded("acme/large", 200)
    cdn, hub = FakeHub(files), FakeHub(files)
    with serving(cdn) as elsewhere, serving(hub) as address:
        connect(address)
        hub.redirect = elsewhere if redirected else None
        steps = []
        found = read_hub("acme/large", progress=lambda done, of: steps.append((done, of)))
    index = files["acme/large/model.safetensors.index.json"]
    shards = {name: file for name, file in files.items() if file is not index}
    assert (hub.sent + cdn.sent).total() == index.size + sum(len(file.start) for file in shards.values())
    ranges = sorted(line.split(" ", 1)[1] for line in (cdn if redirected else hub).requests if "bytes=" in line)
    expected = [f"{name} bytes={part}" for name, file in shards.items() for part in ("0-7", f"8-{len(file.start) - 1}")]
    assert ranges == sorted(expected)
    assert len(hub.requests) == (201 if redirected else 401)
    assert found.total_bytes == sum(file.size - len(file.start) for file in shards.values())
    assert [tensor.name for tensor in found.tensors[:2]] == [
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.gate_proj.weight",
    ]
    assert len(found.tensors) == 2200
    assert found.notes == ()
    assert steps == [(done, 200) for done in range(1, 201)]
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert cdn.tokens == ({None} if redirected else set())


def test_files_are_read_side_by_side(connect, monkeypatch):
    """Forty answers of 100 ms each come in a fraction of the four seconds they take one by one."""
    under_way: set[str] = set()
    most = 0
    read = hub_module._tensors  # noqa: SLF001  to see how many run at once

    def counted(source, file, budget):
        nonlocal most
        under_way.add(file)
        most = max(most, len(under_way))
        try:
            return read(source, file, budget)
        finally:
            under_way.remove(file)

    monkeypatch.setattr(hub_module, "_tensors", counted)
    with serving(FakeHub(sharded("acme/large", 20), latency=0.1)) as address:
        connect(address)
        read_hub("acme/large")
    assert most >= 16


@pytest.mark.parametrize("name", ["model.safetensors", "consolidated.safetensors"])
def test_one_file_is_found_by_its_name(connect, name):
    """A repository without an index."""
    hub = FakeHub(tiny(name))
    with serving(hub) as address:
        connect(address)
        found = read_hub("acme/tiny")
    assert (found.container, found.total_bytes) == ("safetensors", 64)
    assert [tensor.dtype for tensor in found.tensors] == ["bf16", "f8_e4m3"]
    assert name in found.source
    assert COMMIT[:12] in found.source


def test_files_of_other_names_are_found_where_the_hub_lists_them(connect):
    """What no name tells is found in the list of files, and the rest of the list is what is left out."""
    files = tiny("weights-00001-of-00001.safetensors")
    sizes = {"weights-00001-of-00001.safetensors": 1, "original/consolidated.00.pth": 9, "README.md": 5, "m.gguf": 4}
    with serving(FakeHub(files, listing={"acme/tiny": sizes})) as address:
        connect(address)
        found = read_hub("acme/tiny")
    assert found.total_bytes == 64
    assert {left.what: left.bytes for left in found.left_out} == {"original/": 9, "m.gguf": 4}


def test_pytorch_files_are_sized_and_never_read(connect):
    """HEAD requests alone: the index's total, or the files' sizes."""
    index = {"metadata": {"total_size": 1000}, "weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}}
    files = {f"acme/tiny/pytorch_model-{number}.bin": File(b"", 502) for number in (1, 2)}
    indexed = files | {"acme/tiny/pytorch_model.bin.index.json": File.of(json.dumps(index).encode())}
    for given, expected in ((indexed, 1000), ({"acme/tiny/pytorch_model.bin": File(b"", 700)}, 700)):
        hub = FakeHub(given)
        with serving(hub) as address:
            connect(address)
            found = read_hub(f"acme/tiny@v{expected}")
        assert (found.container, found.tensors, found.total_bytes) == ("torch", (), expected)
        assert not [line for line in hub.requests if line.startswith("GET") and line.endswith(".bin whole")]


def test_a_repository_without_weights_is_none(connect, monkeypatch):
    """No file of weights is no error, online and offline."""
    with serving(FakeHub({"acme/tiny/config.json": File.of(b"{}")})) as address:
        connect(address)
        assert read_hub("acme/tiny") is None
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert read_hub("acme/tiny") is None


def test_what_was_read_is_there_offline(connect, monkeypatch, home):
    """Kept on disk, whole or not at all: used where the hub is gone or not to be asked, which is noted; damage is ignored."""
    hub = FakeHub(sharded("acme/tiny", 3), listing={"acme/tiny": {"m.gguf": 4}})
    with serving(hub) as address:
        connect(address)
        online = read_hub("acme/tiny")
    connect("http://127.0.0.1:9")
    gone = read_hub("acme/tiny")
    assert gone.tensors == online.tensors
    assert (gone.total_bytes, gone.source, gone.left_out) == (online.total_bytes, online.source, online.left_out)
    assert "cannot be read: ConnectError" in gone.notes[-1]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in read_hub("acme/tiny").notes[-1]
    (kept,) = (home / "kvplan" / "headers").iterdir()
    good = kept.read_text()
    for damaged in (
        "",
        good[:-9],
        "[]",
        good.replace('"bf16"', "16", 1),
        good.replace("[8192,2048],33554432", "[1],2", 1),
        "[" * 10**5,
    ):
        kept.write_text(damaged)
        assert "no headers of acme/tiny are kept" in problem(HubOfflineError)


def test_the_headers_are_read_again_only_for_another_commit(connect):
    """The same commit costs one question without a body; a new one is read; a commit by name is never asked again."""
    hub = FakeHub(sharded("acme/tiny", 3) | {"acme/tiny/config.json": File.of(b"{}")})
    with serving(hub) as address:
        connect(address)
        first = read_hub("acme/tiny")
        hub.requests.clear()
        assert read_hub("acme/tiny").tensors == first.tensors
        assert hub.requests == ["HEAD acme/tiny/config.json whole"]
        hub.commit = "f" * 40
        hub.files = tiny()
        assert read_hub("acme/tiny").total_bytes == 64
        read_hub(f"acme/tiny@{hub.commit}")
        hub.requests.clear()
        assert read_hub(f"acme/tiny@{hub.commit}").total_bytes == 64
        assert hub.requests == []


def test_a_home_that_cannot_be_written_is_no_error(connect, monkeypatch, tmp_path):
    """Keeping what was read is a convenience."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "file"))
    with serving(FakeHub(tiny())) as address:
        connect(address)
        assert read_hub("acme/tiny").total_bytes == 64


def test_a_downloaded_snapshot_is_read_offline(monkeypatch, home):
    """What an engine has downloaded as a whole needs no hub; a part of it does."""
    snapshot = home / "hub" / "models--acme--tiny" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (home / "hub" / "models--acme--tiny" / "refs").mkdir()
    (home / "hub" / "models--acme--tiny" / "refs" / "main").write_text(COMMIT)
    (snapshot / "config.json").write_text("{}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "no headers of acme/tiny are kept" in problem(HubOfflineError)
    start, size = header(TINY)
    (snapshot / "model.safetensors").write_bytes(start)
    assert "no headers of acme/tiny are kept" in problem(HubOfflineError)
    (snapshot / "model.safetensors").write_bytes(start.ljust(size, b"\0"))
    assert read_hub("acme/tiny").total_bytes == 64


@pytest.mark.parametrize(
    "behaviour, error, says",
    [
        ("gated", HubGatedError, "acme/tiny is gated"),
        ("ignores ranges", HubError, "model.safetensors: the server ignores byte ranges"),
        ("another range", HubError, "another range than was asked for"),
        (
            "breaks off",
            HubOfflineError,
            "model.safetensors of acme/tiny@0123456789abcdef0123456789abcdef01234567 cannot be read: RemoteProtocolError",
        ),
        ("stalls", HubOfflineError, "cannot be read: ReadTimeout"),
    ],
)
def test_each_way_the_hub_can_fail_is_one_clear_line(connect, behaviour, error, says):
    """A server that sends everything, something else, a part or nothing: said at once, and no weights are transferred."""
    size = 8 + 10**9
    text = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    file = File(len(text).to_bytes(8, "little") + text, 8 + len(text) + size)
    hub = FakeHub({"acme/tiny/model.safetensors": file}, behaviour=behaviour)
    with serving(hub) as address:
        connect(address)
        assert says in problem(error)
    # What was under way in the sockets' buffers when the reader hung up; the file has a gigabyte.
    assert hub.sent.total() < 16 * 2**20


def test_a_server_that_answers_every_name_is_no_hub(connect):
    """What comes for the index is none: the server is at fault, not the checkpoint."""
    with serving(FakeHub({"acme/tiny/model.safetensors.index.json": File.of(b'{"model_type": "llama"}')})) as address:
        connect(address)
        assert "what the hub sent is no index of weights" in problem(HubError)


def test_a_hub_that_is_not_there_is_said(connect, monkeypatch):
    """No server, and nothing kept; or told to stay offline."""
    connect("http://127.0.0.1:9")
    assert "cannot be read: ConnectError" in problem(HubOfflineError)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set), and no headers of acme/tiny are kept" in problem(HubOfflineError)


@pytest.mark.parametrize(
    "name, says", [("acme/tiny@nowhere", "acme/tiny has no revision 'nowhere'"), ("a/b/c", "'a/b/c' is not a hub id")]
)
def test_a_name_the_hub_does_not_have_is_said(connect, name, says):
    """No such revision, or no name that a repository can have."""
    with serving(FakeHub(tiny())) as address:
        connect(address)
        assert says in problem(HubNotFoundError, name)


def changed(case):
    files = sharded("acme/tiny", 3)
    first, second = (f"acme/tiny/model-0000{number}-of-00003.safetensors" for number in (1, 2))
    index = "acme/tiny/model.safetensors.index.json"
    content = json.loads(files[index].start)
    if case == "missing":
        del files[second]
    elif case == "twice":
        files[second] = files[first]
    elif case == "truncated":
        files[second].size -= 1
    elif case == "short":
        files[second] = File.of(b"abc")
    elif case == "empty":
        files[second] = File.of(b"")
    elif case == "long header":
        files[second].start = (99_000_000).to_bytes(8, "little")
    elif case == "absurd header":
        files[second].start = (2**60).to_bytes(8, "little")
    elif case == "elsewhere":
        content["weight_map"]["a"] = "../x.safetensors"
        files[index] = File.of(json.dumps(content).encode())
    elif case == "many":
        content["weight_map"] = {str(number): f"{number}.safetensors" for number in range(5000)}
        files[index] = File.of(json.dumps(content).encode())
    elif case == "large index":
        files[index].size = MAX_INDEX_BYTES + 1
    return files


@pytest.mark.parametrize(
    "case, says",
    [
        ("missing", "acme/tiny lacks model-00002-of-00003.safetensors, which its index names"),
        ("twice", "model.layers.0.mlp.up_proj.weight stands in two files"),
        ("truncated", "acme/tiny/model-00002-of-00003.safetensors is truncated: its tensors take"),
        ("short", "model-00002-of-00003.safetensors is truncated: it has 3 bytes"),
        ("empty", "model-00002-of-00003.safetensors is truncated: it has 0 bytes"),
        ("absurd header", "is not a safetensors file: its header would have 1,152,921,504,606,846,976 bytes"),
        ("elsewhere", "'../x.safetensors', which is not a file of this checkpoint"),
        ("many", "would have 5,000 files of weights, more than 4,096"),
        ("large index", "model.safetensors.index.json is larger than 67,108,864 bytes"),
    ],
)
def test_each_broken_checkpoint_is_one_clear_line(connect, case, says):
    """Missing, doubled, truncated or lying files are told as those of a folder are."""
    with serving(FakeHub(changed(case))) as address:
        connect(address)
        assert says in problem(CheckpointError)


def test_all_headers_together_are_limited(connect, monkeypatch):
    """A repository whose headers would take more than the limit is refused before they are read."""
    budget = hub_module._Budget(header_bytes=3000)  # noqa: SLF001  the limit itself is half a gigabyte
    monkeypatch.setattr(hub_module, "_Budget", lambda: budget)
    hub = FakeHub(sharded("acme/tiny", 3))
    with serving(hub) as address:
        connect(address)
        assert "the headers of this checkpoint take more than" in problem(CheckpointError)


def test_parts_of_any_file_can_be_read(connect):
    """`RangeReader` gives a file's size and any part of it; where the file ends there is less, then nothing."""
    hub = FakeHub({"acme/tiny/m.gguf": File.of(bytes(range(100)))})
    with serving(hub) as address:
        connect(address)
        reader = RangeReader("acme/tiny", "m.gguf")
        assert hub.requests == []
        assert reader.size == 100
        assert reader.read(90, 5) == bytes(range(90, 95))
        assert reader.read(90, 50) == bytes(range(90, 100))
        assert reader.read(100, 5) == reader.read(0, 0) == b""
        assert RangeReader("acme/tiny", "m.gguf").read(200, 5) == b""
        assert reader.commit == COMMIT
        with pytest.raises(HubNotFoundError, match=r"has no other\.gguf"):
            RangeReader("acme/tiny", "other.gguf").read(0, 8)


def test_the_client_is_imported_only_on_use():
    """The modules of the hub cost nothing until something is read from it."""
    code = (
        "import sys, kvplan.checkpoints.hub, kvplan.checkpoints.folder, kvplan.checkpoints.adapters;"
        "print([name for name in sys.modules if name.split('.')[0] in ('huggingface_hub', 'httpx', 'httpx2')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"
