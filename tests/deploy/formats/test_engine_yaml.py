"""Engines' own configuration files."""

import pytest
from workload_samples import at, flag_at, read, texts

from kvplan.deploy.formats import engine_yaml


def test_a_configuration_of_vllm_may_mix_dashes_and_underscores():
    """Keys are flags, mappings their JSON, truth values the bare flag or its `--no-` form."""
    text = """\
model: org/model-7b
tensor-parallel-size: 2
max_model_len: 32k
gpu-memory-utilization: 0.9
enforce-eager: true
enable-prefix-caching: false
compilation-config: {cudagraph_mode: FULL}
speculative-config: '{"method": "mtp"}'
"""
    (found,) = read(engine_yaml, text, "config.yaml")
    assert (found.engine, found.model.value) == ("vllm", "org/model-7b")
    assert flag_at(found.words, "--max-model-len") == ("32k", (3, 16))
    assert flag_at(found.words, "--compilation-config")[0] == '{"cudagraph_mode": "FULL"}'
    assert flag_at(found.words, "--speculative-config")[0] == '{"method": "mtp"}'
    assert "--enforce-eager" in texts(found.words)
    assert "--no-enable-prefix-caching" in texts(found.words)
    assert "--model" not in texts(found.words)
    assert not found.half
    assert "vllm serve" in found.notes[0]


def test_without_a_model_it_is_a_half():
    """The command that names the configuration names the model."""
    (found,) = read(engine_yaml, "max-model-len: 1525\ngpu-memory-utilization: 0.9\n", "serving-args.yaml")
    assert found.model is None
    assert "vllm serve" in found.half


def test_a_configuration_of_sglang():
    """It has no flags that say no; false is what it does anyway."""
    text = "model-path: org/m\ntp-size: 8\nmem-fraction-static: 0.85\nenable-dp-attention: true\ndisable-cuda-graph: false\n"
    (found,) = read(engine_yaml, text, "sglang.yaml")
    assert (found.engine, found.model.value) == ("sglang", "org/m")
    assert texts(found.words) == ["--tp-size", "8", "--mem-fraction-static", "0.85", "--enable-dp-attention"]


def test_options_of_tensorrt_llm_keep_their_paths():
    """What stands in a mapping has its path; lists are JSON."""
    text = """\
tensor_parallel_size: 8
enable_attention_dp: true
max_seq_len: 8192
kv_cache_config:
  free_gpu_memory_fraction: 0.8
  dtype: fp8
cuda_graph_config:
  batch_sizes: [1, 2]
"""
    (found,) = read(engine_yaml, text, "extra-llm-api-config.yml")
    assert found.engine == "tensorrt-llm"
    assert flag_at(found.words, "--kv_cache_config.free_gpu_memory_fraction") == ("0.8", (5, 29))
    assert flag_at(found.words, "--enable_attention_dp")[0] == "true"
    assert flag_at(found.words, "--cuda_graph_config.batch_sizes")[0] == "[1, 2]"
    assert "trtllm-serve" in found.half


def test_recipes_wrap_options_of_tensorrt_llm():
    """What stands under llm_api_args is the options file, the rest are flags."""
    (found,) = read(engine_yaml, "tp_size: 4\nllm_api_args:\n  kv_cache_config: {dtype: fp8}\n", "serving-args.yaml")
    assert texts(found.words) == ["--tp_size", "4", "--kv_cache_config.dtype", "fp8"]


def test_a_configuration_of_lmdeploy():
    """Its keys are like no other's."""
    (found,) = read(engine_yaml, "model: org/m\nsession_len: 32768\ncache_max_entry_count: 0.8\ntp: 2\n", "x.yaml")
    assert found.engine == "lmdeploy"
    assert flag_at(found.words, "--session-len")[0] == "32768"


