"""Files are data: whatever stands in one, a check answers, its places are true, and nothing fits that is not stated.

`tools/fuzz_check.py` searches the same by coverage, for longer.
"""

import json
import random
import time
from importlib.resources import files
from unicodedata import category

import check_inputs
import check_promises
import jsonschema
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kvplan.checking import Options, check_text
from kvplan.deploy.file import File
from kvplan.deploy.formats import readers
from kvplan.deploy.outside import Facts
from kvplan.deploy.units import MOST_UNITS
from kvplan.errors import KvplanError
from kvplan.hub import without_network
from kvplan.launch.text import Source
from kvplan.report.check import formats
from kvplan.rules.catalogue import rules

SCHEMA = jsonschema.Draft202012Validator(json.loads(files("kvplan.report.check").joinpath("schema.json").read_text()))
SEEDS = check_inputs.read_seeds(check_inputs.SEEDS)

NAMES = st.sampled_from(sorted({*check_inputs.NAMES, *(name for name, _ in SEEDS)}))
OPTIONS = st.sampled_from([
    Options(),
    Options(facts=Facts(gpu="L4", users=4)),
    Options(facts=Facts(gpu="2xH100", model="meta-llama/Llama-3.1-8B-Instruct", variables={"A": "8", "B": "'"})),
])  # fmt: skip
WORDS = st.sampled_from(check_inputs.TEXTS)
KEYS = st.sampled_from(check_inputs.KEYS)


@pytest.fixture(autouse=True, scope="module")
def _nothing_beside(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, without_network():
        patch.chdir(tmp_path_factory.mktemp("empty"))
        yield


def held(text, name, asked):
    """Check a text and hold the answer to all that is promised."""
    try:
        checked = check_text(text, name, asked)
    except KvplanError as error:
        assert "is no file's name" in error.message  # noqa: PT017  nothing else of a text is the caller's mistake
        return
    assert check_promises.broken(checked, text, name, model_is_given=bool(asked.facts.model)) == []
    document = json.loads(json.dumps(checked.to_dict(), default=str))
    assert not [error.message for error in SCHEMA.iter_errors(document)]
    assert len(document["units"]) == document["summary"]["units"]
    _underlined(checked)


def _underlined(checked):
    """Hold a report to underlining what stands at the finding's place, where the line is shown as it is."""
    for finding in checked.open[:5]:
        place, line = finding.place, finding.place.source.line(finding.place.line)
        if place.line != place.end_line or len(line) > 60 or any(category(one)[0] == "C" for one in line):
            continue
        report = formats()["full"](type(checked)(findings=[finding]), rules=rules(), width=100).splitlines()
        shown = next((at for at, row in enumerate(report) if row.endswith(f"| {line.rstrip()}")), None)
        if shown is not None and line.isascii() and line.strip():
            marks = [row[row.index("|") + 2 :] for row in report[shown + 1 :] if "^" in row.partition("|")[2][:70]]
            start, size = place.column - 1, max(1, len(place.text.rstrip()))
            assert any(row[start : start + size] == "^" * size for row in marks)


def test_every_format_has_a_seed_that_it_reads():
    """The seeds are one file a format, each read by that format."""
    kept = {path.parent.name: path for path in check_inputs.SEEDS.rglob("*") if path.is_file()}
    assert set(kept) == {name for name, _ in readers()}
    for name, read in readers():
        assert list(read(File(Source(kept[name].name, kept[name].read_text())))), name


@given(st.text(max_size=400), NAMES, OPTIONS)
def test_any_text(text, name, asked):
    """Any characters at all."""
    held(f"vllm {text}", name, asked)


@given(st.lists(WORDS | KEYS | st.sampled_from([" ", "\n", "\n  ", ": ", "\n- "]), max_size=80), NAMES, OPTIONS)
def test_words_of_the_formats(words, name, asked):
    """Words of the formats in any order."""
    held("".join(words), name, asked)


def _written(value, indent=0):
    """Return lists, mappings and texts as YAML, its texts as they are."""
    lead = "  " * indent
    if isinstance(value, dict):
        return "".join(f"\n{lead}{key}: {_written(each, indent + 1)}" for key, each in value.items())
    if isinstance(value, list):
        return "".join(f"\n{lead}- {_written(each, indent + 1).lstrip()}" for each in value)
    return value


YAML = st.recursive(
    WORDS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS, below, max_size=6),
    max_leaves=40,
)


@given(
    st.dictionaries(KEYS, YAML, max_size=8),
    st.sampled_from(["Pod", "InferenceService", "ConfigMap", "List", "Model"]),
    OPTIONS,
)
def test_yaml_of_any_shape(tree, kind, asked):
    """Keys of the formats over values of any type."""
    held(f"kind: {kind}\napiVersion: vllm/v1{_written(tree)}\n", "deploy.yaml", asked)


