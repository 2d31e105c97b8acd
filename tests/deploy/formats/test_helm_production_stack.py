"""Values of the vLLM production-stack chart."""

import pytest
from workload_samples import at, flag_at, read, texts

from kvplan.deploy.formats import helm_production_stack, helm_values

VALUES = """\
servingEngineSpec:
  runtimeClassName: ""
  modelSpec:
    - name: "qwen"
      repository: "vllm/vllm-openai"
      tag: "v0.11.0"
      modelURL: "org/model-7b"
      modelRevision: "abc"
      replicaCount: 2
      requestMemory: "16Gi"
      limitMemory: "64Gi"
      requestGPU: 2
      shmSize: "8Gi"
      nodeSelectorTerms:
        - matchExpressions:
            - {key: nvidia.com/gpu.product, operator: In, values: [NVIDIA-H100-80GB-HBM3, NVIDIA-A100-SXM4-80GB]}
      initContainer:
        name: downloader
        image: vllm/vllm-openai:v0.1
        args: ["--model", "not-this"]
      vllmConfig:
        enableChunkedPrefill: false
        enablePrefixCaching: true
        maxModelLen: 8192
        tensorParallelSize: 2
        gpuMemoryUtilization: "0.8"
        extraArgs: ["--gpu-memory-utilization", "0.9", "--enforce-eager"]
      env:
        - {name: VLLM_LOGGING_LEVEL, value: DEBUG}
cacheserverSpec:
  repository: lmcache/vllm-openai
  tag: latest
  replicaCount: 1
routerSpec:
  repository: lmcache/lmstack-router
  extraArgs: ["--model", "x"]
"""


def test_an_entry_of_model_spec_is_an_engine():
    """Each key is the flag that the template makes of it, placed at its value; the cache server and the router are none."""
    (model,) = read(helm_production_stack, VALUES, "values.yaml")

    assert (model.engine, model.image.text, model.model.value) == ("vllm", "vllm/vllm-openai:v0.11.0", "org/model-7b")
    assert flag_at(model.words, "--max-model-len") == ("8192", (24, 22))
    assert flag_at(model.words, "--tensor-parallel-size") == ("2", (25, 29))
    assert "--no-enable-chunked-prefill" in texts(model.words)
    assert "--enable-prefix-caching" in texts(model.words)
    assert texts(model.words)[-2:] == ["--revision", "abc"]
    assert model.gpus.count.value == 2
    assert at(model.gpus.count) == (12, 19)
    assert [each.value for each in model.gpus.types] == ["NVIDIA-H100-80GB-HBM3", "NVIDIA-A100-SXM4-80GB"]
    assert (model.memory.value, model.shared_memory.value) == (64 * 2**30, 8 * 2**30)
    assert model.environment["VLLM_LOGGING_LEVEL"].value == "DEBUG"
    assert model.replicas.value == "2"
    assert not model.half
    assert read(helm_values, VALUES, "values.yaml") == []


def test_extra_args_stand_behind_the_keys():
    """The template writes extraArgs last, so the engine takes theirs where both say something."""
    (model,) = read(helm_production_stack, VALUES, "values.yaml")
    words = texts(model.words)
    values = [words[index + 1] for index, word in enumerate(words) if word == "--gpu-memory-utilization"]
    assert values == ["0.8", "0.9"]


def test_with_ray_the_gpus_are_each_nodes():
    """The head is one node more than the workers; pipeline-parallel sizes are passed on there only."""
    text = VALUES.replace(
        "      vllmConfig:",
        "      raySpec: {headNode: {requestGPU: 2}}\n      vllmConfig:\n        pipelineParallelSize: 3",
    )
    (model,) = read(helm_production_stack, text, "values.yaml")
    assert (model.gpus.count.value, model.gpus.nodes.value) == (2, 3)
    assert flag_at(model.words, "--pipeline-parallel-size")[0] == "3"


def test_keys_that_the_chart_passes_on_nowhere_are_named():
    """A pipelineParallelSize without Ray is read by no template (a key that the chart ignores)."""
    text = VALUES.replace("        maxModelLen", "        pipelineParallelSize: 2\n        maxModelLen")
    (model,) = read(helm_production_stack, text, "values.yaml")
    assert "--pipeline-parallel-size" not in texts(model.words)
    assert any("pipelineParallelSize" in note for note in model.notes)


def test_a_partition_of_a_gpu_is_one():
    """The key requestGPUType may name a MIG profile."""
    text = VALUES.replace("requestGPU: 2", "requestGPU: 1\n      requestGPUType: nvidia.com/mig-4g.71gb")
    (model,) = read(helm_production_stack, text, "values.yaml")
    assert model.gpus.partition.value == "4g.71gb"


def test_caching_is_off_unless_said():
    """The template writes --no-enable-prefix-caching wherever there is a vllmConfig without it."""
    (model,) = read(helm_production_stack, VALUES.replace("        enablePrefixCaching: true\n", ""), "values.yaml")
    assert "--no-enable-prefix-caching" in texts(model.words)


def test_offloading_by_lmcache_is_a_connector():
    """lmcacheConfig.enabled becomes --kv-transfer-config."""
    text = VALUES.replace(
        "      vllmConfig:", "      lmcacheConfig: {enabled: true, cpuOffloadingBufferSize: '20'}\n      vllmConfig:"
    )
    (model,) = read(helm_production_stack, text, "values.yaml")
    assert "LMCacheConnectorV1" in flag_at(model.words, "--kv-transfer-config")[0]


@pytest.mark.parametrize(
    "change",
    [
        ('    - name: "qwen"', '    - name: "qwen"\n      enabled: false'),
        ('  runtimeClassName: ""', "  enableEngine: false"),
        ("  modelSpec:\n", "  other:\n"),
    ],
)
def test_what_is_switched_off_is_no_engine(change):
    """A disabled model, a disabled chart and another key start nothing."""
    assert read(helm_production_stack, VALUES.replace(*change), "values.yaml") == []


@pytest.mark.parametrize(
    "odd", ["[]", "x", "[x, {}, [1]]", "{a: b}", "[{modelURL: [x], vllmConfig: 3, requestGPU: {}}]"]
)
def test_odd_values_do_no_harm(odd):
    """Other types than a map are left out."""
    read(helm_production_stack, f"servingEngineSpec:\n  modelSpec: {odd}\n", "values.yaml")
