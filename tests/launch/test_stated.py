"""What the words and variables of each engine state, by the shared names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvplan.deploy.engine_style import style_words
from kvplan.errors import SettingError
from kvplan.launch.peel import Launch
from kvplan.launch.settings_file import settings as scalars
from kvplan.launch.stated import number_of, read_stated, unsettled
from kvplan.launch.text import Source
from kvplan.launch.words import Given, Word, split


def no_files(name):
    """Return no file."""
    raise SettingError(f"there is no {name}")


def state(engine, words="", environment=None, *, files=None, version=None, **kwargs):
    """Return what a launch states."""
    launch = Launch(
        engine=engine,
        words=tuple(split(words)),
        environment={name: Given(value) for name, value in (environment or {}).items()},
        version=None if version is None else Given(version),
        **kwargs,
    )
    return read_stated(launch, None, no_files if files is None else files.__getitem__)


def values(found):
    """Return the values that are stated."""
    return {name: given.value for name, given in found.values.items()}


def kinds(found):
    """Return the kinds of the problems, and the words that they are about."""
    return [(problem.kind, problem.words[0].text) for problem in found.problems]


@pytest.mark.parametrize(
    "engine, words, stated",
    [
        ("vllm", "m -tp 2 --pipeline_parallel_size=3 --max-model-len 32k --gpu-memory-util .9 --max-num-seq 8",
         {"model": "m", "tensor_parallel": 2, "pipeline_parallel": 3, "max_model_len": 32000, "gpu_memory_utilization": 0.9,
          "max_num_seqs": 8}),
        ("vllm", "--model m --model m --max-num-seqs 4 --max-num-seqs 16 --kv-cache-dtype fp8 -q awq",
         {"model": "m", "max_num_seqs": 16, "kv_cache_dtype": "fp8", "quantization": "awq"}),
        ("vllm", "m --max-model-len auto --cpu-offload-gb 4 --data-parallel-size-local 2 -dp 4 --nnodes 2",
         {"model": "m", "max_model_len": "auto", "cpu_offload_gb": 4.0, "data_parallel_local": 2, "data_parallel": 4, "nodes": 2}),
        ("vllm", "m --speculative-config '{\"method\": \"eagle\", \"model\": \"d\"}'",
         {"model": "m", "draft_model": "d", "speculative_config": {"method": "eagle", "model": "d"}}),
        ("sglang", "--model-path m --tp 2 --context-len=4096 --mem-frac 0.8 --kv-cache-dtype fp8_e5m2 --chunked-prefill-size -1",
         {"model": "m", "tensor_parallel": 2, "max_model_len": 4096, "gpu_memory_utilization": 0.8,
          "kv_cache_dtype": "fp8_e5m2", "max_num_batched_tokens": -1}),
        ("sglang", "--model m --tp-size 2 --tensor-parallel-size 4 --pp-size 2 --dp 8 --trust-remote-code --max-running-requests 9",
         {"model": "m", "tensor_parallel": 4, "pipeline_parallel": 2, "data_parallel": 8, "max_num_seqs": 9}),
        ("tgi", "--model-id m --num-shard 4 --max-total-tokens=8192 --cuda-memory-fraction 0.5 --quantize awq",
         {"model": "m", "tensor_parallel": 4, "max_model_len": 8192, "gpu_memory_utilization": 0.5, "quantization": "awq"}),
        ("tensorrt-llm", "m --tp_size 2 --max_seq_len 4096 --max_batch_size=8 --kv_cache_free_gpu_memory_fraction 0.85",
         {"model": "m", "tensor_parallel": 2, "max_model_len": 4096, "max_num_seqs": 8, "gpu_memory_utilization": 0.85}),
        ("llama.cpp", "-m a.gguf -c 8192 -np 4 -ctk q8_0 -fa on --batch_size 512 -ngl -1",
         {"model": "a.gguf", "max_model_len": 8192, "max_num_seqs": 4, "kv_cache_dtype": "q8_0", "max_num_batched_tokens": 512}),
        ("llama.cpp", "-hf org/repo:Q4_K_M --ctx-size 0", {"model": "org/repo:Q4_K_M", "max_model_len": 0}),
        ("lmdeploy", "m --tp 2 --session-len 8192 --cache-max-entry-count 0.4 --quant-policy 8 --max-batch-size 16",
         {"model": "m", "tensor_parallel": 2, "max_model_len": 8192, "gpu_memory_utilization": 0.4, "kv_cache_dtype": "int8",
          "max_num_seqs": 16}),
    ],
)  # fmt: skip
def test_each_engines_flags_are_the_shared_names(engine, words, stated):
    """Spellings, `=`, abbreviations and repeated flags are read as the engine's own parser does; nothing is complained of."""
    found = state(engine, words)
    assert values(found) == stated
    assert found.problems == []


