"""--fix: the smallest change is written where the setting stands, whatever writes it, and nothing else of the file changes."""

import difflib
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from deployments import FITS, MISFIT, git, pod
from hypothesis import given
from hypothesis import strategies as st

import kvplan
from kvplan.launch.text import Place, Source
from kvplan.rules.edits import apply, diff
from kvplan.rules.finding import Edit

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: llama}  # a comment
spec:
  nodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}
  containers:
  - name: vllm
    image: vllm/vllm-openai:v0.11.0
%s
    resources: {limits: {nvidia.com/gpu: 1}}
"""


SERVICE = "services:\n  llm:\n    image: vllm/vllm-openai:v0.11.0\n    # kvplan: gpu=l4\n"


def args(text):
    """Return a pod with the lines that say what it runs."""
    return POD % "\n".join(f"    {line}" if line else "" for line in text.strip("\n").splitlines())


STYLES = {
    "items with =": ("pod.yaml", args(f"args:\n- --model={MODEL}\n- --max-model-len=131072 # long\n- --port=8000")),
    "two items": (
        "pod.yaml",
        args(f"args:\n- --model\n- {MODEL}\n- --max-model-len\n- '131072'  # long\n- --port\n- '80'"),
    ),
    "quoted items": ("pod.yaml", args(f'args:\n  - "--model"\n  - "{MODEL}"\n  - "--max-model-len"\n  - "131072"')),
    "flow list": ("pod.yaml", args(f'args: ["--model", "{MODEL}", "--max-model-len", "131072"]')),
    "flow list over lines": ("pod.yaml", args(f'args: [\n  "--model={MODEL}",\n  "--max-model-len=131072"\n]')),
    "bare flow list": ("pod.yaml", args(f"args: [--model={MODEL}, --max-model-len=131072, --port=80]")),
    "literal": (
        "pod.yaml",
        args(
            f"command: [sh, -c]\nargs:\n- |\n  # start\n  vllm serve {MODEL} \\\n    --max-model-len 131072 \\\n    --port 80"
        ),
    ),
    "folded": (
        "pod.yaml",
        args(f"command: [sh, -c]\nargs:\n- >-\n  vllm serve {MODEL}\n  --max-model-len 131072\n  --port 80"),
    ),
    "double quotes": (
        "pod.yaml",
        args(f'command: [sh, -c, "vllm serve {MODEL} --max-model-len \\"131072\\" && echo \\"done\\""]'),
    ),
    "single quotes": (
        "pod.yaml",
        args(f"command: [sh, -c, 'vllm serve {MODEL} --max-model-len 131072; echo ''done''']"),
    ),
    "plain": ("pod.yaml", args(f"command: [sh, -c]\nargs:\n- vllm serve {MODEL} --max-model-len 131072")),
    "a variable of env": (
        "pod.yaml",
        args(f'env:\n- name: LEN\n  value: "131072"\nargs: [--model={MODEL}, --max-model-len=$(LEN)]'),
    ),
    "a ConfigMap's value": (
        "pod.yaml",
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  LEN: "131072"  # long\n---\n'
        + args(f"envFrom: [{{configMapRef: {{name: c}}}}]\nargs: [--model={MODEL}, --max-model-len=$(LEN)]"),
    ),
    "compose string": (
        "compose.yaml",
        f"{SERVICE}    command: --model {MODEL} --max-model-len 131072\n",
    ),
    "compose folded": (
        "compose.yaml",
        f"{SERVICE}    command: >\n      --model {MODEL}\n      --max-model-len 131072\n",
    ),
    "compose default": (
        "compose.yaml",
        f"{SERVICE}    command: --model {MODEL} --max-model-len ${{LEN:-131072}}\n",
    ),
    "docker run": (
        "run.sh",
        (
            "#!/bin/bash\n# kvplan: gpu=l4\ndocker run --gpus 1 \\\n  vllm/vllm-openai:v0.11.0 \\\n"
            f"  --model {MODEL} \\\n  --max-model-len 131072 \\\n  --port 80\n"
        ),
    ),
    "a script's variable": ("run.sh", f"# kvplan: gpu=l4\nLEN=131072\nvllm serve {MODEL} --max-model-len $LEN\n"),
    "a script's default": ("run.sh", f"# kvplan: gpu=l4\nvllm serve {MODEL} --max-model-len ${{LEN:-131072}}\n"),
    "systemd": (
        "vllm.service",
        f"# kvplan: gpu=l4\n[Service]\nExecStart=/usr/bin/vllm serve {MODEL} \\\n  --max-model-len 131072 \\\n  --port 80\n",
    ),
    "Helm values": (
        "values.yaml",
        (
            "servingEngineSpec:\n  modelSpec:\n  - name: a\n    repository: vllm/vllm-openai\n    tag: v0.11.0\n"
            f"    # kvplan: gpu=l4\n    modelURL: {MODEL}\n    requestGPU: 1\n    vllmConfig:\n      maxModelLen: 131072  # long\n"
        ),
    ),
    "vLLM's configuration": (
        "config.yaml",
        f"# kvplan: gpu=l4 engine=vllm@0.11.0\nmodel: {MODEL}\nmax-model-len: 131072  # long\ngpu-memory-utilization: 0.9\n",
    ),
    "written as 128K": ("run.sh", f"# kvplan: gpu=l4\nvllm serve {MODEL} --max-model-len 128K\n"),
}
# A flag of its own is put in: the length is the model's, which no line states.
ADDED = {
    "items with =": ("pod.yaml", args(f"args:\n- --model={MODEL}\n- --port=8000  # last")),
    "two items": ("pod.yaml", args(f"args:\n- --model\n- {MODEL}\n- --port\n- '80'")),
    "flow list": ("pod.yaml", args(f'args: ["--model", "{MODEL}"]')),
    "flow list over lines": ("pod.yaml", args(f'args: [\n  "--model={MODEL}",\n  "--port=80"\n]')),
    "flow list over lines, comma at its end": ("pod.yaml", args(f"args: [\n  '--model={MODEL}',\n  '--port=80',\n]")),
    "literal": (
        "pod.yaml",
        args(f"command: [sh, -c]\nargs:\n- |\n  vllm serve {MODEL} \\\n    --port 80\n  echo done"),
    ),
    "folded": ("pod.yaml", args(f"command: [sh, -c]\nargs:\n- >-\n  vllm serve {MODEL}\n  --port 80")),
    "double quotes": ("pod.yaml", args(f'command: [sh, -c, "vllm serve {MODEL} --port 80 && echo \\"done\\""]')),
    "plain": ("pod.yaml", args(f"command: [sh, -c]\nargs:\n- vllm serve {MODEL}")),
    "compose string": (
        "compose.yaml",
        f"{SERVICE}    command: --model {MODEL} --port 80\n",
    ),
    "docker run": (
        "run.sh",
        f"# kvplan: gpu=l4\ndocker run --gpus 1 \\\n  vllm/vllm-openai:v0.11.0 \\\n  --model {MODEL} \\\n  --port 80\necho\n",
    ),
    "one line": ("run.sh", f"# kvplan: gpu=l4\nvllm serve {MODEL} --port 80 > log &\n"),
    "systemd": (
        "vllm.service",
        f"# kvplan: gpu=l4\n[Service]\nExecStart=/usr/bin/vllm serve {MODEL} --port 80\nRestart=always\n",
    ),
}


def changed(before: str, after: str):
    """Return the lines that are gone and those that came."""
    lines = list(difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True)))
    return [line[2:] for line in lines if line[0] == "-"], [line[2:] for line in lines if line[0] == "+"]


@pytest.mark.parametrize("name, text", STYLES.values(), ids=STYLES)
def test_a_value_is_changed_where_it_stands(check, folder, name, text):
    """Whatever writes a length, --fix changes those characters alone, and a second check does not find it any more."""
    ran = check(name, files={name: text})
    assert "KVP102" in ran.codes, ran.out
    others = [code for code in ran.codes if code != "KVP102"]
    ran = check(name, "--fix")
    after = (folder / name).read_bytes().decode()
    assert (ran.code, ran.verdicts) == (0, ["fits"]), after
    gone, came = changed(text, after)
    assert len(gone) == len(came) == 1, after
    stated = "128K" if "128K" in text else "131072"
    head, _, tail = gone[0].partition(stated)
    assert came[0].startswith(head)
    assert came[0].endswith(tail)
    assert came[0][len(head) : len(came[0]) - len(tail)].isdecimal()
    assert check(name).codes == ran.codes == others


@pytest.mark.parametrize("name, text", ADDED.values(), ids=ADDED)
def test_a_flag_is_added_in_the_manner_of_the_others(check, folder, name, text):
    """Where no line states the length, the flag is put behind the engine's last one, and all other words stay."""
    ran = check(name, files={name: text})
    assert "KVP102" in ran.codes, ran.out
    ran = check(name, "--fix")
    after = (folder / name).read_bytes().decode()
    assert (ran.code, ran.verdicts) == (0, ["fits"]), after
    assert after.count("--max-model-len") == 1
    matcher = difflib.SequenceMatcher(None, text, after, autojunk=False)
    assert {tag for tag, *_ in matcher.get_opcodes()} == {"equal", "insert"}
    given = ran.document["units"][0]["inputs"]["max_model_len"]
    assert (given["origin"], given["location"]["path"]) == ("given", name)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "mark"])
