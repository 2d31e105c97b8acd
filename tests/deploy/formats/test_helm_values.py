"""Values of charts that kvplan does not know."""

import pytest
from workload_samples import at, flag_at, read, texts

from kvplan.deploy.file import File
from kvplan.deploy.formats import helm_values
from kvplan.launch.text import Source

VALUES = """\
replicaCount: 2
image:
  registry: docker.io
  repository: vllm/vllm-openai
  tag: "v0.11.0"
model:
  name: served
  id: org/model-7b
vllm:
  maxModelLen: 8192
  gpu_memory_utilization: 0.85
  tensor-parallel-size: "2"
  quantization: ""
  enforceEager: false
  enablePrefixCaching: false
  maxNumSeqs: 0
  extraArgs:
    - --kv-cache-dtype=fp8
    - --max-num-batched-tokens 4096
env:
  - {name: VLLM_LOGGING_LEVEL, value: DEBUG}
resources:
  limits:
    nvidia.com/gpu: 2
    memory: 64Gi
nodeSelector:
  cloud.google.com/gke-accelerator: nvidia-l4
shmSize: 2Gi
service: {port: 8000}
"""


def flags(workload):
    return {each[0].text: texts(each[1:]) for each in workload.adds}


def test_values_beside_an_engines_image_are_read():
    """Keys called as flags are these, however written; empty, zero and false ones say nothing, but for what is on anyway."""
    (found,) = read(helm_values, VALUES, "values.yaml")

    assert (found.engine, found.image.text, found.model.value) == (
        "vllm",
        "docker.io/vllm/vllm-openai:v0.11.0",
        "org/model-7b",
    )
    assert at(found.model) == (8, 7)
    assert flags(found) == {
        "--max-model-len": ["8192"],
        "--gpu-memory-utilization": ["0.85"],
        "--tensor-parallel-size": ["2"],
        "--no-enable-prefix-caching": [],
    }
    assert at(found.adds[1][1]) == (11, 27)
    assert texts(found.words) == ["--kv-cache-dtype=fp8", "--max-num-batched-tokens", "4096"]
    assert at(found.words[2]) == (19, 32)
    assert found.gpus.count.value == 2
    assert [each.value for each in found.gpus.types] == ["nvidia-l4"]
    assert found.environment["VLLM_LOGGING_LEVEL"].value == "DEBUG"
    assert (found.memory.value, found.shared_memory.value) == (64 * 2**30, 2 * 2**30)
    assert found.replicas.value == "2"
    assert "does not know" in found.notes[0]


def test_a_sub_chart_may_be_named_after_its_engine():
    """It needs no image then; one that is switched off, and a client of an engine, start nothing."""
    text = """\
global: {storageClass: x}
api:
  image: {repository: acme/api, tag: "1"}
  vllm: {model: org/x, baseUrl: http://vllm:8000}
tgi:
  enabled: true
  config: {modelID: org/model-7b}
  env: [{name: MAX_TOTAL_TOKENS, value: "8192"}]
  resources: {limits: {nvidia.com/gpu: 1}}
sglang: {enabled: false, model: org/y, resources: {limits: {nvidia.com/gpu: 1}}}
ollama: {model: llama3, host: ollama.example}
"""
    (tgi,) = read(helm_values, text, "values.yaml")
    assert (tgi.name, tgi.engine, tgi.model.value) == ("values tgi", "tgi", "org/model-7b")
    assert tgi.environment["MAX_TOTAL_TOKENS"].value == "8192"


def test_what_stands_at_the_top_is_meant_for_the_one_engine():
    """Settings, models and placement may stand beside the block of the engine."""
    text = """\
inference:
  framework: vllm
  modelServer:
    image: {repository: vllm/vllm-openai, tag: latest}
    deployment:
      resources: {gpu: {limits: {nvidia.com/gpu: 4}}}
modelParameters: {modelId: org/model-7b, maxModelLen: 8192, tensorParallelSize: 4}
nodeSelector: {nvidia.com/gpu.product: NVIDIA-L4}
tolerations: []
"""
    (found,) = read(helm_values, text, "custom-values.yaml")
    assert found.model.value == "org/model-7b"
    assert found.gpus.count.value == 4
    assert flags(found)["--tensor-parallel-size"] == ["4"]
    assert found.gpus.types[0].value == "NVIDIA-L4"


def test_models_in_a_list_share_the_rest():
    """Each is an engine of its own, with the image and the defaults beside the list."""
    text = """\
image: {repository: vllm/vllm-openai, tag: v0.11.0}
maxModelLen: 4096
models:
  - {name: a, huggingfaceId: org/a, gpuRequestCount: 1}
  - {name: b, huggingfaceId: org/b, gpuRequestCount: 2, maxModelLen: 8192}
  - {name: c, huggingfaceId: org/c, enabled: false}
"""
    a, b = read(helm_values, text, "values.yaml")
    assert (a.name, a.model.value, a.gpus.count.value, flags(a)["--max-model-len"]) == (
        "values a",
        "org/a",
        1,
        ["4096"],
    )
    assert (b.name, b.model.value, b.gpus.count.value, flags(b)["--max-model-len"]) == (
        "values b",
        "org/b",
        2,
        ["8192"],
    )


