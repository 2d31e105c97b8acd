"""Compose files: services, interpolation, GPUs, memory."""

import pytest
from format_files import at, only, texts, values, workloads

ENV = "TP=2\nexport FLAGS='--a 1 --b 2'\nQUOTED=\"x y\"  # why\nLATER=${TP}\n"


def service(body, **beside):
    """Return the one service of a compose file."""
    return only("compose", "compose.yaml", "services:\n  llm:\n    image: vllm/vllm-openai:v0.8.5\n" + body, **beside)


OLLAMA = """services:
  ollama: {{image: ollama/ollama}}
  pull:
    image: ollama/ollama
    environment: {{OLLAMA_HOST: ollama, MODEL: "qwen3:8b"}}
    entrypoint: {command}
"""


def test_a_command_of_one_text_is_split_without_a_shell():
    """Folded lines, quotes and `$$` are read as compose reads them; words keep line and column."""
    found = service("""    command: >
      --model a/b --max-model-len=8192
      --json '{"a": "b c"}' --key $$HOME
""")
    assert texts(found.args) == ["--model", "a/b", "--max-model-len=8192", "--json", '{"a": "b c"}', "--key", "$HOME"]
    assert at(found.args[2]) == ("compose.yaml", 5, 19, "--max-model-len=8192")
    assert at(found.args[4]) == ("compose.yaml", 6, 15, '{"a": "b c"}')
    assert found.command is None
    assert found.image.text == "vllm/vllm-openai:v0.8.5"
    assert (found.name, found.place.line, found.place.column) == ("service llm", 2, 3)


def test_lines_of_a_literal_block_are_one_command():
    """Line ends are blanks, with and without a backslash; what follows a shell's operator is not reached."""
    found = service("    command: |\n      --model a/b \\\n      --tp 2\n      --x 1 && rm\n")
    assert texts(found.args) == ["--model", "a/b", "--tp", "2", "--x", "1"]


@pytest.mark.parametrize(
    "written, expected",
    [
        ("${TP}", ["2"]),
        ("$TP", ["2"]),
        ("${TP:-4}", ["2"]),
        ("${UNSET:-4}", ["4"]),
        ("${UNSET-4}", ["4"]),
        ("${UNSET:-${ALSO:-1}}", ["1"]),
        ("${UNSET:-${TP}}", ["2"]),
        ("${TP:+--on}", ["--on"]),
        ("x${UNSET:+--on}", ["x"]),
        ("${UNSET}", ["${UNSET}"]),
        ("${UNSET:?say which one}", ["${UNSET}"]),
        ("${FLAGS}", ["--a", "1", "--b", "2"]),
        ("${QUOTED}", ["x", "y"]),
        ("${LATER}", ["2"]),
        ("$${TP}", ["${TP}"]),
        ('${UNSET:-{"a":1}}', ["{a:1}"]),
        ("${not a name}", ["${not", "a", "name}"]),
        ("${open", ["${open"]),
    ],
)
def test_variables_are_put_in_before_a_text_is_split(written, expected):
    """Defaults, defaults in defaults, messages and the `.env` file; one that nothing sets stays as it is written."""
    found = service(f"    command: --x {written}\n", __env=ENV)
    assert texts(found.args) == ["--x", *expected]


def test_a_variables_value_stands_where_it_was_set():
    """The value of a variable is placed in the `.env` file, a default in the compose file."""
    found = service("    command: --tp ${TP} --len ${LEN:-8192}\n", __env=ENV)
    assert at(found.args[1]) == (".env", 1, 4, "2")
    assert at(found.args[3]) == ("compose.yaml", 4, 38, "8192")


def test_items_of_a_list_stay_as_they_are():
    """A list's items are words, whatever blanks they hold, also with a shell's text among them."""
    found = service('    entrypoint: ["sh", "-c"]\n    command: ["vllm serve ${M:-a/b} && x", "$TP"]\n', __env=ENV)
    assert texts(found.command) == ["sh", "-c"]
    assert texts(found.args) == ["vllm serve a/b && x", "2"]


def test_an_entry_point_may_be_a_text():
    """The module that an entry point names is the program, the command its flags."""
    found = service("    entrypoint: python3 -m sglang.launch_server\n    command: --model-path a/b\n")
    assert texts(found.command) == ["python3", "-m", "sglang.launch_server"]
    assert texts(found.args) == ["--model-path", "a/b"]


def test_variables_of_a_service():
    """Lists, mappings and env files give the variables; the service's own win over files; a bare name is the project's."""
    found = service(
        "    env_file: [llm.env]\n    environment:\n      - A=${TP}\n      - TP\n      - SECRET\n      - B=x=y\n",
        __env=ENV,
        llm__env="A=0\nC='3'\n",
    )
    assert values(found.environment) == {"A": "2", "C": "3", "TP": "2", "B": "x=y"}
    assert at(found.environment["B"]) == ("compose.yaml", 9, 11, "x=y")
    found = service("    environment:\n      A: 1\n      B: yes\n      C:\n")
    assert values(found.environment) == {"A": "1", "B": "yes"}