@pytest.mark.parametrize("last", [True, False], ids=["final newline", "no final newline"])
@pytest.mark.parametrize("text", [STYLES["items with ="][1], ADDED["items with ="][1], ADDED["literal"][1]])
def test_bytes_around_a_fix_stay(check, folder, line_end, mark, last, text):
    """Line ends, a byte order mark and a missing newline at the end are as they were."""
    text = text if last else text.rstrip("\n")
    content = mark + text.replace("\n", line_end).encode()
    ran = check("pod.yaml", "--fix", files={"pod.yaml": content})
    assert ran.code == 0
    after = (folder / "pod.yaml").read_bytes()
    assert after != content
    assert after.startswith(mark)
    assert not after.removeprefix(mark).startswith(b"\xef\xbb\xbf")
    assert after.endswith(line_end.encode()) == last
    assert after.count(b"\r") == (after.count(b"\n") if line_end == "\r\n" else 0)
    gone, came = changed(content.decode(), after.decode())
    assert (len(gone), len(came)) in ((1, 1), (0, 1), (1, 2)), came


def test_without_fix_no_file_is_written(check, folder):
    """A check changes no file; what --fix would do is shown as a diff."""
    ran = check("pod.yaml", files={"pod.yaml": MISFIT}, form="full")
    assert (folder / "pod.yaml").read_text() == MISFIT
    assert "--- a/pod.yaml\n+++ b/pod.yaml\n@@" in ran.out
    assert sorted(each.name for each in folder.iterdir()) == ["pod.yaml"]


