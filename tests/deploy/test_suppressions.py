"""What is left out: by comments with reasons, by annotations, by a baseline. What is left out for nothing is reported."""

import json
import time

import pytest
from deployments import FITS, MISFIT, UNKNOWN, pod

LENGTH = "    - --max-model-len=65536"
ANNOTATED = 'metadata:\n  annotations: {kvplan.dev/ignore: "KVP102: it is a test"}\n  name'

IGNORED = {
    "line": MISFIT.replace(LENGTH, f"{LENGTH}  # kvplan: ignore[KVP102] it is a test"),
    "line above": MISFIT.replace(LENGTH, f"    # kvplan: ignore[KVP102] it is a test\n{LENGTH}"),
    "line above, more comments between": MISFIT.replace(
        LENGTH, f"    # kvplan: ignore[KVP102] it is a test\n    # why\n\n{LENGTH}"
    ),
    "a line that decided too": MISFIT.replace("nvidia-l4}", "nvidia-l4}  # kvplan: ignore[KVP102] it is a test"),
    "the engine's line": MISFIT.replace("    image:", "    # kvplan: ignore[KVP102] it is a test\n    image:"),
    "file": "# kvplan: ignore-file[KVP102] it is a test\n" + MISFIT,
    "file, at its end": MISFIT + "# kvplan: ignore-file[KVP102, KVP103] it is a test\n",
    "other spellings": MISFIT.replace(LENGTH, f"{LENGTH}  #KVPLAN:Ignore[kvp102]: it is a test"),
    "annotation": MISFIT.replace("metadata:\n  name", ANNOTATED),
    "annotation, several": MISFIT.replace("metadata:\n  name", ANNOTATED.replace("KVP102", "KVP104, KVP102")),
    "annotation, bare": MISFIT.replace(
        "metadata:\n  name", "metadata:\n  annotations:\n    kvplan.dev/ignore: KVP102 # it is a test\n  name"
    ),
}


@pytest.mark.parametrize("text", IGNORED.values(), ids=IGNORED)
def test_a_finding_is_left_out(check, text):
    """Each kind of ignore takes a finding away, keeps it in the document with the reason, and makes the check pass."""
    ran = check("pod.yaml", files={"pod.yaml": text})
    assert (ran.code, [code for code in ran.codes if code != "KVP091"]) == (0, []), ran.codes
    why = "no reason given" if "KVP102 #" in text else "it is a test"
    assert ran.suppressed == [("KVP102", why)]
    assert ran.verdicts == ["does_not_fit"]


def test_a_command_of_many_lines_is_ignored_above_it(check):
    """No comment can stand between continued lines; one above the command is for all of it, and for no other command."""
    model = "meta-llama/Llama-3.1-8B-Instruct"
    text = f"docker run --gpus 1 vllm/vllm-openai:v0.11.0 \\\n  --model {model} \\\n  --max-model-len 65536\n"
    ran = check("run.sh", "--gpu", "l4", files={"run.sh": f"# kvplan: ignore[KVP102] it is a test\n{text}\n{text}"})
    assert (ran.codes, ran.suppressed) == (["KVP102"], [("KVP102", "it is a test")])


def test_an_ignore_is_for_its_own_place(check):
    """Another line, another rule, another document: the finding stays, and the comment is reported as unused."""
    for text in (
        MISFIT.replace("  name: qwen", "  name: qwen  # kvplan: ignore[KVP102] it is a test"),
        MISFIT.replace(LENGTH, f"{LENGTH}  # kvplan: ignore[KVP101] it is a test"),
        f"{MISFIT}---\n{pod(name='b').replace('metadata:', ANNOTATED.removesuffix('name').rstrip())}",
    ):
        ran = check("pod.yaml", files={"pod.yaml": text})
        assert (ran.code, sorted(ran.codes)) == (1, ["KVP090", "KVP102"]), text


def test_unused_ones_and_those_without_a_reason_are_reported(check):
    """KVP090 names a suppression that nothing needs, KVP091 one without a reason, KVP092 one that means nothing."""
    text = MISFIT.replace(LENGTH, f"{LENGTH}  # kvplan: ignore[KVP102]")
    ran = check("pod.yaml", files={"pod.yaml": text})
    assert (ran.code, ran.codes) == (0, ["KVP091"])
    for comment in ("ignore[KVP999999]", "ignore[] it is a test", "ignore[weights] x", "ignore KVP102", "please"):
        ran = check("pod.yaml", files={"pod.yaml": f"# kvplan: {comment}\n{FITS}"})
        assert ran.codes == ["KVP092"], comment
    ran = check("pod.yaml", files={"pod.yaml": f"# kvplan: ignore-file[KVP101,x] why\n{FITS}"})
    assert sorted(ran.codes) == ["KVP090", "KVP092"]
    ran = check(
        "pod.yaml",
        files={
            "pod.yaml": FITS.replace(
                "metadata:\n  name", 'metadata:\n  annotations: {kvplan.dev/ignore: "all"}\n  name'
            )
        },
    )
    assert ran.codes == ["KVP092"]


