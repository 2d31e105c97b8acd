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


def words_of(body):
    """Return the words of the one command that a module starts."""
    return texts(only("python", "run.py", f"import os, subprocess, shlex\n{body}").command)


@pytest.mark.parametrize(
    "body, added",
    [
        ('cmd += ["--a" if FAST else "--b"]', ["--a"]),
        ('cmd += ["--a"] if not FAST else ["--b"]', ["--b"]),
        ('cmd += ["--tp", str(2 * N)] if N > 1 else []', ["--tp", "4"]),
        ('if Q is not None:\n    cmd.extend(["--q", Q])', []),
        ('if Q is None and FAST:\n    cmd.append("--none")', ["--none"]),
        ('if os.environ.get("X", "1") == "1":\n    cmd += ["--x"]', ["--x"]),
        ('if "gguf" in MODEL:\n    cmd += ["--x"]\nelse:\n    cmd += ["--y"]', ["--y"]),
        ('cmd += [*(["--a"] if N else []), os.environ.get("V") or "v"]', ["--a", "v"]),
        ("cmd = [str(each) for each in cmd]", []),
        ("cmd = list(map(str, [*cmd, N]))", ["2"]),
        ('cmd += ["--len", f"{N * 1024}", str(-1)]', ["--len", "2048", "-1"]),
    ],
)
def test_lists_that_grow_by_conditions_that_are_known(body, added):
    """Conditions over constants choose what is added."""
    start = f'N, FAST, Q, MODEL = 2, True, None, "a/b"\ncmd = ["vllm", "serve", MODEL]\n{body}\nsubprocess.run(cmd)\n'
    assert words_of(start) == ["vllm", "serve", "a/b", *added]


@pytest.mark.parametrize(
    "body",
    [
        'cmd += ["--max-model-len", "4096"] if unknown() else []',
        'cmd += ["--enforce-eager" if unknown() else "--no-enforce-eager"]',
        "cmd += load()",
        "cmd.extend(args.more)",
        'cmd = ["vllm", "serve", "a/b"] + more',
    ],
)
def test_words_that_are_not_known_are_open(body):
    """Over what is not known nothing is guessed: a masked word stands for the flags that may be there."""
    found = words_of(f'cmd = ["vllm", "serve", "a/b"]\n{body}\nsubprocess.run(cmd)\n')
    assert found[:3] == ["vllm", "serve", "a/b"]
    assert [set(each) for each in found[3:]] == [{MASK}]


def test_what_the_environment_chooses_is_seen():
    """Of branches that a variable chooses the default's counts for what is set; what the other starts is a unit too."""
    text = """import os, subprocess
ON = os.getenv("ON", "0") == "1"
length = "1"
if ON:
    length = "2"
    subprocess.run(["vllm", "serve", "a/b"])
else:
    subprocess.run(["vllm", "serve", "c/d"])
subprocess.run(["vllm", "serve", "e/f", length])
"""
    found = workloads("python", "run.py", text)
    assert [texts(each.command)[2:] for each in found] == [["a/b"], ["c/d"], ["e/f", "1"]]


def test_flags_under_a_condition_have_an_open_value():
    """A flag that only some ways through the file add is there without its value; bare ones are left out."""
    body = 'cmd = ["vllm", "serve", "a/b"]\nif unknown():\n    cmd += ["--quiet", "--max-model-len", "4096", "--dtype=auto"]\n'
    found = words_of(f"{body}subprocess.run(cmd)\n")
    assert [each.strip(MASK) for each in found[3:]] == ["--max-model-len", "", "--dtype="]


