"""Commands as people write them, and what is read from them."""

import pytest

from kvplan.errors import KvplanError, SettingError, UnknownEngineError
from kvplan.launch.command import read_command, read_launch, read_text
from kvplan.launch.peel import find_launch
from kvplan.launch.text import Source
from kvplan.launch.words import Word

M = "meta-llama/Llama-3.1-8B-Instruct"
MTP = '{"method": "mtp", "num_speculative_tokens": 2}'
EAGLE = '{"method":"eagle3","model":"yuhuili/EAGLE3-LLaMA3.1-Instruct-8B","num_speculative_tokens":3}'


def read(text, **kwargs):
    """Return the settings of a command, kvplan's own and the engine's in one mapping."""
    command = read_command(text, **kwargs)
    settings = {name: given.value for name, given in command.settings.items()}
    return settings | {name: given.value for name, given in command.engine_args.items()}, command


# Each command with every setting that counts, and nothing else.
COMMANDS = [
    # -- how vLLM is started -------------------------------------------------------------------------------------------
    (f"vllm serve {M}", {}),
    (f"vllm serve --model {M}", {}),
    (f"vllm serve --model={M} --port 8000", {}),
    (f"/opt/venv/bin/vllm serve {M} --host 0.0.0.0", {}),
    (f"python -m vllm.entrypoints.openai.api_server --model {M}", {}),
    (f"python3 -m vllm.entrypoints.api_server --model {M} --tensor-parallel-size 2", {"tensor_parallel": 2}),
    (f"/usr/bin/python3.12 -u -m vllm.entrypoints.openai.api_server --model={M} -tp=4", {"tensor_parallel": 4}),
    (f"python3 -m vllm.entrypoints.cli.main serve {M} -pp 2", {"pipeline_parallel": 2}),
    (f"$ vllm serve {M} -dp 8", {"data_parallel": 8}),
    (f"nohup vllm serve {M} --max-num-seqs 64 > vllm.log 2>&1 &", {"max_num_seqs": 64}),
    (f"exec vllm serve {M} --block-size 32", {"block_size": 32}),
    (f"uv run vllm serve {M} --enforce-eager", {"enforce_eager": True}),
    (f"uv run --with vllm --python 3.12 vllm serve {M} --enforce-eager", {"enforce_eager": True}),
    (f"uvx vllm@0.11 serve {M}", {}),
    (f"conda run -n llm --no-capture-output vllm serve {M}", {}),
    (f"numactl --cpunodebind=0 --membind 0 vllm serve {M} -tp 2", {"tensor_parallel": 2}),
    (f"numactl -N 0 -m 0 taskset -c 0-31 vllm serve {M} -tp 2", {"tensor_parallel": 2}),
    (f"sudo -E -u llm env HF_HOME=/data vllm serve {M}", {}),
    (f"VLLM_USE_V1=1 HF_TOKEN=secret vllm serve {M} --max-model-len 8192", {"context": 8192}),
    (f"env -u FOO A=b vllm serve {M}", {}),
    (f"timeout -k 5 1h vllm serve {M}", {}),
    (f"cd /srv && source venv/bin/activate && vllm serve {M} -tp 2 | tee log", {"tensor_parallel": 2}),
    (f"export VLLM_LOGGING_LEVEL=DEBUG; vllm serve {M}", {}),
    (f"bash -c 'vllm serve {M} --max-num-seqs 8'", {"max_num_seqs": 8}),
    (f'sh -lc "exec vllm serve {M} \\\n --max-num-seqs 8"', {"max_num_seqs": 8}),
    (f"srun --gres=gpu:8 vllm serve {M} -tp 8", {"tensor_parallel": 8}),
    (["vllm", "serve", M, "\\", "--max-num-seqs", "8"], {"max_num_seqs": 8}),
    # -- spellings -----------------------------------------------------------------------------------------------------
    (f"vllm serve {M} --max_model_len=16384 --gpu_memory_utilization 0.95", {"context": 16384, "gpu_memory_utilization": 0.95}),
    (f"vllm serve {M} --max-model-len 32k", {"context": 32_000}),
    (f"vllm serve {M} --max-model-len 32K", {"context": 32_768}),
    (f"vllm serve {M} --max-model-len 25.6k", {"context": 25_600}),
    (f"vllm serve {M} --max-model-len auto", {"context": "auto"}),
    (f"vllm serve {M} --max-model-len -1", {"context": "auto"}),
    (f"vllm serve {M} --max-model 4096 --max-num-batched-token 2k", {"context": 4096, "max_num_batched_tokens": 2000}),
    (f"vllm serve {M} --max-num-seq 4 --gpu-memory-util .5 --tensor-parallel 2",
     {"max_num_seqs": 4, "gpu_memory_utilization": 0.5, "tensor_parallel": 2}),
    (f"vllm serve {M} --max-num-seqs 4 --max-num-seqs 16", {"max_num_seqs": 16}),
    (f"vllm serve {M} --kv-cache-memory-bytes 10G", {"kv_cache_memory": 10 * 2**30}),
    (f"vllm serve --uvicorn-log-level=info {M} -tp 2", {"tensor_parallel": 2}),
    (f"vllm serve {M} --served-model-name a b c --max-num-seqs 9", {"max_num_seqs": 9}),
    (f"vllm serve {M} --trust-remote-code --no-enable-prefix-caching", {"enable_prefix_caching": False}),
    (f"vllm serve {M} --enable_prefix_caching --disable-log-stats", {"enable_prefix_caching": True}),
    (f"vllm serve {M} --disable-prefix-caching", {"enable_prefix_caching": False}),
    (f"vllm serve {M} --no-disable-hybrid-kv-cache-manager", {"disable_hybrid_kv_cache_manager": False}),
    (f"vllm serve {M} --enable-hybrid-kv-cache-manager", {"disable_hybrid_kv_cache_manager": False}),
    (f"vllm serve {M} -qfp8 -asc 2", {"quantization": "fp8"}),
    (f"vllm serve {M} -q awq_marlin --dtype half", {"quantization": "awq_marlin", "dtype": "half"}),
    (f"vllm serve {M} --middleware a --middleware b --api-key k1 k2 -tp 2", {"tensor_parallel": 2}),
    (f"vllm serve {M} --revision v1.0", {"model": f"{M}@v1.0"}),
    # -- JSON and dots -------------------------------------------------------------------------------------------------
    (f"vllm serve {M} --speculative-config '{EAGLE}'",
     {"draft": "yuhuili/EAGLE3-LLaMA3.1-Instruct-8B", "num_speculative_tokens": 3}),
    (f"vllm serve {M} -sc '{MTP}'", {"draft": "mtp", "num_speculative_tokens": 2}),
    (f"vllm serve {M} --speculative-config '{{\"num_speculative_tokens\": 1}}'", {"draft": "mtp", "num_speculative_tokens": 1}),
    (f"vllm serve {M} --speculative-config.method deepseek_mtp --speculative_config.num_speculative_tokens=1",
     {"draft": "mtp", "num_speculative_tokens": 1}),
    (f"vllm serve {M} --speculative-config '{{\"method\": \"ngram\", \"num_speculative_tokens\": 4, \"prompt_lookup_max\": 3}}'",
     {"num_speculative_tokens": 4}),
    (f"vllm serve {M} --spec-method draft_model --spec-model Qwen/Qwen3-0.6B --spec-tokens 5",
     {"draft": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 5}),
    (f"vllm serve {M} --compilation-config '{{\"cudagraph_mode\": \"PIECEWISE\"}}'", {"cudagraph_mode": "PIECEWISE"}),
    (f"vllm serve {M} -cc.cudagraph_mode=full_decode_only", {"cudagraph_mode": "FULL_DECODE_ONLY"}),
    (f"vllm serve {M} --compilation-config.cudagraph_capture_sizes+ 1 -cc.max_cudagraph_capture_size 8",
     {"max_cudagraph_capture_size": 8}),
    (f"vllm serve {M} --cudagraph-capture-sizes 1 2 4 8", {"max_cudagraph_capture_size": 8}),
    (f"vllm serve {M} --max-cudagraph-capture-size 128 -O3", {"max_cudagraph_capture_size": 128}),
    (f"vllm serve {M} -O0", {"cudagraph_mode": "NONE"}),
    (f"vllm serve {M} -O 1", {"cudagraph_mode": "PIECEWISE"}),
    (f"vllm serve {M} -cc '{{\"mode\": 0}}'", {"cudagraph_mode": "FULL_DECODE_ONLY"}),
    (f"vllm serve {M} --limit-mm-per-prompt '{{\"image\": 2, \"video\": 0}}'", {"limit_images": 2}),
    (f"vllm serve {M} --limit-mm-per-prompt.image 3", {"limit_images": 3}),
    (f"vllm serve {M} --eplb-config '{{\"num_redundant_experts\": 32}}' --enable-eplb --enable-expert-parallel",
     {"num_redundant_experts": 32, "enable_expert_parallel": True}),
    (f"vllm serve {M} --language-model-only --mm-encoder-tp-mode data",
     {"language_model_only": True, "mm_encoder_tp_mode": "data"}),
    (f"vllm serve {M} --enable-lora --max-loras 4 --max-lora-rank 32 --lora-modules sql=/no/such/adapter",
     {"enable_lora": True, "max_loras": 4, "max_lora_rank": 32}),
    (f"vllm serve {M} --cpu-offload-gb 10 --kv-offloading-size 20", {"cpu_offload_gb": 10.0, "kv_offloading_size": 20.0}),
    (f"vllm serve {M} -dcp 2 -tp 4 --num-gpu-blocks-override 512",
     {"decode_context_parallel_size": 2, "tensor_parallel": 4, "num_gpu_blocks_override": 512}),
    (f"vllm serve {M} --mamba-cache-dtype float32 --mamba-ssm-cache-dtype float32",
     {"mamba_cache_dtype": "float32", "mamba_ssm_cache_dtype": "float32"}),
    # -- containers ----------------------------------------------------------------------------------------------------
    (("docker run --gpus all -v ~/.cache:/root/.cache -p 8000:8000 --ipc=host "
     f"vllm/vllm-openai:v0.11.0 --model {M} --max-model-len 8k"),
     {"context": 8000}),
    (f"docker run -d --rm -it --runtime nvidia --gpus '\"device=0,1\"' -e HF_TOKEN=x vllm/vllm-openai:latest {M} -tp 2",
     {"tensor_parallel": 2}),
    (f"sudo podman run --device nvidia.com/gpu=0 --security-opt=label=disable docker.io/vllm/vllm-openai {M}", {}),
    (f"nerdctl run --gpus=2 -it vllm/vllm-openai:nightly --model={M} -tp 2", {"tensor_parallel": 2}),
    (f"docker container run --entrypoint vllm vllm/vllm-openai:v0.20.0 serve {M} -tp 2", {"tensor_parallel": 2}),
    (f"docker run --entrypoint /bin/bash img:1 -c 'pip install x && vllm serve {M} -tp 2'", {"tensor_parallel": 2}),
    (f"docker run --gpus all rocm/vllm:rocm6.4_vllm_0.9.1 vllm serve {M} --block-size=64", {"block_size": 64}),
    (f"docker run --gpus all vllm/vllm-openai:v0.11.0 vllm serve {M} -tp 2", {"tensor_parallel": 2}),
    (f'docker exec -it -e A=b my_vllm bash -c "vllm serve {M} -tp 2"', {"tensor_parallel": 2}),
    (f"docker run \\\n  --runtime nvidia \\     # the runtime\n  vllm/vllm-openai:latest \\\n  --model {M}   # the model", {}),
    (f'MODEL={M}; LEN=8k\nvllm serve "$MODEL" --max-model-len ${{LEN}} -tp ${{TP:-2}} ${{EXTRA:-}}',
     {"context": 8000, "tensor_parallel": 2}),
]  # fmt: skip


