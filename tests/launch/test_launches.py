"""Which engines a text or a container starts, and which commands start none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvplan.errors import KvplanError, SettingError
from kvplan.launch.images import read_image
from kvplan.launch.peel import NoEngineError, find_in_image, find_launches
from kvplan.launch.stated import read_stated
from kvplan.launch.text import Source
from kvplan.launch.words import Given, Word, quote, split


def no_files(name):
    """Return no file."""
    raise SettingError(f"there is no {name}")


def found_in(text, environment=None):
    """Return each engine that a text starts, with its words."""
    launches, _ = find_launches(split(Source("x.sh", text).whole()), no_files, environment)
    return [(launch.engine, [word.text for word in launch.words]) for launch in launches]


def container(image, args="", command=None, environment=None):
    """Return the launches of a container."""
    return find_in_image(
        None if image is None else Word(image),
        None if command is None else split(command),
        split(args),
        {name: Given(value) for name, value in (environment or {}).items()},
        no_files,
    )[0]


@pytest.mark.parametrize(
    "text, engine, words",
    [
        # -- programs and modules
        ("vllm serve m --x 1", "vllm", ["m", "--x", "1"]),
        ("/opt/bin/vllm serve m", "vllm", ["m"]),
        ("python3 -m vllm.entrypoints.openai.api_server --model m", "vllm", ["--model", "m"]),
        ("python -u -m vllm.entrypoints.cli.main serve m", "vllm", ["m"]),
        ("python3.11 -X dev -m sglang.launch_server --model-path m", "sglang", ["--model-path", "m"]),
        ("sglang serve --model-path m", "sglang", ["--model-path", "m"]),
        ("text-generation-launcher --model-id m", "tgi", ["--model-id", "m"]),
        ("trtllm-serve m --tp_size 2", "tensorrt-llm", ["m", "--tp_size", "2"]),
        ("trtllm-serve serve m --tp_size 2", "tensorrt-llm", ["m", "--tp_size", "2"]),
        ("python -m tensorrt_llm.commands.serve serve m", "tensorrt-llm", ["m"]),
        ("trtllm-llmapi-launch trtllm-serve m", "tensorrt-llm", ["m"]),
        ("./build/bin/llama-server -m a.gguf", "llama.cpp", ["-m", "a.gguf"]),
        ("python -m llama_cpp.server --model a.gguf --n_ctx 4096", "llama.cpp", ["--model", "a.gguf", "--n_ctx", "4096"]),
        ("ollama serve", "ollama", []),
        ("lmdeploy serve api_server m --tp 2", "lmdeploy", ["m", "--tp", "2"]),
        ("python3 -m lmdeploy serve api_server m", "lmdeploy", ["m"]),
        ("transformers serve --continuous-batching", "transformers", ["--continuous-batching"]),
        ("python -m dynamo.vllm --model m", "vllm", ["--model", "m"]),
        ("python3 -m dynamo.sglang --model-path m", "sglang", ["--model-path", "m"]),
        ("python3 -m dynamo.trtllm --model-path m", "tensorrt-llm", ["--model-path", "m"]),
        ("python -m huggingfaceserver --model_id=m", "vllm", ["--model_id=m"]),
        ("python -m trl.scripts.vllm_serve --model m --tensor_parallel_size 2", "vllm",
         ["--model", "m", "--tensor_parallel_size", "2"]),
        ("trl vllm-serve --model m", "vllm", ["--model", "m"]),
        # -- what stands before
        ("sudo -E -u llm nohup env -u X A=b nice -n 5 vllm serve m > log 2>&1 &", "vllm", ["m"]),
        ("mpirun -np 2 --allow-run-as-root trtllm-serve m", "tensorrt-llm", ["m"]),
        ("srun --gres=gpu:8 --container-image x python3 -m sglang.launch_server --model m", "sglang", ["--model", "m"]),
        ("ssh -p 22 host 'cd /srv && vllm serve m'", "vllm", ["m"]),
        ("tmux new-session -d -s x 'vllm serve m --x'", "vllm", ["m", "--x"]),
        ("screen -dmS x bash -c 'vllm serve m'", "vllm", ["m"]),
        ("timeout -k 5 1h numactl -N 0 -m 0 taskset -c 0-3 vllm serve m", "vllm", ["m"]),
        ("uv run --with vllm==0.11.0 vllm serve m", "vllm", ["m"]),
        ("conda run -n x --no-capture-output vllm serve m", "vllm", ["m"]),
        ("/entrypoint.sh vllm serve m", "vllm", ["m"]),
        ("bash /entrypoint.sh python3 -m sglang.launch_server --model m", "sglang", ["--model", "m"]),
        ("some-wrapper --flag x -- vllm serve m", "vllm", ["m"]),
        ("$PYTHON -m vllm.entrypoints.openai.api_server --model m --max-model-len 4", "vllm",
         ["--model", "m", "--max-model-len", "4"]),
        ('nohup "$OLLAMA_BIN" serve &', "ollama", []),
        ("$LLAMA_SERVER -m a.gguf -ngl 99", "llama.cpp", ["-m", "a.gguf", "-ngl", "99"]),
        # -- containers
        ("docker run --gpus all -p 8000:8000 vllm/vllm-openai:v0.11.0 --model m", "vllm", ["--model", "m"]),
        ("docker run -e A=b lmsysorg/sglang:v0.5.3 python3 -m sglang.launch_server --model m", "sglang", ["--model", "m"]),
        ("podman run $GPUS ${MORE[@]} ghcr.io/huggingface/text-generation-inference:3 --model-id m", "tgi", ["--model-id", "m"]),
        ("docker run --env-file .env vllm/vllm-openai m", "vllm", ["m"]),
        ("docker run ghcr.io/ggml-org/llama.cpp:server-cuda -m a.gguf", "llama.cpp", ["-m", "a.gguf"]),
        ("docker run -d ollama/ollama", "ollama", []),
        ("docker run --entrypoint bash x/y -c 'vllm serve m'", "vllm", ["m"]),
        ("docker exec -it c vllm serve m", "vllm", ["m"]),
        ("docker --context x container run vllm/vllm-openai m", "vllm", ["m"]),
        ("$CONTAINER_RUNTIME run --gpus all vllm/vllm-openai m", "vllm", ["m"]),
        ("apptainer exec --nv --pwd x.sif bash -c 'vllm serve m'", "vllm", ["m"]),
        ("docker run -d --gpus all -e MODEL=m -e PORT=8000 vllm", "vllm", []),
        ("docker run -d --entrypoint /bin/bash ollama/ollama /entrypoint.sh", "ollama", []),
        ("docker run nvcr.io/nvidia/tensorrt-llm/release:1.0.0 bash /app/start.sh", "tensorrt-llm", []),
    ],
)  # fmt: skip
def test_engines_are_found_with_their_words(text, engine, words):
    """Every engine's programs, modules and images are found, whatever stands before them."""
    assert found_in(text) == [(engine, words)]


