"""Planning with a model's own weight files: folder, single file, GGUF, hub; drafts and adapters beside it."""

import json
import shutil
import subprocess
import sys

import pytest
from fake_hub import FakeHub, File, header, serving
from gguf_writer import File as Gguf
from huggingface_hub import constants

import kvplan
from kvplan.models.hub import read_hub_model

HIDDEN, HEADS, KV_HEADS, DIM, MLP, LAYERS, VOCABULARY = 64, 4, 2, 16, 128, 2, 256
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": HIDDEN,
    "intermediate_size": MLP,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": DIM,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def layer(index: int, dtype: str = "BF16") -> dict[str, tuple[str, list[int]]]:
    """Return the tensors of one layer, its linears in `dtype`."""
    prefix = f"model.layers.{index}"
    linears = {
        "self_attn.q_proj": [HEADS * DIM, HIDDEN],
        "self_attn.k_proj": [KV_HEADS * DIM, HIDDEN],
        "self_attn.v_proj": [KV_HEADS * DIM, HIDDEN],
        "self_attn.o_proj": [HIDDEN, HEADS * DIM],
        "mlp.gate_proj": [MLP, HIDDEN],
        "mlp.up_proj": [MLP, HIDDEN],
        "mlp.down_proj": [HIDDEN, MLP],
    }
    norms = ("input_layernorm", "post_attention_layernorm")
    return {f"{prefix}.{name}.weight": (dtype, shape) for name, shape in linears.items()} | {
        f"{prefix}.{name}.weight": ("BF16", [HIDDEN]) for name in norms
    }


OUTER = {
    "model.embed_tokens.weight": ("BF16", [VOCABULARY, HIDDEN]),
    "model.norm.weight": ("BF16", [HIDDEN]),
    "lm_head.weight": ("BF16", [VOCABULARY, HIDDEN]),
}
TENSORS = OUTER | layer(0) | layer(1)
LINEARS = HIDDEN * (2 * HEADS * DIM + 2 * KV_HEADS * DIM + 3 * MLP)
PARAMETERS = 2 * VOCABULARY * HIDDEN + HIDDEN + LAYERS * (LINEARS + 2 * HIDDEN)


def written(folder, tensors=TENSORS, config=CONFIG, name="model.safetensors"):
    """Write a model's folder: its configuration and one file of weights."""
    folder.mkdir(exist_ok=True)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    start, size = header(tensors)
    (folder / name).write_bytes(start.ljust(size, b"\0"))
    return folder


def weights(model, **asked):
    """Return the `weights` section of a plan."""
    return kvplan.estimate(model, engine="textbook", context=64, **asked).to_dict()["weights"]


def test_a_folder_is_planned_by_its_headers(tmp_path):
    """The headers' sum is the figure, and the configuration agrees with it to the byte."""
    found = weights(str(written(tmp_path / "tiny")))
    assert found["origin"] == "headers"
    assert found["checkpoint_bytes"] == found["items"][0]["bytes"] == 2 * PARAMETERS
    assert found["differences"] == [{"origin": "configuration", "bytes": 2 * PARAMETERS, "relative": 0.0}]


def test_every_tensor_counts_at_its_own_format(tmp_path):
    """One layer in fp8, the other in 16 bits, though the configuration says nothing of it: the difference is told."""
    plan = kvplan.estimate(written(tmp_path / "mixed", OUTER | layer(0, "F8_E4M3") | layer(1)), context=64)
    assert plan.weights.items[0].bytes == 2 * PARAMETERS - LINEARS
    assert any("configuration comes to" in note.text for note in plan.assumptions)


def test_ranks_divide_the_headers(tmp_path):
    """Over four ranks a KV head of two is on each, norms are whole, everything else is a quarter."""
    found = weights(str(written(tmp_path / "tiny")), tensor_parallel=4)
    kv = 2 * DIM * HIDDEN
    split = 2 * VOCABULARY * HIDDEN // 4 + LAYERS * ((LINEARS - 2 * KV_HEADS * DIM * HIDDEN) // 4 + kv)
    assert found["items"][0]["bytes"] == 2 * (split + (2 * LAYERS + 1) * HIDDEN)


def test_another_format_is_a_what_if(tmp_path):
    """With `--quantization` the configuration's modules count, not the files."""
    found = weights(str(written(tmp_path / "tiny")), quantization="int4")
    assert (found["origin"], found["format"]) == ("configuration", "int4")