@pytest.mark.parametrize("text, expected", COMMANDS)
def test_a_command_is_read_as_vllm_reads_it(text, expected):
    """Every setting that counts is found, whatever the spelling and whatever starts vLLM; nothing else is."""
    found, _ = read(text)
    assert found == {"model": M, **expected}


@pytest.mark.parametrize(
    "text, version, gpus",
    [
        (f"docker run --gpus all vllm/vllm-openai:v0.11.0 --model {M}", "0.11.0", None),
        (f"docker run --gpus 2 vllm/vllm-openai:v0.9.2 --model {M}", "0.9.2", 2),
        (f"docker run --gpus '\"device=0,3\"' vllm/vllm-openai {M}", None, 2),
        (f"docker run --gpus device=1 -e CUDA_VISIBLE_DEVICES=0 vllm/vllm-openai {M}", None, 1),
        (f"docker run -e NVIDIA_VISIBLE_DEVICES=0,1,2 vllm/vllm-openai {M}", None, 3),
        (f"docker run -e NVIDIA_VISIBLE_DEVICES=all vllm/vllm-openai {M}", None, None),
        (f"CUDA_VISIBLE_DEVICES=0 docker run --gpus all vllm/vllm-openai {M}", None, None),
        (f"CUDA_VISIBLE_DEVICES=4,5,6,7 vllm serve {M}", None, 4),
        (f"export CUDA_VISIBLE_DEVICES=0,1; vllm serve {M}", None, 2),
        (f"HIP_VISIBLE_DEVICES=0,1 vllm serve {M}", None, 2),
        (f"uvx --from vllm==0.10.2 vllm serve {M}", "0.10.2", None),
        (f"uvx vllm@0.19.1 serve {M}", "0.19.1", None),
        (f"podman run --device nvidia.com/gpu=0 --device nvidia.com/gpu=1 vllm/vllm-openai:v0.12.0 {M}", "0.12.0", 2),
        (f"podman run --device nvidia.com/gpu=all vllm/vllm-openai:v0.12.0 {M}", "0.12.0", None),
    ],
)
def test_version_and_gpus_come_from_what_stands_around(text, version, gpus):
    """An image's tag or a package's version is the engine's; flags and variables of devices count the GPUs."""
    _, command = read(text)
    assert (command.version.value if command.version else None) == version
    assert (command.gpus.value if command.gpus else None) == gpus


