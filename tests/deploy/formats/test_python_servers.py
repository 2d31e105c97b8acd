"""Python files whose own server holds the engine: Ray Serve, BentoML, Truss, Triton, Modal, FastAPI, LMDeploy, SGLang."""

import pytest
from format_files import only, texts, workloads

from kvplan.launch.text import MASK

VLLM = (
    "import os\nfrom fastapi import FastAPI\nfrom ray import serve\nfrom vllm import AsyncEngineArgs, AsyncLLMEngine\n"
)
MADE = "e = AsyncLLMEngine.from_engine_args(args)\n"
SGLANG = (
    "from sglang.srt.server import launch_server\nfrom sglang.srt.server_args import ServerArgs, prepare_server_args\n"
)


def flags_of(text, name="serve.py"):
    """Return the words of the one engine that a file holds."""
    return texts(only("python", name, text).words)


def test_an_engine_in_a_web_server():
    """The arguments are the engine's flags; what stays None is none, and what the object is given behind its making counts."""
    text = (
        VLLM + "app = FastAPI()\nargs = AsyncEngineArgs(model='a/b', max_model_len=None, enforce_eager=False)\n"
        "args.tensor_parallel_size = 2\nif x():\n    args.max_num_seqs = 8\n" + MADE
    )
    found = only("python", "serve.py", text)
    assert (found.format, found.name, found.engine, found.place.line) == ("python", "module", "vllm", 6)
    assert found.model.value == "a/b"
    assert texts(found.words)[:4] == ["--no-enforce-eager", "--tensor-parallel-size", "2", "--max-num-seqs"]
    assert set(texts(found.words)[4]) == {MASK}


@pytest.mark.parametrize(
    "given, expected",
    [
        ("enforce_eager=EAGER", []),
        ("disable_log_requests='true'", ["--disable-log-requests"]),
        ("seed=SEED", ["--seed", MASK * 4]),
        ("**{'max_model_len': int('4096')}", ["--max-model-len", "4096"]),
    ],
)
def test_arguments_of_an_engine(given, expected):
    """A switch that is not known is left out, as a value behind it would be taken for the model."""
    assert flags_of(f"{VLLM}FastAPI()\nargs = AsyncEngineArgs('a/b', {given})\n{MADE}") == expected


def test_settings_from_elsewhere_are_said():
    """What a mapping that is not known gives the engine is a note."""
    found = only("python", "serve.py", f"{VLLM}FastAPI()\nargs = AsyncEngineArgs(model='a/b', **load())\n{MADE}")
    assert found.notes == ("settings that the engine is given from elsewhere in the program are left out",)


CLASS = (
    "    def __init__(self):\n"
    "        self.e = AsyncLLMEngine.from_engine_args(AsyncEngineArgs(model='a/b', tensor_parallel_size=2))\n"
    "        self.f = LLMEngine.from_engine_args(EngineArgs(model='a/b', tensor_parallel_size=2))\n"
)
IMPORTS = "from vllm import AsyncEngineArgs, AsyncLLMEngine, EngineArgs, LLMEngine\n"


@pytest.mark.parametrize(
    "head, name, count, types",
    [
        ("@bentoml.service(resources={'gpu': 2, 'gpu_type': 'nvidia-l4'})\nclass S:\n", "class S", 2, ["nvidia-l4"]),
        ("@serve.deployment(ray_actor_options={'num_gpus': 2})\nclass S:\n", "class S", 2, []),
        # An engine whose workers are placed apart is not bound by what its actor holds.
        ("@serve.deployment(ray_actor_options={'num_gpus': 1})\nclass S:\n", "class S", None, []),
        (
            "@serve.deployment(ray_actor_options={'num_gpus': 0.4, 'accelerator_type': 'L4'})\nclass S:\n",
            "class S",
            None,
            ["L4"],
        ),
        (
            "@serve.deployment(placement_group_bundles=[{'CPU': 1}, {'GPU': 1}, {'GPU': 1}])\nclass S:\n",
            "class S",
            2,
            [],
        ),
        (
            "@serve.deployment(placement_group_bundles=[{'GPU': n}], ray_actor_options=7)\nclass S:\n",
            "class S",
            None,
            [],
        ),
        ("class TritonPythonModel:\n", "class TritonPythonModel", None, []),
        ("class Model:\n    def predict(self): pass\n    def load(self): pass\n", "class Model", None, []),
    ],
)
def test_classes_that_serve(head, name, count, types):
    """A class of a framework holds one engine, however often it makes it; GPUs are those of its decorator."""
    found = only("python", "model.py", f"{IMPORTS}{head}{CLASS}")
    assert (found.name, found.engine, texts(found.words)) == (name, "vllm", ["--tensor-parallel-size", "2"])
    assert (found.gpus.count.value if found.gpus.count else None) == count
    assert [each.value for each in found.gpus.types] == types


