"""Programs that stand before an engine, the engines' own, and what is taken for one and is none."""

from collections.abc import Sequence

from kvplan.launch.words import Word

# Programs that start the one after their own flags: those of their flags that take a value, and words of their own.
WRAPPERS: dict[str, tuple[frozenset[str], int]] = {
    name: (frozenset(flags.split()), own)
    for name, flags, own in (
        ("sudo", "-u --user -g --group -h --host -p --prompt -C -r -t -U -D -R -T", 0),
        ("doas", "-u -C", 0),
        ("env", "-u --unset -C --chdir", 0),
        ("nohup", "", 0),
        ("exec", "-a", 0),
        ("command", "", 0),
        ("time", "-f -o --format --output", 0),
        ("nice", "-n --adjustment", 0),
        ("ionice", "-c -n --class --classdata", 0),
        ("stdbuf", "-i -o -e", 0),
        ("setsid", "", 0),
        ("unbuffer", "", 0),
        ("chronic", "", 0),
        ("tini", "-p -e", 0),
        ("dumb-init", "-r", 0),
        ("catchsegv", "", 0),
        ("taskset", "", 1),
        ("timeout", "-s -k --signal --kill-after", 1),
        ("numactl", "-N -m -C -i -p -P --cpunodebind --membind --physcpubind --interleave --preferred", 0),
    )
}
RUNNERS = {
    "uv": "--with --with-requirements --with-editable -p --python --project --directory --env-file --extra --group --index"
    " --index-url --extra-index-url --default-index --package --find-links -f --torch-backend --cache-dir --color --config-file",
    "poetry": "-C --directory -P --project",
    "pdm": "-p --project",
    "pipenv": "",
    "hatch": "-e --env",
    "rye": "",
    "pixi": "-e --environment --manifest-path",
    "conda": "-n --name -p --prefix --cwd",
    "mamba": "-n --name -p --prefix --cwd",
    "micromamba": "-n --name -p --prefix --cwd",
}
UVX = RUNNERS["uv"] + " --from"
SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ash", "ksh"})

# Programs of engines: the contract's name, and the words that must follow for it to serve (sglang's main.py, lmdeploy's cli,
# ollama's cmd.go, tensorrt_llm/commands/serve.py, whose own subcommands are `serve` and others; without one it is `serve`).
PROGRAMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sglang": ("sglang", ("serve",)),
    "text-generation-launcher": ("tgi", ()),
    "text-generation-server": ("tgi", ("serve",)),
    "trtllm-serve": ("tensorrt-llm", ("serve",)),
    "llama-server": ("llama.cpp", ()),
    "llama-cli": ("llama.cpp", ()),
    "ollama": ("ollama", ("serve",)),
    "lmdeploy": ("lmdeploy", ("serve", "api_server")),
    "transformers": ("transformers", ("serve",)),
    "trl": ("vllm", ("vllm-serve",)),
}
# Modules of engines; those of NVIDIA Dynamo and KServe run the engine that they name with its own flags.
_MODULES = {
    "sglang.launch_server": "sglang", "sglang.launch_server_http": "sglang", "text_generation_server": "tgi",
    "tensorrt_llm.commands.serve": "tensorrt-llm", "llama_cpp.server": "llama.cpp",
    "lmdeploy.serve.openai.api_server": "lmdeploy", "lmdeploy": "lmdeploy", "sglang.cli.main": "sglang",
    "transformers": "transformers", "dynamo.vllm": "vllm", "dynamo.sglang": "sglang", "dynamo.trtllm": "tensorrt-llm",
    "huggingfaceserver": "vllm", "dynamo.sglang.worker": "sglang", "dynamo.vllm.main": "vllm",
    "trl.scripts.vllm_serve": "vllm",
}  # fmt: skip
# Of these, those of programs that stand around an engine, with flags of their own; and those that take what the program takes.
WRAPPING_MODULES = ("dynamo.", "huggingfaceserver", "llama_cpp.server", "trl.")
WRAPPING_PROGRAMS = ("trl",)
PROGRAM_MODULES = {
    "lmdeploy": "lmdeploy", "transformers": "transformers", "tensorrt_llm.commands.serve": "trtllm-serve",
    "sglang.cli.main": "sglang",
}  # fmt: skip
# Subcommands of programs that serve no model themselves, or none that is planned.
OTHER_VERBS = frozenset(
    ("disaggregated", "disaggregated_mpi_worker", "mm_embedding_serve", "proxy", "bench", "generate", "convert", "lite")
)
# Engines whose containers are told everything by variables.
BY_ENVIRONMENT = ("tgi", "ollama", "nim", "llama.cpp")
# Variables that other containers turn into flags: SageMaker's, DJL's.
FLAG_VARIABLES = ("SM_VLLM_", "SM_SGLANG_", "OPTION_")
# NVIDIA Dynamo's words for the engines of its workers.
FRAMEWORKS = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt-llm"}
TITLES = {"vllm": "vLLM", "sglang": "SGLang", "tgi": "TGI", "tensorrt-llm": "TensorRT-LLM", "lmdeploy": "LMDeploy", "nim": "NIM",
          "ollama": "Ollama", "llama.cpp": "llama.cpp", "transformers": "transformers serve"}  # fmt: skip
