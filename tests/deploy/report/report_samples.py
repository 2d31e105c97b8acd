"""Checks made by hand: a manifest whose cache is too small, and one of hostile texts."""

from kvplan.deploy.unit import Input, Open, Unit
from kvplan.deploy.workload import Workload
from kvplan.launch.text import Place, Source
from kvplan.rules.finding import Checked, Edit, Finding, Fix, Label
from kvplan.rules.rule import Rule

MANIFEST = """\
kind: Deployment
spec:
  containers:
    - name: vllm
      image: vllm/vllm-openai:v0.8.5
      args:
        - --model=org/llama
        - --max-model-len=131072
      env:
        - name: HF_TOKEN
          value: verysecretvalue
  nodeSelector:
    cloud.google.com/gke-accelerator: nvidia-l4
"""
NAME = "Deployment llama, container vllm"
RULE = Rule(
    code="KVP102",
    name="cache-below-one-request",
    severity="error",
    summary="The cache holds less than one request.",
    what="Compares.",
    why="It does not start.",
    example="- --max-model-len=131072",
    fix="A shorter length.",
    formula_and_source="tokens x bytes.",
    since="0.2.0",
)
RULES = {RULE.code: RULE}


def at(source, text):
    """Return where a text first stands in a file."""
    start = source.text.index(text)
    return Place(source, start, start + len(text))


def unit(place, *, name=NAME, **more):
    """Return a unit without a plan."""
    values = {"engine": "vllm", "version": "0.8.5", "verdict": "does_not_fit"} | more
    workload = Workload(format="kubernetes", name=name, place=place)
    return Unit(workload=workload, launch=None, name=name, place=place, **values)


def finding(source, underlined, **more):
    """Return a finding of the sample's rule."""
    values = {"code": "KVP102", "severity": "error", "message": "the cache is too small"} | more
    return Finding(place=at(source, underlined), **values)


def sample():
    """Return a check of three files: an engine that does not fit and one whose GPU no one said."""
    source = Source("deploy/llama.yaml", MANIFEST)
    shorter = Fix(change="--max-model-len 32768", effect="holds one", edits=(Edit(at(source, "131072"), "32768"),))
    found = finding(
        source,
        "--max-model-len=131072",
        message="KV cache holds 32,768 tokens, less than one request of 131,072",
        subject=NAME,
        here="one request needs 16.0 GiB",
        labels=(Label(at(source, "nvidia-l4"), "1 x L4"), Label(at(source, "v0.8.5"), "0.90 is its default")),
        notes=("20.2 GiB = 0.90 x 22.5 GiB",),
        fixes=(shorter, Fix(change="--kv-cache-dtype fp8", effect="65,536 tokens")),
    )
    hidden = finding(source, "org/llama", code="KVP401", severity="warning", suppressed="known to us")
    inputs = {
        "model": Input(value="org/llama", origin="given", place=at(source, "org/llama")),
        "gpu": Input(value="L4", origin="given", place=at(source, "nvidia-l4")),
        "gpu_count_requested": Input(value=None, origin="not stated"),
    }
    other = Source("compose.yaml", "services: {}\n")
    units = [
        unit(at(source, "- name: vllm"), margin_bytes=-5, inputs=inputs),
        unit(at(other, "services"), name="llm", verdict="unknown", open=[Open("the GPU is not stated", "--gpu NAME")]),
    ]
    return Checked(units=units, findings=[found, hidden], files=3, reasons=["1 file is binary"], exit_code=1)