SHELL = st.recursive(
    st.lists(WORDS, max_size=6).map(" ".join),
    lambda below: st.builds(
        lambda how, one, two: how.format(one, two),
        st.sampled_from([
            "{}\n{}", "{}; {}", "{} && {}", "( {} )\n{}", "if {}; then\n{}\nfi", "for a in {}; do {}; done", "{} \\\n{}",
            "f() {{\n{}\n}}\n{}\nf a", "case $1 in a) {};; *) {};; esac", 'A="{}"\n{} $A', "$({}) {}", "`{}`{}", '"{}{}"',
            "cat <<EOF | {}\n{}\nEOF\n", "bash -c '{}' {}", "docker run -e A={} vllm/vllm-openai {}", "while {}; do {}; done",
            'A=({})\nvllm serve {} "${{A[@]}}"',
        ]),
        below,
        below,
    ),
    max_leaves=12,
)  # fmt: skip


@given(SHELL, st.sampled_from(["a.sh", "run", "Dockerfile", "vllm.service", "a.txt", "-"]), OPTIONS)
def test_shell_of_any_shape(text, name, asked):
    """Commands, quotes, branches, loops, functions and here-documents in each other."""
    held(f"#!/bin/sh\nvllm serve a/b {text}", name, asked)


@given(st.sampled_from(SEEDS), st.integers(0, 2**32), OPTIONS)
def test_seeds_with_errors(seed, number, asked):
    """Files as they are meant to be, but for a few changes."""
    name, text = seed
    draw = random.Random(number)  # noqa: S311  no secret
    changed = check_inputs.mutated(text, draw, SEEDS)
    assume(len(changed) < 20_000)
    held(changed, name, asked)


@given(st.sampled_from(SEEDS), st.integers(0, 2**32))
def test_every_report_can_be_written(seed, number):
    """Every format writes what was found as text that any output takes."""
    draw = random.Random(number)  # noqa: S311  no secret
    checked = check_text(check_inputs.mutated(seed[1], draw, SEEDS), seed[0], Options())
    for render in formats().values():
        assert render(checked, rules=rules(), width=80).encode().endswith(b"\n")


POD = "kind: Pod\nspec:\n  containers:\n"
GROWING = {
    "aliases of a container": POD + "  - &a {image: vllm/vllm-openai, args: [--model, a/b]}\n" + "  - *a\n" * 10_000,
    "aliases of a long script": POD
    + f"  - {{image: vllm/vllm-openai, command: [sh, -c], args: &a ['{'vllm serve a/b; ' * 200}']}}\n"
    + "  - {image: vllm/vllm-openai, command: [sh, -c], args: *a}\n" * 500,
    "lists in lists": "a: &a0 {kind: List, items: [{kind: Pod, image: vllm}]}\n"
    + "".join(f"a{n}: &a{n} {{kind: List, items: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 60)),
    "variables that double": POD
    + "  - image: vllm/vllm-openai\n    args: [$(A99)]\n    env:\n    - {name: A0, value: aaaaaaaa}\n"
    + "".join(f"    - {{name: A{n}, value: $(A{n - 1})$(A{n - 1})}}\n" for n in range(1, 100)),
    "flags that are none": POD + f"  - {{image: vllm/vllm-openai, args: [{', '.join(['--a'] * 10_000)}]}}\n",
    "comments that are not closed": 'resource "aws_sagemaker_model" "vllm" {' + "/* " * 30_000,
}


@pytest.mark.parametrize("what", GROWING)
def test_nothing_grows_beyond_its_file(what):
    """Repetition costs what the file is long, is bounded and said: no more engines, findings or seconds than a file may have."""
    started = time.process_time()
    name = "main.tf" if what.startswith("comments") else "deploy.yaml"
    checked = check_text(GROWING[what], name, Options())
    formats()["full"](checked, rules=rules(), width=80)
    assert time.process_time() - started < 6  # 2 on a machine that does nothing else
    assert len(checked.units) <= MOST_UNITS
    assert len(checked.findings) <= 4 * MOST_UNITS


def test_engines_that_are_left_out_are_named():
    """Beyond the most engines of a file one finding says that there are more."""
    checked = check_text("#!/bin/sh\n" + "vllm serve a/b &\n" * (MOST_UNITS + 5), "run.sh", Options())
    assert len(checked.units) == MOST_UNITS
    assert [finding.code for finding in checked.findings if "and no more" in finding.message] == ["KVP010"]


def test_flags_that_are_left_out_are_counted():
    """Of very many flags that an engine does not have the first are findings, and the last says how many more there are."""
    text = f"{POD}  - {{image: vllm/vllm-openai, args: [--model, a/b, {', '.join(['--none'] * 80)}]}}\n"
    found = [finding for finding in check_text(text, "a.yaml", Options()).findings if finding.code == "KVP004"]
    assert len(found) == 50
    assert "30 more" in found[-1].message


WORD_FOR_A_COUNT = """\
services:
  a:
    image: vllm/vllm-openai
    command: --model Qwen/Qwen3-32B
    environment: [CUDA_VISIBLE_DEVICES=0]
    deploy: {resources: {reservations: {devices: [{driver: nvidia, count: env, capabilities: [gpu]}]}}}
"""
DOTS = f"services: {{a: {{image: vllm/vllm-openai, command: --model a/b --hf-overrides{'.a' * 100} 1}}}}\n"


@pytest.mark.parametrize("text", [WORD_FOR_A_COUNT, DOTS])
def test_inputs_that_raised(text):
    """What the fuzzers found stays mended, with a GPU from outside and without."""
    for asked in (Options(), Options(facts=Facts(gpu="L4"))):
        held(text, "compose.yaml", asked)