def test_the_diff_can_be_applied(check, folder):
    """`git apply` of the diff that is printed gives what --fix writes."""
    out = check("pod.yaml", files={"pod.yaml": MISFIT}, form="full").out.splitlines(keepends=True)
    start = out.index("--- a/pod.yaml\n")
    diff = "".join(line for line in out[start:] if line[:1] in "+-@ " and not line.startswith("   ="))
    (folder / "fix.diff").write_text(diff.split("\nwhere")[0])
    git(folder, "apply", "fix.diff")
    applied = (folder / "pod.yaml").read_text()
    check("pod.yaml", "--fix", files={"pod.yaml": MISFIT})
    assert (folder / "pod.yaml").read_text() == applied != MISFIT


def test_a_fix_that_cannot_be_written_is_shown_without_a_diff(check, folder):
    """A length of another file is named in words, changes nothing, and the finding stays."""
    files = {"compose.yaml": STYLES["compose default"][1].replace(":-131072", ""), ".env": "LEN=131072\n"}
    ran = check("compose.yaml", files=files, form="full")
    assert "= fix: --max-model-len" in ran.out
    assert "+++" not in ran.out
    ran = check("compose.yaml", "--fix")
    assert (ran.code, "KVP102" in ran.codes) == (1, True)
    assert "Nothing here can be fixed by an edit" in ran.err
    assert [(folder / name).read_text() for name in files] == list(files.values())