@pytest.mark.parametrize(
    "engine, environment, stated",
    [
        ("tgi", {"MODEL_ID": "m", "NUM_SHARD": "2", "MAX_TOTAL_TOKENS": "4096"},
         {"model": "m", "tensor_parallel": 2, "max_model_len": 4096}),
        ("llama.cpp", {"LLAMA_ARG_MODEL": "a.gguf", "LLAMA_ARG_CTX_SIZE": "4096", "LLAMA_ARG_N_PARALLEL": "2"},
         {"model": "a.gguf", "max_model_len": 4096, "max_num_seqs": 2}),
        ("ollama", {"OLLAMA_CONTEXT_LENGTH": "4096", "OLLAMA_NUM_PARALLEL": "2", "OLLAMA_KV_CACHE_TYPE": "q8_0"},
         {"max_model_len": 4096, "max_num_seqs": 2, "kv_cache_dtype": "q8_0"}),
        ("nim", {"NIM_TENSOR_PARALLEL_SIZE": "2", "NIM_MAX_MODEL_LEN": "4096", "NIM_KVCACHE_PERCENT": "0.7"},
         {"tensor_parallel": 2, "max_model_len": 4096, "gpu_memory_utilization": 0.7}),
    ],
)  # fmt: skip
def test_variables_state_what_no_flag_does(engine, environment, stated):
    """Engines that read variables state by them what their words do not."""
    found = state(engine, "", environment)
    assert values(found) == stated
    assert found.problems == []


def test_a_flag_wins_over_its_variable():
    """A flag and the variable for it: the flag counts."""
    assert values(state("tgi", "--num-shard 4", {"NUM_SHARD": "2"})) == {"tensor_parallel": 4}


@pytest.mark.parametrize(
    "engine, words, problems, hint",
    [
        ("vllm", "m --max-modl-len 4", [("unknown", "--max-modl-len")], "--max-model-len"),
        ("vllm", "m --max-num 4", [("ambiguous", "--max-num")], "in full"),
        ("vllm", "m --swap-space 4", [("removed", "--swap-space")], "out"),
        ("vllm", "m --device cuda", [("removed", "--device")], "out"),
        ("vllm", "m --enforce-eager=true", [("value", "--enforce-eager=true")], "alone"),
        ("vllm", "m --max-model-len --enforce-eager", [("value", "--max-model-len")], "Give it one"),
        ("sglang", "--model m --tensor-parallel-sizes 4", [("unknown", "--tensor-parallel-sizes")], "--tensor-parallel-size"),
        ("sglang", "--model m --tp_size 4", [("unknown", "--tp_size")], "--tp-size"),
        ("sglang", "--model m --disable-cuda-graph-x y", [("unknown", "--disable-cuda-graph-x")], ""),
        ("sglang", "--model m --cuda-graph-max-bs 4", [("removed", "--cuda-graph-max-bs")], "Use --cuda-graph-max-bs-decode."),
        ("sglang", "--model m --attn 4", [("ambiguous", "--attn")], "in full"),
        ("sglang", "--model m --trust-remote-code=true", [("value", "--trust-remote-code=true")], "alone"),
        ("sglang", "--model", [("value", "--model")], "Give it one"),
        ("tgi", "--model-id m --num-shard 2 --num-shard 4", [("value", "--num-shard")], "Keep one."),
        ("tgi", "--model-id m --max-total-token 4", [("unknown", "--max-total-token")], "--max-total-tokens"),
        ("tensorrt-llm", "m --tp-size 2", [("unknown", "--tp-size")], "--tp_size"),
        ("llama.cpp", "-m a --ctx-size=4", [("value", "--ctx-size=4")], "Write --ctx-size 4."),
        ("llama.cpp", "-m a --ctx-sizes 4", [("unknown", "--ctx-sizes")], "--ctx-size"),
        ("lmdeploy", "m --session-length 4", [("unknown", "--session-length")], "--session-len"),
    ],
)  # fmt: skip
def test_odd_flags_are_said(engine, words, problems, hint):
    """What an engine would refuse is a problem with the nearest that is meant; the rest is read on."""
    found = state(engine, words)
    assert kinds(found) == problems
    assert hint in found.problems[0].hint


