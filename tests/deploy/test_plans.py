"""The plan of a unit is the plan of its command: `check` is `estimate` on settings read from a file."""

import pytest

import kvplan
from kvplan.launch.command import read_command
from kvplan.launch.planning import plan_command

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
COMPOSE = """\
services:
  llm:
    image: vllm/vllm-openai:{tag}
    ipc: host
    command: {command}
"""


def compose(command, tag="v0.11.0"):
    """Return a compose file."""
    return COMPOSE.format(command=command, tag=tag)


def one(text, **options):
    """Return the one unit of a compose file."""
    checked = kvplan.check("compose.yaml", text=text, **options)
    (unit,) = checked.units
    return unit


@pytest.mark.parametrize(
    "flags",
    [
        "--max-model-len 8192",
        "--max-model-len 65536 -tp 2 --kv-cache-dtype fp8",
        "--gpu-memory-utilization 0.7 --max-num-seqs 32 --enforce-eager",
        "--quantization fp8 --max-num-batched-tokens 4096",
    ],
)
def test_a_units_plan_is_that_of_its_command(flags):
    """The figures of `check` are those of `kvplan estimate -- vllm serve ...` with the same flags, release and GPU."""
    unit = one(compose(f"--model {LLAMA} {flags}"), gpu="l40s")
    command = read_command(f"docker run vllm/vllm-openai:v0.11.0 --model {LLAMA} {flags}")
    other = plan_command(command, gpu="l40s")
    mine, theirs = unit.plan.to_dict(), other.to_dict()
    for each in (mine, theirs):
        each.pop("remedies"), each.pop("assumptions")
        each["model"].pop("source")
        each["model"].pop("id")
    assert mine == theirs
    assert unit.verdict == other.verdict


def test_the_worst_of_several_gpus_decides():
    """Where the scheduler may take any of several GPUs, a unit fits only if it fits on all of them."""
    affinity = """\
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [
    {key: cloud.google.com/gke-accelerator, operator: In, values: [nvidia-h100-80gb, nvidia-l4]}]}]}}}
  containers: [{name: c, image: "vllm/vllm-openai:v0.11.0", args: [--model, meta-llama/Llama-3.1-8B-Instruct]}]
"""
    (unit,) = kvplan.check("pod.yaml", text=affinity).units
    assert (unit.verdict, unit.plan.deployment.group.gpu.id) == ("does_not_fit", "l4")


def test_margins_are_negative_where_it_does_not_fit():
    """The margin is what is left of the cache once what was asked for is held."""
    fits = one(compose(f"--model {LLAMA} --max-model-len 8192"), gpu="l40s")
    not_at_all = one(compose(f"--model {LLAMA}"), gpu="l4")
    assert (fits.verdict, not_at_all.verdict) == ("fits", "does_not_fit")
    assert fits.margin_bytes > 0 > not_at_all.margin_bytes


def test_declared_users_are_held_or_the_unit_does_not_fit():
    """So many requests of so many tokens as were declared from outside have to fit at once."""
    text = compose(f"--model {LLAMA} --max-model-len 8192")
    assert one(text, gpu="l40s", users=10, context=4096).verdict == "fits"
    checked = kvplan.check("compose.yaml", text=text, gpu="l40s", users=1000, context=4096)
    assert checked.units[0].verdict == "does_not_fit"
    assert "KVP103" in {finding.code for finding in checked.findings}


@pytest.mark.parametrize(
    "command, because",
    [
        ("--model /models/llama", "what lies at /models/llama is not in the file"),
        ("--model pvc/nothing-like-it", "is not in the catalogue"),
        ("--max-model-len 8192", "it names no model"),
        (f"--model {LLAMA} -tp $${{TP}}", "the tensor-parallel size is ${TP}"),
        (f"--model {LLAMA} $${{EXTRA}}", "${EXTRA} may hold more flags"),
        (f"--model {LLAMA} --max-modle-len 8192", "the engine does not take --max-modle-len"),
    ],
)
def test_what_is_open_makes_the_verdict_unknown(command, because):
    """Nothing that is not known passes as a fit, and what is not known is said."""
    unit = one(compose(command), gpu="h100")
    assert unit.verdict == "unknown"
    assert unit.plan is None
    assert because in "; ".join(each.what for each in unit.open)


def test_paths_are_mapped_to_models():
    """A path or name in a file stands for the model that the map says; patterns count, too."""
    text = compose("--model /models/llama-8b --max-model-len 8192")
    assert one(text, gpu="h100", models={"/models/llama-8b": "llama-3.1-8b"}).verdict == "fits"
    assert one(text, gpu="h100", models={"/models/*": "llama-3.1-8b"}).plan.deployment.model.id == "llama-3.1-8b"


def test_an_image_for_another_device_has_no_plan():
    """Memory follows other rules on a CPU or TPU."""
    text = compose(f"--model {LLAMA}").replace("vllm-openai:v0.11.0", "vllm-openai-cpu:v0.11.0")
    unit = one(text, gpu="h100")
    assert (unit.verdict, unit.plan) == ("unknown", None)
    assert "CPU" in unit.open[0].what
