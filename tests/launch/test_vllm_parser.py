"""The table of flags and the reader of words, held against what vLLM's own parsers said (tools/vllm_parser_oracle.py)."""

import json
from pathlib import Path

import pytest

from kvplan.engines.vllm.command.arguments import Arguments, human_int, read_arguments
from kvplan.engines.vllm.command.meaning import read_vllm
from kvplan.engines.vllm.command.table import BARE, GONE, FlagTable, _data, padded, spans
from kvplan.errors import SettingError
from kvplan.launch.peel import Launch
from kvplan.launch.words import Word

ROWS = [json.loads(line) for line in (Path(__file__).parent / "vllm_parser.jsonl").read_text("utf-8").splitlines()]
OPTIONS = {row["release"]: row["options"] for row in ROWS if "options" in row}
READ = [row for row in ROWS if "values" in row]
REFUSED = [row for row in ROWS if "refused" in row]
KINDS = {
    "flag",
    "switch",
    "maybe",
    "many",
    "each",
    "json",
    "json or text",
    "int",
    "float",
    "text",
    "human",
    "human or auto",
}
INTS = ("max_model_len", "max_num_batched_tokens", "kv_cache_memory_bytes")


@pytest.mark.parametrize("release", OPTIONS)
def test_a_release_has_the_flags_that_its_parser_has(release):
    """Every spelling that a release's parser knows is in the table, with what follows it, and no other."""
    expected = {name: kind for kind, names in OPTIONS[release].items() for name in names.split()}
    options = FlagTable(release).options
    if padded(release) >= padded("0.33.0"):
        # Hidden from the parser's list there, and still taken (EnableDisableAction).
        options = {
            name: option for name, option in options.items() if not name.startswith(("--no-enable-", "--no-disable-"))
        }
    if release == "0.8.5":
        options = {
            name: option for name, option in options.items() if name != "--config"
        }  # entrypoints/cli/serve.py adds it
    one = KINDS - {*BARE, "maybe", "many", "each"}
    assert {name: "one" if kind in one else kind for name, (_, kind, _) in options.items()} == expected


def words_of(row):
    return [Word(text) for text in row["words"]]


def value(found: Arguments, name: str):
    """Return what was read for one of vLLM's names, as its parser has it."""
    if name == "model_tag":
        given = found.model or found.values.get("--model")
        return given.value if given else None
    given = found.values.get(f"--{name.replace('_', '-')}")
    if given is None or not isinstance(given.value, str):
        return given.value if given else None
    if name in INTS:
        return -1 if given.value in ("auto", "-1") else human_int(given.value)
    for kind in (int, float):
        try:
            return kind(given.value)
        except ValueError:
            continue
    return given.value


@pytest.mark.parametrize("row", READ, ids=lambda row: f"{row['release']} {' '.join(row['words'])[:60]}")
def test_a_command_sets_what_vllms_parser_sets(row):
    """Abbreviations, underscores, dots, repeats and negations give the values that vLLM's own parser gives."""
    found = read_arguments(words_of(row), FlagTable(row["release"]), lambda _: "")
    assert {name: value(found, name) for name in row["values"]} == row["values"]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: f"{row['release']} {' '.join(row['words'])[:60]}")
def test_a_command_that_vllms_parser_refuses_is_told(row):
    """Where vLLM's parser ends with an error of form, so does the reader, or a warning names the flag."""
    try:
        command = read_vllm(
            Launch(engine="vllm", words=tuple(words_of(row))), "", version=row["release"], read_file=lambda _: ""
        )
    except SettingError:
        return
    assert command.warnings


def test_the_table_is_in_order():
    """Each flag came at a release, and changes at later ones only; every kind is one that the reader knows."""
    flags, _ = _data()
    for name in flags:
        history = spans(name)
        versions = [padded(since) for since, _ in history]
        assert versions == sorted(set(versions)), name
        assert history[0][1] != GONE, name
        assert all(kind in KINDS | {GONE} or kind in flags for _, kind in history), name


@pytest.mark.parametrize(
    "text, number",
    [
        ("1k", 1000),
        ("1K", 1024),
        ("25.6k", 25_600),
        ("2M", 2 * 2**20),
        ("1.5m", 1_500_000),
        ("1G", 2**30),
        ("32_768", 32_768),
    ],
)
def test_numbers_are_vllms(text, number):
    """Lower-case units are decimal and take fractions, upper-case ones binary (human_readable_int)."""
    assert human_int(text) == number


@pytest.mark.parametrize("text", ["1.5K", "k", "", "1kk", "1 k x", "9" * 30])
def test_what_is_no_number_to_vllm_is_none(text):
    """A fraction of a binary unit and anything else is refused."""
    with pytest.raises(ValueError):  # noqa: PT011  int()'s own words do not matter
        human_int(text)
