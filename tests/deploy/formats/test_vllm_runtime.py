"""VLLMRuntime of the production stack."""

from workload_samples import at, flag_at, read, texts

from kvplan.deploy.formats import vllm_runtime

FLAT = """\
apiVersion: production-stack.vllm.ai/v1alpha1
kind: VLLMRuntime
metadata:
  name: llama
spec:
  tensorParallelSize: 2
  gpuMemoryUtilization: "0.8"
  enablePrefixCaching: false
  extraArgs: ["--max-num-seq", "64"]
  model:
    modelURL: meta-llama/Llama-3.2-1B-Instruct
    enableLoRA: true
    maxModelLen: 4096
  image:
    registry: docker.io
    name: lmcache/vllm-openai:2025-05-05-v1
  resources:
    memory: 24Gi
    gpu: "2"
  env:
    - {name: VLLM_USE_V1, value: "1"}
  replicas: 2
"""


def test_keys_are_vllms_flags():
    """Each key is a flag at its place, further arguments come behind, and quoted numbers are read as they are."""
    (engine,) = read(vllm_runtime, FLAT)

    assert flag_at(engine.words, "--gpu-memory-utilization") == ("0.8", (7, 26))
    assert flag_at(engine.words, "--max-model-len") == ("4096", (13, 18))
    assert "--enable-lora" in texts(engine.words)
    assert "--no-enable-prefix-caching" in texts(engine.words)
    assert texts(engine.words)[-2:] == ["--max-num-seq", "64"]
    assert engine.model.value == "meta-llama/Llama-3.2-1B-Instruct"
    assert engine.image.text == "docker.io/lmcache/vllm-openai:2025-05-05-v1"
    assert engine.gpus.count.value == 2
    assert at(engine.gpus.count) == (19, 11)
    assert engine.memory.value == 24 << 30
    assert engine.environment["VLLM_USE_V1"].value == "1"


def test_later_versions_hold_the_keys_one_level_down():
    """VllmConfig and deploymentConfig hold what earlier stood in spec."""
    text = """\
kind: VLLMRuntime
metadata: {name: llama}
spec:
  model: {modelURL: org/model, maxNumSeqs: 32}
  vllmConfig: {tensorParallelSize: 4}
  deploymentConfig: {replicas: 3, resources: {gpu: "4"}}
"""
    (engine,) = read(vllm_runtime, text)

    assert texts(engine.words) == ["--tensor-parallel-size", "4", "--max-num-seqs", "32"]
    assert (engine.gpus.count.value, engine.replicas.value) == (4, "3")