@pytest.mark.parametrize(
    "text, version, expected",
    [
        (f"vllm serve {M} --max-num-batched-tokens 4K", "0.9.1", {"max_num_batched_tokens": 4096}),
        (f"vllm serve {M} -O0", "0.10.2", {"cudagraph_mode": "NONE"}),
        (f"vllm serve {M} -O3", "0.10.2", {}),
        (f"vllm serve {M} --compilation-config 3", "0.9.0", {}),
        (f"vllm serve {M} -O.cudagraph_mode=FULL", "0.12.0", {"cudagraph_mode": "FULL"}),
        (f"vllm serve {M} -cc.mode=0", "0.20.0", {"cudagraph_mode": "NONE"}),
        (f"vllm serve {M} --cuda-graph-sizes 256", "0.11.0", {"max_cudagraph_capture_size": 256}),
        (f"vllm serve {M} --limit-mm-per-prompt image=4,video=1", "0.8.5", {"limit_images": 4}),
        (f"vllm serve {M} --num-redundant-experts 4", "0.10.0", {"num_redundant_experts": 4}),
        (f"vllm serve {M} --speculative-model Qwen/Qwen3-0.6B --num-speculative-tokens 3", "0.8.1",
         {"draft": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 3}),
    ],
)  # fmt: skip
def test_a_command_is_read_as_its_release_reads_it(text, version, expected):
    """What a flag is and means is that of the release that is planned for."""
    found, _ = read(text, version=version)
    assert found == {"model": M, **expected}