def test_values_of_odd_flags_are_no_models():
    """What follows an unknown flag is its value; a misspelt flag states what it means all the same."""
    assert "model" not in values(state("sglang", "--unheard of"))
    assert values(state("sglang", "--model m --tp_size 4"))["tensor_parallel"] == 4
    assert values(state("vllm", "m --swap-space 4"))["swap_space"] == 4.0


def test_a_flag_that_the_version_still_had_is_no_problem():
    """What is gone from the newest release is said for launches of that release and those that say none."""
    words = "--model m --cuda-graph-max-bs 4"
    assert kinds(state("sglang", words, version="0.5.12")) == []
    assert kinds(state("sglang", words, version="0.5.23")) == [("removed", "--cuda-graph-max-bs")]
    assert kinds(state("ollama", "", {"OLLAMA_MAX_VRAM": "1"}, version="0.3.0")) == []
    assert kinds(state("vllm", "m --swap-space 4", version="0.10.0")) == []


def test_misspelt_and_retired_variables_are_said():
    """Variables with an engine's own prefix that it does not read are named, with the nearest that it does."""
    found = state("ollama", "", {"OLLAMA_CONTEXT_LEN": "4096", "OLLAMA_MAX_VRAM": "1", "OTHER": "x"})
    assert [problem.kind for problem in found.problems] == ["ignored", "ignored"]
    assert any("OLLAMA_CONTEXT_LENGTH" in problem.hint for problem in found.problems)


def test_flags_of_programs_around_an_engine_are_left_alone():
    """A worker of Dynamo takes flags of its own; those of the engine count."""
    for engine in ("sglang", "vllm"):
        found = state(engine, "--model m --endpoint x --tensor-parallel-size 2", wrapped=True)
        assert values(found) == {"model": "m", "tensor_parallel": 2}
        assert found.problems == []
    found = state(
        "tensorrt-llm", "--model-path m --extra-engine-args e.yaml", wrapped=True, files={"e.yaml": "max_seq_len: 8"}
    )
    assert values(found) == {"model": "m", "max_model_len": 8}


@pytest.mark.parametrize(
    "text, open_part",
    [
        ("$MODEL", "$MODEL"), ("/m/${NAME:-x}", "${NAME:-x}"), ("$(TP)", "$(TP)"), ("`nproc`", "`nproc`"), ("%i", "%i"),
        ("<model>", "<model>"), ("__MODEL__", "__MODEL__"), ("@MODEL@", "@MODEL@"), ("{{ model }}", "{{ model }}"),
        ("/m/REPLACE_ENV_MODEL", "REPLACE_ENV_MODEL"),
        ("a/b", ""), ("100%", ""), ("a@b", ""), ("", ""), (4, ""), (None, ""), ("a$", ""),
    ],
)  # fmt: skip
def test_unsettled_values_are_told(text, open_part):
    """Variables, templates and blanks to fill in are no values."""
    assert unsettled(text) == open_part


def test_unsettled_words_are_open():
    """Words that may hold flags are kept; a value that is a variable is stated as it is written."""
    found = state("sglang", "--model m $ARGS --tp $TP")
    assert [word.text for word in found.open_words] == ["$ARGS"]
    assert values(found)["tensor_parallel"] == "$TP"
    assert [word.text for word in state("vllm", "--model m $ARGS").open_words] == ["$ARGS"]
    found = state("vllm", "m $ARGS --max-model-len ${LEN}")
    assert [word.text for word in found.open_words] == ["$ARGS"]
    assert values(found)["max_model_len"] == "${LEN}"
    assert found.problems == []


def test_numbers_are_read_as_their_names_ask():
    """Whole numbers and fractions are numbers; what is none stays a text."""
    assert number_of("tensor_parallel", " 2 ") == 2
    assert number_of("gpu_memory_utilization", ".9") == 0.9
    assert number_of("gpu_memory_utilization", "nan") == "nan"
    assert number_of("tensor_parallel", "two") == "two"
    assert number_of("tensor_parallel", "9" * 5000) == "9" * 5000
    assert number_of("dtype", "2") == "2"


YAML = """
tensor_parallel_size: 4
max_seq_len: "8192"
kv_cache_config:
  dtype: fp8
  free_gpu_memory_fraction: 0.7
moe:
"""