def test_functions_that_return_a_command():
    """Arguments are bound to parameters, others have their defaults; conditions in them choose."""
    text = """import subprocess
def build(model, *, length=4096, quant=None):
    args = ["vllm", "serve", model, "--max-model-len", str(length)]
    if quant:
        args.extend(["--quantization", quant])
    return args
def start():
    args = build("a/b", quant="awq")
    subprocess.Popen(args)
class Server:
    model = "c/d"
    def line(self, more=""):
        return f"vllm serve {self.model} {more}"
    def go(self):
        self.text = self.line("--tp 2")
        subprocess.run(self.text, shell=True)
"""
    first, second = workloads("python", "run.py", text)
    assert texts(first.command) == ["vllm", "serve", "a/b", "--max-model-len", "4096", "--quantization", "awq"]
    assert at(first.command[2])[1:] == (8, 19, "a/b")
    assert second.script.value == "vllm serve c/d --tp 2"


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    if x():\n        return 'vllm serve a/b'\n    return 'vllm serve c/d'\nsubprocess.run(f(), shell=True)\n",
        "def f(x):\n    return f(x)\nsubprocess.run(f('vllm serve a/b'), shell=True)\n",
        'subprocess.run(["vllm", "serve"] + sys.argv[1:])\n',
    ],
)
def test_functions_that_are_open(text):
    """Functions that call themselves or return what depends on the way taken, and unknown models start nothing that is known."""
    assert workloads("python", "run.py", f"import subprocess\n{text}") == []


def test_methods_share_what_they_set():
    """What one method puts into its object is there for those after it, a list with all that was added."""
    text = """import subprocess, shlex
@app.cls(gpu="L4", image=base.env({"A": "1"}))
class Server:
    def prepare(self):
        self.cmd = ["vllm", "serve", "a/b"]
        self.cmd += ["--seed", str(1)]
    def start(self):
        self.process = subprocess.Popen(" ".join(shlex.quote(str(each)) for each in self.cmd), shell=True)
base = modal.Image.from_registry("vllm/vllm-openai:v0.9.1")
"""
    found = only("python", "run.py", text)
    assert (found.script.value, found.image.text) == ("vllm serve a/b --seed 1", "vllm/vllm-openai:v0.9.1")
    assert (found.version.value, values(found.environment)) == ("0.9.1", {"A": "1"})


def test_configurations_of_ray_that_are_put_together():
    """Mappings behind `**`, keys that are set later and conditions over constants are followed."""
    text = """from ray.serve.llm import LLMConfig
FP8 = True
engine = dict(max_model_len=8192, enforce_eager=False)
if FP8:
    engine["kv_cache_dtype"] = "fp8"
if unknown():
    engine["quantization"] = "awq"
engine.update(seed=1)
given = dict(model_loading_config=dict(model_id="x", model_source="a/b"), engine_kwargs=engine)
config = LLMConfig(**given, accelerator_type="H100")
"""
    found = only("python", "run.py", text)
    assert (found.model.value, found.gpus.types[0].value) == ("a/b", "H100")
    assert [each.strip(MASK) for each in texts(found.words)] == [
        "--max-model-len",
        "8192",
        "--no-enforce-eager",
        "--kv-cache-dtype",
        "fp8",
        "--quantization",
        "",
        "--seed",
        "1",
    ]


SDK = """import json, sagemaker, boto3
from sagemaker import image_uris
from sagemaker.huggingface import HuggingFaceModel, get_huggingface_llm_image_uri
N = 4
hub = {"HF_MODEL_ID": "a/b", "SM_NUM_GPUS": json.dumps(N), "HF_MODEL_QUANTIZE": "awq"}
first = HuggingFaceModel(image_uri=get_huggingface_llm_image_uri("huggingface", version="2.0.2"), env=hub)
first.deploy(initial_instance_count=1, instance_type="ml.g5.12xlarge")
image = image_uris.retrieve(framework="djl-lmi", region=region, version="0.29.0")
second = sagemaker.Model(image_uri=image, env={"HF_MODEL_ID": "c/d", "OPTION_MAX_MODEL_LEN": str(8 * 1024)})
second.deploy(instance_type="ml.p4d.24xlarge")
client.create_model(
    ModelName="third",
    PrimaryContainer={"Image": "x/djl-inference:0.30.0-lmi12.0.0", "Environment": {"HF_MODEL_ID": "e/f", "N": f"{N}"}},
)
client.create_endpoint_config(ProductionVariants=[{"ModelName": "third", "InstanceType": "ml.g6.12xlarge"}])
fourth = JumpStartModel(model_id="meta-textgeneration-llama-3-8b")
"""