@pytest.mark.parametrize(
    "text, version, says",
    [
        (f"vllm serve {M} --swap-space 4", None, "--swap-space: it was removed in 0.18.0"),
        (f"vllm serve {M} --disable-log-requests", "0.20.0", "--disable-log-requests: it was removed in 0.17.0"),
        (f"vllm serve {M} --kv-cache-memory-bytes 1G", "0.9.2", "--kv-cache-memory-bytes: it came in 0.10.2"),
        (f"vllm serve {M} --no-calculate-kv-scales", None, "--no-calculate-kv-scales: it was removed in 0.28.0"),
        (f"vllm serve --model {M}", "0.10.0", "takes the model as a word of its own"),
        (f"python -m vllm.entrypoints.openai.api_server {M}", None, "takes the model by --model"),
        (f"vllm serve {M} --config=x.yaml", None, "`--config=FILE` is left alone"),
        (f"VLLM_USE_V1=0 vllm serve {M}", "0.12.0", "has no V0 engine"),
        (f"vllm serve {M} --speculative-config '{MTP}' --speculative-config.num_speculative_tokens 3", None,
         "replace --speculative-config as a whole"),
    ],
)  # fmt: skip
def test_what_vllm_would_refuse_or_ignore_is_a_warning(text, version, says):
    """A flag that the release does not have, or that does not do what it looks like, is named with the reason."""
    _, command = read(text, version=version)
    assert any(says in warning for warning in command.warnings), command.warnings