def test_files_of_tensorrt_llm_win_over_flags():
    """The file after --config counts before the flags; keys without a value say nothing."""
    for flag in ("--config", "--extra_llm_api_options"):
        found = state("tensorrt-llm", f"m --tp_size 2 --max_batch_size 8 {flag} e.yaml", files={"e.yaml": YAML})
        assert values(found) == {
            "model": "m", "tensor_parallel": 4, "max_model_len": 8192, "gpu_memory_utilization": 0.7, "kv_cache_dtype": "fp8",
            "max_num_seqs": 8,
        }  # fmt: skip


def test_flags_of_sglang_win_over_its_file():
    """The file after --config counts where no flag says otherwise; dashes and underscores are one."""
    found = state("sglang", "--tp 2 --config c.yaml", files={"c.yaml": "model-path: m\ntp-size: 4\ncontext_length: 8"})
    assert values(found) == {"model": "m", "tensor_parallel": 2, "max_model_len": 8}


def test_a_file_that_cannot_be_read_leaves_the_flags_open():
    """What a missing file says is not known: its word is open."""
    for words in ("m --config x.yaml", "--model m --config=x.yaml"):
        found = state("sglang" if "--model" in words else "tensorrt-llm", words)
        assert [word.text for word in found.open_words] == [words.split()[-1]]
    assert state("tensorrt-llm", "m --config $X").open_words == []


def test_a_settings_file_knows_its_places():
    """Each scalar of a settings file stands where its characters are, quotes left out."""
    source = Source(
        "c.yaml", "a: &x 1\nb: {c-d: 'two', e: [1, {f: 2}], g: *x}\n\"h\": \"i\\tj\"\nk: ~\nl: ''\n---\nm: 1\n"
    )
    found = {".".join(path): value for path, _, value in scalars(source.whole())}
    assert {path: value.value for path, value in found.items()} == {"a": "1", "b.c-d": "two", "h": "i\tj", "l": ""}
    assert [found[path].place().text for path in ("a", "b.c-d", "h")] == ["1", "two", '"i\\tj"']


@given(st.text(st.sampled_from("ab:{}[]-&*'\"\n \t#?,|>!0"), max_size=60))
def test_any_settings_file_is_read_or_left(text):
    """No text of a settings file makes the reader fail."""
    for path, key, value in scalars(Source("x", text).whole()):
        assert path
        assert key.value == path[-1]
        assert isinstance(value.value, str)


def style(engine, environment, image="x"):
    """Return the words that variables stand for."""
    launch = Launch(
        engine=engine,
        words=(),
        image=Given(image, (Word(image),)),
        environment={name: Given(value, (Word(name), Word(value))) for name, value in environment.items()},
    )
    return [word.text for word in style_words(launch)]


@pytest.mark.parametrize(
    "engine, image, environment, words",
    [
        ("vllm", "x", {"SM_VLLM_MODEL": "m", "SM_VLLM_MAX_MODEL_LEN": "4096", "SM_VLLM_ENFORCE_EAGER": "", "SM_VLLM_X": "false"},
         ["--model", "m", "--max-model-len", "4096", "--enforce-eager"]),
        ("sglang", "x", {"SM_SGLANG_MODEL_PATH": "m", "SM_SGLANG_TP": "2"}, ["--model-path", "m", "--tp", "2"]),
        ("vllm", "djl", {"HF_MODEL_ID": "m", "OPTION_TENSOR_PARALLEL_DEGREE": "2", "OPTION_MAX_ROLLING_BATCH_SIZE": "8"},
         ["--model", "m", "--tensor-parallel-size", "2", "--max-num-seqs", "8"]),
        ("vllm", "djl", {"HF_MODEL_ID": "m", "OPTION_MODEL_ID": "n", "OPTION_ENFORCE_EAGER": "true", "OPTION_OTHER": "1"},
         ["--model", "n", "--enforce-eager"]),
        ("vllm", "djl", {"OPTION_TENSOR_PARALLEL_DEGREE": "max"}, ["--tensor-parallel-size", "${GPUS}"]),
        ("vllm", "djl", {"TENSOR_PARALLEL_DEGREE": "4"}, ["--tensor-parallel-size", "4"]),
        ("vllm", "x", {"TENSOR_PARALLEL_DEGREE": "4"}, []),
        ("vllm", "vllm:mine", {"MODEL": "m", "GPU_MEMORY_UTILIZATION": "0.9"},
         ["--model", "m", "--gpu-memory-utilization", "0.9"]),
        ("vllm", "runpod/worker-v1-vllm", {"MODEL_NAME": "m", "MAX_MODEL_LEN": "4096", "ENFORCE_EAGER": "0", "HOST": "x"},
         ["--model", "m", "--max-model-len", "4096"]),
        ("vllm", "x", {"MODEL_NAME": "m", "MAX_MODEL_LEN": "4", "TENSOR_PARALLELISM": "2"},
         ["--model", "m", "--max-model-len", "4", "--tensor-parallel-size", "2"]),
        ("vllm", "vllm/vllm-openai", {"MODEL_NAME": "m", "MAX_MODEL_LEN": "4"}, []),
        ("vllm", "x", {"VLLM_ADDITIONAL_ARGS": "--max-num-seqs 8 --x 'a b'"}, ["--max-num-seqs", "8", "--x", "a b"]),
        ("vllm", "x", {"VLLM_EXTRA_ARGS": "'"}, []),
        ("nim", "x", {"NIM_MAX_MODEL_LEN": "4"}, []),
    ],
)  # fmt: skip
def test_variables_that_stand_for_flags_become_them(engine, image, environment, words):
    """SageMaker's, DJL's and RunPod's variables are the flags that their containers make of them."""
    assert style(engine, environment, image) == words


