"""Options that commands share, and how their texts are read."""

from typing import Annotated, Any

import typer

from kvplan.errors import SettingError
from kvplan.units import parse_tokens

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Catalogue name (llama-3-70b), hub id (org/name), config.json, folder, .safetensors or .gguf.",
    ),
]
GpuOption = Annotated[
    str | None,
    typer.Option("--gpu", "-g", help="GPU (rtx4090), count (4xh100), instance (p5.48xlarge), size (24GiB) or auto."),
]
EngineOption = Annotated[
    str | None,
    typer.Option("--engine", "-e", help="vllm (default), transformers or textbook; vllm@0.19 pins a version."),
]
TensorOption = Annotated[
    int | None,
    typer.Option("--tensor-parallel", "-tp", help="GPUs that split each layer; default: all that --gpu names."),
]
PipelineOption = Annotated[int | None, typer.Option("--pipeline-parallel", "-pp", help="Stages that split the layers.")]
DataOption = Annotated[int | None, typer.Option("--data-parallel", "-dp", help="Replicas.")]
ContextOption = Annotated[
    str | None,
    typer.Option("--context", "-c", help="Tokens of one request (8192, 32k, 32K); default: the model's maximum."),
]
UsersOption = Annotated[int | None, typer.Option("--users", "-u", help="Concurrent requests that must fit.")]
QuantizationOption = Annotated[
    str | None, typer.Option("--quantization", "-q", help="Weights: bf16 fp8 int8 int4 nvfp4 nf4 q4_k_m 4.5bpw ...")
]
KvDtypeOption = Annotated[
    str | None, typer.Option("--kv-dtype", help="Cache: auto (default) bf16 fp8 int8 int4 nvfp4 q8_0 ...")
]
KvMemoryOption = Annotated[
    str | None, typer.Option("--kv-cache-memory", help="Cache per GPU, given outright (10GiB), instead of a budget.")
]
MemoryUsedOption = Annotated[
    str | None, typer.Option("--gpu-memory-used", help="Memory of each GPU that other processes hold (6GiB).")
]
EngineArgOption = Annotated[
    list[str] | None, typer.Option("--engine-arg", "-a", help="The engine's own flag, NAME=VALUE; repeatable.")
]
DraftOption = Annotated[
    str | None, typer.Option("--draft", help="Draft model for speculation, or mtp: the model's own next-token layers.")
]
AdapterOption = Annotated[
    list[str] | None, typer.Option("--adapter", help="LoRA adapter served beside it: folder or hub id; repeatable.")
]
CommandArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[-- COMMAND ...]", help="Your own launch command: -- vllm serve MODEL ..., docker run ..."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def tokens(text: str | None) -> int | None:
    """Return the tokens that a text means, None for none."""
    return None if text is None else parse_tokens(text, name="--context")


def engine_args(pairs: list[str] | None, **options: str | None) -> dict[str, Any]:
    """Return NAME=VALUE pairs as a mapping; names may be written with dashes.

    Args:
        pairs: of --engine-arg.
        options: arguments of engines that have an option of their own; None where it was not given.

    Raises:
        SettingError: a pair without a name or a value, or a name given twice.

    """
    args: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not name or not value:
            raise SettingError(
                f"--engine-arg {pair[:60]!r} is not NAME=VALUE.", hint="For example: --engine-arg max_num_seqs=64"
            )
        if name in args:
            raise SettingError(f"--engine-arg {name[:60]} is given twice.", hint="Keep one.")
        args[name] = value
    return args
