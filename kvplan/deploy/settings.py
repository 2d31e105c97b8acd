"""Keys of values and configuration files that are an engine's flags, however they are written: tensorParallelSize, tp_size."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from kvplan.deploy.keys import flag_for
from kvplan.deploy.tree import Node
from kvplan.launch.words import Word

# Names that stand for something else wherever charts use them.
_OTHERS = frozenset({
    "host", "port", "name", "config", "env", "model", "modelpath", "modelid", "image", "device", "version", "help", "apikey",
    "rootpath", "metrics", "timeout", "log", "logfile", "props", "load", "task", "headless", "seed", "verbose", "api", "path",
    "revision", "servedmodelname", "alias", "hfrepo", "temp", "predict", "file", "prompt", "color", "node", "json", "mode",
})  # fmt: skip
# Flags whose value is a JSON object, which YAML may write as a mapping.
_OBJECTS = re.compile(r"\w*config|hfoverrides|limitmmperprompt|ropescaling|mediaiokwargs|mmprocessorkwargs")
# False is what the engine does anyway, but for these of vLLM.
_ON = frozenset({"--enable-prefix-caching", "--enable-chunked-prefill"})


# What charts call a flag for short.
_SHORT = {
    "vllm": {
        "tp": "--tensor-parallel-size", "tpsize": "--tensor-parallel-size", "tensorparallel": "--tensor-parallel-size",
        "tensorparallelism": "--tensor-parallel-size", "pp": "--pipeline-parallel-size", "ppsize": "--pipeline-parallel-size",
        "pipelineparallel": "--pipeline-parallel-size", "dpsize": "--data-parallel-size", "maxmodellength": "--max-model-len",
        "contextlength": "--max-model-len", "maxcontextlength": "--max-model-len", "gpumemoryfraction": "--gpu-memory-utilization",
    },
    "sglang": {"tp": "--tp-size", "dp": "--dp-size", "pp": "--pp-size"},
    "llama.cpp": {
        "contextsize": "--ctx-size", "contextlength": "--ctx-size", "parallelslots": "--parallel", "slots": "--parallel",
        "nparallel": "--parallel", "numparallel": "--parallel",
        "kvcachetype": "--cache-type-k",
    },
}  # fmt: skip


def plain(key: str) -> str:
    """Return a key without what tells its spelling: tensorParallelSize, tensor_parallel_size and --tensor-parallel-size are one."""
    return re.sub(r"[-_.\s]", "", key).lower()


@cache
def flag_names(engine: str) -> Mapping[str, str]:
    """Return an engine's long flags, by their plain names; none for an engine whose flags are not known."""
    names: list[str]
    if engine == "vllm":
        from kvplan.engines.vllm.command.table import FlagTable  # noqa: PLC0415  only where there are such keys

        # All that it has ever had: whether a release has one is for others to say.
        names = [*FlagTable("0.8.1").options, *FlagTable("99.0").options]
    else:
        from kvplan.engines import flag_table  # noqa: PLC0415

        table = flag_table(engine) or {}
        names = []
        for name, facts in table.get("flags", {}).items():
            names += [*facts.get("aliases", ()), name]
        names += table.get("removed", ())
    long = {plain(name): name for name in names if name.startswith("--") and not name.startswith("--no-")}
    return {**_SHORT.get(engine, {}), **long}


def settings_in(node: Node, engine: str) -> Iterator[tuple[str, tuple[Word, ...]]]:
    """Yield the keys of a mapping that are an engine's flags, as the flag's name and its words; empty values say nothing."""
    known = flag_names(engine)
    for key, value in node.entries():
        name = plain(key.value)
        flag = known.get(name) if name not in _OTHERS else None
        if flag is None or not _says_something(name, flag, value, engine):
            continue
        if found := flag_for(flag, node, key.value):
            yield flag, found


def _says_something(name: str, flag: str, value: Node, engine: str) -> bool:
    if value.kind == "map":
        return bool(value.pairs) and _OBJECTS.fullmatch(name) is not None
    if value.kind == "list":
        return bool(value.items) and all(each.kind == "scalar" for each in value.items)
    if value.typed is False:
        return engine == "vllm" and flag in _ON
    # Templates of charts leave out what is empty or zero.
    return bool(value.string.strip()) and value.number != 0
