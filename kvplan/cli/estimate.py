"""`kvplan estimate`: one plan, of options or of a launch command."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvplan.catalogue import MODELS
from kvplan.cli import options, output
from kvplan.errors import SettingError
from kvplan.gpus import find_gpu
from kvplan.planner import estimate as plan_for

if TYPE_CHECKING:
    from kvplan.gpus import GpuGroup
    from kvplan.plan import Plan

EXAMPLES = """Examples:\n
  kvplan estimate --model llama-3-70b --gpu rtx4090\n
  kvplan estimate --model qwen3-32b --gpu 2xh100 --context 32k --users 50\n
  kvplan estimate --model ./config.json --gpu 24GiB --engine textbook --quantization int4\n
  kvplan estimate --model gpt-oss-120b --gpu h100 --kv-dtype fp8 --explain\n
  kvplan estimate --gpu 2xh100 -- vllm serve Qwen/Qwen3-32B -tp 2 --max-model-len 32k\n
\n
Exit code: 0 it fits, 1 it does not, 2 the input or the usage is wrong, 3 kvplan failed."""
# What follows a command's first word is the command's, dashes or not.
CONTEXT = {"allow_interspersed_args": False}


def estimate(
    command: options.CommandArgument = None,
    model: options.ModelOption = None,
    gpu: options.GpuOption = None,
    engine: options.EngineOption = None,
    tensor_parallel: options.TensorOption = None,
    pipeline_parallel: options.PipelineOption = None,
    data_parallel: options.DataOption = None,
    context: options.ContextOption = None,
    users: options.UsersOption = None,
    quantization: options.QuantizationOption = None,
    kv_dtype: options.KvDtypeOption = None,
    kv_cache_memory: options.KvMemoryOption = None,
    gpu_memory_used: options.MemoryUsedOption = None,
    engine_arg: options.EngineArgOption = None,
    draft: options.DraftOption = None,
    adapter: options.AdapterOption = None,
    as_json: options.JsonOption = False,
    explain: Annotated[bool, typer.Option("--explain", help="Derive each figure: formula, numbers, source.")] = False,
) -> None:
    """Say whether a model fits a GPU, the longest context and how many requests at once."""
    group = find_gpu(gpu) if gpu is not None else None
    asked: dict[str, Any] = {
        "model": model,
        "tensor_parallel": tensor_parallel,
        "pipeline_parallel": pipeline_parallel,
        "data_parallel": data_parallel,
        "context": options.tokens(context),
        "quantization": quantization,
        "kv_dtype": kv_dtype,
        "kv_cache_memory": kv_cache_memory,
        "draft": draft,
        "adapters": tuple(adapter or ()),
    }
    args = options.engine_args(engine_arg, gpu_memory_used=gpu_memory_used)
    plan = (
        _of_command(command, engine, group, users, args, asked)
        if command
        else _of_options(engine, group, users, args, asked)
    )
    _print(plan, as_json=as_json, explain=explain)


def _of_options(
    engine: str | None, group: "GpuGroup | None", users: int | None, args: dict[str, Any], asked: dict[str, Any]
) -> "Plan":
    if asked["model"] is None:
        raise SettingError(
            "Nothing says which model.",
            hint="Give --model NAME, or your launch command: kvplan estimate --gpu h100 -- vllm serve NAME ...",
        )
    if asked["tensor_parallel"] is None:
        # All GPUs that were named serve one replica unless other sizes say how to use them.
        sizes = (1 if size is None else size for size in (asked["pipeline_parallel"], asked["data_parallel"]))
        others = max(next(sizes) * next(sizes), 1)
        asked["tensor_parallel"] = group.count // others if group and group.count % others == 0 else 1
    given = {name: value for name, value in asked.items() if value is not None}
    return plan_for(gpu=group, engine=engine or "vllm", users=users, engine_args=args, **given)


def _of_command(
    words: list[str],
    engine: str | None,
    group: "GpuGroup | None",
    users: int | None,
    args: dict[str, Any],
    asked: dict[str, Any],
) -> "Plan":
    from kvplan.launch.command import read_command  # noqa: PLC0415  only with a command
    from kvplan.launch.planning import check_engine, plan_command  # noqa: PLC0415

    if MODELS.find(words[0]) is not None:
        raise SettingError(
            f"{words[0]} is a model, not a launch command.",
            hint=f"Write --model {words[0]}, or -- vllm serve {words[0]} ...",
        )
    name, _, version = (engine or "").strip().lower().partition("@")
    command = read_command(words, version=version or None)
    check_engine(command, name, version)
    plan = plan_command(command, gpu=group, version=version or None, users=users, engine_args=args, **asked)
    for text in command.warnings:
        output.warn(text)
    return plan


def _print(plan: "Plan", *, as_json: bool, explain: bool) -> None:
    if as_json:
        output.print_json(plan.to_dict() | ({"derivations": output.derivations(plan)} if explain else {}))
    else:
        from kvplan.report.console import page  # noqa: PLC0415  rich costs 60 ms that --json does not need
        from kvplan.report.terminal import print_plan  # noqa: PLC0415

        with page() as console:
            print_plan(plan, console, explain=explain)
    if plan.verdict == "tight":
        output.warn("tight: it fits as planned, but not at the low end of the interval.")
    if plan.verdict == "does_not_fit":
        raise typer.Exit(1)