def test_classes_and_calls_of_sagemaker():
    """The image that the SDK looks up tells engine and version; each model has the instance that it is deployed on."""
    first, second, third = workloads("python", "deploy.py", SDK)
    assert (first.engine, first.image.text) == ("tgi", "huggingface-pytorch-tgi-inference:2.0.2")
    own = values(first.environment)
    assert (own["MODEL_ID"], own["NUM_SHARD"], own["QUANTIZE"]) == ("a/b", "4", "awq")
    assert at(first.environment["NUM_SHARD"]) == ("deploy.py", 4, 5, "4")
    assert (first.name, first.place.line) == ("HuggingFaceModel first", 5)
    assert (second.engine, second.image.text) == ("vllm", "djl-inference")
    assert values(second.environment)["OPTION_MAX_MODEL_LEN"] == "8192"
    assert (third.engine, values(third.environment)["N"]) == ("vllm", "4")
    types = [each.gpus.types[0].value for each in (first, second, third)]
    assert types == ["ml.g5.12xlarge", "ml.p4d.24xlarge", "ml.g6.12xlarge"]


def test_images_of_sagemaker_for_other_devices():
    """TGI for Neuron is said to be for that device, and its own version is not TGI's."""
    text = """from sagemaker.huggingface import get_huggingface_llm_image_uri
env = {"HF_MODEL_ID": "a/b"}
m = HuggingFaceModel(image_uri=get_huggingface_llm_image_uri("huggingface-neuronx", version="0.0.23"), env=env)
"""
    assert only("python", "deploy.py", text).image.text == "huggingface-pytorch-tgi-inference-neuron"


def test_conditions_and_calls_without_end_do_no_harm():
    """Nested conditions, calls that call each other and long functions come to an end."""
    nested = "not " * 300 + "x"
    either = "x"
    for _ in range(60):
        either = f"(({either}) or y)"
    calls = "".join(f"def f{n}():\n    return [*f{n + 1}(), *f{n + 1}()]\n" for n in range(60))
    doubled = "d = {}\n" + "".join(f"d['k{n}'] = d\n" for n in range(2000))
    start = f"import subprocess # vllm serve\nif {nested}:\n    a = 1\nb = {either}\n"
    assert workloads("python", "x.py", f"{start}{calls}c = f0()\n{doubled}subprocess.run([b, c])\n") == []


PARSER = """import argparse, subprocess
parser = argparse.ArgumentParser()
group = parser.add_argument_group("engine")
group.add_argument("--model", "-m", default="a/b")
group.add_argument("-l", "--max-len", type=int, default=4096)
group.add_argument("--tensor", dest="tp", default=2)
parser.add_argument("--seed", required=True, default=1)
parser.add_argument("--eager", action="store_true")
parser.add_argument("--prefix", action="store_false")
"""
USED = """cmd = ["vllm", "serve", args.model, "--max-model-len", str(args.max_len), "--tp", f"{args.tp}", "--seed", args.seed]
if args.eager:
    cmd.append("--enforce-eager")
if args.prefix:
    cmd.append("--enable-prefix-caching")
subprocess.run(cmd)
"""


@pytest.mark.parametrize(
    "parsed",
    [
        "args = parser.parse_args()",
        "args = parser.parse_known_args()[0]",
        "args, rest = parser.parse_known_args()",
        "def parse():\n    return parser.parse_args()\nargs = parse()",
    ],
)
def test_defaults_of_argparse_hold(parsed):
    """What nobody gives has its default, at the default's place; what has to be given is open."""
    found = only("python", "run.py", f"{PARSER}{parsed}\n{USED}")
    words = texts(found.command)
    assert words[:8] == ["vllm", "serve", "a/b", "--max-model-len", "4096", "--tp", "2", "--seed"]
    assert (set(words[8]), words[9:]) == ({MASK}, ["--enable-prefix-caching"])
    assert at(found.command[2])[1:] == (4, 46, "a/b")