def test_comments_in_other_files_are_texts(check):
    """A file that deploys nothing may speak of kvplan as it likes."""
    ran = check(
        "notes.yaml",
        files={"notes.yaml": "# vllm\n# kvplan: ignore[KVP102] is how it is written\n# kvplan: hello\na: 1\n"},
    )
    assert ran.document["findings"] == []


def test_a_baseline_leaves_out_what_was_there(check, folder):
    """--write-baseline keeps what is found; with --baseline only what is new fails, and the old is in the document still."""
    files = {"pod.yaml": MISFIT}
    ran = check(".", "--write-baseline", "base.json", files=files)
    assert (ran.code, ran.out) == (0, "")
    assert "1 finding written" in ran.err
    assert json.loads((folder / "base.json").read_text())["schema"] == "kvplan.baseline/1"
    ran = check(".", "--baseline", "base.json")
    assert (ran.code, ran.codes, ran.suppressed) == (0, [], [("KVP102", "baseline")])
    assert check(".").code == 1


def test_a_baseline_holds_when_lines_move(check):
    """Blank lines, comments, other values and other names of the same path do not make an old finding a new one."""
    check(".", "--write-baseline", "base.json", files={"pod.yaml": MISFIT})
    moved = "# a comment\n\n" + MISFIT.replace("spec:", "# more\nspec:").replace("65536", "98304")
    ran = check("./pod.yaml", "--baseline", "base.json", files={"pod.yaml": moved})
    assert (ran.code, ran.codes) == (0, [])


def test_a_baseline_hides_nothing_new(check):
    """A second engine, another rule, or the same in another file is found."""
    check(".", "--write-baseline", "base.json", files={"pod.yaml": MISFIT})
    second = MISFIT.replace("name: qwen", "name: other")
    for files in (
        {"pod.yaml": f"{MISFIT}---\n{second}"},
        {"pod.yaml": MISFIT, "other.yaml": MISFIT},
        {"pod.yaml": MISFIT.replace("Llama-3.1-8B-Instruct", "Llama-3.3-70B-Instruct"), "other.yaml": ""},
    ):
        ran = check(".", "--baseline", "base.json", files=files)
        assert (ran.code, len(ran.codes)) == (1, 1), files


def test_a_baseline_of_the_configuration_is_found_and_written_anew(check, folder, monkeypatch):
    """`baseline` of kvplan.toml is seen from its folder; writing it anew keeps what it held and needs none to be there."""
    config = 'baseline = "ci/base.json"'
    check(
        ".",
        "--write-baseline",
        "ci/base.json",
        files={"pod.yaml": MISFIT, "kvplan.toml": config, "ci/x": "", "k8s/x": ""},
    )
    assert check(".").code == 0
    before = (folder / "ci/base.json").read_text()
    assert check(".", "--write-baseline", "ci/base.json").code == 0
    assert (folder / "ci/base.json").read_text() == before
    monkeypatch.chdir(folder / "k8s")
    assert check(".").code == 0


def test_a_baseline_lets_old_unknowns_pass(check):
    """Under --fail-on unknown a gate can be taken up: what was unknown before passes, a new unknown fails."""
    words = [".", "--fail-on", "unknown"]
    check(*words, "--write-baseline", "base.json", files={"pod.yaml": UNKNOWN})
    assert check(*words).code == 1
    assert check(*words, "--baseline", "base.json").code == 0
    ran = check(*words, "--baseline", "base.json", files={"pod.yaml": pod(gpu="", model="/models/x")})
    assert (ran.code, ran.codes) == (1, ["KVP401"])
    assert check(*words, "--baseline", "base.json", files={"other.yaml": UNKNOWN}).code == 1


def test_a_reason_is_not_taken_for_a_baseline(check):
    """A comment whose reason is the word `baseline` is a comment still."""
    text = MISFIT.replace(LENGTH, f"{LENGTH}  # kvplan: ignore[KVP102] baseline")
    ran = check("pod.yaml", files={"pod.yaml": text})
    assert ran.suppressed == [("KVP102", "baseline.")]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"schema": "kvplan.baseline/1"}',
        '{"schema": "kvplan.baseline/1", "findings": [1]}',
        "[" * 100_000,
        "\xff",
    ],
)
def test_what_is_no_baseline_is_refused(check, text):
    """A file that is none ends with exit code 2 and how to make one."""
    ran = check("pod.yaml", "--baseline", "base.json", files={"pod.yaml": FITS, "base.json": text})
    assert ran.code == 2
    assert "--write-baseline base.json" in ran.err


def test_many_comments_cost_little(check):
    """A hundred thousand comments for kvplan are read in seconds: only so many of a file count."""
    start = time.process_time()
    ran = check("pod.yaml", files={"pod.yaml": "# kvplan: gpu=l4\n" * 100_000 + UNKNOWN})
    assert ran.codes == ["KVP092"]
    assert time.process_time() - start < 10
