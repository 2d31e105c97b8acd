"""The flag tables of the engines that only the checker of deployment files knows."""

import json
from pathlib import Path

import pytest

import kvplan

HERE = Path(kvplan.__file__).parent / "engines"
NAMES = ("sglang", "tgi", "tensorrt_llm", "llama_cpp", "lmdeploy", "ollama", "nim")
TABLES = {name: json.loads((HERE / name / "flags.json").read_text(encoding="utf-8")) for name in NAMES}
INPUTS = {
    "model",
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "nodes",
    "max_model_len",
    "gpu_memory_utilization",
    "kv_cache_dtype",
    "quantization",
    "max_num_seqs",
    "max_num_batched_tokens",
}
every = pytest.mark.parametrize("name", NAMES)


def spellings(table):
    """Return each spelling with the flag that it means."""
    return [(name, main) for main, entry in table["flags"].items() for name in (main, *entry["aliases"])]


def names_of(value):
    """Return what an input is given by, as a list."""
    return [value] if isinstance(value, str) else value


@every
def test_every_table_names_its_source_and_its_releases(name):
    """A table says of which file of which version its names were read, and is of the engine whose folder it lies in."""
    table = TABLES[name]
    assert table["engine"] == name
    assert len(table["source"]) > 20
    assert len(table["versions"]) > 4
    assert table["style"] in {"argparse", "clap", "click", "llama", "env"}


@every
def test_a_table_does_not_make_its_engine_a_built_one(name):
    """A folder that holds only a table has no engine.py, and `kvplan.engines()` does not list it."""
    assert not (HERE / name / "engine.py").exists()
    assert not {name, name.replace("_", "-"), name.replace("_", ".")} & set(kvplan.engines())


@every
def test_every_input_is_given_by_a_flag_or_a_variable_of_the_table(name):
    """What the checker looks up for an input stands in the table, under the name that the table puts first."""
    table = TABLES[name]
    known = table["env"] if table["style"] == "env" else table["flags"]
    assert set(table["inputs"]) <= INPUTS
    assert [flag for value in table["inputs"].values() for flag in names_of(value) if flag not in known] == []
    assert (
        "model" in table["inputs"] or table["positional"] == "model" or name == "ollama"
    )  # its model comes by request


@every
def test_defaults_are_of_inputs(name):
    """A default stands only where the engine has the input, and a model never has one."""
    table = TABLES[name]
    assert set(table["defaults"]) <= set(table["inputs"]) - {"model"}


@every
def test_no_spelling_means_two_flags(name):
    """Each spelling, long or short, belongs to one flag, and none is both there and gone."""
    table = TABLES[name]
    found = [spelling for spelling, _ in spellings(table)]
    assert sorted(found) == sorted(set(found))
    assert set(found).isdisjoint(table.get("removed", {}))
    assert set(table.get("env", {})).isdisjoint(table.get("retired", {}))


@every
def test_what_follows_a_flag_is_one_of_five(name):
    """Every flag says how many words it swallows, now and before it changed, and a flag that negates takes none."""
    kinds = {"none", "one", "maybe", "many", "each"}
    for flag, entry in TABLES[name]["flags"].items():
        assert flag.startswith("-"), flag
        assert entry["takes"] in kinds, flag
        assert entry.get("was", entry)["takes"] in kinds, flag
        assert set(entry) <= {"aliases", "takes", "env", "negates", "was"}, flag
        if "negates" in entry:
            assert entry["takes"] == "none", flag
            assert entry["negates"] in dict(spellings(TABLES[name])), flag


@every
def test_no_variable_stands_for_two_flags(name):
    """An environment variable sets one flag."""
    variables = [entry["env"] for entry in TABLES[name]["flags"].values() if "env" in entry]
    assert sorted(variables) == sorted(set(variables))


