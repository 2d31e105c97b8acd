"""The public surface, pinned: what scripts outside the project may rely on."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import kvplan

NAMES = {
    "CheckpointError", "ConfigError", "HubError", "HubGatedError", "HubNotFoundError", "HubOfflineError", "KvplanError",
    "ModelSpec", "Plan",
    "SettingError", "SpecError", "UnknownEngineError", "UnknownGpuError", "UnknownModelError", "UnknownNameError",
    "UnsupportedArchitectureError", "check", "engines", "estimate", "gpus", "load_model", "models",
}  # fmt: skip
SIGNATURE = {
    "model": inspect.Parameter.empty,
    "gpu": None,
    "engine": "vllm",
    "tensor_parallel": 1,
    "pipeline_parallel": 1,
    "data_parallel": 1,
    "context": None,
    "users": None,
    "quantization": None,
    "kv_dtype": "auto",
    "kv_cache_memory": None,
    "engine_args": None,
    "draft": None,  # this and the next are beyond the contract
    "adapters": (),
}
# The contract's keys, section by section.
DOCUMENT = {
    "schema", "verdict", "model", "gpu", "engine", "parallel", "request", "memory", "cache", "capacity", "interval",
    "reasons", "remedies", "assumptions",
    "weights",  # beyond the contract: what the weights' figure is made of
}  # fmt: skip
SECTIONS = {
    "model": {"id", "source", "model_type", "parameters", "layers", "max_context_tokens"},
    "gpu": {"id", "count", "memory_bytes"},
    "engine": {"name", "version", "args"},
    "parallel": {"tensor", "pipeline", "data"},
    "request": {"context_tokens", "concurrent_requests"},
    "memory": {
        "total_bytes", "budget_bytes", "weights_bytes", "activation_bytes", "cuda_graph_bytes", "runtime_bytes",
        "kv_cache_bytes", "free_bytes",
    },
    "cache": {
        "dtype", "block_tokens", "bytes_per_token", "bytes_per_request", "live_bytes_per_request", "groups",
    },
    "capacity": {
        "kv_cache_blocks", "kv_cache_tokens", "max_context_tokens", "max_concurrency", "limited_by", "replicas",
    },
    "interval": {"kv_cache_tokens", "max_context_tokens", "max_concurrency"},
    "weights": {"origin", "format", "items", "by_component", "least_full_rank",
        "left_alone", "stages", "checkpoint_bytes", "differences"},
}  # fmt: skip
# What kvplan says beyond the contract; nothing else may appear unnoticed.
BEYOND = {"model": {"parameters_by_component"}, "capacity": {"sessions"}}
GROUP = {
    "kind", "layers", "kv_heads", "head_dim", "dtype", "window_tokens", "bytes_per_token", "fixed_bytes", "page_bytes",
}  # fmt: skip


def test_the_names_are_those_of_the_contract():
    """`kvplan.__all__` is exactly the public names, sorted, and each is there."""
    assert set(kvplan.__all__) == NAMES
    assert kvplan.__all__ == sorted(kvplan.__all__)
    assert all(hasattr(kvplan, name) for name in NAMES)


def test_estimate_has_the_contracts_signature():
    """`estimate` takes the contract's arguments with its defaults, all of them by keyword."""
    parameters = inspect.signature(kvplan.estimate).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == SIGNATURE
    assert all(parameter.kind is not parameter.POSITIONAL_ONLY for parameter in parameters.values())
    assert inspect.signature(kvplan.estimate).return_annotation is kvplan.Plan