def test_a_file_of_weights_takes_the_configuration_beside_it(tmp_path):
    """`x/model.safetensors` is the folder's model; without a configuration it is refused with what is missing."""
    folder = written(tmp_path / "tiny")
    assert weights(str(folder / "model.safetensors"))["origin"] == "headers"
    alone = written(tmp_path / "alone", config=None)
    with pytest.raises(kvplan.UnknownModelError, match=r"no file .*config\.json"):
        kvplan.load_model(alone / "model.safetensors")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda content: content[:-1], "model.safetensors"),
        (lambda content: b"\xff" * 8 + content[8:], "model.safetensors"),
        (lambda content: content[:8] + b"[" + content[9:], "model.safetensors"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, spoil, message):
    """Cut off, oversized and broken headers are an error that names the file."""
    folder = written(tmp_path / "broken")
    file = folder / "model.safetensors"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(kvplan.CheckpointError, match=message) as raised:
        kvplan.load_model(folder)
    assert "\n" not in raised.value.message


def test_headers_settle_a_quantisation_that_no_rule_understands(tmp_path):
    """An unknown method leaves the configuration's figure unknown; what the headers list is known all the same."""
    config = {**CONFIG, "quantization_config": {"quant_method": "vptq"}}
    folder = written(tmp_path / "vptq", OUTER | layer(0, "F8_E4M3") | layer(1, "F8_E4M3"), config)
    assert kvplan.estimate(folder, context=64).weights.items[0].bytes == 2 * PARAMETERS - 2 * LINEARS
    assert kvplan.estimate(folder / "config.json", context=64).weights is None


def test_pytorch_files_count_by_their_size(tmp_path):
    """A pickle is never opened: its size stands in for the weights, and the plan says so."""
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "pytorch_model.bin").write_bytes(b"\0" * (2 * PARAMETERS + 1000))
    plan = kvplan.estimate(folder, engine="textbook", context=64)
    assert plan.weights.origin == "file sizes"
    assert plan.weights.bytes == 2 * PARAMETERS + 1000
    assert any("size on disk" in note.text for note in plan.assumptions)


def test_modelopts_file_says_the_quantisation_and_the_cache(tmp_path):
    """`hf_quant_config.json` beside a configuration without a section: fp8 weights, and an fp8 cache under `auto`."""
    folder = written(tmp_path / "fp8", OUTER | layer(0, "F8_E4M3") | layer(1, "F8_E4M3"))
    said = {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}
    (folder / "hf_quant_config.json").write_text(json.dumps({"quantization": said}), encoding="utf-8")
    plan = kvplan.estimate(folder, context=64)
    assert plan.to_dict()["cache"]["dtype"] == "fp8_e4m3"
    assert plan.weights.scheme.startswith("fp8")


GGUF = Gguf(
    metadata={
        "general.architecture": "llama",
        "llama.block_count": LAYERS,
        "llama.context_length": 2048,
        "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": MLP,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.attention.key_length": DIM,
        "llama.attention.value_length": DIM,
        "llama.vocab_size": VOCABULARY,
    },
    tensors=[
        ("token_embd.weight", "q8_0", (VOCABULARY, HIDDEN)),
        ("output_norm.weight", "f32", (HIDDEN,)),
        ("output.weight", "q8_0", (VOCABULARY, HIDDEN)),
        *(
            (f"blk.{index}.{name}.weight", kind, shape)
            for index in range(LAYERS)
            for name, kind, shape in (
                ("attn_norm", "f32", (HIDDEN,)),
                ("attn_q", "q4_0", (HEADS * DIM, HIDDEN)),
                ("attn_k", "q4_0", (KV_HEADS * DIM, HIDDEN)),
                ("attn_v", "q8_0", (KV_HEADS * DIM, HIDDEN)),
                ("attn_output", "q4_0", (HIDDEN, HEADS * DIM)),
                ("ffn_norm", "f32", (HIDDEN,)),
                ("ffn_gate", "q4_0", (MLP, HIDDEN)),
                ("ffn_up", "q4_0", (MLP, HIDDEN)),
                ("ffn_down", "q4_0", (HIDDEN, MLP)),
            )
        ),
    ],
)