@pytest.mark.parametrize(
    "name, flag, takes, reason",
    [
        ("sglang", "--tp-size", "one", "the short spelling is the field's own name; --tp reaches it as a prefix"),
        ("sglang", "--trust-remote-code", "none", "a field of kind bool is store_true"),
        ("sglang", "--lora-paths", "many", "its nargs stand in action_kwargs, not in nargs"),
        ("sglang", "--disable-cuda-graph", "none", "deprecated, still taken: an action of its own with nargs=0"),
        ("sglang", "--model-checksum", "maybe", "nargs='?'"),
        ("tgi", "--sharded", "one", "Option<bool> takes true or false where a plain bool takes nothing"),
        ("tgi", "--trust-remote-code", "none", "a plain bool"),
        ("tgi", "--max-input-length", "one", "the old spelling of --max-input-tokens is a field of its own"),
        ("tensorrt_llm", "--kv_cache_free_gpu_memory_fraction", "one", "the only spelling of older releases"),
        (
            "tensorrt_llm",
            "--generation-config",
            "one",
            "the one flag of trtllm-serve with a dash beside --no-telemetry",
        ),
        ("tensorrt_llm", "--custom_module_dirs", "each", "multiple=True"),
        ("llama_cpp", "-fa", "one", "on, off or auto; bare before b6325"),
        ("llama_cpp", "-ngl", "one", "single-dash names of several letters"),
        ("llama_cpp", "-hfr", "one", "the second short name of --hf-repo"),
        ("llama_cpp", "--no-mmap", "none", "the second list of an option switches it off"),
        ("lmdeploy", "--enable-prefix-caching", "none", "store_true"),
        ("lmdeploy", "--speculative-draft-model", "one", "its group's flags stand one method deeper"),
        ("lmdeploy", "--quant-policy", "one", "a number, or the name of a format in newer releases"),
    ],
)
def test_flags_take_what_their_source_says(name, flag, takes, reason):
    """A boolean swallows no model name, and a list swallows its values."""
    table = TABLES[name]
    assert table["flags"][dict(spellings(table))[flag]]["takes"] == takes, reason


@pytest.mark.parametrize(
    "name, flag, variable",
    [
        ("tgi", "--num-shard", "NUM_SHARD"),
        ("tgi", "--max-total-tokens", "MAX_TOTAL_TOKENS"),
        ("llama_cpp", "--ctx-size", "LLAMA_ARG_CTX_SIZE"),
        ("llama_cpp", "--parallel", "LLAMA_ARG_N_PARALLEL"),
        ("llama_cpp", "--no-kv-offload", "LLAMA_ARG_NO_KV_OFFLOAD"),
    ],
)
def test_flags_are_read_from_their_variables(name, flag, variable):
    """Where an engine reads a variable for a flag, the table names it as the engine does."""
    assert TABLES[name]["flags"][flag]["env"] == variable


def test_flags_that_files_still_write_are_known_to_be_gone():
    """A file written for an older release gets told that its flag is gone, and what took its place where the source says."""
    assert TABLES["sglang"]["removed"]["--cuda-graph-max-bs"].startswith("--cuda-graph-max-bs-decode")
    assert "--enable-ep-moe" in TABLES["sglang"]["removed"]
    assert "--spec-draft-n-max" in TABLES["llama_cpp"]["removed"]["--draft-max"]
    assert "OLLAMA_MAX_VRAM" in TABLES["ollama"]["retired"]


def test_a_flag_that_began_to_take_a_value_says_since_when():
    """`-fa -m x` means one thing to an older llama.cpp and another to a newer one."""
    assert TABLES["llama_cpp"]["flags"]["--flash-attn"]["was"] == {"takes": "none", "before": "b6325"}


def test_yaml_keys_of_sglang_are_its_flags():
    """SGLang's --config takes the flags' own names, so each key of the table is a flag, with underscores for dashes."""
    table = TABLES["sglang"]
    known = {spelling.removeprefix("--").replace("-", "_") for spelling, _ in spellings(table)}
    assert {key for keys in table["yaml"]["keys"].values() for key in keys} <= known
    assert set(table["yaml"]["keys"]) == set(table["inputs"])


def test_yaml_keys_of_tensorrt_llm_nest_the_cache():
    """Its fraction and its cache's format are keys of kv_cache_config, and the file wins over the flags."""
    assert TABLES["tensorrt_llm"]["yaml"]["keys"]["gpu_memory_utilization"] == [
        "kv_cache_config.free_gpu_memory_fraction"
    ]
    assert TABLES["tensorrt_llm"]["yaml"]["wins"] is True


def test_every_variable_of_nim_says_where_it_was_read():
    """NIM has no public source, so no variable of its table goes without the page or file that names it."""
    assert [name for name, entry in TABLES["nim"]["env"].items() if len(entry["source"]) < 20] == []
