"""Adapters: what PEFT writes, in a folder and on the hub."""

import json

import pytest
from fake_hub import FakeHub, File, header, serving
from huggingface_hub import constants

from kvplan.checkpoints.adapters import read_adapter
from kvplan.errors import CheckpointError, HubNotFoundError, UnknownModelError

# As PEFT 0.14 writes it for rank 16 on two projections.
CONFIG = {
    "peft_type": "LORA",
    "base_model_name_or_path": "acme/tiny",
    "r": 16,
    "lora_alpha": 32,
    "target_modules": ["q_proj", "v_proj"],
    "modules_to_save": None,
    "rank_pattern": {},
}
PREFIX = "base_model.model.model.layers.0.self_attn"
TENSORS = {
    f"{PREFIX}.{module}.lora_{half}.weight": ("F32", shape)
    for module in ("q_proj", "v_proj")
    for half, shape in (("A", [16, 512]), ("B", [512, 16]))
}
BYTES = 4 * 16 * 512 * 4


def write(folder, config=CONFIG, *, weights=True):
    if config is not None:
        (folder / "adapter_config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    if weights:
        start, size = header(TENSORS)
        (folder / "adapter_model.safetensors").write_bytes(start.ljust(size, b"\0"))
    return folder


def test_an_adapter_of_a_folder_is_read(tmp_path):
    """Rank, modules, base and the tensors of its file."""
    found = read_adapter(write(tmp_path))
    assert (found.kind, found.rank, found.base_model) == ("lora", 16, "acme/tiny")
    assert (found.target_modules, found.modules_to_save) == (("q_proj", "v_proj"), ())
    assert (found.total_bytes, len(found.tensors), found.dora) == (BYTES, 4, False)
    assert found.notes == ()


def test_the_largest_rank_and_the_replaced_modules_are_kept(tmp_path):
    """Engines reserve for the largest rank of any module; a pattern or keyword stands for modules; saved modules are whole."""
    changed = CONFIG | {"rank_pattern": {"v_proj": 64}, "target_modules": "all-linear", "modules_to_save": ["lm_head"]}
    found = read_adapter(str(write(tmp_path, changed)))
    assert (found.rank, found.target_modules, found.modules_to_save) == (64, ("all-linear",), ("lm_head",))


def test_a_kind_without_a_rank_has_none(tmp_path):
    """IA3 and prompts have no rank; nothing is made up."""
    found = read_adapter(write(tmp_path, {"peft_type": "IA3", "target_modules": ["k_proj"]}))
    assert (found.kind, found.rank, found.base_model) == ("ia3", None, None)


def test_a_pytorch_adapter_is_sized_and_never_opened(tmp_path):
    """The size of `adapter_model.bin` stands in for its tensors, which is said."""
    write(tmp_path, weights=False)
    (tmp_path / "adapter_model.bin").write_bytes(b"no pickle".ljust(500))
    found = read_adapter(tmp_path)
    assert (found.total_bytes, found.tensors) == (500, ())
    assert "stands in for the weights" in found.notes[0]


@pytest.mark.parametrize(
    "config, weights, says",
    [
        (None, True, "has no adapter_config.json: it holds no adapter"),
        (CONFIG, False, "has neither adapter_model.safetensors nor adapter_model.bin"),
        ("{", True, "adapter_config.json is not JSON"),
        ("[]", True, "is not a JSON object"),
        ("[" * 100_000, True, "is not JSON"),
        (" " * (2**20 + 1), True, "is larger than 1,048,576 bytes"),
        (CONFIG | {"r": "16"}, True, "r is '16', which is not a whole number from 1"),
        (CONFIG | {"r": True}, True, "r is True"),
        (CONFIG | {"r": 0}, True, "r is 0"),
        (CONFIG | {"rank_pattern": {"a": -1}}, True, "rank_pattern is {'a': -1}"),
        (
            CONFIG | {"target_modules": {"q_proj": 1}},
            True,
            "target_modules is {'q_proj': 1}, which is not a list of names",
        ),
        (CONFIG | {"use_dora": "yes"}, True, "use_dora is 'yes', which is not true or false"),
        (CONFIG | {"modules_to_save": [1]}, True, "modules_to_save is [1]"),
        (CONFIG | {"base_model_name_or_path": 1}, True, "base_model_name_or_path is 1, which is not a text"),
    ],
)
def test_each_broken_adapter_is_one_clear_line(tmp_path, config, weights, says):
    """What is missing or cannot be meant is named."""
    with pytest.raises(CheckpointError) as caught:
        read_adapter(write(tmp_path, config, weights=weights))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no such folder", "./none", "a/b/c", "", "x" * 5000, "a\0b"])
def test_what_is_neither_folder_nor_hub_id_is_said(name):
    """The two forms are named."""
    with pytest.raises(UnknownModelError, match="There is no folder"):
        read_adapter(name)


def test_an_adapter_on_the_hub_is_read_by_its_header(monkeypatch):
    """Its configuration and its header are transferred, and nothing of its weights; none there is said."""
    start, size = header(TENSORS)
    config = File.of(json.dumps(CONFIG).encode())
    files = {
        "acme/lora/adapter_config.json": config,
        "acme/lora/adapter_model.safetensors": File(start, size),
        "acme/old/adapter_config.json": config,
        "acme/old/adapter_model.bin": File(b"", 500),
        "acme/none/adapter_config.json": config,
    }
    hub = FakeHub(files)
    with serving(hub) as address:
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        found = read_adapter("acme/lora")
        assert hub.sent.total() == config.size + len(start)
        assert (found.rank, found.total_bytes, len(found.tensors)) == (16, BYTES, 4)
        assert read_adapter("acme/old@main").total_bytes == 500
        with pytest.raises(CheckpointError, match="acme/none has neither"):
            read_adapter("acme/none")
        with pytest.raises(CheckpointError, match=r"acme/empty has no adapter_config\.json on the hub"):
            read_adapter("acme/empty")
        with pytest.raises(HubNotFoundError, match="has no revision 'nowhere'"):
            read_adapter("acme/lora@nowhere")
