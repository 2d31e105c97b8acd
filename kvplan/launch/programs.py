"""Programs that stand before an engine, engines that are not read, and what is taken for one and is none."""

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

# Programs and modules of engines (the contract's names) and of what is none.
PROGRAMS = {
    "sglang": "sglang", "text-generation-launcher": "tgi", "text-generation-server": "tgi", "trtllm-serve": "tensorrt-llm",
    "trtllm-llmapi-launch": "tensorrt-llm", "llama-server": "llama.cpp", "llama-cli": "llama.cpp", "ollama": "ollama",
    "lmdeploy": "lmdeploy", "transformers": "transformers",
}  # fmt: skip
MODULES = {
    "sglang": "sglang", "text_generation_server": "tgi", "tensorrt_llm": "tensorrt-llm", "llama_cpp": "llama.cpp",
    "lmdeploy": "lmdeploy", "transformers": "transformers",
}  # fmt: skip
NO_ENGINE = {
    "vllm-router": "a router", "sglang_router": "a router", "sgl_model_gateway": "a router", "genai-perf": "a client",
    "guidellm": "a client", "litellm": "a proxy", "ray": "Ray, which starts engines by a configuration of its own",
    "accelerate": "a launcher of training", "torchrun": "a launcher of training", "deepspeed": "a launcher of training",
    "kubectl": "a client of Kubernetes", "helm": "a client of Kubernetes", "docker-compose": "a reader of compose files",
}  # fmt: skip
SERVERS = ("vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server", "vllm.entrypoints.openai.launcher")
CLI_MODULES = ("vllm", "vllm.entrypoints.cli.main", "vllm.scripts")
