"""What is read of a unit: its settings by the contract's names, each with its origin and place."""

import pytest

import kvplan

POD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: llm, namespace: prod}}
spec:
  selector: {{}}
  template:
    spec:
      {selector}
      containers:
        - name: engine
          image: {image}
          {command}
          args: {args}
          env: {env}
          resources: {{limits: {{{resource}: {count}}}}}
"""
SELECTOR = "nodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}"


def pod(
    args="[]",
    *,
    image="vllm/vllm-openai:v0.11.0",
    env="[]",
    selector=SELECTOR,
    resource="nvidia.com/gpu",
    count=1,
    command="",
):
    """Return a Deployment."""
    return POD.format(
        args=args, image=image, env=env, selector=selector, resource=resource, count=count, command=command
    )


def units(text, name="deploy.yaml", **options):
    """Return the units of a text as the contract's JSON has them."""
    return kvplan.check(name, text=text, **options).to_dict()["units"]


def values(text, name="deploy.yaml", **options):
    """Return the inputs of the one unit of a text: value by name."""
    (unit,) = units(text, name, **options)
    return {name: given["value"] for name, given in unit["inputs"].items()}


def test_every_unit_has_every_setting_of_the_contract():
    """The contract's inputs are all there, null where the file says nothing and no default is known."""
    (unit,) = units(pod("[--model, meta-llama/Llama-3.1-8B-Instruct]"))
    assert {
        "model", "gpu", "gpu_count_requested", "tensor_parallel", "pipeline_parallel", "data_parallel", "max_model_len",
        "gpu_memory_utilization", "kv_cache_dtype", "quantization", "max_num_seqs", "max_num_batched_tokens",
    } <= set(unit["inputs"])  # fmt: skip
    assert unit["inputs"]["quantization"] == {"value": None, "origin": "not stated", "location": None}
    assert unit["location"] == {"path": "deploy.yaml", "line": 11, "column": 18}


def test_each_value_keeps_its_file_line_and_column():
    """A stated value leads to the characters it was read from, a default to none."""
    text = pod('["--model=meta-llama/Llama-3.1-8B-Instruct", "--max-model-len", "8192"]')
    (unit,) = units(text)
    line = text.splitlines()[12]
    assert unit["inputs"]["max_model_len"] == {
        "value": 8192,
        "origin": "given",
        "location": {"path": "deploy.yaml", "line": 13, "column": line.index("8192") + 1},
    }
    assert unit["inputs"]["gpu_count_requested"]["location"]["line"] == 15
    assert unit["inputs"]["gpu"]["location"]["line"] == 8
    assert unit["inputs"]["gpu_memory_utilization"] == {"value": 0.9, "origin": "default", "location": None}


@pytest.mark.parametrize("image, fraction", [("v0.11.0", 0.9), ("v0.25.0", 0.92), ("latest", 0.92)])
def test_defaults_are_those_of_the_images_release(image, fraction):
    """What is not stated is the release's own default: 0.90 before vLLM 0.20, 0.92 from then on."""
    assert values(pod("[--model, x/y]", image=f"vllm/vllm-openai:{image}"))["gpu_memory_utilization"] == fraction


@pytest.mark.parametrize(
    "label, gpu",
    [
        ("cloud.google.com/gke-accelerator: nvidia-l4", "l4"),
        ("nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB", "a100-80gb"),
        ("node.kubernetes.io/instance-type: g5.8xlarge", "a10g"),
        ("gpu.nvidia.com/model: H100_NVLINK_80GB", "h100"),
        ("node.kubernetes.io/instance-type: Standard_NC24ads_A100_v4", "a100-80gb-pcie"),
        ("nvidia.com/gpu.product: ACME-9000", "ACME-9000"),
    ],
)
def test_labels_and_instance_types_name_the_gpu(label, gpu):
    """Product labels, accelerators and instance types lead to the catalogue's GPU; an unknown one stays as it is written."""
    assert values(pod("[--model, x/y]", selector=f"nodeSelector: {{{label}}}"))["gpu"] == gpu


def test_a_mig_resource_is_a_part_of_the_gpu():
    """The resource's name says which part of the GPU it is."""
    found = values(
        pod(
            "[--model, x/y]",
            resource="nvidia.com/mig-3g.40gb",
            selector="nodeSelector: {nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}",
        )
    )
    assert (found["gpu"], found["gpu_count_requested"]) == ("a100-80gb-mig-3g.40gb", 1)


def test_variables_of_the_container_are_put_in_and_lead_to_their_value():
    """`$(VAR)` is the container's own variable; the value's place is where the variable was set."""
    text = pod(
        '["--model=$(MODEL)", "--max-model-len=$(LEN)"]', env='[{name: MODEL, value: x/y}, {name: LEN, value: "4096"}]'
    )
    (unit,) = units(text)
    length = unit["inputs"]["max_model_len"]
    assert (length["value"], unit["inputs"]["model"]["value"]) == (4096, "x/y")


