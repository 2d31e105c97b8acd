"""Readers of formats hold against any text: what they cannot read they leave out."""

from importlib import import_module

import pytest
from format_files import workloads
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# A path that each format reads, and the pieces that its files are made of.
FORMATS = {
    "compose": (
        "compose.yml",
        "services image build command entrypoint environment gpus deploy extends vllm ${A:-b} $$ {a: b} [a, b]",
    ),
    "dockerfile": ("Dockerfile", 'FROM ENV ARG CMD ENTRYPOINT RUN a=b --model ["a","b"] vllm ${A:-b} \\ <<EOF AS #'),
    "systemd": (
        "a.service",
        "[Service] [Container] ExecStart=a Environment=A=b Image=x PodmanArgs=--gpus \\ %h ${A} ' \"",
    ),
    "skypilot": ("a.yaml", "resources: accelerators: run: envs: num_nodes: {A:8, B} H100:8 [a] any_of: - service:"),
    "dstack": (
        "a.yaml",
        "type: service resources: gpu: commands: image: replicas: 24GB..80GB:2 {name: a} [a] - nodes: 3",
    ),
    "github_workflow": (
        "a.yml",
        "on: name: jobs: steps: run: vllm env: matrix: strategy: ${{ env.A }} services: container: - [a] {a: b}",
    ),
    "gitlab_ci": (
        ".gitlab-ci.yml",
        "script: vllm extends: .a a: variables: before_script: - [a] {a: b} image: default:",
    ),
    "llama_swap": ("a.yaml", "models: cmd: macros: groups: swap: false ${a} ${PORT} members: env: - {a: b} [a] |"),
    "nomad": (
        "a.nomad",
        'job "a" { group task config { args = [ "a", "${b}" ] } device "nvidia/gpu" count = 2 <<-EOF # /* */',
    ),
    "terraform": (
        "a.tf",
        'resource "aws_sagemaker_model" "kubectl_manifest" "a" { yaml_body = <<-E var.a "${var.b}" merge( } ) variable default =',
    ),
    "baseten": (
        "config.yaml",
        "docker_server: start_command: resources: accelerator: trt_llm: build: base_image: {a: b} [a] H100:2",
    ),
    "python": (
        "a.py",
        "import subprocess\n subprocess.run( [ 'vllm' , 'serve' ] ) x = f'{x}' if def f(): + @a.cls(gpu= \n    {'HF_MODEL_ID': x}",
    ),
    "supervisord": (
        "supervisord.conf",
        '[program:a]\n [supervisord]\n command=vllm environment=A="b" , %(ENV_A)s %% ; %(a)02d \' \\ = serve',
    ),
    "kustomize": (
        "kustomization.yaml",
        "kind: Kustomization patches: patch: |- op: replace path: /spec/args/0 value: --max-model-len=1 {a: b} [a] target:",
    ),
    "dynamo": (
        "a.yaml",
        'kind: DynamoGraphDeployment spec: services: envs: DYN_DEPLOYMENT_CONFIG \'{"VllmWorker":{"ServiceArgs":{}}}\'',
    ),
    "srt_slurm": (
        "a.yaml",
        "schema: resources: gpu_type: h100 gpus_per_node: 8 engine: type: vllm roles: agg: args: gpus: {a: 1} nodes: model:",
    ),
    "engine_yaml": (
        "a.yaml",
        "Common: VllmWorker: PrefillWorker: ServiceArgs: common-configs: model: {a: b} [a] max-model-len: 4096 resources: gpu:",
    ),
    "environment": ("a.env", "MODEL_ID=a MAX_TOTAL_TOKENS=1 OLLAMA_NUM_PARALLEL=2 '\" ${A} \\ # = export"),
}


@pytest.mark.parametrize("name", sorted(FORMATS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_text_is_too_odd(name, data):
    """Pieces of a format in any order are read or left out; whatever is found has places in the file."""
    path, pieces = FORMATS[name]
    parts = st.one_of(
        st.sampled_from(pieces.split(" ")), st.sampled_from([" ", "\n", "\n  ", "\n    ", ": ", "- ", '"', "\x00", "é"])
    )
    text = "".join(data.draw(st.lists(parts, max_size=60)))
    for workload in workloads(name, path, text):
        assert 0 <= workload.place.start <= workload.place.end <= len(workload.place.source.text) + 1


def test_every_reader_has_one_of_these():
    """The formats named here are modules with a reader."""
    assert all(callable(import_module(f"kvplan.deploy.formats.{name}").read) for name in FORMATS)
