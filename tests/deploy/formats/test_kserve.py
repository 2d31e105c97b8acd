"""KServe's InferenceService and its runtimes."""

import pytest
from workload_samples import at, flag_at, read, texts

from kvplan.deploy.formats import kserve

SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: llama
spec:
  predictor:
    minReplicas: 1
    nodeSelector:
      nvidia.com/gpu.product: NVIDIA-L4
    model:
      modelFormat:
        name: huggingface
      args:
        - --model_name=llama3
        - --model_id=org/llama-8b
        - --max-model-len=8192
        - --dtype
        - half
      resources:
        limits:
          nvidia.com/gpu: "1"
      storageUri: hf://org/other:main
"""


def test_kserves_own_server_hands_vllm_the_flags_that_vllm_has():
    """The Hugging Face server's own flags are taken out, and its model is the unit's."""
    (engine,) = read(kserve, SERVICE)

    assert engine.engine == "vllm"
    assert engine.half == ""
    assert texts(engine.words) == ["--max-model-len=8192", "--dtype", "half"]
    assert engine.model.value == "org/llama-8b"
    assert at(engine.model) == (15, 22)
    assert engine.gpus.count.value == 1
    assert engine.gpus.types[0].value == "NVIDIA-L4"
    assert engine.replicas.value == "1"


def test_the_storage_address_is_the_model_where_no_flag_names_one():
    """`hf://org/model:revision` is a model of the Hub, placed at its name."""
    (engine,) = read(kserve, SERVICE.replace("        - --model_id=org/llama-8b\n", ""))

    assert engine.model.value == "org/other"
    assert at(engine.model) == (21, 24)


@pytest.mark.parametrize("address", ["pvc://claim/llama", "s3://bucket/llama", "oci://registry/llama:1"])
def test_other_addresses_stay_as_they_are_written(address):
    """A claim, a bucket or an image is no model's name."""
    text = SERVICE.replace("        - --model_id=org/llama-8b\n", "").replace("hf://org/other:main", address)
    (engine,) = read(kserve, text)

    assert engine.model.value == address


def test_a_backend_or_task_of_its_own_is_not_vllm():
    """The server's other backend is Transformers, and tasks that generate nothing are no engine."""
    assert read(kserve, SERVICE.replace("--dtype\n        - half", "--backend=huggingface")) == []
    assert read(kserve, SERVICE.replace("--dtype\n        - half", "--task=sequence_classification")) == []


OWN_SERVER = """\
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: own}
spec:
  containers:
    - name: kserve-container
      image: kserve/huggingfaceserver:v0.15.0
      args: [--model_name=a]
"""


def test_the_image_for_cpus_runs_no_vllm():
    """Its tag says no GPU and none is asked for, so that models run in Transformers."""
    assert read(kserve, OWN_SERVER) == []
    assert read(kserve, OWN_SERVER + "      resources: {limits: {nvidia.com/gpu: 0}}\n") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v0.15.0", "v0.15.0-gpu"),
        (":v0.15.0", "@sha256:1234"),
        (":v0.15.0", ""),
        ("_name=a", "_name=a, --backend=vllm"),
        ("_name=a", "_name=a, --max-model-len=4096"),
        ("[--model_name=a]", "[--model_name=a]\n      resources: {limits: {nvidia.com/gpu: 1}}"),
    ],
)
def test_a_gpu_or_a_word_of_vllm_makes_it_vllm(old, new):
    """A tag for GPUs or none that tells, a GPU, the backend by name, or a flag that vLLM alone has."""
    (engine,) = read(kserve, OWN_SERVER.replace(old, new))

    assert engine.engine == "vllm"


@pytest.mark.parametrize("name", ["sklearn", "triton", "onnx"])
def test_formats_that_are_no_language_models_are_none(name):
    """A predictor of another format starts no engine."""
    text = SERVICE.replace("huggingface", name).replace("--max-model-len=8192", "--workers=2")

    assert read(kserve, text) == []


RUNTIME = """\
---
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: vllm-runtime
spec:
  supportedModelFormats:
    - name: vLLM
  containers:
    - name: kserve-container
      image: vllm/vllm-openai:v0.10.0
      command: [python3, -m, vllm.entrypoints.openai.api_server]
      args:
        - --model=/mnt/models
        - --served-model-name={{.Name}}
"""


def test_a_runtime_alone_is_a_half():
    """A runtime names no model: what it lacks is said."""
    (half,) = read(kserve, RUNTIME)

    assert "InferenceService" in half.half
    assert texts(half.command)[-1] == "vllm.entrypoints.openai.api_server"


def test_a_runtime_of_the_same_stream_gives_the_command():
    """A service's arguments come behind its runtime's, and the runtime is no unit of its own."""
    text = SERVICE.replace("name: huggingface", "name: vLLM\n      runtime: vllm-runtime")
    text = text.replace("        - --model_name=llama3\n        - --model_id=org/llama-8b\n", "")
    (whole,) = read(kserve, text + RUNTIME)

    assert whole.half == ""
    assert whole.image.text == "vllm/vllm-openai:v0.10.0"
    assert texts(whole.args)[0] == "--model=/mnt/models"
    assert texts(whole.args)[-2:] == ["--dtype", "half"]
    assert whole.model.value == "org/other"


def test_a_runtime_elsewhere_leaves_a_half_whose_flags_are_read():
    """A service that names a runtime of another file says so."""
    text = SERVICE.replace("name: huggingface", "name: vLLM\n      runtime: vllm-runtime")
    (half,) = read(kserve, text)

    assert "vllm-runtime" in half.half
    assert flag_at(half.words, "--dtype")[0] == "half"


def test_a_worker_entry_gives_nodes_and_parallel_sizes():
    """Pipeline stages of workerSpec are machines."""
    text = SERVICE + "    workerSpec:\n      pipelineParallelSize: 2\n      tensorParallelSize: 8\n"
    (engine,) = read(kserve, text)

    assert engine.gpus.nodes.value == 2
    assert [texts(each) for each in engine.adds] == [["--pipeline-parallel-size", "2"], ["--tensor-parallel-size", "8"]]
    assert at(engine.adds[1][1]) == (25, 27)


def test_containers_of_a_predictor_are_read_as_a_pods():
    """A predictor may bring a container of its own; STORAGE_URI names what lies at /mnt/models."""
    text = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: own}
spec:
  predictor:
    containers:
      - name: kserve-container
        image: vllm/vllm-openai:v0.10.0
        args: [--model=/mnt/models]
        env:
          - name: STORAGE_URI
            value: hf://org/model
"""
    (engine,) = read(kserve, text)

    assert engine.image.text == "vllm/vllm-openai:v0.10.0"
    assert engine.model.value == "org/model"


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: ome.io/v1beta1\nkind: InferenceService\nspec: {predictor: {model: {}}}\n",
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nspec: {predictor: {model: [1]}}\n",
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nspec: 3\n",
    ],
)
def test_odd_services_and_those_of_others_are_none(text):
    """Services of odd shapes, and OME's, are passed over."""
    assert read(kserve, text) == []


def test_a_runtime_called_after_llama_cpp_is_its():
    """A runtime's name tells the engine where its format is that of many (gguf)."""
    text = (
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: a}\nspec:\n  predictor:\n    model:\n"
        "      modelFormat: {name: gguf}\n      runtime: llamacpp-arm64\n      args: [--alias, a]\n"
    )
    (found,) = read(kserve, text)
    assert found.engine == "llama.cpp"