@pytest.mark.parametrize(
    "text",
    [
        "echo vllm serve m",
        'pkill -f "vllm serve"',
        "pip install vllm",
        "pip install -U sglang && pip list | grep vllm",
        "vllm bench serve --model m",
        "vllm --version",
        "vllm-router --model m",
        "python -m sglang_router.launch_router --worker-urls x",
        "python -m sglang.bench_serving --model m",
        "python -m vllm.entrypoints.openai.run_batch --model m",
        "python benchmark_serving.py --backend vllm --model m",
        "genai-perf profile -m m",
        "guidellm benchmark --target x",
        "huggingface-cli download m",
        "ollama pull llama3",
        "trtllm-serve disaggregated -c x.yaml",
        "trtllm-serve --help",
        "lmdeploy serve proxy",
        "lmdeploy lite auto_awq m",
        'curl -d \'{"model": "m"}\' localhost:8000/v1/chat/completions',
        "docker pull vllm/vllm-openai:v0.11.0",
        "docker compose up -d vllm",
        "docker build -t vllm .",
        "docker stop vllm; docker rm -f vllm",
        "kubectl apply -f vllm.yaml",
        "systemctl restart vllm",
        "# vllm serve m",
        "grep -r 'vllm serve' .",
        "cat > run.sh <<'END'\nvllm serve m\nEND",
        "python train.py --model m",
        "ray start --head",
        "sleep 5; wait; cd /x; export A=b",
        "docker run ubuntu:22.04 nvidia-smi",
        "docker run -it --gpus all rocm/vllm",
        "docker run vllm/vllm-openai bash /scripts/benchmark.sh",
        "docker run ollama/ollama sh /pull-models.sh",
        "trl sft --model m",
        "$COMMAND",
        "",
    ],
)
def test_what_starts_no_engine_is_none(text):
    """Clients, routers, downloads, benchmarks and words about engines start none, and nothing of them is an error to tell."""
    launches, errors = find_launches(split(text), no_files)
    assert launches == []
    assert all(isinstance(error, NoEngineError) for error in errors)


