"""`kvplan estimate`: one plan."""

from typing import Annotated

import typer

from kvplan.cli import options, output
from kvplan.gpus import find_gpu
from kvplan.planner import estimate as plan_for

EXAMPLES = """Examples:\n
  kvplan estimate --model llama-3-70b --gpu rtx4090\n
  kvplan estimate --model qwen3-32b --gpu 2xh100 --context 32k --users 50\n
  kvplan estimate --model ./config.json --gpu 24GiB --engine textbook --quantization int4\n
  kvplan estimate --model gpt-oss-120b --gpu h100 --kv-dtype fp8 --explain\n
\n
Exit code: 0 it fits, 1 it does not, 2 the input or the usage is wrong, 3 kvplan failed."""


def estimate(
    model: options.ModelOption,
    gpu: options.GpuOption = None,
    engine: options.EngineOption = "vllm",
    tensor_parallel: options.TensorOption = None,
    pipeline_parallel: options.PipelineOption = 1,
    data_parallel: options.DataOption = 1,
    context: options.ContextOption = None,
    users: options.UsersOption = None,
    quantization: options.QuantizationOption = None,
    kv_dtype: options.KvDtypeOption = "auto",
    kv_cache_memory: options.KvMemoryOption = None,
    engine_arg: options.EngineArgOption = None,
    draft: options.DraftOption = None,
    adapter: options.AdapterOption = None,
    as_json: options.JsonOption = False,
    explain: Annotated[bool, typer.Option("--explain", help="Derive each figure: formula, numbers, source.")] = False,
) -> None:
    """Say whether a model fits a GPU, the longest context and how many requests at once."""
    group = find_gpu(gpu) if gpu is not None else None
    if tensor_parallel is None:
        # All GPUs that were named serve one replica unless other sizes say how to use them.
        others = max(pipeline_parallel * data_parallel, 1)
        tensor_parallel = group.count // others if group and group.count % others == 0 else 1
    plan = plan_for(
        model,
        group,
        engine,
        tensor_parallel=tensor_parallel,
        pipeline_parallel=pipeline_parallel,
        data_parallel=data_parallel,
        context=options.tokens(context),
        users=users,
        quantization=quantization,
        kv_dtype=kv_dtype,
        kv_cache_memory=kv_cache_memory,
        engine_args=options.engine_args(engine_arg),
        draft=draft,
        adapters=adapter or (),
    )
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