# Flags that only one engine has: what an image of any name starts, if they are given to it.
_TELLING = {
    "--max-model-len": "vllm", "--gpu-memory-utilization": "vllm", "--max-num-seqs": "vllm", "--mem-fraction-static": "sglang",
    "--max-total-tokens": "tgi", "--n-gpu-layers": "llama.cpp", "--ctx-size": "llama.cpp", "--cache-max-entry-count": "lmdeploy",
    "-ngl": "llama.cpp", "-ctk": "llama.cpp", "--gpu-layers": "llama.cpp", "--quant-policy": "lmdeploy",
    "--quantize": "tgi", "--num-shard": "tgi", "--max-input-length": "tgi", "--max-batch-prefill-tokens": "tgi",
    "--max-concurrent-requests": "tgi", "--session-len": "lmdeploy",
}  # fmt: skip


def engine_of_module(module: str) -> str | None:
    """Return the engine that `python -m MODULE` serves with; None for another module."""
    head = module.partition(".")[0]
    return _MODULES.get(module) or (_MODULES.get(head) if module.startswith(f"{head}.cli") else None)


def engine_of_flags(words: Sequence[Word]) -> str | None:
    """Return the engine whose own flags stand among words; None where none do, or those of two."""
    found = {
        engine for word in words if (engine := _TELLING.get(word.text.partition("=")[0].replace("_", "-"))) is not None
    }
    if not found:
        # `--model` is vLLM's where the parallel size is spelt as it spells it: SGLang says `--model-path`.
        names = {word.text.partition("=")[0].replace("_", "-") for word in words}
        if {"--model", "--tensor-parallel-size"} <= names:
            return "vllm"
        if {"--model-path", "--tp-size"} <= names or {"--model-path", "--tp"} <= names:
            return "sglang"
    return found.pop() if len(found) == 1 else None


NO_ENGINE = {
    "vllm-router": "a router", "sglang_router": "a router", "sgl_model_gateway": "a router", "genai-perf": "a client",
    "guidellm": "a client", "litellm": "a proxy", "ray": "Ray, which starts engines by a configuration of its own",
    "accelerate": "a launcher of training", "torchrun": "a launcher of training", "deepspeed": "a launcher of training",
    "kubectl": "a client of Kubernetes", "helm": "a client of Kubernetes", "docker-compose": "a reader of compose files",
}  # fmt: skip
SERVERS = ("vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server", "vllm.entrypoints.openai.launcher")
CLI_MODULES = ("vllm", "vllm.entrypoints.cli.main", "vllm.scripts")

# What a shell's text holds beside the engine and has no words of one: passed without a look.
PASSED = frozenset({
    "cd", "source", ".", "echo", "sleep", "mkdir", "ulimit", "true", "false", "wait", ":", "exit", "return", "printf", "shift",
    "trap", "pushd", "popd", "alias", "module",
})  # fmt: skip
# Programs that name engines and start none of them.
STARTS_NOTHING = frozenset({
    "cmake", "make", "ninja", "cargo", "go", "systemctl", "journalctl", "service", "docker-compose", "pkill", "pgrep", "kill",
    "killall", "grep", "egrep", "rg", "which", "type", "ps", "curl", "wget", "pip", "pip3", "apt", "apt-get", "yum", "dnf",
    "brew", "git", "cat", "tee", "sed", "awk", "ls", "rm", "cp", "mv", "chmod", "chown", "ln", "find", "tar", "head", "tail",
    "touch", "test", "[", "[[", "npm", "hf", "huggingface-cli", "huggingface_hub", "lsof", "fuser", "nvidia-smi", "jq", "open",
    "read",
})  # fmt: skip
# Programs that hand one of their words, or the lines that they read, to a shell.
TAKES_A_TEXT = frozenset({
    "ssh", "tmux", "screen", "su", "srun", "mpirun", "mpiexec", "pdsh", "watch", "runuser", "sg", "flock", "setpriv",
    "start-stop-daemon", "sbatch",
})  # fmt: skip