def test_a_command_is_a_containers():
    """A whole command, also one that stands in `image` (vLLM's own example chart), is left to the reader of commands."""
    text = """\
image:
  repository: vllm/vllm-openai
  tag: latest
  command: ["vllm", "serve", "/data/", "--max-model-len", "4096"]
resources: {limits: {nvidia.com/gpu: 1}}
gpuModels: ["NVIDIA-L4"]
extraInit: {image: {repository: amazon/aws-cli}, command: [x]}
"""
    (found,) = read(helm_values, text, "values.yaml")
    assert texts(found.command) == ["vllm", "serve", "/data/", "--max-model-len", "4096"]
    assert found.words is None
    assert found.gpus.types[0].value == "NVIDIA-L4"


@pytest.mark.parametrize(
    "args, words",
    [
        ("|\n    --tp-size 8 \\\n    --mem-fraction-static 0.85", ["--tp-size", "8", "--mem-fraction-static", "0.85"]),
        (
            "{tp-size: 8, disable-cuda-graph: true, enable-dp-attention: false}",
            ["--tp-size", "8", "--disable-cuda-graph"],
        ),
        ("['--json={\"a\": 1}', '--tp-size 8']", ['--json={"a": 1}', "--tp-size", "8"]),
    ],
)
def test_arguments_may_be_a_text_a_mapping_or_a_list(args, words):
    """Texts are split as a shell does; SGLang has no flags that say no."""
    text = f"image: lmsysorg/sglang:v0.5.0\nmodel: org/m\nreplicaCount: 1\nextraArgs: {args}\n"
    (found,) = read(helm_values, text, "values.yaml")
    assert texts(found.words) == words


def test_recipes_name_the_engines_configuration():
    """`workload.configFile` is read where it lies beside the values, and is missed where it does not."""
    text = "workload: {model: {name: org/m}, gpus: 4, image: , framework: vllm, configFile: serving-args.yaml}\n"
    beside = File(Source("serving-args.yaml", "max-model-len: 1525\ngpu-memory-utilization: 0.9\n"))
    (alone,) = read(helm_values, text, "values.yaml")
    (found,) = helm_values.read(
        File(Source("values.yaml", text), lambda name: beside if name == "serving-args.yaml" else None)
    )
    assert "serving-args.yaml" in alone.half
    assert not found.half
    assert found.gpus.count.value == 4
    assert flag_at(found.words, "--max-model-len") == ("1525", (1, 16))


@pytest.mark.parametrize(
    "text",
    [
        "kind: HelmRelease\napiVersion: helm.toolkit.fluxcd.io/v2\nspec:\n  values:\n    {0}",
        "kind: Application\napiVersion: argoproj.io/v1alpha1\nspec:\n  source:\n    helm:\n      valuesObject:\n        {0}",
        "kind: Application\napiVersion: argoproj.io/v1alpha1\nspec:\n  source:\n    helm:\n      values: |\n        {0}",
        "kind: HelmChart\napiVersion: helm.cattle.io/v1\nspec:\n  valuesContent: |-\n    {0}",
    ],
)
def test_values_in_resources_are_read(text):
    """Flux, Argo CD and K3s hand values to charts, as a mapping or as a text; places are those of the file."""
    indent = text[text.rindex("\n") + 1 : text.rindex("{0}")]
    inner = (
        f"image: {{repository: vllm/vllm-openai, tag: v0.11.0}}\n{indent}model: org/model-7b\n{indent}maxModelLen: 8192"
    )
    written = text.replace("{0}", inner)
    (found,) = read(helm_values, written + "\n", "release.yaml")
    assert found.model.value == "org/model-7b"
    assert at(found.adds[0][1]) == (written.count("\n") + 1, len(indent) + 14)


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: vllm/vllm-openai}]}\nimage: vllm/vllm-openai\nmodel: x",
        "services: {vllm: {image: vllm/vllm-openai, command: --model x}}",
        "vllm: {model: org/x, temperature: 0.2}\nlogging: {level: info}",
        "model: org/x\nmax_model_len: 4096\ngpu_memory_utilization: 0.9",
        "name: ci\non: push\njobs: {a: {steps: []}}\nvllm: {image: vllm/vllm-openai, args: [x]}",
        "resources: {accelerators: L4}\nrun: vllm serve x\nimage: vllm/vllm-openai\nenvs: {}",
        "frontend: {image: {repository: nvcr.io/nvidia/ai-dynamo/vllm-runtime, tag: x}, replicas: 1}",
        "image: {repository: acme/gateway}\nengine: ollama\nmodel: m\nreplicaCount: 1",
        "runtimes: {vllm: {image: {repository: vllm/vllm-openai, tag: x}}}",
        "tei: {model: org/e, image: {repository: ghcr.io/huggingface/text-embeddings-inference}, replicaCount: 1}",
        "apiVersion: v2\nname: vllm\nversion: 1.0.0\nimage: vllm/vllm-openai\nmodel: x",
    ],
)
def test_other_files_are_no_values(text):
    """Resources, compose files, workflows, tasks, configurations, clients, front ends and tables of images start nothing here."""
    assert read(helm_values, text + "\n", "config.yaml") == []