def test_services_of_dynamos_own_configuration():
    """A worker takes the common settings that it names, and its own."""
    text = """\
Common:
  model: org/m
  max-model-len: 16384
  block-size: 64
Frontend: {port: 8000}
VllmWorker:
  tensor-parallel-size: 2
  ServiceArgs: {workers: 3, resources: {gpu: "2"}}
  common-configs: [model, max-model-len]
"""
    (found,) = read(engine_yaml, text, "agg.yaml")
    assert (found.engine, found.model.value, found.name) == ("vllm", "org/m", "service VllmWorker")
    assert texts(found.words) == ["--max-model-len", "16384", "--tensor-parallel-size", "2"]
    assert at(found.words[1]) == (3, 18)
    assert found.gpus.count.value == 2
    assert found.replicas.value == "3"


def test_workers_without_an_engines_name():
    """They run the engine of the others, or the one whose settings they have; routers and encoders run none."""
    shared = "Common: {model: org/m}\n"
    prefill = "PrefillWorker: {max-num-batched-tokens: 512, ServiceArgs: {resources: {gpu: 4}}}\n"
    others = "VllmEncodeWorker: {ServiceArgs: {}}\nRouter: {ServiceArgs: {}}\nWorker: 3\n"
    trtllm = "TensorRTLLMWorker: {engine_args: llm.yaml, disaggregation: false, ServiceArgs: {}}\n"
    (alone,) = read(engine_yaml, shared + prefill + others, "disagg.yaml")
    (first, second) = read(engine_yaml, shared + prefill + trtllm, "disagg.yaml")

    assert (alone.engine, alone.gpus.count.value) == ("vllm", 4)
    assert [first.engine, second.engine] == ["tensorrt-llm", "tensorrt-llm"]
    assert texts(second.words) == ["--extra_llm_api_options", "llm.yaml"]


def test_settings_of_dynamo_itself_are_no_flags():
    """What decides where a prefill runs is no setting of the engine."""
    text = "VllmWorker:\n  model: a/b\n  max-local-prefill-length: 10\n  remote-prefill: true\n  ServiceArgs: {}\n"
    (found,) = read(engine_yaml, text, "disagg.yaml")

    assert (found.words, found.model.value) == ((), "a/b")


@pytest.mark.parametrize(
    "text",
    [
        "Worker: {ServiceArgs: {}}\nPrefillWorker: {ServiceArgs: {}, common-configs: 3}\nCommon: [1]\n",
        "VllmWorker: {ServiceArgs: 3}\nCommon: {model: a/b}\n",
        "model: org/m\ntemperature: 0.2\n",
        "max-model-len: 4096\n",
        "apiVersion: v1\nkind: ConfigMap\nmax-model-len: 4096\ngpu-memory-utilization: 0.9\n",
        "model_name: org/m\ntasks: [mmlu]\nlimit: 250\nnum_fewshot: 5\nenforce_eager: false\nmax_model_len: 4096\n",
        "_target_: x\nname: y\nmode: async\ndtype: bf16\ngpu_memory_utilization: 0.5\nmax_model_len: 1\nprompt_length: 3\n",
        "- max-model-len\n",
        "vllm:\n  max-model-len: 4096\n",
        "learning_rate: 1e-4\nmodel: org/m\nmax_seq_len: 4096\ntrust_remote_code: true\n",
        "{max-model-len: [x, {}], gpu-memory-utilization: {a: b}, ? [1] : 2, other: 1, another: 2}\n",
    ],
)
def test_other_files_configure_no_engine(text):
    """One key, or keys among many of another program's (an evaluation, a training), are not enough."""
    assert read(engine_yaml, text, "config.yaml") == []


def test_odd_values_do_no_harm():
    """Other types than expected are given as they are, or left out."""
    read(
        engine_yaml,
        "max-model-len: [1, {a: b}]\ngpu-memory-utilization: {c: [d]}\nmodel: [x]\nenforce-eager:\n",
        "x.yaml",
    )