def test_a_gguf_file_is_planned_with_any_engine(tmp_path):
    """Its metadata goes through the same families as a configuration, its table says the bytes of every block."""
    file = tmp_path / "tiny-q4_0.gguf"
    file.write_bytes(GGUF.bytes())
    q8, v = 34 * 2 * VOCABULARY * HIDDEN // 32, KV_HEADS * DIM * HIDDEN
    q4 = LAYERS * (18 * (LINEARS - v) // 32 + 34 * v // 32)
    plan = kvplan.estimate(file, engine="transformers", context=100)
    assert plan.weights.bytes == q8 + q4 + 4 * (2 * LAYERS + 1) * HIDDEN
    assert plan.deployment.model.parameters == PARAMETERS
    assert plan.weights.scheme == "q8_0 + q4_0"
    assert plan.bytes_per_request == 100 * LAYERS * 2 * KV_HEADS * DIM * 2
    assert kvplan.estimate(tmp_path, context=100).deployment.model.id == "tiny-q4_0"


def test_several_ggufs_in_a_folder_are_told_apart(tmp_path):
    """A folder with two models in GGUF names them instead of choosing one."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.gguf").write_bytes(GGUF.bytes())
    with pytest.raises(kvplan.UnknownModelError, match="2 GGUF models") as raised:
        kvplan.load_model(tmp_path)
    assert "a.gguf, b.gguf" in str(raised.value)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Point the client at a server of this test's, with an empty home."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    start, size = header(TENSORS)
    files = {
        "acme/tiny/config.json": File.of(json.dumps(CONFIG).encode()),
        "acme/tiny/model.safetensors": File(start, size),
        "acme/tiny/tiny.gguf": File.of(GGUF.bytes()),
    }
    fake = FakeHub(files)
    with serving(fake) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield fake


def test_the_hub_gives_headers_and_no_weights(hub):
    """`org/name` is planned by its headers; of the weights' file nothing but its header is sent."""
    model = read_hub_model("acme/tiny")
    assert kvplan.estimate(model, engine="textbook", context=64).weights.bytes == 2 * PARAMETERS
    assert hub.sent["acme/tiny/model.safetensors"] == len(header(TENSORS)[0])


def test_a_gguf_file_on_the_hub_is_read_by_ranges(hub):
    """`org/name:file.gguf` needs no configuration."""
    model = kvplan.load_model("acme/tiny:tiny.gguf")
    assert model.parameters == PARAMETERS
    assert not any("config.json" in request for request in hub.requests)


def test_headers_that_cannot_be_had_leave_the_configuration(hub):
    """A hub that sends no parts of files is no reason to refuse: the configuration counts, and the plan says so."""
    hub.behaviour = "ignores ranges"
    plan = kvplan.estimate(read_hub_model("acme/tiny"), engine="textbook", context=64)
    assert plan.weights.origin == "configuration"
    assert any("headers could not be read" in note.text for note in plan.assumptions)


# -- beside the model ------------------------------------------------------------------------------------------------------


def test_a_draft_model_adds_its_weights_and_its_cache():
    """Two models on one GPU: both are loaded, both keep every token."""
    target, draft = (
        kvplan.estimate(name, engine="textbook", context=1024) for name in ("llama-3.1-8b", "llama-3.2-1b")
    )
    both = kvplan.estimate("llama-3.1-8b", engine="textbook", context=1024, draft="llama-3.2-1b")
    assert both.weights.bytes == target.weights.bytes + draft.weights.bytes
    assert both.bytes_per_request == target.bytes_per_request + draft.bytes_per_request
    assert [item.name for item in both.weights.items] == ["stored weights", "draft model"]


def test_the_models_own_next_token_layers_are_a_draft():
    """`mtp` loads what is otherwise left in the file, and caches for it."""
    without = kvplan.estimate("deepseek-v3", context=1024, tensor_parallel=8)
    with_it = kvplan.estimate("deepseek-v3", context=1024, tensor_parallel=8, draft="mtp")
    added = next(item for item in with_it.weights.items if item.name == "draft layers")
    assert with_it.weights.bytes == without.weights.bytes + added.bytes
    assert with_it.bytes_per_request > without.bytes_per_request


@pytest.mark.parametrize(
    "draft, message",
    [
        ("mtp", "no next-token layers"),
        ("no-such-model", "No model is called"),
        ("modernbert-base", "encoder|without|language model"),
        ("qwen3-0.6b", r"^--draft qwen3-0.6b: it has 151,936 tokens, llama-3.1-8b 128,256; vllm refuses that"),
    ],
)
def test_what_is_no_draft_is_refused(draft, message):
    """A model without such layers, an unknown name, a model that writes nothing."""
    with pytest.raises(kvplan.KvplanError, match=message):
        kvplan.estimate("llama-3.1-8b", draft=draft)


def adapter(folder, rank=16, inputs=HIDDEN, **stated):
    """Write a LoRA adapter on the query projections of the tiny model."""
    folder.mkdir()
    config = {"peft_type": "LORA", "r": rank, "target_modules": ["q_proj"]} | stated
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    start, size = header({"base_model.model.q_proj.lora_A.weight": ("F32", [rank, inputs])})
    (folder / "adapter_model.safetensors").write_bytes(start.ljust(size, b"\0"))
    return str(folder)


def test_an_adapter_is_read_again(tmp_path):
    """A script that trains and plans in one process sees the adapter that lies there now."""
    lora = tmp_path / "lora"
    sizes = []
    for rank in (8, 16):
        shutil.rmtree(lora, ignore_errors=True)
        plan = kvplan.estimate(written(tmp_path / "tiny"), engine="textbook", adapters=[adapter(lora, rank=rank)])
        sizes.append(plan.weights.items[-1].bytes)
    assert sizes[1] == 2 * sizes[0]


def test_an_adapter_is_not_a_model(tmp_path):
    """Its folder says so, and what to name instead."""
    with pytest.raises(kvplan.ConfigError, match=r"holds an adapter, not a model.*--adapter"):
        kvplan.load_model(adapter(tmp_path / "lora"))


def test_adapters_are_an_addition(tmp_path):
    """An engine that loads them as they are takes their own bytes."""
    model, name = str(written(tmp_path / "tiny")), adapter(tmp_path / "lora")
    plan = kvplan.estimate(model, engine="textbook", context=64, adapters=[name, name])
    assert plan.weights.bytes == 2 * PARAMETERS + 2 * 4 * 16 * HIDDEN


def test_vllm_sets_slots_aside_for_adapters(tmp_path):
    """VLLM makes slots of the largest rank for every module, whatever the adapter changes: rank x (inputs + outputs)."""
    model, name = str(written(tmp_path / "tiny")), adapter(tmp_path / "lora", rank=24)
    plan = kvplan.estimate(model, context=64, adapters=[name], engine_args={"max_loras": 3})
    attention = 2 * (HIDDEN + HEADS * DIM) + 2 * (HIDDEN + KV_HEADS * DIM)
    width = LAYERS * (attention + 3 * (HIDDEN + MLP)) + 2 * (HIDDEN + VOCABULARY)
    slots = next(item for item in plan.weights.items if item.name == "adapter slots")
    assert slots.bytes == 3 * 32 * width * 2  # rank 24 needs slots of 32
    with pytest.raises(kvplan.SettingError, match="rank 24"):
        kvplan.estimate(model, context=64, adapters=[name], engine_args={"max_lora_rank": 16})


@pytest.mark.parametrize(
    "stated, reason",
    [
        ({"peft_type": "IA3", "r": None}, "it is 'ia3', not LoRA with a rank"),
        ({"use_dora": True}, "it is DoRA"),
        ({"modules_to_save": ["score", "lm_head"]}, r"it replaces 'lm_head' as a whole \(modules_to_save\)"),
    ],
)
def test_adapters_that_vllm_does_not_load_are_refused(tmp_path, stated, reason):
    """As its PEFTHelper does; an engine that loads any kind takes their bytes."""
    model, name = str(written(tmp_path / "tiny")), adapter(tmp_path / "lora", **stated)
    with pytest.raises(kvplan.SettingError, match=f"vLLM refuses the adapter .*: {reason}"):
        kvplan.estimate(model, context=64, adapters=[name])
    plan = kvplan.estimate(model, engine="transformers", context=64, adapters=[name])
    assert plan.weights.items[-1].formula == "4,096 B (q_proj), whole on every rank"


def test_an_adapter_of_another_model_is_told(tmp_path):
    """No module of the model has its inputs."""
    model = str(written(tmp_path / "tiny"))
    own = kvplan.estimate(model, context=64, adapters=[adapter(tmp_path / "own")])
    other = adapter(tmp_path / "other", inputs=80, base_model_name_or_path="acme/large")
    said = [note.text for note in kvplan.estimate(model, context=64, adapters=[other]).assumptions]
    assert any("80 inputs" in text and "'acme/large'" in text for text in said)
    assert not any("inputs" in note.text for note in own.assumptions)


def test_the_command_takes_drafts_adapters_and_files(tmp_path):
    """`--model FOLDER --adapter FOLDER --draft NAME --json` is one document with all of it."""
    folder, lora = written(tmp_path / "tiny"), adapter(tmp_path / "lora")
    command = ["--model", folder, "--adapter", lora, "--draft", folder, "--context", "64", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "kvplan", "estimate", *command], capture_output=True, text=True, check=True, timeout=60
    )
    names = [item["name"] for item in json.loads(done.stdout)["weights"]["items"]]
    assert {"stored weights", "draft model", "adapter slots"} <= set(names)
