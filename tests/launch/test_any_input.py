"""Whatever is pasted: an answer or an error of kvplan's, never a traceback."""

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from kvplan.engines.vllm.command.arguments import read_arguments
from kvplan.engines.vllm.command.changes import changed
from kvplan.engines.vllm.command.table import FlagTable
from kvplan.errors import KvplanError
from kvplan.launch.command import read_command
from kvplan.launch.planning import plan_command
from kvplan.launch.words import Word

TABLES = [FlagTable(version) for version in ("0.8.1", "0.9.2", "0.11.0", "0.20.2", "0.33.0", "1.2.3")]
FLAGS = sorted(TABLES[4].options.keys() | TABLES[0].options.keys() - {"--help", "-h", "--config"})
VALUES = st.one_of(
    st.integers(-5, 10**25).map(str),
    st.sampled_from(
        [
            "32k",
            "1.5K",
            "auto",
            "-1",
            "",
            "None",
            "fp8",
            "0.9",
            "nan",
            "inf",
            "1e999",
            "true",
            "a=b",
            "{",
            "[1,2]",
            "$X",
        ]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ).map(json.dumps),
    st.text(max_size=12),
)
KEYS = st.sampled_from(
    [
        "method",
        "model",
        "num_speculative_tokens",
        "cudagraph_mode",
        "mode",
        "level",
        "cudagraph_capture_sizes",
        "image",
        "a.b",
        "x+",
    ]
)
WORDS = st.one_of(
    st.sampled_from(FLAGS),
    st.sampled_from(FLAGS).map(lambda flag: flag[:-2].replace("-", "_")),
    st.tuples(st.sampled_from(FLAGS), VALUES).map("=".join),
    st.tuples(st.sampled_from(FLAGS), KEYS).map(".".join),
    VALUES,
    st.sampled_from(["--", "-", "-O3", "-O", "-O.level=3", "-tp2", "-cc.mode=0", "\\", "#"]),
)
STARTS = st.sampled_from(
    [
        ["vllm", "serve", "M"],
        ["vllm", "serve"],
        ["python", "-m", "vllm.entrypoints.openai.api_server"],
        ["docker", "run", "vllm/vllm-openai:v0.11.0"],
        ["docker", "run"],
        ["env", "A=b", "VLLM_USE_V1=0"],
        ["bash", "-c"],
        ["sudo"],
        [],
    ]
)
# Values of flags that count, in JSON of every shape.
COUNTED = st.sampled_from(
    [
        "--speculative-config", "--compilation-config", "--limit-mm-per-prompt", "--hf-overrides", "--eplb-config",
        "--lora-modules",
        "--cudagraph-capture-sizes", "--max-model-len", "--kv-cache-memory-bytes", "--dtype", "-q", "--kv-transfer-config", "-tp",
        "--max-num-seqs", "--attention-config", "--gpu-memory-utilization", "--kv-cache-dtype", "--block-size",
    ]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=8), st.sampled_from(TABLES))
def test_any_words_after_serve(texts, table):
    """Any words are read or refused, by every release's table; each value keeps words that are the command's."""
    words = [Word(text) for text in texts]
    with contextlib.suppress(KvplanError):
        found = read_arguments(words, table, lambda _: "a: 1")
        assert all(word in words for given_ in found.values.values() for word in given_.words)


@settings(max_examples=400, deadline=None)
@given(STARTS, st.lists(WORDS, max_size=6))
def test_any_command(start, texts):
    """Any words behind any start of a command are read or refused; what is read can be changed."""
    with contextlib.suppress(KvplanError):
        command = read_command([*start, *texts], read_file=lambda _: "tensor-parallel-size: 2")
        result = changed(command, {"context": 4096, "engine_args": {"enforce_eager": True}}, {})
        if result is not None:
            again = read_command(result.text, read_file=lambda _: "tensor-parallel-size: 2")
            assert again.settings["context"].value == 4096
            assert again.engine_args["enforce_eager"].value is True


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(COUNTED, VALUES), max_size=4))
def test_any_value_of_a_flag_that_counts(pairs):
    """Any value of a flag that counts gives a plan or an error of kvplan's."""
    with contextlib.suppress(KvplanError):
        command = read_command(["vllm", "serve", "llama-3.2-1b", *(word for pair in pairs for word in pair)])
        plan_command(command, gpu="h100").to_dict()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80), st.booleans())
def test_any_text(text, after_serve):
    """Any text is read or refused."""
    with contextlib.suppress(KvplanError):
        read_command(f"vllm serve {text}" if after_serve else text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")))
def test_any_config_file(content):
    """Any content of a --config file is read or refused."""
    with contextlib.suppress(KvplanError):
        read_command("vllm serve M --config x.yaml", read_file=lambda _: content)