@pytest.mark.parametrize(
    "body, expected",
    [
        ("model = args.model or 'a/b'", "a/b"),
        ("if args.model is None:\n    args.model = 'a/b'\nmodel = args.model", "a/b"),
        ("model = getattr(args, 'other', 'a/b')", "a/b"),
        ("model = vars(args)['known']", "c/d"),
        ("model = args.model if args.model is not None else 'a/b'", "a/b"),
        ("if unknown():\n    args.known = 'a/b'\nmodel = args.known", ""),
        ("model = args.model", ""),
        ("model = args.twice", ""),
        ("model = sys.argv[1] if len(sys.argv) > 1 else 'a/b'", "a/b"),
    ],
)
def test_arguments_that_need_not_be_given(body, expected):
    """An argument without a default is open until the file says what stands for it; two defaults of one name are none."""
    text = f"""import argparse, subprocess, sys
parser = argparse.ArgumentParser()
parser.add_argument("--model", default=None)
parser.add_argument("--known", default="c/d")
commands = parser.add_subparsers(dest="command")
commands.add_parser("one").add_argument("--twice", default="e/f")
commands.add_parser("two").add_argument("--twice", default="g/h")
args = parser.parse_args()
{body}
subprocess.run(["vllm", "serve", model])
"""
    assert [texts(each.command)[2] for each in workloads("python", "run.py", text)] == ([expected] if expected else [])


def test_a_subcommand_has_the_arguments_of_its_parser():
    """A function that `set_defaults` names is given what its parser holds, also what another function added to that."""
    text = """import argparse, subprocess
def serve(args):
    subprocess.run(["vllm", "serve", args.model, "--tp", str(args.tp)])
def add_model(parser):
    parser.add_argument("--model", default="a/b")
def main():
    parser = argparse.ArgumentParser().add_subparsers().add_parser("serve")
    add_model(parser)
    parser.set_defaults(func=serve, tp=2)
    args = parser.parse_args()
    args.func(args)
"""
    assert texts(only("python", "run.py", text).command) == ["vllm", "serve", "a/b", "--tp", "2"]


def test_what_an_argument_chooses_is_seen():
    """A command that only an option starts is a unit, as one that a variable chooses."""
    text = f"{PARSER}args = parser.parse_args()\nif args.eager:\n    subprocess.run(['vllm', 'serve', args.model])\n"
    assert texts(only("python", "run.py", text).command) == ["vllm", "serve", "a/b"]


@pytest.mark.parametrize(
    "text",
    [
        "def main(model: str = typer.Option('a/b', '--model'), tp: int = 2):\n    RUN",
        "@click.option('--model', '-m', default='a/b')\n@click.option('--tp', default=2)\ndef main(model, tp):\n    RUN",
        "def start(model, tp):\n    RUN\ndef main():\n    start('a/b', tp=2)\nmain()\n",
        "def start(args):\n    model, tp = args.model, args.tp\n    RUN\nstart(argparse.Namespace(model='a/b', tp=2))\n",
        "def start(args):\n    model, tp = args.model, args.tp\n    RUN\nT(target=start, args=[Namespace(model='a/b', tp=2)])\n",
        "class C:\n    model: str = 'a/b'\n    tp: int = field(default=1)\nc = C(tp=2)\nmodel, tp = c.model, c.tp\nRUN",
        "class C(BaseSettings):\n    model: str = Field('a/b')\n    tp: int = 1\nc = C('a/b', 2)\nmodel, tp = c.model, c.tp\nRUN",
    ],
)
def test_defaults_of_options_and_of_fields(text):
    """Options of typer and click, fields of classes, and the arguments of a function's one call are known."""
    run = "subprocess.run(['vllm', 'serve', model, '--tp', str(tp)])\n"
    assert words_of(text.replace("RUN", run)) == ["vllm", "serve", "a/b", "--tp", "2"]


