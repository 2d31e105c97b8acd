"""Values that name an engine only by what stands further down in them."""

import pytest
from workload_samples import flag_at, read, texts

from kvplan.deploy.formats import helm_values


def only(text, path="values.yaml"):
    (found,) = read(helm_values, text, path)
    return found


def flags(found):
    return {each[0].text: each[1].text for each in found.adds if len(each) > 1}


def test_settings_alone_tell_the_engine():
    """A chart's own keys beside a model and resources need no image; a variable of arguments adds to them."""
    text = """\
model: org/model-7b
maxModelLen: 8192
env: [{name: EXTRA_ARGS, value: "--enforce-eager --kv-cache-dtype=fp8"}]
resources: {limits: {nvidia.com/gpu: 2}}
"""
    found = only(text, "model-7b.yaml")

    assert (found.engine, found.model.value, found.gpus.count.value) == ("vllm", "org/model-7b", 2)
    assert flags(found) == {"--max-model-len": "8192"}
    assert texts(found.words) == ["--enforce-eager", "--kv-cache-dtype=fp8"]


def test_arguments_alone_tell_the_engine():
    """A chart for KServe names no image; where the model lies is its address, not the service's name."""
    text = """\
model:
  name: served
  storage: {type: uri, uri: "hf://org/model-7b"}
  runtime: {args: [--max-model-len=8192, --max-num-seqs, "4"]}
  resources: {limits: {nvidia.com/gpu: 1}}
"""
    found = only(text)

    assert (found.engine, found.model.value) == ("vllm", "org/model-7b")
    assert texts(found.words) == ["--max-model-len=8192", "--max-num-seqs", "4"]


def test_an_image_and_a_model_in_maps_of_any_name():
    """The smallest map that holds both is the engine's; one key may hold the whole image."""
    text = """\
serving:
  nameOverride: ""
  service: {image: {version: "vllm/vllm-openai:v0.19.0"}}
  llm: {hfModelName: org/model-7b, args: '--gpu-memory-utilization "0.9"'}
web: {image: {repository: acme/web}, resources: {limits: {cpu: 1}}}
"""
    found = only(text)

    assert (found.name, found.image.text, found.model.value) == (
        "values serving",
        "vllm/vllm-openai:v0.19.0",
        "org/model-7b",
    )
    assert flag_at(found.words, "--gpu-memory-utilization")[0] == "0.9"


def test_images_kept_apart_are_those_of_the_engine():
    """`images.<engine>` is the image of the values under the engine's name."""
    text = """\
images: {vllm: {repository: vllm/vllm-openai, tag: v0.4.2}}
vllm:
  args: [--model, org/model-7b, --quantization, gptq, --gpu-memory-utilization, "0.95"]
  resources: {limits: {nvidia.com/gpu: 1}}
"""
    found = only(text)

    assert found.image.text == "vllm/vllm-openai:v0.4.2"
    assert flag_at(found.words, "--model")[0] == "org/model-7b"


def test_only_the_engine_that_is_chosen_runs():
    """Values that are prepared for several start one; what stands at the top is its."""
    text = """\
backend: llama-cpp
image:
  llamaCpp: {repository: ghcr.io/ggml-org/llama.cpp, tag: server-cuda}
  vllm: {repository: vllm/vllm-openai, tag: latest}
llamaCpp: {ctxSize: 32768, cacheTypeK: q8_0, extraArgs: []}
vllm: {maxModelLen: 32768, gpuMemoryUtilization: 0.95, extraArgs: []}
resources: {limits: {nvidia.com/gpu: 1}}
nodeSelector: {}
"""
    found = only(text)

    assert (found.engine, found.gpus.count.value) == ("llama.cpp", 1)
    assert found.image.text == "ghcr.io/ggml-org/llama.cpp:server-cuda"
    assert flags(found)["--ctx-size"] == "32768"


@pytest.mark.parametrize(
    "config",
    [
        "vllm:\n  config: {model: org/model-7b, max_model_len: 8192, gpu_memory_utilization: 0.95}\n",
        "config:\n- {key: model, value: org/model-7b}\n- {key: max-model-len, value: 8192}\n- {key: enforce-eager, value: true}\n",
    ],
)
def test_values_that_become_the_file_of_the_command(config):
    """The chart writes them to the path that `--config` names, as a map or as a list of keys and values."""
    text = f"""\
replicaCount: 1
image:
  repository: vllm/vllm-openai
  command: [sh, -c]
  args: ["vllm serve --config /etc/vllm/config.yaml"]
resources: {{limits: {{nvidia.com/gpu: 1}}}}
{config}"""
    found = only(text)

    assert texts(found.args) == ["vllm serve --config /etc/vllm/config.yaml"]
    assert '"org/model-7b"' in found.files["/etc/vllm/config.yaml"].value


def test_a_preference_names_no_gpu():
    """Charts prefer nodes of whatever GPUs there are; what must hold counts."""
    text = """\
model: org/model-7b
maxModelLen: 8192
resources: {limits: {nvidia.com/gpu: 1}}
affinity:
  nodeAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
    - preference: {matchExpressions: [{key: accelerator, operator: In, values: [nvidia-tesla-k80, nvidia-a100]}]}
"""
    assert only(text).gpus.types == ()


def test_a_model_in_two_parts():
    """Whose model it is may stand beside its name."""
    text = """\
replicaCount: 1
image: {name: vllm/vllm-openai}
model: {organization: org, name: model-7b}
args: [--load-format auto]
"""
    assert only(text).model.value == "org/model-7b"


@pytest.mark.parametrize(
    "text",
    [
        # an application that talks to one
        "replicaCount: 1\nimage: {repository: acme/chat}\nllm: {model: org/m, baseUrl: 'http://vllm:8000'}\n",
        # a simulator
        "replicaCount: 1\nsim: {image: {repository: ghcr.io/llm-d/llm-d-inference-sim}, maxModelLen: 4096}\nmodel: {name: org/m}\n",
        # settings without a model
        "replicaCount: 1\nlimits: {maxModelLen: 4096}\nresources: {limits: {cpu: 1}}\n",
    ],
)
def test_other_values_start_nothing(text):
    """Neither a client's values, nor a simulator's, nor settings that say no model are an engine's."""
    assert read(helm_values, text, "values.yaml") == []