@pytest.mark.parametrize("written", ["$(LEN)", "${LEN}", "{{ .Values.len }}"])
def test_what_nothing_settles_has_no_value(written):
    """A variable or expression that the file does not settle is unresolved, not guessed and not a default."""
    (unit,) = units(pod(f'["--model=x/y", "--max-model-len={written}"]'))
    assert unit["inputs"]["max_model_len"]["value"] is None
    assert unit["inputs"]["max_model_len"]["origin"] == "unresolved"
    assert unit["verdict"] == "unknown"


def test_options_settle_what_is_open():
    """A variable from outside is put in and says so."""
    (unit,) = units(pod('["--model=x/y", "--max-model-len=$(LEN)"]'), variables={"LEN": "4096"})
    assert unit["inputs"]["max_model_len"]["value"] == 4096
    assert units(pod("[--model, x/y]"), gpu="h100")[0]["inputs"]["gpu"] == {
        "value": "h100",
        "origin": "option",
        "location": None,
    }


@pytest.mark.parametrize(
    "image, args, engine",
    [
        (
            "lmsysorg/sglang:v0.5.3",
            '["python3", "-m", "sglang.launch_server", "--model-path", "x/y", "--tp", "2"]',
            "sglang",
        ),
        ("ghcr.io/huggingface/text-generation-inference:3.3.0", '["--model-id", "x/y", "--num-shard", "2"]', "tgi"),
        ("ghcr.io/ggml-org/llama.cpp:server-cuda", '["-hf", "x/y", "-c", "8192", "-np", "4"]', "llama.cpp"),
        ("ollama/ollama:0.12", "[]", "ollama"),
        ("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.3", "[]", "nim"),
        ("nvcr.io/nvidia/tensorrt-llm/release:1.0.0", '["trtllm-serve", "x/y", "--tp_size", "2"]', "tensorrt-llm"),
        ("openmmlab/lmdeploy:v0.10", '["lmdeploy", "serve", "api_server", "x/y", "--tp", "2"]', "lmdeploy"),
    ],
)
def test_engines_without_a_memory_model_are_read_and_unknown(image, args, engine):
    """Every engine is a unit with its settings; without a memory model its verdict is unknown, and says why."""
    checked = kvplan.check("deploy.yaml", text=pod(args, image=image))
    (unit,) = checked.units
    assert (unit.engine, unit.verdict) == (engine, "unknown")
    assert "no memory model" in unit.open[0].what
    if engine in ("sglang", "tgi", "tensorrt-llm", "lmdeploy"):
        assert unit.inputs["tensor_parallel"].value == 2
    assert [finding.code for finding in checked.findings if finding.code == "KVP404"] == ["KVP404"]


def test_a_nims_model_is_in_its_images_name():
    """An image of NVIDIA's for one model says which."""
    assert values(pod(image="nvcr.io/nim/meta/llama-3.1-8b-instruct:1.3"))["model"] == "meta/llama-3.1-8b-instruct"


@pytest.mark.parametrize(
    "image, command, args",
    [
        ("ghcr.io/vllm-project/vllm-router:v1", "", '["--port", "80"]'),
        ("vllm/vllm-openai:v0.11.0", 'command: ["vllm", "bench", "serve"]', '["--model", "x/y"]'),
        ("python:3.12", 'command: ["python", "benchmark.py"]', '["--model", "x/y"]'),
        ("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.3", "", '["download-to-cache"]'),
        ("nvcr.io/nim/nvidia/nv-embedqa-e5-v5:1.0", "", "[]"),
        ("ghcr.io/huggingface/text-embeddings-inference:1.8", "", '["--model-id", "BAAI/bge-m3"]'),
        ("busybox", 'command: ["sh", "-c", "echo vllm serve x/y; pkill -f \'vllm serve\'"]', "[]"),
    ],
)
def test_routers_clients_downloaders_and_embedders_are_no_engines(image, command, args):
    """What only names an engine, talks to one or loads a model starts none."""
    assert units(pod(args, image=image, command=command)) == []


def test_a_containers_forms_of_one_command_are_one_unit():
    """An entry point that chooses between two spellings of its command runs one engine."""
    script = (
        "if [ $FAST ]; then exec vllm serve x/y --enforce-eager; fi; exec vllm serve x/y -tp 2 --max-model-len 4096"
    )
    found = units(pod("[]", command=f'command: ["sh", "-c", "{script}"]'))
    assert [unit["inputs"]["max_model_len"]["value"] for unit in found] == [4096]


