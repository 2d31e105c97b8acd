"""Values of OPEA's charts."""

from workload_samples import at, flag_at, read, texts

from kvplan.deploy.formats import helm_opea, helm_values

TGI = """\
accelDevice: "nvidia"
image:
  repository: ghcr.io/huggingface/text-generation-inference
  tag: "2.4.1"
LLM_MODEL_ID: org/model-7b
MAX_INPUT_LENGTH: "2048"
MAX_TOTAL_TOKENS: 4096
CUDA_GRAPHS: ""
extraCmdArgs: ["--num-shard", "2"]
shmSize: 1Gi
resources:
  limits:
    nvidia.com/gpu: 2
"""


def test_keys_in_capitals_are_variables():
    """The chart hands them on to TGI; those that are empty it leaves out."""
    (tgi,) = read(helm_opea, TGI, "nv-values.yaml")
    assert (tgi.engine, tgi.model.value) == ("tgi", "org/model-7b")
    assert tgi.environment["MAX_TOTAL_TOKENS"].value == "4096"
    assert at(tgi.environment["MAX_INPUT_LENGTH"]) == (6, 20)
    assert "CUDA_GRAPHS" not in tgi.environment
    assert flag_at(tgi.words, "--num-shard")[0] == "2"
    assert tgi.gpus.count.value == 2
    assert tgi.shared_memory.value == 2**30
    assert not tgi.half
    assert read(helm_values, TGI, "values.yaml") == []


def test_sub_charts_are_read_by_their_names():
    """What is switched off, and the clients that name the same model, are no engines."""
    text = """\
tgi: {enabled: false, LLM_MODEL_ID: org/a}
vllm: {enabled: true, LLM_MODEL_ID: org/b, extraCmdArgs: [--max-model-len, "4096"]}
vllm-guardrails: {LLM_MODEL_ID: org/guard}
llm-uservice: {LLM_MODEL_ID: org/b, TEXTGEN_BACKEND: vLLM}
tei: {EMBEDDING_MODEL_ID: org/e}
"""
    vllm, guard = read(helm_opea, text, "values.yaml")
    assert (vllm.name, vllm.model.value, texts(vllm.words)) == ("values vllm", "org/b", ["--max-model-len", "4096"])
    assert guard.model.value == "org/guard"
    assert any("CPU" in note for note in vllm.notes)


def test_values_for_a_device_are_a_half():
    """They change the chart's own values, in which the model stands."""
    (tgi,) = read(helm_opea, TGI.replace("LLM_MODEL_ID: org/model-7b\n", ""), "nv-values.yaml")
    assert "LLM_MODEL_ID" in tgi.half


def test_odd_values_do_no_harm():
    """Other types than expected are left out."""
    read(helm_opea, "vllm: {LLM_MODEL_ID: [x], extraCmdArgs: {a: b}, env: 3, shmSize: []}\n", "values.yaml")