@pytest.mark.parametrize(
    "text, says",
    [
        (f"vllm serve {M} --max-model-length 4096", "Did you mean --max-model-len"),
        (f"vllm serve {M} --kv-cache 4", "--kv-cache-dtype"),
        (f"vllm serve {M} --max 4", "may stand for"),
        (f"vllm serve {M} -d 2", "may stand for"),
        (f"vllm serve {M} --tp 2", "vLLM has no flag --tp"),
        (f"vllm serve {M} -tp", "-tp has no value"),
        (f"vllm serve {M} --max-num-seqs --port 1", "has no value before '--port'"),
        (f"vllm serve {M} --max-num-seqs 4k", "plain numbers"),
        (f"vllm serve {M} --max-model-len 1.5K", "Did you mean 1.5k?"),
        (f"vllm serve {M} --max-model-len many", "32k (32,000) or 32K (32,768)"),
        (f"vllm serve {M} --max-model-len $LEN", "is not known here"),
        (f"vllm serve {M} --max-model-len <tokens> --port 1", "'<tokens>' is not a number"),
        (f"vllm serve {M} --max-model-len 0", "at least 1"),
        (f"vllm serve {M} --enforce-eager=true", "takes no value"),
        (f"vllm serve {M} other/model", "stands alone"),
        (f"vllm serve {M} --model other/model", "names two models"),
        (f"vllm serve {M} enforce-eager", "Did you mean --enforce-eager?"),
        (f"vllm serve {M} --speculative-config {{method:mtp}}", "is not JSON"),
        (f'vllm serve {M} --speculative-config \'{{"method":"eagle"}}\'', "needs a model"),
        (f'vllm serve {M} --speculative-config \'{{"method":"new","num_speculative_tokens":1}}\'', "is not planned"),
        (f"vllm serve {M} --compilation-config.cudagraph_mode SOME", "It takes FULL_AND_PIECEWISE"),
        (f'vllm serve {M} --hf-overrides \'{{"architectures":["X"]}}\'', "another model"),
        (f"vllm serve {M} --dtype fp8", "--dtype takes"),
        (f"vllm serve {M} --config no-such.yaml", "cannot be read here"),
        (f"vllm serve {M} --help", "asks for help"),
        ("vllm bench serve --model x", "serves no model"),
        ("vllm chat", "serves no model"),
        ("vllm", "serves no model"),
        ("python -m vllm.entrypoints.openai.run_batch -i x", "serves no model"),
        ("docker compose up", "starts no engine"),
        ("docker run --gpus some vllm/vllm-openai M", "--gpus 'some'"),
        ("docker run -p", "has no value"),
        ("docker run --rm", "names no image"),
        ("docker run python:3.12", "not known"),
        (f"docker run vllm/vllm-cpu:v0.11.0 {M}", "for CPU"),
        (f"CUDA_VISIBLE_DEVICES= vllm serve {M}", "hides every GPU"),
        ("make serve", "'make' is no program"),
        ('pkill -f "vllm serve"', "'pkill' is no program"),
        ("vllm-router --port 1", "is a router"),
        (f"vllm serve {M} && vllm serve {M}", "starts 2 engines"),
        (" ", "empty"),
        ("A=1", "empty"),
        # A digit to Unicode, and no number to int().
        ("docker run --gpus ² vllm/vllm-openai M", "--gpus '²'"),
        (f"vllm serve {M} --block-size ²", "'²' is not a whole number"),
        (f"vllm serve {M} --compilation-config.mode ²", "0 to 3 was expected"),
        (f"vllm serve {M} --cudagraph-capture-sizes ²", "is no number of tokens"),
        (f"vllm serve {M} --limit-mm-per-prompt.image ²", "a whole number was expected"),
        (f"vllm serve {M} --speculative-config.num_speculative_tokens ²", "1 or more was expected"),
    ],
)
def test_what_cannot_be_meant_is_said(text, says):
    """A command that starts no engine, or a word of it that cannot be meant, is an error that says what to do."""
    with pytest.raises(SettingError) as error:
        read(text)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "flags",
    [["x" * 50_000], ["--" + "x" * 50_000], ["--max-num-seqs", "x" * 50_000], ["--enforce-eager=" + "x" * 50_000]],
    ids=["word", "flag", "value", "switch"],
)
def test_a_message_shows_the_start_of_what_is_long(flags):
    """An error about a word of any length stays readable."""
    with pytest.raises(SettingError) as error:
        read(["vllm", "serve", M, *flags])
    assert len(str(error.value)) < 500