@pytest.mark.parametrize("content", [MISFIT.encode("utf-16"), b"# \xe9\n" + MISFIT.encode()], ids=["UTF-16", "latin-1"])
def test_a_file_in_another_encoding_is_left_as_it_is(check, folder, content):
    """What would have to be written in another encoding is said, and the other files are fixed all the same."""
    ran = check(".", "--fix", files={"a.yaml": content, "b.yaml": MISFIT})
    assert (folder / "a.yaml").read_bytes() == content
    assert "a.yaml is not UTF-8" in ran.err
    assert sorted(ran.verdicts) == ["does_not_fit", "fits"]


def test_two_engines_are_fixed_at_once(check):
    """Findings of several engines of one file are all fixed."""
    ran = check(
        "pods.yaml",
        "--fix",
        files={"pods.yaml": f"{MISFIT}---\n{MISFIT.replace('qwen', 'b')}---\n{FITS.replace('qwen', 'c')}"},
    )
    assert (ran.code, ran.verdicts) == (0, ["fits", "fits", "fits"])
    assert "2 fixes written into 1 file" in ran.err


def test_gpus_that_are_unused_are_used_or_given_back(check, folder):
    """Limits and requests change together, for a scheduler takes no others; a quoted count stays quoted."""
    count = "nvidia.com/gpu: '2'\n"
    both = f"resources:\n      limits:\n        {count}        memory: 32Gi\n      requests:\n        {count}"
    text = FITS.replace("resources: {limits: {nvidia.com/gpu: 1}}\n", both)
    ran = check("pod.yaml", "--fix", files={"pod.yaml": text})
    assert ran.codes == []
    assert (folder / "pod.yaml").read_text() == text.replace("'2'", "'1'")


def test_more_gpus_are_asked_for_in_limits_and_requests(check, folder):
    """Where no shorter length would do, the fix splits the model and asks for the GPUs that it takes, wherever they are counted."""
    big = pod(model="Qwen/Qwen3-32B", gpu="nvidia-h100-80gb", length="40960", name="big").replace(
        "limits: {nvidia.com/gpu: 1}", "limits: {nvidia.com/gpu: 1}, requests: {nvidia.com/gpu: 1}"
    )
    text = big.replace("h100-80gb", "l4")
    ran = check("pod.yaml", "--fix", files={"pod.yaml": text})
    after = (folder / "pod.yaml").read_text()
    assert ran.verdicts == ["fits"], after
    number = ran.document["units"][0]["inputs"]["tensor_parallel"]["value"]
    assert number > 1
    assert f"limits: {{nvidia.com/gpu: {number}}}, requests: {{nvidia.com/gpu: {number}}}" in after
    assert f"--tensor-parallel-size={number}" in after


@pytest.mark.usefixtures("folder")
def test_fixes_of_many_engines_are_tried_at_once():
    """A hundred engines that do not fit are judged in seconds: their fixes are tried together, and each is verified."""
    text = "---\n".join(MISFIT.replace("qwen", f"q{number}") for number in range(100))
    start = time.process_time()
    found = kvplan.check("pods.yaml", text=text)
    assert time.process_time() - start < 15
    assert len(found.open) == 100
    assert all(finding.fixes[0].edits for finding in found.open)