def test_all_engines_of_a_text_are_found():
    """A text that starts several engines has each, with the variables of its own."""
    text = (
        "export A=1\nCUDA_VISIBLE_DEVICES=0 vllm serve a --port 1 &\nexport A=2\n"
        "CUDA_VISIBLE_DEVICES=1 python -m sglang.launch_server --model b &\ndocker run -d ollama/ollama\nwait\n"
    )
    launches, _ = find_launches(split(text), no_files)
    assert [launch.engine for launch in launches] == ["vllm", "sglang", "ollama"]
    assert [
        {name: given.value for name, given in launch.environment.items() if name in ("A", "CUDA_VISIBLE_DEVICES")}
        for launch in launches
    ] == [{"A": "1", "CUDA_VISIBLE_DEVICES": "0"}, {"A": "2", "CUDA_VISIBLE_DEVICES": "1"}, {}]


def test_ollama_has_the_model_that_the_text_loads():
    """`ollama pull` beside `ollama serve` names its model."""
    launches, _ = find_launches(split("ollama serve & sleep 5; ollama pull llama3:8b; wait"), no_files)
    assert [launch.model.value for launch in launches] == ["llama3:8b"]


def test_workers_of_other_programs_are_told():
    """Dynamo's, KServe's and llama-cpp-python's servers take flags of their own; the engine's own programs do not."""
    wrapped = [
        find_launches(split(f"python -m {module} --model m"), no_files)[0][0].wrapped
        for module in ("dynamo.vllm", "huggingfaceserver", "llama_cpp.server", "sglang.launch_server")
    ]
    assert wrapped == [True, True, True, False]


def test_flags_of_llama_cpp_pythons_server_are_read():
    """Its own spelling of the context counts, and none of its flags is complained of."""
    (launch,), _ = find_launches(
        split("python -m llama_cpp.server --model a.gguf --n_ctx=4096 --chat_format x"), no_files
    )
    found = read_stated(launch, None, no_files)
    assert {name: given.value for name, given in found.values.items()} == {"model": "a.gguf", "max_model_len": 4096}
    assert found.problems == []


@pytest.mark.parametrize(
    "image, args, engine, words",
    [
        ("vllm/vllm-openai:v0.11.0", "--model m", "vllm", ["--model", "m"]),
        ("vllm/vllm-openai:v0.11.0", "m", "vllm", ["m"]),
        ("vllm/vllm-openai:v0.11.0", "vllm serve m", "vllm", ["m"]),
        ("vllm/vllm-openai:v0.11.0", "bash -c 'vllm serve m'", "vllm", ["m"]),
        ("registry/me/vllm:1", "--model m", "vllm", ["--model", "m"]),
        ("registry/me/image:1", "--model m --max-model-len 8", "vllm", ["--model", "m", "--max-model-len", "8"]),
        ("ghcr.io/huggingface/text-generation-inference:3.3", "--model-id m", "tgi", ["--model-id", "m"]),
        ("ghcr.io/huggingface/text-generation-inference:3.3", "", "tgi", []),
        ("ghcr.io/ggml-org/llama.cpp:server-cuda-b6000", "-m a", "llama.cpp", ["-m", "a"]),
        ("ollama/ollama:0.12", "", "ollama", []),
        ("ollama/ollama:0.12", "serve", "ollama", []),
        ("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.3", "", "nim", []),
        ("lmsysorg/sglang:v0.5.3", "python3 -m sglang.launch_server --model-path m", "sglang", ["--model-path", "m"]),
        ("openmmlab/lmdeploy:v0.10", "lmdeploy serve api_server m", "lmdeploy", ["m"]),
        ("nvcr.io/nvidia/tensorrt-llm/release:1.0.0", "trtllm-serve m", "tensorrt-llm", ["m"]),
        ("python:3.12", "vllm serve m", "vllm", ["m"]),
        (None, "vllm serve m", "vllm", ["m"]),
        (None, "--model m --max-num-seqs 4", "vllm", ["--model", "m", "--max-num-seqs", "4"]),
    ],
)
def test_images_start_what_is_in_them(image, args, engine, words):
    """An image's entry point is its engine, or its words start one."""
    (launch,) = container(image, args)
    assert (launch.engine, [word.text for word in launch.words]) == (engine, words)


