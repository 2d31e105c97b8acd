"""Engines' settings inside the configuration of another program."""

import pytest
from workload_samples import at, flag_at, texts

from kvplan.deploy.file import File
from kvplan.deploy.formats import workloads
from kvplan.launch.text import Source


def found_in(text, path="serving.yaml"):
    return workloads(File(Source(path, text)))


def test_a_map_called_as_the_engine_is_its_settings():
    """Other parts of the program's configuration are no flags."""
    text = """\
server: {host: 0.0.0.0, port: 8000}
vllm:
  model: org/model-7b
  max_model_len: 4096
  gpu_memory_utilization: 0.9
  quantization: null
  prompt_file: x.txt
logging: {level: INFO}
"""
    (found,) = found_in(text)

    assert (found.engine, found.model.value, found.place.line) == ("vllm", "org/model-7b", 2)
    assert flag_at(found.words, "--max-model-len") == ("4096", (4, 18))
    assert texts(found.words)[::2] == ["--max-model-len", "--gpu-memory-utilization"]
    assert not found.half


def test_maps_in_it_only_group_its_settings():
    """A launcher's `model`, `performance` and the like are one engine's."""
    text = """\
vllm:
  model: {name: org/model-7b, kv_cache_dtype: fp8}
  performance:
    max_num_seqs: 64
    tensor_parallel_size: 2
"""
    (found,) = found_in(text)

    assert found.model.value == "org/model-7b"
    assert flag_at(found.words, "--max-num-seqs")[0] == "64"
    assert flag_at(found.words, "--kv-cache-dtype") == ("fp8", (2, 47))


@pytest.mark.parametrize(
    "text",
    [
        "stage_args:\n- stage_id: 0\n  engine_args: {ours: x, gpu_memory_utilization: 0.6, enforce_eager: true}\n",
        "stages:\n- {stage_id: 0, devices: '0', max_model_len: 4096, gpu_memory_utilization: 0.6, sampling: {top_p: 1}}\n",
    ],
)
def test_stages_need_name_no_model(text):
    """Each stage is an engine; the command that names the file names the model."""
    (found,) = found_in(text)

    assert flag_at(found.words, "--gpu-memory-utilization")[0] == "0.6"
    assert found.model is None
    assert "vllm serve" in found.half


def test_models_of_a_list_are_engines_each():
    """A map of settings under any key is one where a model stands in it, beside it or above."""
    text = """\
models:
- {name: a, model_id: org/a, runtime: {max_model_len: 8192, gpu_memory_utilization: 0.5, memory_limit: 64g}}
- {name: b, model_id: org/b, runtime: {max_model_len: 4096, gpu_memory_utilization: 0.4, memory_limit: 64g}}
"""
    assert [each.model.value for each in found_in(text)] == ["org/a", "org/b"]


def test_flags_in_a_list_or_text_beside_a_model():
    """Items are words, or a flag with its value; JSON stays one word."""
    text = """\
cases:
- model: org/a
  server_cmd: [--max-model-len, "4096", '--max-num-seqs 8', --speculative-config, '{"method": "mtp", "model": "x"}']
- model_name: org/b
  server_args: --max-model-len 2048 --enforce-eager
"""
    first, second = found_in(text)

    assert first.model.value == "org/a"
    assert texts(first.words)[2:] == [
        "--max-num-seqs", "8", "--speculative-config", '{"method": "mtp", "model": "x"}',
    ]  # fmt: skip
    assert (second.model.value, texts(second.words)) == ("org/b", ["--max-model-len", "2048", "--enforce-eager"])
    assert at(second.words[1]) == (5, 32)


@pytest.mark.parametrize(
    "text",
    [
        # of a client
        "vllm: {base_url: 'http://x:8000', model: org/m, max_model_len: 4096, max_num_seqs: 4}\n",
        # of a training
        "trainer: {learning_rate: 1e-5}\nvllm: {gpu_memory_utilization: 0.4, max_model_len: 4096, model: org/m}\n",
        # of a schema
        "properties: {vllm: {max_model_len: {type: integer}, max_num_seqs: {type: integer}, model: {type: string}}}\n",
        # of a sweep
        "model: org/m\nvllm: {max_model_len: [4096, 8192], max_num_seqs: [1, 2], gpu_memory_utilization: [0.8, 0.9]}\n",
        # of variables
        "model: org/m\nenv: {MAX_MODEL_LEN: 4096, GPU_MEMORY_UTILIZATION: 0.9, MAX_NUM_SEQS: 4}\n",
        # put over others
        "model: org/m\noverrides: {max_model_len: 4096, gpu_memory_utilization: 0.9}\n",
        # of no model, under a key that says nothing
        "profiles: {small: {max_model_len: 4096, gpu_memory_utilization: 0.9}}\n",
        # switched off
        "vllm: {enabled: false, model: org/m, max_model_len: 4096, gpu_memory_utilization: 0.9}\n",
        # of a simulator
        "model: org/m\nmocker: {max_model_len: 4096, gpu_memory_utilization: 0.9}\n",
    ],
)
def test_what_only_looks_alike_starts_nothing(text):
    """Clients, trainings, schemas, sweeps, variables and fragments are no deployments."""
    assert found_in(text) == []