ALIASES = "a: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    "content, says",
    [
        (ALIASES, "by its aliases"),
        ("hf-overrides: &a {b: *a}", "by its aliases"),
        ("a: &a " + "x" * 50_000 + "\nb: [*a, *a, *a]", "by its aliases"),
        ("port: 1\n" * 20_000, "160,000 characters"),
        ("[" * 5_000, "is not YAML"),
    ],
    ids=["bomb", "endless", "long text", "long file", "deep"],
)
def test_a_config_file_that_would_not_end_is_refused(content, says):
    """Aliases that repeat each other, and files beyond any settings, are refused before they are written out."""
    with pytest.raises(SettingError, match=says):
        read(f"vllm serve {M} --config x.yaml", read_file=lambda _: content)


@pytest.mark.parametrize(
    "text, says",
    [
        ("X=aaaaaaaaaa; " + "X=$X$X; " * 60 + f"vllm serve {M}", "variables make it longer"),
        (f"X={'a' * 20_000}; vllm serve {M} {'$X ' * 20_000}", "variables make it longer"),
        (f"X={'a' * 40_000}; vllm serve {'$X' * 20_000}", "variables make it longer"),
        ("docker run " * 5_000, "nests more than 8"),
        ("docker exec x " * 5_000, "nests more than 8"),
    ],
    ids=["doubling", "words", "word", "run", "exec"],
)
def test_a_command_that_would_not_end_is_refused(text, says):
    """Variables that double each other, and containers inside each other, are refused in the time of a short command."""
    with pytest.raises(SettingError, match=says):
        read(text)