@pytest.mark.parametrize(
    "image, args",
    [("lmsysorg/sglang:v0.5.3", ""), ("python:3.12", ""), ("nginx", "-g 'daemon off;'"), ("vllm/vllm-router:1", "--x"),
     ("nvcr.io/nim/nvidia/nv-embedqa-e5-v5:1", "")],
)  # fmt: skip
def test_other_images_start_none(image, args):
    """Images without an engine, or whose engine is started by words that are not there, start none."""
    assert container(image, args) == []


def test_a_command_takes_the_place_of_the_entry_point():
    """What stands in place of an image's entry point is what runs."""
    assert container("vllm/vllm-openai:v0.11.0", "--model m", "sleep") == []
    (launch,) = container("vllm/vllm-openai:v0.11.0", "m --x", "vllm serve")
    assert [word.text for word in launch.words] == ["m", "--x"]
    assert launch.version.value == "0.11.0"
    (launch,) = container("x", "'vllm serve $M --tp ${TP:-2}'", "sh -c", {"M": "m"})
    assert [word.text for word in launch.words] == ["m", "--tp", "2"]


def test_variables_that_containers_turn_into_flags_start_them():
    """SageMaker's, DJL's and RunPod's containers start by variables alone."""
    for image, environment in (
        ("x/vllm-sagemaker:1", {"SM_VLLM_MODEL": "m"}),
        ("deepjavalibrary/djl-serving:0.32.0-lmi", {"OPTION_MODEL_ID": "m"}),
        ("runpod/worker-v1-vllm:1", {"MODEL_NAME": "m"}),
    ):
        assert [launch.engine for launch in container(image, environment=environment)] == ["vllm"]
        assert container(image) == []


def test_images_of_every_engine_are_told():
    """The names that engines' makers give their images tell the engine, its version and whether it starts."""
    told = [
        (image.engine, image.version, image.starts_engine)
        for name in (
            "ghcr.io/huggingface/text-generation-inference:3.3.4", "nvcr.io/nvidia/tensorrt-llm/release:1.0.0",
            "ghcr.io/ggml-org/llama.cpp:server-cuda-b6000", "openmmlab/lmdeploy:v0.10.1-cu12", "nvcr.io/nim/meta/llama3:1.0.0",
            "lmsysorg/sgl-model-gateway-router:v1", "vllm/vllm-tpu:nightly",
        )
        for image in [read_image(name)]
    ]  # fmt: skip
    assert told == [
        ("tgi", "3.3.4", True), ("tensorrt-llm", "1.0.0", False), ("llama.cpp", "b6000", True), ("lmdeploy", "0.10.1", False),
        ("nim", "1.0.0", True), (None, None, False), ("vllm", None, False),
    ]  # fmt: skip


PIECES = st.sampled_from(
    [
        "vllm serve m", "--model m", "python -m", "sglang.launch_server", "docker run", "vllm/vllm-openai:v0.11.0", "-e A=b",
        "bash -c", "'vllm serve m'", '"$A"', "$A", "&&", "||", ";", "\n", "if", "then", "fi", "for x in a b; do", "done", "esac",
        "case $A in", "a)", ";;", "f() {", "}", "f", "<<END", "END", "A=(", ")", "A+=x", "exec", "exit", "[ -f x ]", "{", "(",
        "[[ a == b ]]", "$((1+1))", "$(x)", "ssh h", "srun", "ollama serve", "|", "'", '"', "eval", "source x", "--", "!",
        "shift", "local A=1", "set -- a", "return 1",
    ]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=25))
def test_any_text_is_read_or_refused(pieces):
    """No text makes the reader fail but with an error of kvplan's; every word of an engine has its place or none at all."""
    source = Source("x.sh", " ".join(pieces))
    try:
        launches, _ = find_launches(split(source.whole()), no_files)
    except KvplanError:
        return
    for launch in launches:
        for word in launch.words:
            for run in word.place.runs if word.place is not None else ():
                assert 0 <= run.start <= run.end <= len(source.text)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10), max_size=6),
    st.sampled_from("abc"),
)
def test_the_same_words_come_through_every_way(texts, kind):
    """A list, a shell's text and a shell within a shell give the engine the same words."""
    text = " ".join(["vllm serve m", *map(quote, texts)])
    if kind == "a":
        launches, _ = find_launches([Word(each) for each in ("vllm", "serve", "m", *texts)], no_files)
        if any("$" in each or "`" in each for each in texts):
            return  # words of a list are no shell's, but variables are put into them
    else:
        launches, _ = find_launches(split(text if kind == "b" else f"sh -c {quote(text)}"), no_files)
    assert [word.text for word in launches[0].words] == ["m", *texts]
