"""Print what vLLM's own parser has for flags and reads from commands: tests/launch/vllm_parser.jsonl.

    python tools/vllm_parser_oracle.py RELEASE < commands > rows

Run where that release of vLLM imports (it needs no GPU; where its C extensions are missing, empty modules do in their place).
Standard input has a JSON list of words a line, those after `vllm serve`. The first row printed has the flags by what follows
them, the others a command each: the values that its flags set, by name, or `refused` with the parser's message.
"""

import contextlib
import importlib
import io
import json
import sys
from typing import Any

PARSERS = ("vllm.utils.argparse_utils", "vllm.utils")
FLAGS = ("vllm.entrypoints.common.cli_args", "vllm.entrypoints.launchers.cli_args", "vllm.entrypoints.openai.cli_args")
READ = (
    "model_tag", "max_model_len", "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "max_num_seqs",
    "max_num_batched_tokens", "kv_cache_memory_bytes", "block_size", "gpu_memory_utilization", "kv_cache_dtype", "quantization",
    "dtype", "enable_prefix_caching", "enforce_eager", "disable_hybrid_kv_cache_manager", "async_scheduling",
    "speculative_config", "served_model_name", "middleware",
)  # fmt: skip


def first(modules: tuple[str, ...], name: str) -> Any:
    """Return a name from the first of the modules that is there; releases moved them."""
    for module in modules:
        with contextlib.suppress(ModuleNotFoundError, AttributeError):
            return getattr(importlib.import_module(module), name)
    raise ModuleNotFoundError(modules[-1])


def kind(action: Any) -> str:
    """Return what follows a flag, in the words of kvplan's table; `one` for any single value."""
    name = type(action).__name__
    if name in ("_StoreTrueAction", "_StoreFalseAction", "_HelpAction"):
        return "flag"
    if name in ("BooleanOptionalAction", "EnableDisableAction"):
        return "switch"
    if name == "_AppendAction":
        return "each"
    return {"+": "many", "*": "many", "?": "maybe"}.get(action.nargs, "one")


def main() -> None:
    """Print the rows."""
    make, flexible = first(FLAGS, "make_arg_parser"), first(PARSERS, "FlexibleArgumentParser")
    parser = flexible(prog="vllm")
    serve = parser.add_subparsers(dest="subparser").add_parser("serve")
    make(serve)
    options: dict[str, list[str]] = {}
    for action in serve._actions:  # noqa: SLF001  argparse has no other list
        options.setdefault(kind(action), []).extend(action.option_strings)
    release = sys.argv[1]
    listed = {each: " ".join(sorted(names)) for each, names in sorted(options.items()) if names}
    print(json.dumps({"release": release, "options": listed}))
    for line in sys.stdin:
        words = json.loads(line)
        said = io.StringIO()
        row: dict[str, Any] = {"release": release, "words": words}
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                read = vars(parser.parse_args(["serve", *words]))
                plain = vars(parser.parse_args(["serve", "x"]))
            row["values"] = {name: read[name] for name in READ if name in read and read[name] != plain[name]}
        except (SystemExit, Exception) as error:  # noqa: BLE001  whatever it refuses with
            row["refused"] = ([*said.getvalue().strip().splitlines(), repr(error)])[
                -2 if said.getvalue().strip() else -1
            ][-160:]
        print(json.dumps(row))


if __name__ == "__main__":
    main()
