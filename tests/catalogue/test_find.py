"""Names that people type lead to the right model."""

import pytest
import yaml

import kvplan
from kvplan.catalogue import MODELS, Catalogue, normalise
from kvplan.errors import UnknownModelError

# As typed in shells, deployment files and issue reports.
NAMES = {
    "llama-3-70b": "llama-3-70b",
    "llama3-70b": "llama-3-70b",
    "llama3:70b": "llama-3-70b",
    "Llama 3 70B": "llama-3-70b",
    "meta-llama/Meta-Llama-3-70B-Instruct": "llama-3-70b",
    "llama-2-7b": "llama-2-7b",
    "meta-llama/Llama-2-7b-chat-hf": "llama-2-7b",
    "llama2:13b": "llama-2-13b",
    "llama-2-70b": "llama-2-70b",
    "llama3:8b": "llama-3-8b",
    "llama-3.1-8b": "llama-3.1-8b",
    "llama3.1:8b": "llama-3.1-8b",
    "llama-3.1-8b-instruct": "llama-3.1-8b",
    "meta-llama/Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "meta-llama/Meta-Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "llama3.1:405b": "llama-3.1-405b",
    "llama3.2": "llama-3.2-3b",
    "llama3.2:1b": "llama-3.2-1b",
    "llama3.2-vision": "llama-3.2-11b-vision",
    "llama3.3": "llama-3.3-70b",
    "meta-llama/Llama-3.3-70B-Instruct": "llama-3.3-70b",
    "llama4:scout": "llama-4-scout",
    "llama-4-maverick": "llama-4-maverick",
    "codellama:34b": "codellama-34b",
    "mistral": "mistral-7b",
    "mistral-7b": "mistral-7b",
    "mistralai/Mistral-7B-Instruct-v0.1": "mistral-7b-v0.1",
    "mistralai/Mistral-7B-Instruct-v0.2": "mistral-7b-v0.2",
    "mistral-nemo": "mistral-nemo-12b",
    "mistral-small": "mistral-small-24b",
    "mistral-large": "mistral-large-123b",
    "mixtral-8x7b": "mixtral-8x7b",
    "mixtral:8x22b": "mixtral-8x22b",
    "ministral-8b": "ministral-8b",
    "pixtral-12b": "pixtral-12b",
    "qwen3:8b": "qwen3-8b",
    "qwen3-8b": "qwen3-8b",
    "Qwen/Qwen3-8B": "qwen3-8b",
    "qwen3:30b-a3b": "qwen3-30b-a3b",
    "Qwen/Qwen3-30B-A3B-Instruct-2507": "qwen3-30b-a3b-2507",
    "qwen3-coder": "qwen3-coder-30b-a3b",
    "qwen3-next": "qwen3-next-80b-a3b",
    "qwen3.8:27b": "qwen3.8-27b",
    "qwen2.5-7b": "qwen2.5-7b",
    "qwen2.5:7b": "qwen2.5-7b",
    "Qwen/Qwen2.5-7B-Instruct": "qwen2.5-7b",
    "Qwen/Qwen2.5-7B": "qwen2.5-7b-base",
    "qwen2.5-coder:32b": "qwen2.5-32b",
    "qwen2.5vl:7b": "qwen2.5-vl-7b",
    "qwq": "qwq-32b",
    "gemma3:27b": "gemma-3-27b",
    "gemma-3-27b": "gemma-3-27b",
    "google/gemma-3-27b-it": "gemma-3-27b",
    "gemma2:9b": "gemma-2-9b",
    "gemma4:e4b": "gemma-4-e4b",
    "gemma3n": "gemma-3n-e4b",
    "phi-4": "phi-4",
    "phi4:14b": "phi-4",
    "phi-2": "phi-2",
    "microsoft/phi-1_5": "phi-1.5",
    "gpt-oss-120b": "gpt-oss-120b",
    "gpt-oss:20b": "gpt-oss-20b",
    "openai/gpt-oss-20b": "gpt-oss-20b",
    "deepseek-v3": "deepseek-v3",
    "deepseek-ai/DeepSeek-V3.1": "deepseek-v3",
    "deepseek-r1": "deepseek-r1",
    "deepseek-r1:671b": "deepseek-r1",
    "deepseek-r1:8b": "deepseek-r1-0528-qwen3-8b",
    "deepseek-r1:70b": "deepseek-r1-distill-llama-70b",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": "deepseek-r1-distill-qwen-32b",
    "deepseek-v2-lite": "deepseek-v2-lite",
    "kimi-k2": "kimi-k2",
    "kimi-k2.6": "kimi-k2.5",
    "kimi-linear": "kimi-linear-48b-a3b",
    "glm-4.5-air": "glm-4.5-air",
    "glm4:9b": "glm-4-9b",
    "glm-5": "glm-5",
    "minimax-m2.5": "minimax-m2",
    "command-r": "command-r",
    "command-r-plus": "command-r-plus",
    "command-r7b": "command-r7b",
    "falcon:40b": "falcon-40b",
    "mpt-7b": "mpt-7b",
    "gpt2": "gpt2",
    "gpt2-xl": "gpt2-xl",
    "EleutherAI/gpt-j-6B": "gpt-j-6b",
    "facebook/opt-6.7b": "opt-6.7b",
    "bigscience/bloom": "bloom-176b",
    "starcoder2:3b": "starcoder2-3b",
    "granite3.3:8b": "granite-3.3-8b",
    "olmo2:13b": "olmo-2-13b",
    "jamba": "jamba-v0.1",
    "codestral-mamba": "mamba-codestral-7b",
    "nemotron-3-nano": "nemotron-3-nano-30b-a3b",
    "dbrx": "dbrx-132b",
    "yi-34b": "yi-34b",
    "tinyllama": "tinyllama-1.1b",
    "llava:7b": "llava-1.5-7b",
    "whisper-large-v3": "whisper-large-v3",
    "openai/whisper-large-v3-turbo": "whisper-large-v3-turbo",
    "t5-base": "t5-base",
    "google/flan-t5-xl": "flan-t5-xl",
    "bart-large": "bart-large",
    "BAAI/bge-large-en-v1.5": "bge-large-en-v1.5",
}