@pytest.mark.parametrize("engine", ["vllm", "transformers", "textbook"])
@pytest.mark.parametrize("given", [{"gpu": "h200"}, {"gpu": None}, {"gpu": None, "kv_cache_memory": 2**36}])
def test_a_document_has_the_contracts_keys(engine, given):
    """The JSON of a plan has every key of the contract and no other but the known ones, with a GPU and without."""
    plan = kvplan.estimate("gemma-3-27b", engine=engine, context=8_192, users=2, **given)
    document = plan.to_dict()
    assert document.keys() == DOCUMENT
    absent = {"gpu"} if given["gpu"] is None else set()
    absent |= {"interval"} if given == {"gpu": None} else set()
    for name, keys in SECTIONS.items():
        if name in absent:
            assert document[name] is None
        else:
            assert document[name].keys() - BEYOND.get(name, set()) == keys
    assert document["schema"] == "kvplan.plan/1"
    assert document["verdict"] == ("unknown" if given == {"gpu": None} else "fits")
    assert all(group.keys() == GROUP for group in document["cache"]["groups"])
    assert all(setting.keys() == {"value", "origin"} for setting in document["engine"]["args"].values())
    assert all(note.keys() == {"text", "source"} for note in document["assumptions"])


def test_a_cache_given_outright_needs_no_gpu():
    """With `kv_cache_memory` alone there are capacities and a verdict, but no budget and no GPU."""
    document = kvplan.estimate("llama-3-8b", engine="textbook", kv_cache_memory="1GiB").to_dict()
    assert document["gpu"] is None
    assert document["memory"]["budget_bytes"] is document["memory"]["total_bytes"] is None
    assert document["memory"]["kv_cache_bytes"] == 2**30
    assert document["capacity"]["max_context_tokens"] == 8_192
    assert document["verdict"] == "fits"


def test_a_remedy_has_the_contracts_keys():
    """A remedy says the change, its effect and the new plan's figures."""
    document = kvplan.estimate("llama-3-70b", "rtx4090").to_dict()
    assert document["verdict"] == "does_not_fit"
    assert document["remedies"]
    assert all(remedy.keys() == {"change", "effect", "plan"} for remedy in document["remedies"])


def test_every_error_derives_from_kvplan_error():
    """One `except kvplan.KvplanError` catches all, and the tree is the documented one."""
    errors = {name for name in NAMES if name.endswith("Error")}
    assert all(issubclass(getattr(kvplan, name), kvplan.KvplanError) for name in errors)
    for name in ("UnknownModelError", "UnknownGpuError", "UnknownEngineError"):
        assert issubclass(getattr(kvplan, name), kvplan.UnknownNameError)
    for name in ("HubNotFoundError", "HubGatedError", "HubOfflineError"):
        assert issubclass(getattr(kvplan, name), kvplan.HubError)
    assert kvplan.KvplanError.__base__ is Exception


def test_an_unknown_name_carries_the_nearest():
    """A misspelt name is an error whose `nearest` holds the right one."""
    with pytest.raises(kvplan.UnknownModelError) as caught:
        kvplan.load_model("llama-3-70bb")
    assert "llama-3-70b" in caught.value.nearest


def test_the_package_is_typed():
    """Type checkers read kvplan's own annotations: `py.typed` is in the package."""
    assert Path(kvplan.__file__).with_name("py.typed").is_file()


def test_the_catalogues_are_sorted_lists_of_names():
    """`models`, `gpus` and `engines` are lists of names, each of which is taken where it is meant."""
    assert kvplan.models() == sorted(kvplan.models())
    assert kvplan.gpus() == sorted(kvplan.gpus())
    assert len(kvplan.models()) >= 150
    assert len(kvplan.gpus()) >= 150
    assert {"vllm", "transformers", "textbook"} <= set(kvplan.engines())
    assert kvplan.load_model(kvplan.models()[0]).id == kvplan.models()[0]


def test_a_model_read_once_gives_the_same_plan():
    """`load_model` and its result as `model=` give what the name gives."""
    spec = kvplan.load_model("llama-3-8b")
    assert isinstance(spec, kvplan.ModelSpec)
    assert kvplan.estimate(spec, "h100").to_dict() == kvplan.estimate("llama-3-8b", "h100").to_dict()


IMPORTS = """
import json, sys
import kvplan
kvplan.estimate("llama-3-70b", "rtx4090").to_dict()
print(json.dumps(sorted(sys.modules)))
"""


def test_a_plan_imports_nothing_heavy():
    """Planning a catalogue model imports neither torch nor transformers, the hub client, rich, typer or pydantic."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "huggingface_hub", "rich", "typer", "pydantic", "numpy", "requests", "httpx"}
    assert not heavy & set(json.loads(done.stdout))