@pytest.mark.parametrize("odd", ["[]", "{repository: [x]}", "{repository: vllm/vllm-openai, tag: {a: b}}", "3"])
def test_odd_values_do_no_harm(odd):
    """Other types than expected are left out."""
    inner = "{model: [x], args: 3, extraArgs: {a: {b: c}}, gpu: [], models: x}"
    text = f"image: {odd}\nvllm: {inner}\nresources: x\nenv: 3\nreplicaCount: []\n"
    read(helm_values, text, "values.yaml")


@pytest.mark.parametrize(
    "text, engine",
    [
        ("image: {repository: ollama/ollama}\nresources: {limits: {memory: 2Gi}}\n", "ollama"),
        ("image: {registry: r.example.com, repository: apps/llama.cpp}\nnodeSelector: {gpu: 'true'}\n", "llama.cpp"),
    ],
)
def test_an_image_that_is_the_engine_itself_starts_it(text, engine):
    """Where the image is called as the engine and by nothing more, the chart runs it, whatever else the values say."""
    (found,) = read(helm_values, text, "values.yaml")
    assert found.engine == engine


def test_programs_that_are_called_after_an_engine_start_none():
    """An image with more in its name than the engine's is rather a program beside it."""
    assert (
        read(
            helm_values,
            "image: {repository: acme/vllm-dashboards}\nresources: {limits: {memory: 2Gi}}\n",
            "values.yaml",
        )
        == []
    )


def test_several_may_share_the_image_at_the_top():
    """Maps with an engine's arguments and no image run the one that stands at the top of the values."""
    text = (
        "image: {repository: acme/vllm, tag: '1'}\nruntimes:\n"
        "  small: {name: a, args: [--model, org/small]}\n  large: {name: b, args: [--model=org/large]}\n"
    )
    assert [(each.name, each.engine) for each in read(helm_values, text, "values.yaml")] == [
        ("values runtimes.small", "vllm"),
        ("values runtimes.large", "vllm"),
    ]


def test_arguments_with_a_gguf_file_are_llama_cpps():
    """`-m FILE.gguf` tells the engine where no image does."""
    text = (
        "ingress: {host: h}\nreplicaCount: 1\nmodels:\n"
        "  - {name: a, args: [-m, /models/q.gguf], resources: {limits: {nvidia.com/gpu: 1}}}\n"
    )
    (found,) = read(helm_values, text, "values.yaml")
    assert (found.engine, found.gpus.count.value) == ("llama.cpp", 1)


def test_keys_of_ollamas_charts_are_its_variables():
    """What charts call contextLength and the like is the variable that Ollama reads."""
    (found,) = read(
        helm_values,
        "image: {repository: ollama/ollama}\nserver: {contextLength: 65536}\ngpu: {count: 1}\n",
        "values.yaml",
    )
    assert found.environment["OLLAMA_CONTEXT_LENGTH"].value == "65536"


def test_a_chart_called_after_its_engine_may_list_the_engines():
    """Each of `engines` with a model and resources of its own is one, with the settings in it."""
    text = (
        "llama-cpp-engine:\n  engines:\n    - name: a\n      modelFile: /data/q.gguf\n"
        "      resources: {limits: {nvidia.com/gpu: 1}}\n      llama: {ctxSize: 8192, nParallel: 2}\n"
    )
    (found,) = read(helm_values, text, "values.yaml")
    assert (found.engine, found.model.value, found.gpus.count.value) == ("llama.cpp", "/data/q.gguf", 1)
    assert [texts(each) for each in found.adds] == [["--ctx-size", "8192"], ["--parallel", "2"]]


def test_a_part_called_after_an_engine_with_its_tag_or_gpus_runs_it():
    """`vllm: {image: {tag}}` and `vllm: {gpuCount}` start one, whatever the model is in the end."""
    for part in ("image: {tag: v0.11.0}", "gpuCount: 1"):
        (found,) = read(helm_values, f"replicaCount: 1\nvllm:\n  enabled: true\n  {part}\n", "values.yaml")
        assert found.engine == "vllm"
    assert read(helm_values, "replicaCount: 1\nvllm:\n  enabled: true\n", "values.yaml") == []