def test_aliases_of_a_config_file_are_read():
    """An alias stands for what its anchor names."""
    found, _ = read(
        f"vllm serve {M} --config x.yaml", read_file=lambda _: "max-num-seqs: &n 64\nmax-num-batched-tokens: *n"
    )
    assert (found["max_num_seqs"], found["max_num_batched_tokens"]) == (64, 64)


@pytest.mark.parametrize(
    "text, engine",
    [
        ("python -m sglang.launch_server --model-path x", "sglang"),
        ("sglang serve --model-path x", "sglang"),
        ("llama-server -m x.gguf -c 8192", "llama.cpp"),
        ("trtllm-serve x --tp_size 2", "tensorrt-llm"),
        ("text-generation-launcher --model-id x", "tgi"),
        ("lmdeploy serve api_server x", "lmdeploy"),
        ("ollama serve", "ollama"),
        ("docker run --gpus all lmsysorg/sglang:latest python3 -m sglang.launch_server", "sglang"),
        ("docker run ghcr.io/ggml-org/llama.cpp:server -m x", "llama.cpp"),
    ],
)
def test_another_engine_is_refused_by_name(text, engine):
    """A command of an engine whose flags are not read is refused with its name."""
    with pytest.raises(UnknownEngineError, match=engine.replace(".", r"\.")):
        read(text)


@pytest.mark.parametrize(
    "flags, says",
    [
        ("--worker-cls my.Worker", "--worker-cls my.Worker"),
        ("--enable-dbo", "--enable-dbo"),
        ("--prefill-context-parallel-size 2", "--prefill-context-parallel-size 2"),
        ("--cpu-offload-params a b", "--cpu-offload-params a b"),
        ("--lora-modules a=/no/such", "max_lora_rank"),
        ('--speculative-config \'{"method":"ngram","num_speculative_tokens":1,"max_model_len":9}\'', "max_model_len"),
        ("--cudagraph-capture-sizes 1 2 4", "every usual size up to 4"),
        ("""--limit-mm-per-prompt '{"image": {"count": 2, "width": 512}}'""", "sizes of items"),
    ],
)
def test_what_counts_and_is_not_modelled_is_said(flags, says):
    """A flag that changes memory and that the plan has no argument for is named in its assumptions, never dropped."""
    _, command = read(f"vllm serve {M} {flags}")
    assert any(says in note.text for note in command.notes), command.notes


@pytest.mark.parametrize(
    "flags",
    [
        "--port 8000 --host 0.0.0.0 --api-key x --tool-call-parser hermes --enable-auto-tool-choice",
        "--enable-chunked-prefill --async-scheduling --load-format auto --tokenizer-mode auto --seed 1",
        "--no-enable-log-requests --chat-template x --generation-config vllm --trust-remote-code --max-logprobs 5",
        "--distributed-executor-backend ray --disable-custom-all-reduce --reasoning-parser qwen3",
    ],
)
def test_what_does_not_count_passes_silently(flags):
    """Flags that do not touch memory, or say what is so anyway, give neither a setting nor a word."""
    found, command = read(f"vllm serve {M} {flags}")
    assert found == {"model": M}
    assert (command.notes, command.warnings) == ([], [])


def test_each_value_keeps_the_words_it_came_from():
    """A value knows its words and where they stand in the text; one of a config file names the file."""
    text = f"vllm serve {M} --max_model_len=8k   -tp   2"
    _, command = read(text)
    places = {name: [text[word.start : word.end] for word in given.words] for name, given in command.settings.items()}
    assert places == {"model": [M], "context": ["--max_model_len=8k"], "tensor_parallel": ["-tp", "2"]}
    _, command = read(f"vllm serve {M} --config x.yaml", read_file=lambda _: "tensor-parallel-size: 2")
    assert str(command.settings["tensor_parallel"]) == "'tensor-parallel-size: 2' (x.yaml)"