def test_a_class_of_modal():
    """Its GPUs are Modal's."""
    text = "from vllm import LLM\n@app.cls(gpu='H100:2')\nclass M:\n    def start(self):\n        self.m = LLM('a/b')\n"
    found = only("python", "m.py", text)
    assert (found.format, found.gpus.count.value, found.gpus.types[0].value) == ("modal", 2, "H100")


def test_a_deployment_that_is_bound():
    """What `bind` gives the class are the engine's arguments; a variable without a default is open, and `options` wins."""
    text = (
        VLLM + "@serve.deployment\nclass D:\n    def __init__(self, **kwargs):\n"
        "        args = AsyncEngineArgs(**kwargs)\n        self.e = AsyncLLMEngine.from_engine_args(args)\n"
        "app = D.options(placement_group_bundles=[{'GPU': 4}]).bind(\n"
        "    model=os.environ['MODEL_ID'], tensor_parallel_size=int(os.environ['TP']), dtype=os.environ.get('T', 'half')\n)\n"
    )
    found = only("python", "serve.py", text)
    assert (found.place.line, found.model.words[0].place.written()) == (8, "os.environ['MODEL_ID']")
    assert texts(found.words)[0::2] == ["--tensor-parallel-size", "--dtype"]
    assert found.words[1].place.written() == "os.environ['TP']"
    assert (found.words[3].text, found.gpus.count.value, found.notes) == ("half", 4, ())


def test_a_deployment_with_arguments_of_its_own():
    """They are bound by place and name, in a function too; without a call that names the model there is no engine."""
    text = (
        "from ray import serve\nfrom vllm import LLM\n@serve.deployment\nclass D:\n"
        "    def __init__(self, model_id, tp, length=9):\n"
        "        self.m = LLM(model=model_id, tensor_parallel_size=tp, max_model_len=length)\n"
    )
    assert workloads("python", "serve.py", text) == []
    assert flags_of(f"{text}def build():\n    return D.bind('a/b', tp=chips())\nbuild()\n")[2:] == [
        "--max-model-len",
        "9",
    ]
    assert workloads("python", "serve.py", f"{text}D.bind('a/b', 1)\nD.bind('c/d', 1)\n") == []


def test_two_engines_of_a_class():
    """Two models are two engines, with names that tell them apart."""
    text = f"{VLLM}FastAPI()\nargs = AsyncEngineArgs('a/b')\n{MADE}args = AsyncEngineArgs('c/d')\n{MADE}"
    assert [each.name for each in workloads("python", "s.py", text)] == ["module", "module, c/d"]


@pytest.mark.parametrize(
    "call, words",
    [
        (
            "serve(model_path='a/b', backend_config=PytorchEngineConfig(tp=2, session_len=8192, block_size=64), server_port=1)",
            ["--tp", "2", "--session-len", "8192", "--cache-block-seq-len", "64", "--backend", "pytorch"],
        ),
        (
            "c = TurbomindEngineConfig(quant_policy=8, model_format='awq')\nlmdeploy.serve('a/b', backend_config=c)",
            ["--quant-policy", "8", "--model-format", "awq", "--backend", "turbomind"],
        ),
        ("serve('a/b', cache_max_entry_count=0.1)", ["--cache-max-entry-count", "0.1"]),
    ],
)
def test_servers_of_lmdeploy(call, words):
    """Settings of the backend are flags, by the names that the command has for them."""
    text = f"import lmdeploy\nfrom lmdeploy.serve.openai.api_server import serve\n{call}\n"
    found = only("python", "serve.py", text)
    assert (found.engine, found.model.value, texts(found.words)) == ("lmdeploy", "a/b", words)


@pytest.mark.parametrize(
    "text, words",
    [
        (f"{SGLANG}launch_server(ServerArgs(model_path='a/b', tp_size=4, disable_cuda_graph=False))", ["--tp-size", "4"]),
        (f"{SGLANG}launch_server(prepare_server_args(['--model-path', 'a/b', '--tp', '2']))", ["--model-path", "a/b", "--tp", "2"]),
        ("import sglang as sgl\napp = FastAPI()\ne = sgl.Engine(model_path='a/b', enable_x=True)", ["--enable-x"]),
    ],
)  # fmt: skip
def test_servers_of_sglang(text, words):
    """Its arguments, its command's words, and an engine in another server."""
    found = only("python", "serve.py", f"{text}\n")
    assert (found.engine, found.model.value, texts(found.words)) == ("sglang", "a/b", words)


def test_vllm_run_with_a_list_of_words():
    """Words that a file parses itself are the server's; without them nothing is known."""
    text = "from vllm.entrypoints.openai.api_server import run_server\n"
    text += "p = make_arg_parser(P())\nargs = p.parse_args({})\nrun_server(args)\n"
    assert flags_of(text.format("['--model', 'a/b', '--seed', '1']")) == ["--model", "a/b", "--seed", "1"]
    for other in ("", "['--model', model]", "['--model']", "[]", "sys.argv[1:]"):
        assert workloads("python", "serve.py", text.format(other)) == []