def test_an_object_is_made_before_its_methods_are_followed():
    """A class that one call makes has that call's arguments in its methods, wherever the call stands."""
    text = """import subprocess
class Server:
    def __init__(self, config, tp=1):
        self.config, self.tp = config, tp
    def start(self):
        subprocess.Popen(["vllm", "serve", self.config.model, "--tp", str(self.tp)])
class Config:
    model: str = "a/b"
def main():
    Server(Config(), tp=2).start()
"""
    assert texts(only("python", "run.py", text).command) == ["vllm", "serve", "a/b", "--tp", "2"]


@pytest.mark.parametrize(
    "config",
    [
        '{"model": "a/b", "len": 4096}',
        "{**DEFAULTS, **(config or {})}",
        "DEFAULTS.copy()",
        "dict(DEFAULTS, **load())",
        "DEFAULTS | {'len': 4096}",
    ],
)
def test_configurations_of_an_object(config):
    """A mapping that an object keeps is read by its keys, also by the method that makes the command."""
    text = f"""import subprocess
DEFAULTS = {{"model": "a/b", "len": 4096}}
class Server:
    def __init__(self, config=None):
        self.config = {config}
    def start(self):
        subprocess.Popen(self.build_command())
    def build_command(self) -> list:
        cmd = ["vllm", "serve", self.config["model"], "--max-model-len", str(self.config["len"])]
        cmd += ["--tp", str(self.config.get("tp", 1)), "--seed", self.config["seed"]]
        if self.config.get("quantization"):
            cmd += ["--quantization", self.config["quantization"]]
        return cmd
"""
    found = texts(only("python", "run.py", text).command)
    assert found[:8] == ["vllm", "serve", "a/b", "--max-model-len", "4096", "--tp", "1", "--seed"]
    assert [set(each) for each in found[8:]] == [{MASK}]


@pytest.mark.parametrize(
    "text",
    [
        'os.execvp("vllm", ["vllm", "serve", "a/b"])',
        'os.execvpe("vllm", ["vllm", "serve", "a/b"], os.environ)',
        'os.execlp("vllm", "vllm", "serve", "a/b")',
        "subprocess.run(shlex.split(\"vllm serve 'a/b'\"))",
        'subprocess.run("vllm serve a/b".split())',
        'async def f():\n    cmd = ["vllm", "serve", "a/b"]\n    await asyncio.create_subprocess_exec(*cmd, stdout=PIPE)',
        'def sh(cmd, check=True):\n    subprocess.run(cmd, check=check)\nsh("ls")\nsh(["vllm", "serve", "a/b"])',
        'def sh(cmd):\n    subprocess.run(cmd)\nsh(cmd=["vllm", "serve", "a/b"])',
    ],
)
def test_ways_to_start_a_program(text):
    """What takes the place of the program, words of a text, and functions that run what they are given start it."""
    assert words_of(f"{text}\n") == ["vllm", "serve", "a/b"]


VERTEX = """from google.cloud import aiplatform
MODEL = "a/b"
first = aiplatform.Model.upload(
    serving_container_image_uri="vllm/vllm-openai:v0.9.1",
    serving_container_command=["vllm", "serve"],
    serving_container_args=["--model", MODEL, f"--max-model-len={4096}"],
    serving_container_environment_variables={"A": "1"},
)
first.deploy(machine_type="g2-standard-12", accelerator_type="NVIDIA_L4", accelerator_count=2)
second = aiplatform.Model.upload(serving_container_image_uri="x/vllm-openai", serving_container_args=["--model=c/d"])
endpoint.deploy(model=second, machine_type="a3-highgpu-8g")
aiplatform.Model.upload(serving_container_image_uri="vllm/vllm-openai", serving_container_args=["--model", unknown])
aiplatform.Model.upload(serving_container_image_uri=unknown, serving_container_args=None)
"""