def test_anchors_and_merges_reach_the_service():
    """What `x-` blocks hold counts through anchors and `<<`, the service's own keys first."""
    found = only(
        "compose",
        "docker-compose.yml",
        """x-base: &base
  image: vllm/vllm-openai:v0.8.5
  command: --model a/b
services:
  one:
    <<: *base
    command: --model c/d
""",
    )
    assert (found.image.text, texts(found.args)) == ("vllm/vllm-openai:v0.8.5", ["--model", "c/d"])


def test_services_that_extend_others():
    """A service takes over what it extends, of this file or another; variables of both are put together."""
    text = """services:
  base: {image: i, environment: {A: 1, B: 1}, command: --model a/b}
  two: {extends: base, environment: {B: 2}}
  three: {extends: {file: other.yml, service: far}, command: --x}
"""
    found = workloads("compose", "compose.yml", text, other__yml="services: {far: {image: j, shm_size: 1g}}")
    assert [each.image.text for each in found] == ["i", "i", "j"]
    assert texts(found[1].args) == ["--model", "a/b"]
    assert values(found[1].environment) == {"A": "1", "B": "2"}
    assert found[2].shared_memory.value == 2**30
    loop = "services: {a: {image: i, extends: b}, b: {image: j, extends: a}}"
    assert len(workloads("compose", "compose.yml", loop)) == 2


@pytest.mark.parametrize(
    "body, count",
    [
        ("deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 2, capabilities: [gpu]}]}}}", 2),
        ('deploy: {resources: {reservations: {devices: [{count: "${N:-4}", capabilities: [gpu]}]}}}', 4),
        ("deploy: {resources: {reservations: {devices: [{count: all, capabilities: [gpu]}]}}}", None),
        ("deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}", None),
        ("deploy: {resources: {reservations: {devices: [{device_ids: ['0', '3'], capabilities: [[gpu]]}]}}}", 2),
        ("deploy: {resources: {reservations: {devices: [{device_ids: ['0,1'], capabilities: [gpu]}]}}}", 2),
        ("deploy: {resources: {reservations: {devices: [{device_ids: ['${G}'], capabilities: [gpu]}]}}}", "${G}"),
        ("deploy: {resources: {reservations: {devices: [{count: 1, capabilities: [tpu]}]}}}", None),
        (
            "deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: NVIDIA-GPU, value: 2}}]}}}",
            2,
        ),
        ("gpus: all", None),
        ("gpus: 2", 2),
        ("gpus: [{driver: nvidia, count: 2}]", 2),
        ("devices: [nvidia.com/gpu=0, nvidia.com/gpu=1]", 2),
        ("devices: [nvidia.com/gpu=all]", None),
        ('runtime: nvidia\n    environment: ["NVIDIA_VISIBLE_DEVICES=0,1"]', 2),
        ("runtime: nvidia\n    environment: [NVIDIA_VISIBLE_DEVICES=all]", None),
    ],
)
def test_gpus_of_a_service(body, count):
    """Reservations, `gpus`, devices by name and the variable of NVIDIA's runtime; `all` leaves the number open."""
    found = service(f"    {body}\n").gpus.count
    assert (None if found is None else found.value) == count


def test_named_devices_are_placed_together():
    """The number of devices that a list names stands where the list does."""
    found = service(
        '    deploy:\n      resources:\n        reservations:\n          devices:\n            - device_ids: ["0", "1"]\n'
    )
    assert at(found.gpus.count) == ("compose.yaml", 8, 27, '["0", "1"]')


def test_sizes_are_binary():
    """Docker reads `16gb`, `16g` and `16GiB` alike."""
    found = service("    shm_size: 16gb\n    mem_limit: 512m\n")
    assert (found.shared_memory.value, found.memory.value) == (16 * 2**30, 512 * 2**20)
    found = service("    mem_limit: 1g\n    deploy: {replicas: 2, resources: {limits: {memory: 32G}}}\n")
    assert (found.memory.value, found.replicas.value) == (32 * 2**30, 2)


def test_an_overlay_without_an_image_is_a_half():
    """A file that adds GPUs to a service of another file is not whole."""
    found = only("compose", "compose.gpu.yml", "services: {llm: {deploy: {resources: {}}}}")
    assert "no image" in found.half


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  llm: {image: i}\n  deploy: {resources: {limits: {memory: 1g}}}\n",
        "services:\n  llm: {image: i}\ndeploy: {resources: {limits: {memory: 1g}}}\n",
    ],
)
def test_keys_beside_the_services_are_said(text):
    """`deploy` that stands beside its service is no service, and counts for none."""
    found = only("compose", "compose.yml", text)
    assert found.memory is None
    assert "`deploy` stands beside the services" in found.notes[0]


