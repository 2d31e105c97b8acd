"""Custom resources of operators that kvplan does not know."""

import pytest

from kvplan.deploy.file import File
from kvplan.deploy.formats import workloads
from kvplan.launch.text import Source

RESOURCE = "apiVersion: {group}/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n  {spec}\n"
ONE = "model: {id: org/m, source: huggingface}"


def found(spec, group="airunway.ai", kind="ModelDeployment"):
    """Return what a resource starts."""
    text = RESOURCE.format(group=group, kind=kind, spec=spec)
    return workloads(File(Source("a.yaml", text)))


@pytest.mark.parametrize(
    "spec, engine, words",
    [
        (f"{ONE}\n  engine: {{type: vllm, contextLength: 4096}}", "vllm", ["--max-model-len", "4096"]),
        (f"{ONE}\n  engine: sglang", "sglang", []),
        (f"{ONE}\n  advanced: {{vllm: {{extraArgs: [--max-num-seqs, '4']}}}}", "vllm", ["--max-num-seqs", "4"]),
        (f"{ONE}\n  serving: {{vllmArgs: [--max-num-seqs, '4']}}", "vllm", ["--max-num-seqs", "4"]),
        (f"{ONE}\n  backendRuntimeConfig: {{backendName: ollama}}", "ollama", []),
    ],
)
def test_an_engine_and_a_model_that_are_named_are_one(spec, engine, words):
    """Wherever a resource says them, with the engine's settings beside its name."""
    (workload,) = found(spec + "\n  resources: {gpu: {count: 2}}")
    assert (workload.engine, workload.model.value, workload.gpus.count.value) == (engine, "org/m", 2)
    said = [*workload.words, *(word for flag in workload.adds for word in flag)]
    assert [word.text for word in said] == words


def test_a_model_may_be_another_resource_of_the_stream():
    """Llmaz's Playground claims an OpenModel, which names the repository and the GPUs of its one flavor."""
    model = RESOURCE.format(
        group="llmaz.io",
        kind="OpenModel",
        spec="source: {modelHub: {modelID: org/m}}\n  inferenceConfig: {flavors: [{name: t4, limits: {nvidia.com/gpu: 1}}]}",
    ).replace("name: a}", "name: b}")
    play = RESOURCE.format(
        group="inference.llmaz.io",
        kind="Playground",
        spec="modelClaim: {modelName: b}\n  backendRuntimeConfig: {backendName: vllm, version: v0.8.5}",
    )
    (workload,) = workloads(File(Source("a.yaml", f"{model}---\n{play}")))
    assert (workload.engine, workload.model.value, workload.version.value) == ("vllm", "org/m", "0.8.5")
    assert workload.gpus.count.value == 1


@pytest.mark.parametrize(
    "spec, group, kind",
    [
        ("engine: {type: vllm}", "airunway.ai", "ModelDeployment"),
        (ONE, "airunway.ai", "ModelDeployment"),
        (f"{ONE}\n  engine: vllm", "gateway.example.com", "HTTPRoute"),
        (f"{ONE}\n  engine: vllm", "bench.example.com", "BenchmarkRun"),
        (f"{ONE}\n  engine: vllm", "v1", "Thing"),
        (
            "model: org/m\n  inferenceEngine: vLLM\n  workloadSelector: {matchLabels: {a: b}}",
            "net.example.sh",
            "ModelServer",
        ),
        ("[1]", "a.example.com", "Thing"),
    ],
)
def test_what_names_no_engine_or_no_model_starts_none(spec, group, kind):
    """Half of it is not enough, and what asks or watches an engine is none."""
    assert found(spec, group.removesuffix("/v1"), kind) == []