def test_a_fix_that_breaks_something_else_is_not_offered(check):
    """Where the shorter length would not hold what another line asks for, no diff is shown for it."""
    text = f"# kvplan: context=64k users=1\n{MISFIT}"
    found = check("pod.yaml", files={"pod.yaml": text}).document["findings"]
    for finding in found:
        for remedy in finding["remedies"]:
            if remedy["edits"]:
                source = Source("pod.yaml", text)
                starts = [source.start_of(each["line"]) + each["column"] - 1 for each in remedy["edits"]]
                ends = [source.start_of(each["end_line"]) + each["end_column"] - 1 for each in remedy["edits"]]
                edits = [
                    Edit(Place(source, a, b), each["text"])
                    for a, b, each in zip(starts, ends, remedy["edits"], strict=True)
                ]
                assert kvplan.check("pod.yaml", text=apply(text, edits)).exit_code == 0


LINES = st.lists(st.sampled_from(["a", "b", "", "cc dd", "e"]), max_size=20)


@given(
    LINES,
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5), st.sampled_from(["", "x", "y\nz", "\n"])), max_size=4),
)
def test_git_applies_every_diff(words, line_end, last, changes):
    """A diff of edits gives what making them gives, whatever they take and put in."""
    text = line_end.join(words) + (line_end if last else "")
    source = Source("f", text)
    edits = []
    for at, length, put in changes:
        start, end = min(at, len(text)), min(at + length, len(text))
        if not any(text[offset - 1 : offset + 1] == "\r\n" for offset in (start, end)):
            edits.append(Edit(Place(source, start, end), put))
    new = apply(text, edits)
    patch = diff("f", text, edits)
    assert bool(patch) == (new != text)
    if not patch or not text:
        return
    with TemporaryDirectory() as name:
        path = Path(name) / "f"
        path.write_bytes(text.encode())
        (Path(name) / "diff").write_bytes(patch.encode())
        git(Path(name), "apply", "--whitespace=nowarn", "diff")
        assert (path.read_bytes().decode() if path.exists() else "") == new


def test_a_misspelt_flag_is_corrected(check, folder):
    """A flag that there is not becomes the one that is meant, where only one can be."""
    good = FITS.replace("8192", "8192\n    - --gpu-memory-utilization=0.95")
    ran = check("pod.yaml", "--fix", files={"pod.yaml": good.replace("utilization", "utilisation")})
    assert (ran.codes, (folder / "pod.yaml").read_text()) == ([], good)


EVERY = {
    f"{kind}: {name}": case for kind, cases in (("changed", STYLES), ("added", ADDED)) for name, case in cases.items()
}


@pytest.mark.parametrize("name, text", EVERY.values(), ids=EVERY)
@pytest.mark.usefixtures("folder")
def test_an_edit_changes_the_settings_that_it_names_and_no_others(name, text):
    """The edited file is read again with exactly the changed settings: each remedy's words are what differs."""
    found = kvplan.check(name, text=text)
    before = {key: given.value for key, given in found.units[0].inputs.items()}
    fixes = [fix for finding in found.open for fix in finding.fixes if fix.edits]
    assert fixes
    for fix in fixes:
        again = kvplan.check(name, text=apply(text, fix.edits))
        after = {key: given.value for key, given in again.units[0].inputs.items()}
        differ = {key: value for key, value in after.items() if value != before[key]}
        words = fix.change.split()
        names = {
            "max_model_len": "--max-model-len",
            "tensor_parallel": "--tensor-parallel-size",
            "kv_cache_dtype": "--kv-cache-dtype",
            "gpu_memory_utilization": "--gpu-memory-utilization",
            "max_num_seqs": "--max-num-seqs",
            "max_num_batched_tokens": "--max-num-batched-tokens",
            "quantization": "--quantization",
            "enforce_eager": "--enforce-eager",
            "gpu_count_requested": "on",
        }
        assert differ
        for key, value in differ.items():
            assert names[key] in words, (fix.change, differ)
            assert key == "enforce_eager" or words[words.index(names[key]) + 1] == str(value)
        assert {unit.name for unit in again.units} == {unit.name for unit in found.units}
