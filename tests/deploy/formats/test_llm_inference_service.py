"""KServe's LLMInferenceService."""

from workload_samples import at, flag_at, read, texts

from kvplan.deploy.formats import llm_inference_service

SERVICE = """\
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata:
  name: r1
spec:
  model:
    uri: pvc://models/r1
    name: org/r1
  replicas: 1
  parallelism:
    data: 16
    dataLocal: 8
    expert: true
    tensor: 1
  template:
    containers:
      - name: main
        env:
          - name: VLLM_ADDITIONAL_ARGS
            value: "--gpu-memory-utilization 0.95 --kv_transfer_config '{\\"kv_role\\":\\"kv_both\\"}' --enforce-eager"
        resources:
          limits:
            nvidia.com/gpu: "8"
  worker:
    containers:
      - name: main
        env: []
  prefill:
    replicas: 2
    parallelism:
      tensor: 4
    template:
      containers:
        - name: main
          args: [--max-model-len, "4096"]
"""


def test_flags_come_from_keys_and_from_one_variable():
    """Parallel sizes are flags, and the variable's text is split as a shell does, each word at its place."""
    engine, _ = read(llm_inference_service, SERVICE)

    assert engine.engine == "vllm"
    assert engine.model.value == "pvc://models/r1"
    assert texts(engine.words)[:7] == [
        "--tensor-parallel-size", "1", "--data-parallel-size", "16", "--data-parallel-size-local", "8",
        "--enable-expert-parallel",
    ]  # fmt: skip
    assert flag_at(engine.words, "--data-parallel-size") == ("16", (11, 11))
    assert flag_at(engine.words, "--gpu-memory-utilization") == ("0.95", (20, 46))
    assert flag_at(engine.words, "--kv_transfer_config")[0] == '{"kv_role":"kv_both"}'
    assert engine.words[-1].text == "--enforce-eager"


def test_ranks_by_those_of_one_machine_are_machines():
    """Sixteen data-parallel ranks, eight on each, are two machines."""
    engine, prefill = read(llm_inference_service, SERVICE)

    assert engine.gpus.nodes.value == 2
    assert engine.gpus.count.value == 8
    assert prefill.gpus.nodes is None


def test_prefill_is_an_engine_of_its_own_with_the_same_model():
    """The prefill part has its own replicas, sizes and container."""
    _, prefill = read(llm_inference_service, SERVICE)

    assert "prefill" in prefill.name
    assert prefill.model.value == "pvc://models/r1"
    assert texts(prefill.words) == ["--tensor-parallel-size", "4", "--max-model-len", "4096"]
    assert prefill.replicas.value == "2"


def test_a_command_of_its_own_stands_alone():
    """Where the container has a command, the operator adds no flags to it."""
    text = SERVICE.replace("args: [--max-model-len", "command: [vllm, serve, /mnt/models, --max-model-len")
    _, prefill = read(llm_inference_service, text)

    assert prefill.words is None
    assert texts(prefill.command)[:2] == ["vllm", "serve"]


def test_presets_are_halves_and_named_where_they_are_used():
    """A service that is based on a preset may have more settings than are here; a preset alone is a half."""
    based, _ = read(llm_inference_service, SERVICE.replace("spec:\n", "spec:\n  baseRefs:\n    - name: fast\n", 1))
    presets = read(
        llm_inference_service, SERVICE.replace("kind: LLMInferenceService", "kind: LLMInferenceServiceConfig")
    )
    router = "kind: LLMInferenceServiceConfig\nspec: {router: {scheduler: {template: {containers: [{name: main}]}}}}\n"

    assert "fast" in based.half
    assert all("preset" in each.half for each in presets)
    assert read(llm_inference_service, router) == []


def test_a_quote_that_is_never_closed_loses_no_other_flag():
    """A broken text of flags is split at its blanks."""
    text = SERVICE.replace("kv_both\\\"}'", 'kv_both\\"}')
    engine, _ = read(llm_inference_service, text)

    assert flag_at(engine.words, "--gpu-memory-utilization")[0] == "0.95"


def test_a_service_without_a_container_is_an_engine_all_the_same():
    """Only the model is needed: the operator brings the rest."""
    (engine,) = read(llm_inference_service, "kind: LLMInferenceService\nspec: {model: {uri: hf://org/m}}\n")

    assert (engine.engine, engine.model.value, at(engine.model)) == ("vllm", "org/m", (2, 26))