@pytest.mark.parametrize("name, entry_id", NAMES.items(), ids=list(NAMES))
def test_a_typed_name_finds_its_model(name, entry_id):
    """Each usual name leads to one entry."""
    found = MODELS.find(name)
    assert found is not None
    assert found.id == entry_id


@pytest.mark.parametrize(
    "name", ["", " ", "llama", "gpt-5", "../../etc/passwd", "llama-3-70b.yaml", "nobody/nothing", "é"]
)
def test_what_no_entry_has_is_not_found(name):
    """An unknown name finds nothing, whatever is in it."""
    assert MODELS.find(name) is None


def test_a_different_shape_is_a_different_entry():
    """Versions that share a name but not a shape stay apart."""
    for one, other in (
        ("mistralai/Mixtral-8x22B-v0.1", "mistralai/Mixtral-8x22B-Instruct-v0.1"),
        ("Qwen/Qwen2.5-72B", "Qwen/Qwen2.5-72B-Instruct"),
        ("moonshotai/Kimi-K2-Instruct", "moonshotai/Kimi-K2-Instruct-0905"),
        ("Qwen/Qwen3-4B", "Qwen/Qwen3-4B-Instruct-2507"),
    ):
        first, second = MODELS.find(one), MODELS.find(other)
        assert first is not None
        assert second is not None
        assert MODELS.read(first)["config"] != MODELS.read(second)["config"]


@pytest.mark.parametrize(
    "name, entry_id, form",
    [
        ("Qwen/Qwen3-8B-AWQ", "qwen3-8b", "awq"),
        ("Qwen/Qwen3-32B-FP8", "qwen3-32b", "fp8-block"),
        ("nvidia/Llama-3.1-70B-Instruct-FP8", "llama-3.1-70b", "fp8"),
        ("hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4", "llama-3.1-70b", "awq"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w8a8", "llama-3.1-8b", "int8"),
        ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", "llama-3.1-8b", "nf4"),
    ],
)
def test_a_quantised_repository_leads_to_its_model_and_format(name, entry_id, form):
    """A quantised repository is known with its format, and is no alias of the unquantised model."""
    assert MODELS.find(name) is None
    found = MODELS.find_checkpoint(name)
    assert found is not None
    assert (found[0].id, found[1]) == (entry_id, form)


def test_an_unknown_repository_is_no_checkpoint():
    """A repository that no entry lists is not guessed from its name."""
    assert MODELS.find_checkpoint("nobody/Qwen3-8B-FP8") is None


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("lama-3-70b", "llama-3-70b"),
        ("qwen3-8", "qwen3-8b"),
        ("mixtral-8x7", "mixtral-8x7b"),
        ("gpt-oss", "gpt-oss-20b"),
    ],
)
def test_a_typing_error_gets_the_meant_name(typed, meant):
    """The nearest names hold what was meant."""
    assert meant in MODELS.nearest(typed)