def test_models_of_vertex():
    """A container that is uploaded as a model is a unit, on the machine that it is deployed on."""
    first, second = workloads("python", "deploy.py", VERTEX)
    assert (first.name, first.place.line, first.image.text) == ("Model.upload first", 3, "vllm/vllm-openai:v0.9.1")
    assert (texts(first.command), texts(first.args)) == (["vllm", "serve"], ["--model", "a/b", "--max-model-len=4096"])
    assert (first.gpus.types[0].value, first.gpus.count.value) == ("NVIDIA_L4", 2)
    assert values(first.environment) == {"A": "1"}
    assert (second.command, second.gpus.types[0].value, second.gpus.count) == (None, "a3-highgpu-8g", None)


def test_a_list_that_grows_by_nothing():
    """An empty list that only some ways through the file add is none."""
    assert words_of('cmd = ["vllm", "serve", "a/b"]\nif unknown():\n    cmd += []\nsubprocess.run(cmd)\n') == [
        "vllm",
        "serve",
        "a/b",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "p.add_argument(default=1); p.add_argument('--', dest=x); p.add_argument(*a, **k); p.add_argument(3, action=1)",
        "p.add_argument('--me', default=p); a = p.parse_args().me.me.me.model; b = p.parse_known_args()[7]; c = [p][-1]",
        'getattr(p); getattr(p, 1); getattr(p, q); vars(); len(sys.argv); os.execlp(); os.execvp(); {}.get(); shlex.split("\'")',
        "class C:\n    a, b = 1, 2\n    x: int\nC(1, 2, 3, *q)\nC(z=3)\nC.x = 1\n",
        "class C:\n    x: int = C()\nclass D:\n    def __init__(self, d):\n        self.d = D(d)\nC(); D(1)\n",
        "@click.option(default=3)\n@option('--a/--b', is_flag=True)\n@click.option\ndef f(a, b, *, c):\n    f(*a, **b)\n",
        "class C:\n    x: int = f()\ndef f():\n    return C()\nf()\nC()\n",
        "x = " + "(" * 60 + "y" + " or z).m" * 60,
        "x = y" + ".get(k, y)" * 80 + "['k']" * 80,
        "x = " + "f(a=" * 60 + "1" + ")" * 60 + "\ndef f(a): return f(a=f(a))\n",
        "x = " + "C(a=" * 30 + "1" + ")" * 30 + "\nclass C:\n    a: int = 1\n",
        "".join(f"def f{n}(a):\n    f{n - 1}(a)\n    subprocess.run(a)\n" for n in range(300)),
    ],
)
def test_what_is_told_in_odd_ways_does_no_harm(body):
    """Calls without their arguments, objects in themselves and long chains neither raise nor add anything."""
    text = f"p = argparse.ArgumentParser()\n{body}\nsubprocess.run(['vllm', 'serve', 'a/b'])\n"
    assert words_of(text) == ["vllm", "serve", "a/b"]


def test_a_list_that_several_functions_start_is_one_command():
    """Foreground or background, the file starts one engine; its model may be a variable that whoever starts it sets."""
    text = (
        "import os, subprocess\nMODEL = os.environ['MODEL_ID']\n"
        "def build():\n    return ['vllm', 'serve', MODEL, '--max-model-len', '4096']\n"
        "def back():\n    subprocess.Popen(build())\ndef front():\n    subprocess.run(build())\n"
        "def other(model):\n    subprocess.run(['vllm', 'serve', model])\n"
    )
    found = only("python", "start.py", text)
    assert [word.text for word in found.command][-2:] == ["--max-model-len", "4096"]
    assert found.command[2].place.written() == "os.environ['MODEL_ID']"