FLAGS = {
    "vllm": [("--tensor-parallel-size", "tensor_parallel", "2"), ("--max-model-len", "max_model_len", "4096"),
             ("--gpu-memory-utilization", "gpu_memory_utilization", "0.5"), ("--kv-cache-dtype", "kv_cache_dtype", "fp8")],
    "sglang": [("--tp-size", "tensor_parallel", "2"), ("--context-length", "max_model_len", "4096"),
               ("--mem-fraction-static", "gpu_memory_utilization", "0.5"), ("--quantization", "quantization", "fp8")],
    "tgi": [("--num-shard", "tensor_parallel", "2"), ("--max-total-tokens", "max_model_len", "4096"),
            ("--cuda-memory-fraction", "gpu_memory_utilization", "0.5"), ("--quantize", "quantization", "fp8")],
    "tensorrt-llm": [("--tp_size", "tensor_parallel", "2"), ("--max_seq_len", "max_model_len", "4096"),
                     ("--free_gpu_memory_fraction", "gpu_memory_utilization", "0.5"), ("--max_batch_size", "max_num_seqs", "4")],
    "lmdeploy": [("--tp", "tensor_parallel", "2"), ("--session-len", "max_model_len", "4096"),
                 ("--cache-max-entry-count", "gpu_memory_utilization", "0.5"), ("--max-batch-size", "max_num_seqs", "4")],
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_spellings_of_the_same_flags_state_the_same(data):
    """`--flag=value` and `--flag value`, in any order, state the same, with the same words."""
    engine = data.draw(st.sampled_from(sorted(FLAGS)))
    flags = data.draw(st.permutations(FLAGS[engine]))
    one = " ".join(f"{flag} {value}" for flag, _, value in flags)
    other = " ".join(data.draw(st.sampled_from([f"{flag} {value}", f"{flag}={value}"])) for flag, _, value in flags)
    first, second = state(engine, one), state(engine, other)
    assert values(first) == values(second) == {name: number_of(name, value) for _, name, value in flags}
    assert first.problems == second.problems == []


WORDS = st.one_of(
    st.sampled_from(
        [flag for flags in FLAGS.values() for flag, _, _ in flags] + ["--", "-m", "-c", "--config", "--x.y", "-"]
    ),
    st.text(max_size=12),
    st.sampled_from(["2", "-1", "0.5", "true", "$X", "{{ x }}", "{", "a=b", "--a=", "--=", "--config=x.yaml"]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*sorted(FLAGS), "llama.cpp", "ollama", "nim", "transformers"]),
    st.lists(WORDS, max_size=8),
    st.booleans(),
)
def test_any_words_are_read(engine, texts, wrapped):
    """Any words of any engine are read to the end, whatever stands in the file that they name."""
    launch = Launch(engine=engine, words=tuple(Word(text) for text in texts), wrapped=wrapped)
    found = read_stated(launch, None, lambda _: "tp_size: 2\na: [b")
    for problem in found.problems:
        assert problem.message


def test_a_truth_value_behind_a_switch_is_no_model():
    """`--enforce-eager false` is said to be wrong, and the model that a flag names stays the model."""
    found = state("vllm", "--model org/m --enforce-eager false")
    assert values(found)["model"] == "org/m"
    assert kinds(found) == [("value", "false")]
