"""Charts as the formats share them: each map of values belongs to one reader, templates and rendered charts to Kubernetes'."""

from collections import Counter

from kvplan.deploy.file import File
from kvplan.deploy.formats import readers, workloads
from kvplan.launch.text import Source

UMBRELLA = """\
replicaCount: 1
servingEngineSpec:
  modelSpec:
    - {name: a, repository: vllm/vllm-openai, tag: v0.11.0, modelURL: org/a, requestGPU: 1, vllmConfig: {maxModelLen: 4096}}
"""
MIXED = """\
global: {}
tolerations: []
nim-llm:
  image: {repository: nvcr.io/nim/meta/llama3-8b-instruct, tag: 1.0.0}
  model: {name: meta/llama3-8b-instruct, ngcAPISecret: x}
  resources: {limits: {nvidia.com/gpu: 1}}
vllm:
  image: {repository: opea/vllm, tag: latest}
  LLM_MODEL_ID: org/a
tgi:
  image: {repository: ghcr.io/huggingface/text-generation-inference, tag: "3.0"}
  model: org/b
  resources: {limits: {nvidia.com/gpu: 1}}
serving:
  modelArtifacts: {name: org/c, uri: "hf://org/c"}
  decode:
    containers: [{name: vllm, image: ghcr.io/llm-d/llm-d-cuda:v0.4.0, modelCommand: vllmServe}]
models:
  catalog:
    d: {enabled: true, url: hf://org/d, engine: VLLM, resourceProfile: nvidia-gpu-l4:1}
"""


def test_each_map_of_values_belongs_to_one_reader():
    """Sub-charts of five makes in one file are five workloads, each of the chart that it is for."""
    assert [each.format for each in workloads(File(Source("values.yaml", UMBRELLA)))] == ["helm-production-stack"]
    found = workloads(File(Source("values.yaml", MIXED)))
    assert Counter(each.format for each in found) == Counter(
        ["helm-nim", "helm-opea", "helm-values", "helm-llm-d", "helm-kubeai"]
    )


def test_no_two_formats_share_a_name():
    """The folder is the registry, and a reader's module is its name."""
    names = [name for name, _ in readers()]
    assert len(names) == len(set(names))
    assert {"helm_values", "engine_yaml"} <= set(names)


def test_a_template_is_a_kubernetes_workload_that_was_not_rendered():
    """Flags that are written out in a template are read, the others are known to be open."""
    text = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {matchLabels: {a: b}}
  template:
    spec:
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.11.0
          args:
            - --model
            - {{ .Values.model | quote }}
            {{- with .Values.extra }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
            - --max-model-len=8192
"""
    (found,) = workloads(File(Source("templates/deployment.yaml", text)))
    assert found.format == "kubernetes"
    assert found.templated
    assert [each.place.written() for each in found.args] == [
        "--model",
        "{{ .Values.model | quote }}",
        "--max-model-len=8192",
    ]


def test_a_rendered_chart_on_stdin_is_read():
    """`helm template | kvplan check -`: documents below `# Source:` comments are Kubernetes' own."""
    text = """\
---
# Source: chart/templates/deployment.yaml
apiVersion: v1
kind: Pod
metadata: {name: x}
spec:
  containers: [{name: vllm, image: "vllm/vllm-openai:v0.11.0", args: [--model, org/a]}]
"""
    file = File(Source("-", text))
    assert [each.format for each in workloads(file)] == ["kubernetes"]
    assert file.documents[0].origin == "chart/templates/deployment.yaml"


def test_values_beside_templates_are_no_templates():
    """NOTES.txt, helpers and Chart.yaml hold no workloads."""
    for path in ("templates/NOTES.txt", "templates/_helpers.tpl", "Chart.yaml", "templates/values.yaml"):
        assert workloads(File(Source(path, MIXED))) == []


def test_an_engine_may_stand_within_the_values_of_another():
    """A map inside a chart's values with an engine's image of its own is another engine; maps of settings are not."""
    text = """\
image: {repository: vllm/vllm-openai, tag: v0.11.0}
model: org/a
replicaCount: 1
vllm: {maxModelLen: 4096}
draft:
  image: {repository: lmsysorg/sglang, tag: v0.5.0}
  model: org/b
metrics: {enabled: true, image: {repository: acme/exporter}}
"""
    found = workloads(File(Source("values.yaml", text)))
    assert [(each.name, each.engine, each.model.value) for each in found] == [
        ("values", "vllm", "org/a"),
        ("values draft", "sglang", "org/b"),
    ]


def test_a_templates_container_is_called_after_its_engine():
    """Where values give the image and all that runs, a container's name tells the engine; a helper's tells none."""
    text = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  template:\n    spec:\n      containers:\n"
        '        - name: "NAME"\n          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"\n'
        "          resources:\n            {{- toYaml .Values.resources | nindent 12 }}\n"
    )
    (found,) = workloads(File(Source("templates/deployment.yaml", text.replace("NAME", "vllm"))))
    assert (found.engine, found.templated) == ("vllm", True)
    (other,) = workloads(File(Source("templates/deployment.yaml", text.replace("NAME", "vllm-router"))))
    assert other.engine is None


def test_maps_around_the_one_engine_belong_to_it():
    """Resources beside the map that holds the engine's settings are its own, where nothing else stands in them."""
    text = (
        "replicaCount: 1\nbot:\n  api: {image: acme/api}\n  vllm:\n    service: {image: {version: 'vllm/vllm-openai:v0.8.2'}}\n"
        "    resources: {limits: {gpu: {number: 2}}}\n    llm: {hfModelName: org/m, args: '--max-model-len 8200'}\n"
    )
    (found,) = workloads(File(Source("values.yaml", text)))
    assert (found.model.value, found.gpus.count.value) == ("org/m", 2)