@pytest.mark.parametrize(
    "text",
    [
        "from vllm import LLM\nm = LLM(model='a/b')\nm.generate(['x'])\n",
        f"from vllm import AsyncEngineArgs, AsyncLLMEngine\nargs = AsyncEngineArgs(model='a/b')\n{MADE}",
        f"{VLLM}FastAPI()\ndef f(model):\n    args = AsyncEngineArgs(model=model)\n    {MADE}",
        f"{VLLM}FastAPI()\nargs = AsyncEngineArgs.from_cli_args(a)\n{MADE}",
        "from other import LLM, FastAPI\nfrom vllm import x\nFastAPI()\nm = LLM(model='a/b')\n",
        "import sglang\nfrom x import serve\nserve('a/b')\nsglang.Engine(model_path='a/b')\n",
        f"{SGLANG}launch_server(prepare_server_args(sys.argv[1:]))\nServerArgs()\nServerArgs(*a, **k)\nServerArgs(model_path=3)\n",
        "import lmdeploy\nlmdeploy.serve()\nlmdeploy.serve(**k)\nlmdeploy.serve([], backend_config=3)\nlmdeploy.pipeline('a/b')\n",
    ],
)
def test_what_holds_no_server(text):
    """Scripts with prompts of their own, libraries that are told the model, and functions of other packages are none."""
    assert workloads("python", "run.py", text) == []


def test_files_that_try_an_engine_out():
    """Benchmarks, tests and clients are no deployments, by their names; `latest` is no test."""
    text = f"{VLLM}FastAPI()\nargs = AsyncEngineArgs('a/b')\n{MADE}"
    for name in ("bench_serve.py", "vllm_benchmark.py", "my_test.py", "run_eval.py", "client.py"):
        assert workloads("python", name, text) == []
    assert flags_of(text, "latest.py") == []


LAUNCHER = """import argparse, subprocess
from dataclasses import dataclass
@dataclass
class Config:
    model_path: str
    length: int = 4096
    share: float = 0.9
def build(c):
    words = ["--max-model-len", str(c.length), "--gpu-memory-utilization", f"{c.share:.2f}"]
    return ["vllm", "serve", "--model", c.model_path, *words]
def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model-path", required=True)
    a = p.parse_args()
    subprocess.run(build(Config(model_path=a.model_path)))
if __name__ == "__main__":
    main()
"""


def test_a_launcher_that_must_be_told_the_model():
    """A program with settings of its own is one; not where it need not be told, has none, is no program, or tries out."""
    found = only("python", "launch.py", LAUNCHER)
    assert found.command[3].place.written() == "a.model_path"
    assert texts(found.command)[4:] == ["--max-model-len", "4096", "--gpu-memory-utilization", "0.90"]
    assert len(workloads("python", "launch.py", LAUNCHER.replace('"--model-path", required=True', '"model_path"'))) == 1
    assert workloads("python", "bench.py", LAUNCHER) == []
    assert workloads("python", "launch.py", LAUNCHER.replace(", required=True", "")) == []
    assert workloads("python", "launch.py", LAUNCHER.replace("if __name__", "if other")) == []
    assert workloads("python", "launch.py", LAUNCHER.replace("--max-model-len", "--a").replace("--gpu-", "--b-")) == []


@pytest.mark.parametrize(
    "body",
    [
        "D.bind(*a)\nD.options().bind(**k)\nD.options(1).bind()\n[].bind(1)\nD.bind(x=1)(2).bind()\nbind()\n",
        "class C(Model):\n    @serve.deployment(**k)\n    @bentoml.service\n    def f(self): AsyncEngineArgs(*self)\n",
        "AsyncEngineArgs(**AsyncEngineArgs(**AsyncEngineArgs()))\nLLM(LLM(LLM()))\nLLM({})\nLLM(b'')\nLLM('')\nLLM(None)\n",
        "x = AsyncEngineArgs()\nx.y = x\nx.z.model = x\nAsyncEngineArgs(model=x)\nargs: AsyncEngineArgs = x\n",
        "from . import vllm\nfrom .. import *\nimport vllm.x as y\ny.LLM()\nf'{x:{y}}{1.5:.2f}{x!r:>3}{1:.9f}'\n",
        "p.add_argument(dest=3, required=True)\np.add_argument(required=True)\np.add_argument(1)\np.parse_args(3, [[]])\n",
        "\n".join(f"class C{n}:\n    def __init__(self, **k): LLM(**k)\nC{n}.bind(model={n})" for n in range(300)),
    ],
)
def test_odd_servers_do_no_harm(body):
    """Calls without their arguments, objects in themselves and other kinds of values neither raise nor hide an engine."""
    found = workloads(
        "python", "serve.py", f"{VLLM}from vllm import LLM\nFastAPI()\n{body}\nAsyncEngineArgs('a/b')\n{MADE}"
    )
    assert "a/b" in [each.model.value for each in found]