def test_nearest_gives_different_ids_only():
    """Three suggestions are three models, and nonsense gets none."""
    suggestions = MODELS.nearest("llama")
    assert len(suggestions) == len(set(suggestions)) == 3
    assert MODELS.nearest("@@@@") == ()


def test_search_wants_every_word():
    """A search gives the entries that one name of theirs matches in full, and all of them for no word."""
    assert {entry.id for entry in MODELS.search(["qwen3", "coder"])} >= {"qwen3-coder-30b-a3b", "qwen3-coder-next"}
    assert [entry.id for entry in MODELS.search(["whisper", "turbo"])] == ["whisper-large-v3-turbo"]
    assert MODELS.search(["no such model"]) == []
    assert len(MODELS.search([])) == len(MODELS.entries)


def test_an_id_is_found_without_reading_another_file(monkeypatch):
    """Looking up an id opens its own file only."""
    catalogue = Catalogue("model_specs")
    monkeypatch.setattr(Catalogue, "entries", property(lambda _: pytest.fail("read every file")))
    found = catalogue.find("llama-3-70b")
    assert found is not None
    assert "meta-llama/Meta-Llama-3-70B-Instruct" in found.aliases


def test_a_lookup_parses_no_yaml(monkeypatch):
    """Ids, aliases, suggestions and checkpoints come from text; only `read` parses, and only one file."""
    parsed: list[bytes] = []
    load = yaml.load
    monkeypatch.setattr(yaml, "load", lambda text, loader: parsed.append(text) or load(text, loader))
    catalogue = Catalogue("model_specs")
    entry = catalogue.find("qwen3:8b")
    catalogue.nearest("qwen3:9b")
    catalogue.search(["qwen3"])
    catalogue.find_checkpoint("Qwen/Qwen3-8B-AWQ")
    assert parsed == []
    assert entry is not None
    catalogue.read(entry)
    assert parsed == [entry.path.read_bytes()]


def test_normalise_keeps_versions_apart():
    """Case and punctuation do not count, the point of a version does."""
    assert normalise("Llama 3.1:8B") == normalise("llama-3.1-8b") == "llama3.18b"
    assert normalise("qwen3:8b") != normalise("qwen3.8b")


@pytest.mark.parametrize(
    "name, model, form",
    [
        ("minimax-m3-awq", "minimax-m3", "awq"),
        ("MiniMax-M3 AWQ", "minimax-m3", "awq"),
        ("qwen3.6-35b-a3b-autoround-int4", "qwen3.6-35b-a3b", "int4"),
        ("llama-3.1-8b-FP8-dynamic", "llama-3.1-8b", "fp8"),
        ("llama-3.1-8b-Q4_K_M", "llama-3.1-8b", "q4_k_m"),
        ("qwen3-14b-gptq-int8", "qwen3-14b", "gptq-int8"),
    ],
)
def test_a_model_may_be_named_with_its_weight_format(name, model, form):
    """As people call checkpoints of their own: the catalogue's model, taken as published in that format, which is said."""
    plain, named = kvplan.load_model(model), kvplan.load_model(name)
    assert (named.layers, named.published_as) == (plain.layers, form)
    assert any("its files are not known" in note.text for note in named.assumptions)


@pytest.mark.parametrize("name", ["llama-3.1-8b-auto", "nonsense-fp8", "fp8", "llama-3.1-8b-fp8-experimental", "-awq"])
def test_other_words_behind_a_name_are_not_read_away(name):
    """A format is read, anything else beside it may mean another model."""
    with pytest.raises(UnknownModelError):
        kvplan.load_model(name)
