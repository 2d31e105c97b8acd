"""Python files: Modal, subprocess, SageMaker."""

import pytest
from format_files import at, only, texts, values, workloads

from kvplan.launch.text import MASK

MODAL = """import modal, subprocess
image = modal.Image.from_registry("nvidia/cuda:12").uv_pip_install("vllm==0.13.0", "x").env({"HF_X": "1"})
MODEL = "a/b"
N_GPU = 2
FAST = True
app = modal.App("é")
@app.function(image=image, gpu=f"H100:{N_GPU}", timeout=60)
@modal.web_server(port=8000)
def serve():
    cmd = ["vllm", "serve", "--uvicorn-log-level=info", MODEL, "--tensor-parallel-size", str(N_GPU)]
    cmd += ["--enforce-eager" if FAST else "--no-enforce-eager"]
    if FAST:
        cmd.append("--fast")
    if unknown():
        cmd += ["--never"]
    cmd.extend(["é", "--max-model-len", f"{4096}"])
    subprocess.Popen(" ".join(cmd), shell=True)
"""


def test_a_function_of_modal():
    """Lists are followed through names, f-strings and additions; GPUs, version and variables come from decorator and image."""
    found = only("python", "m.py", MODAL)
    assert found.script.value == (
        "vllm serve --uvicorn-log-level=info a/b --tensor-parallel-size 2 --enforce-eager --fast é --max-model-len 4096"
    )
    assert (found.format, found.name, found.place.line) == ("modal", "function serve", 17)
    assert (found.gpus.count.value, found.gpus.types[0].value) == (2, "H100")
    assert (found.version.value, found.image.text, values(found.environment)) == (
        "0.13.0",
        "nvidia/cuda:12",
        {"HF_X": "1"},
    )
    assert found.notes == ("words that the file adds under a condition are left out",)
    at_model = found.script.value.index("a/b")
    assert found.script.cut(at_model, at_model + 3).place().line == 3
    assert found.script.cut(at_model, at_model + 3).place().column == 10
    at_length = found.script.value.index("--max")
    assert found.script.cut(at_length, at_length + 5).place().column == 23


@pytest.mark.parametrize(
    "gpu, types, count",
    [
        ('"H100:8"', ["H100"], 8),
        ('"H100!:8"', ["H100"], 8),
        ('"L4"', ["L4"], 1),
        ('"a100:2"', ["A100-40GB"], 2),
        ('["H100:2", "A100-80GB:2"]', ["H100", "A100-80GB"], 2),
        ("modal.gpu.H100(count=2)", ["H100"], 2),
        ('modal.gpu.A100(size="80GB")', ["A100-80GB"], 1),
        ('"any"', [], 1),
        ("None", [], None),
    ],
)
def test_gpus_of_modal(gpu, types, count):
    """A name with a count, alternatives, and the older objects."""
    body = '    def start(self):\n        subprocess.Popen(["vllm", "serve", "a/b"])\n'
    text = f"import subprocess\n@app.cls(gpu={gpu})\nclass S:\n{body}"
    found = only("python", "m.py", text)
    assert [each.value for each in found.gpus.types] == types
    assert (found.gpus.count.value if found.gpus.count else None) == count


def test_commands_of_subprocess():
    """Lists and texts that start an engine are read; each word stands where its literal does, also behind other alphabets."""
    module = "vllm.entrypoints.openai.api_server"
    text = f'import subprocess, sys\nx = "äöü"; subprocess.run([sys.executable, "-m", "{module}", "--model", "a/b"])\n'
    found = only("python", "run.py", text)
    assert texts(found.command) == ["python", "-m", "vllm.entrypoints.openai.api_server", "--model", "a/b"]
    assert at(found.command[4])[2:] == (100, "a/b")
    found = only("python", "run.py", 'import os\nos.system("vllm serve a/b \\\\\\n --tp 2")\n')
    assert found.script.value.split() == ["vllm", "serve", "a/b", "\\", "--tp", "2"]


def test_defaults_of_the_environment_hold():
    """`os.environ.get` with a default is that default; without one it is not known, and is written as in the file."""
    text = (
        'import os, subprocess\nM = os.environ.get("M", "a/b")\nL = os.environ["L"]\n'
        'subprocess.run(["vllm", "serve", M, "--max-model-len", L])\n'
    )
    found = only("python", "run.py", text)
    assert texts(found.command)[:4] == ["vllm", "serve", "a/b", "--max-model-len"]
    assert set(found.command[4].text) == {MASK}
    assert found.command[4].place.written() == 'os.environ["L"]'


def test_a_name_that_depends_on_the_way_taken_is_open():
    """What only some ways through the file set is not known."""
    text = 'import subprocess\nL = "4096"\nif x():\n    L = "8192"\n'
    text += 'subprocess.run(["vllm", "serve", "a/b", "--max-model-len", L])\n'
    assert MASK in texts(only("python", "run.py", text).command)[4]


def test_models_of_sagemaker():
    """A mapping of variables with its model is a container's, on the file's one instance type."""
    text = """import sagemaker
MODEL = "a/b"
hub = {"HF_MODEL_ID": MODEL, "SM_NUM_GPUS": json.dumps(1), "OPTION_MAX_MODEL_LEN": "4096"}
m.deploy(instance_type="ml.g5.2xlarge")
"""
    found = only("python", "deploy.py", text)
    assert (found.name, found.place.line) == ("environment of hub", 3)
    assert values(found.environment)["HF_MODEL_ID"] == "a/b"
    assert at(found.environment["HF_MODEL_ID"]) == ("deploy.py", 2, 10, "a/b")
    assert [each.value for each in found.gpus.types] == ["ml.g5.2xlarge"]


@pytest.mark.parametrize(
    "text",
    [
        'import subprocess\nsubprocess.run(["pkill", "-f", "vllm serve"])\n',
        'import subprocess\nsubprocess.run(["text-generation-launcher", "--help"])\n',
        'import subprocess\nsubprocess.run(["lmdeploy", "serve", "proxy"])\n',
        'import subprocess\ndef f(model):\n    subprocess.run(["vllm", "serve", model])\n',
        'import subprocess\nprint("vllm serve a/b")\n',
        'DEFAULTS = {"HF_MODEL_ID": "", "OPTION_MAX_MODEL_LEN": "1"}\nimport sagemaker\n',
        'import subprocess\nsubprocess.run(["vllm", "serve"',
        "import subprocess  # vllm serve\n\x00",
        "",
    ],
)
def test_what_starts_no_engine(text):
    """Programs that end engines or ask them, functions that start what they are told, and broken files yield nothing."""
    assert workloads("python", "run.py", text) == []


def test_tests_are_none():
    """Files of tests deploy nothing."""
    assert (
        workloads("python", "tests/test_serve.py", 'import subprocess\nsubprocess.run(["vllm", "serve", "a/b"])\n')
        == []
    )


def test_deep_and_long_values_do_no_harm():
    """Lists that double, long additions and deep brackets come to an end."""
    doubling = "".join(f"a{n} = [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    assert workloads("python", "x.py", f'import subprocess\na0 = ["vllm serve a/b"]\n{doubling}subprocess.run(a59)\n')
    assert workloads("python", "x.py", "import subprocess # vllm serve\nx = " + "(" * 5000) == []
    adding = "x = " + " + ".join(['"vllm serve a/b "'] * 3000)
    workloads("python", "x.py", f"import subprocess\n{adding}\nsubprocess.run(x, shell=True)\n")