def test_arguments_of_a_shells_text_reach_it():
    """`sh -c '... "$@"' name args` gives the text the container's arguments."""
    text = pod(
        '["--model=x/y", "--max-model-len=4096"]', command="""command: ["sh", "-c", 'exec vllm serve "$@"', "name"]"""
    )
    assert values(text)["max_model_len"] == 4096


def test_entry_scripts_run_the_words_they_are_given():
    """A script that is not in the file is taken to run the command behind it."""
    assert (
        values(pod('["vllm", "serve", "x/y", "-tp", "2"]', command='command: ["/entrypoint.sh"]'))["tensor_parallel"]
        == 2
    )
    assert (
        values(pod('["vllm", "serve", "x/y", "-tp", "2"]', command='command: ["bash", "/entrypoint.sh"]'))[
            "tensor_parallel"
        ]
        == 2
    )


def test_a_custom_resource_is_read_by_its_containers():
    """A kind that nothing knows is read where it holds a container with an engine's image and arguments."""
    text = """\
apiVersion: example.com/v1
kind: ModelEndpoint
metadata: {name: e}
spec:
  instanceType: ml.g5.12xlarge
  worker:
    image: vllm/vllm-openai:v0.11.0
    args: ["--model", "x/y", "-tp", "4"]
    resources: {limits: {nvidia.com/gpu: 4}}
"""
    found = values(text)
    assert (found["model"], found["tensor_parallel"], found["gpu"], found["gpu_count_requested"]) == (
        "x/y",
        4,
        "a10g",
        4,
    )


def test_commands_under_a_key_of_commands_are_read_where_no_format_is_known():
    """A test's or tool's own YAML starts an engine where a key says that a command stands there; prose does not."""
    command = "      vllm serve x/y\n      --port $PORT\n      --max-model-len 4096\n"
    text = f"deployment:\n  - envs: {{PORT: 8000}}\n    server_cmd: >\n{command}"
    assert values(text, "test.yaml")["max_model_len"] == 4096
    assert (
        units("description: run vllm serve x/y --max-model-len 4096\nnote: |\n  vllm serve x/y\n", "notes.yaml") == []
    )


def test_what_a_loop_or_a_function_starts_again_is_one_unit():
    """The same words at the same place are one engine however often they are reached; other words are others."""
    text = "up() { vllm serve org/a --port $1; }\ncase $X in\n a) up 1;;\n b) up 1;;\n c) up 2;;\nesac\n"
    assert len(units(text, "start.sh")) == 2


def test_a_built_services_whole_command_is_read_as_one():
    """Where the image is not known, words that begin with a program are a command, and flags alone are an engine's."""
    program = "python3 -m vllm.entrypoints.openai.api_server "
    text = f"services:\n  llm:\n    build: .\n    command: {program}--model org/m --max-num-seqs 2\n"
    assert values(text, "compose.yaml")["model"] == "org/m"
    assert values(text.replace(program, ""), "compose.yaml")["model"] == "org/m"


def test_a_script_that_is_not_here_starts_the_engine_of_its_image():
    """A container that runs a script of its image is that engine, with nothing known of it; a test's is none."""
    (unit,) = units(pod(command='command: [bash, -c, "cd /srv && ./prefill.sh"]'))
    assert (unit["engine"], unit["inputs"]["model"]["value"], unit["verdict"]) == ("vllm", None, "unknown")
    assert units(pod(command="command: [bash, /scripts/benchmark.sh]")) == []


def test_an_empty_model_is_none():
    """A variable that is asked for outside has no value here."""
    text = 'M="${MODEL:-}"\nvllm serve --model "$M" --max-model-len 4096\n'
    assert values(text, "start.sh")["model"] is None


def test_defaults_of_a_template_hold_for_the_model_too():
    """`{{ url | default('org/m') }}` is org/m where nothing else is said."""
    text = (
        "servingEngineSpec:\n  modelSpec:\n    - name: a\n      repository: vllm/vllm-openai\n      tag: v0.11.0\n"
        "      modelURL: \"{{ url | default('org/m') }}\"\n      requestGPU: 1\n"
    )
    assert values(text, "values.yaml.j2")["model"] == "org/m"


def test_a_program_that_answers_once_is_no_engine():
    """llama-cli ends with its answer; llama-server stays."""
    assert units("llama-cli -m a.gguf -p hi\n", "smoke.sh") == []
    assert len(units("llama-server -m a.gguf\n", "serve.sh")) == 1


def test_rays_pods_run_ray_whatever_their_image_would_start():
    """Workers and head of a RayCluster without a command start no engine of their own."""
    pod_ = (
        "{spec: {containers: [{name: a, image: 'vllm/vllm-openai:v0.11.0', resources: {limits: {nvidia.com/gpu: 1}}}]}}"
    )
    text = f"apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {{name: a}}\nspec:\n  headGroupSpec: {{template: {pod_}}}\n"
    assert units(text) == []
