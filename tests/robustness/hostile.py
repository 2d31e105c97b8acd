"""What the fuzz tests share: catalogue configurations, what is done to them, and what an answer must look like."""

import contextlib
import copy
import json
import re
import signal
from functools import cache

from hypothesis import strategies as st

import kvplan
from kvplan.catalogue import MODELS
from kvplan.models.defaults import type_facts
from kvplan.models.hugging_face import read_config

FILE = "fuzz.json"
_TYPE = re.compile(r"^  model_type: (\S+)$", re.MULTILINE)


@cache
def model_types():
    """Return one catalogue entry for each model type, found by reading text."""
    found = {}
    for entry in MODELS.entries.values():
        if match := _TYPE.search(entry.path.read_text(encoding="utf-8")):
            found.setdefault(match[1], entry.id)
    return found


@cache
def config_of(entry_id):
    """Return the configuration of a catalogue entry; not to be changed."""
    return MODELS.read(MODELS.entries[entry_id])["config"]


# -- what is done to a configuration -----------------------------------------------------------------------------------

HOSTILE_NUMBERS = [0, -1, 1, -(10**30), 10**30, 2**31, 65_536, 10**6, 1.5, float("nan"), float("inf"), True, False]
HOSTILE_TEXTS = [
    "",
    "x",
    "full_attention",
    "\x1b[31mred\x1b[0m",
    "\0",
    "\ud800",
    "\u202eevil",
    "🙂" * 50,
    "9" * 400,
    "A" * 5_000,
]
HOSTILE_LISTS = [[], [[]], [None], [0], [-1], [10**30], ["x"], ["full_attention"], [1] * 3, [{}], [1] * 5_000]
HOSTILE = [None, *HOSTILE_NUMBERS, *HOSTILE_TEXTS, *HOSTILE_LISTS, {}, {"a": 1}, {"model_type": "llama"}]
# Keys that a file may state although its own does not.
FURTHER = [
    "head_dim", "num_key_value_heads", "sliding_window", "layer_types", "use_sliding_window", "max_position_embeddings",
    "quantization_config", "text_config", "vision_config", "torch_dtype", "dtype", "tie_word_embeddings", "kv_lora_rank",
    "num_nextn_predict_layers", "n_head", "num_hidden_layers", "architectures", "attention_chunk_size", "q",
]  # fmt: skip


def paths(values, before=()):
    """Yield the keys that lead to each value, nested ones included."""
    for key, value in values.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from paths(value, (*before, key))


def nest(depth, empty):
    """Return a bomb: lists or objects inside each other."""
    value = empty
    for _ in range(depth):
        value = [value] if isinstance(empty, list) else {"text_config": value}
    return value


@st.composite
def mutated(draw, config):
    """Return a configuration with up to three things wrong in it."""
    values = copy.deepcopy(config)
    for _ in range(draw(st.integers(1, 3))):
        known = [*paths(values), *((key,) for key in FURTHER)]
        path = draw(st.sampled_from(known))
        inside = values
        for key in path[:-1]:
            inside = inside[key]
        _apply(draw, inside, path[-1], values)
    return values


def _apply(draw, inside, key, values):
    match draw(
        st.sampled_from(["hostile", "hostile", "hostile", "delete", "list", "alias", "bomb", "again", "random"])
    ):
        case "delete":
            inside.pop(key, None)
        case "list":
            length = draw(st.sampled_from([0, 1, 7, 300]))
            inside[key] = [inside.get(key)] * length
        case "alias":
            facts = type_facts(str(values.get("model_type")))
            if facts and facts.attribute_map:
                name = draw(st.sampled_from(sorted(facts.attribute_map)))
                inside[name] = draw(st.sampled_from(HOSTILE_NUMBERS))
        case "bomb":
            inside[key] = nest(draw(st.sampled_from([3, 200])), draw(st.sampled_from([[], {}])))
        case "again":
            inside[key] = copy.deepcopy(values)
        case "random":
            inside[draw(st.text(max_size=20))] = draw(st.text(max_size=20))
        case _:
            inside[key] = draw(st.sampled_from(HOSTILE))


# -- what an answer must look like -------------------------------------------------------------------------------------


class HangError(Exception):
    """An example took so long that it will not end."""


@contextlib.contextmanager
def no_hang(seconds=60):
    """Turn a hang into a failure. Far above what an example takes, so that a busy machine does not trip it."""

    def stop(*_):
        raise HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def assert_sane(plan):
    """Hold a plan to figures that a model could have, and to a document that is JSON."""
    parameters = plan.deployment.model.parameters
    assert 0 <= plan.bytes_per_request <= 2**60
    assert parameters is None or 0 < parameters <= 2**60
    json.dumps(plan.to_dict(), allow_nan=False)


def assert_answered_or_refused(values, original=None):
    """Read and plan a configuration: a sane plan, or an error of kvplan that names the file and a key."""
    try:
        with no_hang():
            assert_sane(
                kvplan.estimate(read_config(values, spec_id="fuzz", source="fuzz", where=FILE), engine="textbook")
            )
    except kvplan.KvplanError as error:
        assert "fuzz" in error.message, error.message  # noqa: PT017  an answer is as good as a refusal
        named = keys_of(values) | (keys_of(original) if original else set())
        assert words_of(error.message) & named, error.message  # noqa: PT017  as above


def words_of(text):
    return set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text))


def keys_of(values):
    """Return the keys that an error may name: the file's, its types' defaults' and canonical ones."""
    keys = {"model_type", "quantization_config", *FURTHER}
    names = set()
    for found in _objects(values):
        keys |= found.keys()
        if isinstance(name := found.get("model_type"), str) and name:
            names.add(name)
    for name in names:
        if facts := type_facts(name):
            keys |= {*facts.attribute_map, *facts.attribute_map.values(), *facts.defaults, *facts.sub_configs}
    return keys


def _objects(values):
    """Yield an object and those inside it, without following a bomb to its end."""
    level = [values]
    for _ in range(5):
        yield from level
        level = [inner for value in level for inner in value.values() if isinstance(inner, dict)]