def test_a_service_that_is_built_starts_what_its_dockerfile_says():
    """Image, variables and command come from the last stage, arguments from the compose file; a command takes CMD's place."""
    dockerfile = 'ARG V=v0\nFROM vllm/vllm-openai:$V\nENV A=1\nENTRYPOINT ["vllm", "serve"]\nCMD ["a/b"]\n'
    text = "services: {llm: {build: {context: ., args: {V: v0.9.0}}, environment: {B: 2}, command: c/d --x}}"
    found = only("compose", "compose.yml", text, Dockerfile=dockerfile)
    assert (found.image.text, texts(found.command), texts(found.args)) == (
        "vllm/vllm-openai:v0.9.0", ["vllm", "serve"], ["c/d", "--x"],
    )  # fmt: skip
    assert values(found.environment) == {"A": "1", "B": "2"}
    assert found.half == ""


@pytest.mark.parametrize(
    "text",
    [
        "services: [a, b]",
        "services: {a: b}",
        "services:",
        "apiVersion: v1\nservices: {a: {image: b}}",
        "spec: {services: {a: {image: b}}}",
        "services: {a: {port: 80, image_name: b}}",
        "- services",
    ],
)
def test_other_yaml_is_none(text):
    """Files without a service that compose could start yield nothing."""
    assert workloads("compose", "compose.yml", text) == []


def test_odd_types_are_left_out():
    """Mappings where texts should be and the reverse do no harm."""
    text = """services:
  a: {image: [x], command: {a: b}, environment: text, deploy: [1], gpus: {a: b}, env_file: {path: 3}, build: [x], extends: [a]}
  b: {image: i, command: [[a], {b: c}, null, 3], shm_size: huge, mem_limit: -1, deploy: {replicas: {a: b}}}
"""
    found = workloads("compose", "compose.yml", text)
    assert texts(found[1].args) == ["", "3"] or texts(found[1].args) == ["3"]
    assert found[1].shared_memory is None


@pytest.mark.parametrize(
    "command",
    [
        "ollama pull qwen3:8b",
        "sh -c 'sleep 3 && ollama pull qwen3:8b'",
        "[sh, -c, 'ollama pull $$MODEL']",
        "sh -c 'ollama pull $${OTHER:-qwen3:8b}'",
        '[sh, -c, "curl http://ollama:11434/api/pull -d {\\"name\\":\\"qwen3:8b\\"}"]',
    ],
)
def test_the_one_model_that_a_sibling_pulls_is_ollamas(command):
    """A service that pulls a model into the server names the model."""
    server, puller = workloads("compose", "compose.yml", OLLAMA.format(command=command))

    assert (server.model.value, puller.model) == ("qwen3:8b", None)


@pytest.mark.parametrize(
    "command",
    [
        "sh -c 'ollama pull a:1b; ollama pull b:1b'",
        "sh -c 'for each in a b; do ollama pull $$each; done'",
        "sh -c 'ollama create own -f Modelfile; ollama run own'",
        "sh -c 'echo ollama pull a:1b'",
    ],
)
def test_several_models_or_unknown_ones_are_nones(command):
    """What is pulled of several, in a loop, or made there, is not the server's one model."""
    assert [each.model for each in workloads("compose", "compose.yml", OLLAMA.format(command=command))] == [None, None]


RESERVED = "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 1, capabilities: [gpu]}]}}}"


@pytest.mark.parametrize(
    "name, more, engine",
    [
        ("vllm_server", "build: {context: ., dockerfile: Dockerfile.vllm}", "vllm"),
        ("llm", "build: {context: ., args: [BASE_IMAGE=lmsysorg/sglang:latest]}\n    command: [/serve.sh]", "sglang"),
        ("llamactl-vllm", "build: .", None),
        ("vllm-exporter", "build: .", None),
        ("app", "build: .", None),
    ],
)
def test_a_service_whose_dockerfile_is_not_at_hand_is_called_after_its_engine(name, more, engine):
    """With GPUs of its own it is a half: by the image among the arguments, else by its name."""
    found = only("compose", "compose.yaml", f"services:\n  {name}:\n    {more}\n    {RESERVED}\n")
    assert found.engine == engine
    assert bool(found.half) == (engine is not None)


def test_a_built_service_without_gpus_or_with_words_of_its_own_is_read_as_it_is():
    """Names alone tell nothing where no GPU is asked for; words that start an engine do themselves."""
    assert only("compose", "compose.yaml", "services:\n  vllm:\n    build: .\n").engine is None
    text = f"services:\n  vllm:\n    build: .\n    command: vllm serve org/m\n    {RESERVED}\n"
    found = only("compose", "compose.yaml", text)
    assert (found.engine, [each.text for each in found.args]) == (None, ["vllm", "serve", "org/m"])