def test_a_containers_words_keep_the_places_of_their_file():
    """The reader takes words of a deployment file as they are: each value leads back to the place that the file's reader gave."""
    lines = ["vllm/vllm-openai:v0.11.0", "--model", M, "--max-model-len=8k", f"exec vllm serve {M} -tp $TP"]
    source = Source("deploy.yaml", "\n".join(lines))

    def word(number):
        start = source.start_of(number)
        return Word(lines[number - 1], place=source.piece(start, start + len(lines[number - 1])))

    image = word(1)
    command = read_launch(find_launch([Word("docker"), Word("run"), image, *map(word, (2, 3, 4))], read_text, {}))
    assert command.version is not None
    assert (command.version.value, command.version.words[0].place.place().line) == ("0.11.0", 1)
    assert {name: given.words[-1].place.place().line for name, given in command.settings.items()} == {
        "model": 3,
        "context": 4,
    }
    shell = [Word("-c"), word(5)]
    options = [Word("--entrypoint"), Word("/bin/sh"), Word("-e"), Word("TP=2")]
    other = find_launch([Word("docker"), Word("run"), *options, image, *shell], read_text, {})
    command = read_launch(other)
    assert command.settings["tensor_parallel"].value == 2
    where = command.settings["model"].words[-1].place.place()
    assert (where.line, where.column, where.text) == (5, 17, M)


FILE = """
model: other/model
tensor-parallel-size: 4
max_model_len: 8k
enable-prefix-caching: false
enforce-eager: true
served-model-name: [a, b]
speculative-config: {method: ngram, num_speculative_tokens: 2}
"""


def test_a_config_file_is_read_and_the_command_line_wins():
    """Settings of `--config FILE` hold where the command line says nothing else; lists, maps and booleans are read."""
    found, command = read(
        f"vllm serve --config x.yaml -tp 2 --model {M}".replace(f" --model {M}", ""), read_file=lambda _: FILE
    )
    assert found == {
        "model": "other/model",
        "tensor_parallel": 2,
        "context": 8000,
        "enable_prefix_caching": False,
        "enforce_eager": True,
        "num_speculative_tokens": 2,
    }
    assert command.warnings == []


def test_a_false_that_an_old_release_ignores_in_a_file_is_said():
    """Before 0.28 vLLM drops `x: false` of a config file; so does the plan, and says it."""
    found, command = read("vllm serve --config x.yaml", version="0.20.0", read_file=lambda _: FILE)
    assert "enable_prefix_caching" not in found
    assert "leaves `enable-prefix-caching: false` of x.yaml out of account" in command.warnings[0]


@pytest.mark.parametrize("content", ["a: [", "- a", "just text", "\x00", "a: !!python/object:os.system {}"])
def test_a_broken_config_file_is_an_error(content):
    """A --config file that is no YAML mapping is named, whatever it holds."""
    with pytest.raises(KvplanError, match=r"x\.yaml"):
        read(f"vllm serve {M} --config x.yaml", read_file=lambda _: content)


def test_an_env_file_is_read():
    """Variables of docker's --env-file count; those of -e win over them."""
    text = f"docker run --env-file e -e CUDA_VISIBLE_DEVICES=0,1 vllm/vllm-openai:v0.33.0 {M}"
    _, command = read(text, read_file=lambda _: "# x\nVLLM_ALLOW_LONG_MAX_MODEL_LEN=1\nCUDA_VISIBLE_DEVICES=0\n")
    assert command.longest_is_free
    assert command.gpus is not None
    assert command.gpus.value == 2
