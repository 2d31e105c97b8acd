"""The gate's promises: exit codes, unknown never passing as a fit, what settles it, and whose word counts."""

import json

import pytest
from deployments import FITS, MISFIT, TIGHT, UNKNOWN, git, pod

import kvplan

FILES = {"fits": FITS, "tight": TIGHT, "does_not_fit": MISFIT, "unknown": UNKNOWN}
# Which verdicts fail under what.
FAILS = {
    (): {"does_not_fit"},
    ("misfit",): {"does_not_fit"},
    ("risk",): {"does_not_fit", "tight", "unknown"},
    ("unknown",): {"does_not_fit", "unknown"},
    ("never",): set(),
    ("risk", "unknown"): {"does_not_fit", "tight", "unknown"},
    ("never", "unknown"): set(),
}
SETTLING = "vllm serve {model} --max-model-len {length}\n"


@pytest.mark.parametrize("verdict", FILES)
@pytest.mark.parametrize("fail_on", FAILS, ids=lambda names: "+".join(names) or "default")
def test_the_exit_code_is_the_contracts(check, verdict, fail_on):
    """0 nothing to fail on, 1 findings: for every verdict under every --fail-on and their combinations."""
    words = [word for name in fail_on for word in ("--fail-on", name)]
    ran = check("pod.yaml", *words, files={"pod.yaml": FILES[verdict]})
    assert ran.verdicts == [verdict]
    assert ran.code == (verdict in FAILS[fail_on]), ran.out


def test_unknown_never_passes_as_a_fit(check):
    """What nobody said makes the verdict unknown: it is counted as such, and a comment or --ignore takes no verdict away."""
    text = UNKNOWN.replace("kind: Pod", "kind: Pod # kvplan: ignore-file[KVP402] any of ours")
    for words in ([], ["--ignore", "KVP402"], ["--select", "KVP1"]):
        for file in (UNKNOWN, text):
            ran = check("pod.yaml", "--fail-on", "unknown", *words, files={"pod.yaml": file})
            assert ran.code == 1
            summary = ran.document["summary"]
            assert (summary["fits"], summary["unknown"]) == (0, 1)


OPEN = [
    ("pod.yaml", pod(gpu=""), "--gpu", ["--gpu", "l4"]),
    (
        "pod.yaml",
        pod(model="/models/qwen"),
        "--model-map '/models/qwen=ORG/NAME'",
        ["--model-map", "/models/qwen=Qwen/Qwen3-8B"],
    ),
    ("pod.yaml", pod(model="/models/qwen"), "--model-map", ["--model-map", "/models/*=Qwen/Qwen3-8B"]),
    ("pod.yaml", pod(model="/models/qwen"), "--model-map", ["--model", "Qwen/Qwen3-8B"]),
    ("pod.yaml", pod(model="$MODEL"), "--set MODEL=VALUE", ["--set", "MODEL=Qwen/Qwen3-8B"]),
    ("pod.yaml", pod(length="$(LEN)"), "--set LEN=VALUE", ["--set", "LEN=8192"]),
    (
        "serve.sh",
        SETTLING.format(model="Qwen/Qwen3-8B", length='"$LEN"'),
        "--gpu NAME",
        ["--gpu", "l4", "--set", "LEN=8192"],
    ),
    (
        "serve.sh",
        SETTLING.format(model="Qwen/Qwen3-8B", length="${LEN}"),
        "--set LEN=VALUE",
        ["--gpu", "l4", "--env-file", "vars"],
    ),
    ("pod.yaml", pod(length="{{ .Values.len }}"), "--set len=VALUE", ["--set", "len=8192"]),
]


@pytest.mark.parametrize("name, text, settles, words", OPEN, ids=[" ".join(words) for *_, words in OPEN])
def test_what_is_open_names_the_option_that_settles_it(check, name, text, settles, words):
    """`unknown, because …` names an option, and with that option the verdict is another."""
    files = {name: text, "vars": "# lengths\nLEN='8192'\n"}
    ran = check(name, files=files, form="full")
    assert ran.code == 0
    assert "unknown, because" in ran.out
    assert settles in " ".join(ran.out.split())
    assert check(name, *words).verdicts == ["fits"]


def test_engine_settles_the_release(check):
    """Without a tag the release is assumed and said so; --engine names it, and its defaults are used."""
    text = FITS.replace(":v0.11.0", "")
    ran = check("pod.yaml", files={"pod.yaml": text})
    assert ran.codes == ["KVP403"]
    ran = check("pod.yaml", "--engine", "vllm@0.11.0")
    assert (ran.codes, ran.document["units"][0]["engine_version"]) == ([], "0.11.0")


CONFIGURED = [
    ("kvplan.toml", 'gpu = "l4"\n'),
    (".kvplan.toml", 'gpu = "l4"\n'),
    ("kvplan.toml", '[[deployment]]\nmatch = "k8s/**"\ngpu = "l4"\n'),
    ("kvplan.toml", 'gpu = "h100"\n[[deployment]]\nmatch = ["x/*", "*.yaml"]\ngpu = "l4"\n'),
    ("pyproject.toml", '[project]\nname = "x"\n[tool.kvplan]\ngpu = "l4"\n'),
]


@pytest.mark.parametrize("name, text", CONFIGURED)
def test_the_configuration_settles_it(check, name, text):
    """kvplan.toml, its deployments by pattern, and [tool.kvplan] give facts of files."""
    ran = check("k8s/pod.yaml", files={"k8s/pod.yaml": UNKNOWN, name: text})
    assert ran.verdicts == ["fits"]
    assert ran.document["units"][0]["inputs"]["gpu"] == {"value": "l4", "origin": "option", "location": None}


def test_patterns_are_seen_from_the_configurations_folder(check, folder, monkeypatch):
    """A configuration means the same files whatever folder kvplan is started in, and however they are named."""
    config = 'exclude = ["k8s/old/*"]\n[[deployment]]\nmatch = "k8s/*.yaml"\ngpu = "l4"\n'
    files = {"kvplan.toml": config, "k8s/pod.yaml": UNKNOWN, "k8s/old/pod.yaml": UNKNOWN, ".git/x": ""}
    assert check(".", files=files).verdicts == ["fits"]
    assert check(str(folder / "k8s")).verdicts == ["fits"]
    monkeypatch.chdir(folder / "k8s")
    assert check(".").verdicts == ["fits"]
    assert check("pod.yaml").verdicts == ["fits"]


def test_a_model_may_be_a_configuration_beside_the_gates(check, folder, monkeypatch):
    """kvplan.toml and --model-map take a path of a config.json; the former seen from its own folder."""
    layers = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128, "vocab_size": 100}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 8192}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        **layers,
        **heads,
    }
    files = {
        "ci/x/config.json": json.dumps(config),
        "kvplan.toml": '[models]\n"/models/*" = "./ci/x/config.json"\n',
        "k8s/pod.yaml": pod(model="/models/x"),
    }
    assert check("k8s", files=files).verdicts == ["fits"]
    assert check("k8s", "--model-map", "/models/x=ci/x").verdicts == ["fits"]
    monkeypatch.chdir(folder / "k8s")
    assert check("pod.yaml", "--config", "../kvplan.toml").verdicts == ["fits"]


def test_config_names_another_file(check):
    """--config reads a configuration that lies elsewhere, and only that."""
    files = {"pod.yaml": UNKNOWN, "kvplan.toml": "gpu = 1", "ci/strict.toml": 'gpu = "l4"\nfail-on = "unknown"'}
    assert check("pod.yaml", "--config", "ci/strict.toml", files=files).verdicts == ["fits"]


COMMENTED = [
    ("# kvplan: gpu=L4\n" + UNKNOWN),
    UNKNOWN.replace("spec:", "spec:  # kvplan: gpu=L4"),
    UNKNOWN.replace("  - name: vllm", "  # kvplan: gpu=L4\n  - name: vllm"),
    UNKNOWN + "# kvplan: gpu=l4 users=1\n",
    UNKNOWN.replace("kind: Pod", "kind: Pod # kvplan: gpu='NVIDIA L4'"),
]


@pytest.mark.parametrize("text", COMMENTED)
def test_a_comment_in_the_file_settles_it(check, text):
    """`# kvplan: gpu=L4` counts wherever it stands in the document of its engine."""
    ran = check("pod.yaml", files={"pod.yaml": text})
    assert (ran.verdicts, ran.codes) == (["fits"], [])


def test_a_comment_is_for_its_own_block_or_document():
    """Of two services each gets the GPU of its own comment; a document's comment says nothing of the next document."""
    service = "  {0}:\n    image: vllm/vllm-openai:v0.11.0\n    command: --model Qwen/Qwen3-8B --max-model-len 8192\n"
    text = (
        "services:\n  # kvplan: gpu=l4\n"
        + service.format("a")
        + "  # kvplan: gpu=h100\n"
        + service.format("b")
        + service.format("c")
    )
    inside = (
        "services:\n"
        + service.format("a")
        + "    # kvplan: gpu=l4\n"
        + service.format("b")
        + "    # kvplan: gpu=h100\n"
        + service.format("c")
    )
    for each in (text, inside):
        found = kvplan.check("compose.yaml", text=each)
        assert [unit.inputs["gpu"].value for unit in found.units] == ["l4", "h100", None], each
    stream = "# kvplan: users=1\n" + f"---\n# kvplan: gpu=l4\n{pod(name='a', gpu='')}---\n{pod(name='b', gpu='')}"
    assert [unit.verdict for unit in kvplan.check("pods.yaml", text=stream).units] == ["fits", "unknown"]


def test_comments_that_contradict_each_other_do_not_count():
    """Two commands of one script with two GPUs in comments: neither is guessed, and the second comment is a finding."""
    line = SETTLING.format(model="Qwen/Qwen3-8B", length=8192)
    found = kvplan.check("serve.sh", text=f"# kvplan: gpu=l4\n{line}# kvplan: gpu=h100\n{line}")
    assert {unit.verdict for unit in found.units} == {"unknown"}
    assert "KVP092" in [each.code for each in found.open]


@pytest.mark.parametrize(
    "fact",
    ["gpu=nosuch", "gpu=auto", "engine=vlm@1", "users=0", "users=many", "context=x", "model=/etc/x", "size=4", "gpu"],
)
def test_a_comment_that_means_nothing_is_a_finding(check, fact):
    """A misspelt fact is named on its line and never ends the check."""
    ran = check("pod.yaml", files={"pod.yaml": f"# kvplan: {fact}\n{FITS}"})
    assert (ran.code, ran.codes, ran.verdicts) == (0, ["KVP092"], ["fits"])
    assert ran.document["findings"][0]["location"]["line"] == 1


def test_options_win_over_comments_and_those_over_the_configuration(check):
    """The nearest to whoever asks counts: option, then the file, then kvplan.toml."""
    files = {"pod.yaml": pod(gpu=""), "kvplan.toml": 'gpu = "t4"\n'}
    said = []
    for text, words in (
        (pod(gpu=""), []),
        ("# kvplan: gpu=a10\n" + pod(gpu=""), []),
        ("# kvplan: gpu=a10\n" + pod(gpu=""), ["--gpu", "h100"]),
    ):
        ran = check("pod.yaml", *words, files=files | {"pod.yaml": text})
        said.append(ran.document["units"][0]["inputs"]["gpu"]["value"])
    assert said == ["t4", "a10", "h100"]


def test_the_worst_of_several_gpus_decides(check):
    """Where the scheduler may take any of several GPUs, the verdict is that of the worst, and one unknown leaves it unknown."""
    affinity = (
        "  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: "
        "[{key: cloud.google.com/gke-accelerator, operator: In, values: [%s]}]}]}}}\n"
    )
    verdicts = []
    for values in (
        "nvidia-h100-80gb",
        "nvidia-h100-80gb, nvidia-tesla-t4",
        "nvidia-tesla-t4, nvidia-h100-80gb",
        "nvidia-h100-80gb, nvidia-x9",
    ):
        text = pod(gpu="", length="16384").replace("  containers:", affinity % values + "  containers:")
        verdicts += check("pod.yaml", files={"pod.yaml": text}).verdicts
    assert verdicts == ["fits", "does_not_fit", "does_not_fit", "unknown"]


def test_users_that_are_declared_must_fit(check):
    """--users and --context, or the comment's, make a file that starts well fail where they do not fit at once."""
    ran = check("pod.yaml", "--users", "64", "--context", "8192", files={"pod.yaml": FITS})
    assert (ran.code, ran.codes, ran.verdicts) == (1, ["KVP103"], ["does_not_fit"])
    assert check("pod.yaml", "--users", "1", "--context", "4k").code == 0
    ran = check("pod.yaml", files={"pod.yaml": "# kvplan: users=64 context=8k\n" + FITS})
    assert (ran.code, ran.codes) == (1, ["KVP103"])


def test_rules_are_selected_ignored_and_weighed(check):
    """--select, --ignore, and the configuration's select, ignore and severity take codes or their beginnings in any letters."""
    text = MISFIT.replace("nvidia.com/gpu: 1", "nvidia.com/gpu: 2")
    assert check("pod.yaml", files={"pod.yaml": text}).codes == ["KVP101" if "KVP101" in text else "KVP102", "KVP202"]
    assert check("pod.yaml", "--select", "kvp2").codes == ["KVP202"]
    assert check("pod.yaml", "--ignore", "KVP1,KVP202").codes == []
    assert check("pod.yaml", "--ignore", "ALL").code == 0
    assert check("pod.yaml", "--select", "ALL").code == 1
    for config, codes, code in (
        ('select = "KVP2"', ["KVP202"], 0),
        ('ignore = ["KVP202"]', ["KVP102"], 1),
        ('[severity]\nKVP1 = "warning"\nKVP202 = "error"', ["KVP102", "KVP202"], 1),
        ('[severity]\nkvp1 = "note"', ["KVP102", "KVP202"], 0),
        ('fail-on = "never"', ["KVP102", "KVP202"], 0),
    ):
        ran = check("pod.yaml", files={"kvplan.toml": config})
        assert (ran.codes, ran.code) == (codes, code), config


@pytest.mark.parametrize("pattern", ["k8s", "k8s/", "k8s/**", "*.yaml", "**/pod.yaml", "/k8s/*.yaml"])
def test_excluded_files_are_not_checked(check, pattern):
    """`exclude` takes patterns as .gitignore means them."""
    ran = check(".", files={"k8s/pod.yaml": MISFIT, "kvplan.toml": f'exclude = "{pattern}"'})
    assert (ran.code, ran.document["summary"]["files"]) == (0, 1)


BAD = [
    ("gpuu = 'l4'", ["gpuu is no setting", "Did you mean gpu?", "It takes gpu, engine"]),
    ("gpu = 4", ["gpu takes a text, not 4"]),
    ("users = 0", ["users takes a whole number from 1, not 0"]),
    ("users = true", ["users takes a whole number from 1, not True"]),
    ("context = 'long'", ["context takes a number of tokens", "'long'"]),
    ("fail-on = ['sometimes']", ["fail-on takes any of misfit, risk, unknown, never"]),
    ("deployment = 1", ["deployment takes tables ([[deployment]]), not 1"]),
    ("[[deployment]]\ngpu = 'l4'", ["deployment[1] has no match"]),
    ("[[deployment]]\nmatch = 'a'\n[[deployment]]\nmatch = 'x'\nfail-on = 'never'",
     ["deployment[2].fail-on is no setting", "It takes match, gpu"]),
    ("[severity]\nKVP103 = 'fatal'", ["severity.KVP103 takes one of error, warning, note, not 'fatal'"]),
    ("[severity]\nKVP9 = 'note'", ["severity 'KVP9' is no rule's code"]),
    ("select = 'X'", ["'X' is no rule's code"]),
    ("models = ['x']", ["models takes a table of names"]),
    ("[models]\nx = ''", ["models.x takes a text"]),
    ("[models]\nx = '../../etc'", ["models.x takes a model's name, or a path below the configuration"]),
    ("model = '/etc/passwd'", ["model takes a model's name, or a path below the configuration"]),
    ("[variables]\nx = [1]", ["variables.x takes a text or a number, not a list"]),
    ("gpu = 'nosuch'", ["nosuch"]),
    ("engine = 'vlm'", ["vllm"]),
    ("baseline = 'none.json'", ["none.json cannot be read", "--write-baseline"]),
    ("gpu = ", ["is not TOML"]),
    ("exclude = [1]", ["exclude takes texts, not a list"]),
]  # fmt: skip


@pytest.mark.parametrize("config, says", BAD)
def test_a_bad_configuration_is_refused_by_file_and_key(check, config, says):
    """What is wrong with kvplan.toml is exit code 2, with the key and what it takes."""
    ran = check("pod.yaml", files={"pod.yaml": FITS, "kvplan.toml": config})
    assert (ran.code, ran.out) == (2, "")
    for part in says:
        assert part in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "words, says",
    [
        (["nowhere.yaml"], "There is no file or folder 'nowhere.yaml'"),
        (["a\0b"], "There is no file or folder"),
        (["pod.yaml", "--gpu", "nosuch"], "nosuch"),
        (["pod.yaml", "--engine", "vlm"], "vllm"),
        (["pod.yaml", "--fail-on", "always"], "misfit, risk, unknown, never"),
        (["pod.yaml", "--select", "KVP9"], "`kvplan rule` lists them"),
        (["pod.yaml", "--model-map", "x"], "NAME=MODEL"),
        (["pod.yaml", "--set", "=4"], "NAME=VALUE"),
        (["pod.yaml", "--env-file", "none"], "none cannot be read"),
        (["pod.yaml", "--users", "0"], "at least 1"),
        (["pod.yaml", "--output", "pdf=x"], "There is no format 'pdf'"),
        (["pod.yaml", "--output", "sarif=no/such/folder"], "cannot be written"),
        (["pod.yaml", "--max-loss", "10"], "--max-loss needs --against"),
        (["pod.yaml", "-"], "other paths stand beside it"),
        (["-", "--fix"], "need files"),
        (["pod.yaml", "--config", "none.toml"], "none.toml cannot be read"),
        (["pod.yaml", "--baseline", "pod.yaml"], "is no baseline of kvplan"),
    ],
)
def test_bad_usage_is_exit_code_2(check, words, says):
    """What cannot be meant is named, nothing is printed as a result, and nothing passes."""
    ran = check(*words, files={"pod.yaml": FITS})
    assert ran.code == 2
    assert says in ran.err
    assert "Traceback" not in ran.err
    if "--output" not in words:
        assert ran.out == ""


def test_a_stream_is_checked_under_the_name_that_it_is_given(check):
    """`-` reads standard input; --stdin-filename names it in findings, for patterns, and tells its format."""
    ran = check("-", stdin=MISFIT.encode())
    assert (ran.code, ran.document["findings"][0]["location"]["path"]) == (1, "-")
    ran = check(
        "-",
        "--stdin-filename",
        "chart/serve.sh",
        stdin=b"vllm serve Qwen/Qwen3-8B\n",
        files={"kvplan.toml": '[[deployment]]\nmatch = "chart/*"\ngpu = "h100"'},
    )
    unit = ran.document["units"][0]
    assert (unit["location"]["path"], unit["format"], unit["verdict"]) == ("chart/serve.sh", "shell", "fits")
    assert check("-", stdin=b"").document["summary"]["units"] == 0


def test_a_broken_document_leaves_the_others(check):
    """Of a stream with one document that is no YAML the others give their engines, and the broken one a finding."""
    broken = "kind: Pod\nimage: vllm/vllm-openai\nargs: [--model=x\n"
    ran = check("-", stdin=f"{pod(name='a')}---\n{broken}---\n{pod(name='b', length='1000')}".encode())
    assert (ran.code, ran.verdicts, ran.codes) == (1, ["fits", "fits"], ["KVP001"])


def test_formats_are_written_beside_the_printed_one(check, folder):
    """--output writes other formats of the same check into files, whatever the exit code."""
    words = [
        word
        for form in ("sarif", "json", "junit", "gitlab", "markdown", "github", "concise")
        for word in ("--output", f"{form}=out.{form}")
    ]
    ran = check("pod.yaml", *words, files={"pod.yaml": MISFIT})
    assert ran.code == 1
    assert json.loads((folder / "out.json").read_text()) == ran.document
    assert json.loads((folder / "out.sarif").read_text())["version"] == "2.1.0"
    assert (folder / "out.junit").read_text().startswith("<?xml")
    for form in ("gitlab", "markdown", "github", "concise"):
        assert "KVP102" in (folder / f"out.{form}").read_text()


def test_nothing_to_check_is_said(check):
    """A folder without engines is exit code 0, with the sums; nothing looks like a fit."""
    ran = check(".", "--fail-on", "unknown", files={"readme.md": "vllm", "a.yaml": "a: 1\n"})
    assert (ran.code, ran.document["units"], ran.document["findings"]) == (0, [], [])
    assert ran.document["summary"]["files"] == 1
    assert "1 file, 0 engines" in check(".", form="full").out


def test_files_are_named_the_same_however_they_are_given(check, folder):
    """A path from the current folder, with dots, or from the root is one file, checked once."""
    ran = check(
        "pod.yaml", "./pod.yaml", str(folder / "pod.yaml"), "x/../pod.yaml", files={"pod.yaml": MISFIT, "x/y": ""}
    )
    assert [each["location"]["path"] for each in ran.document["findings"]] == ["pod.yaml"]
    assert ran.document["summary"]["units"] == 1


def test_only_what_git_tracks_counts_in_folders(check, folder):
    """In a repository a folder means its tracked files; --all-files means all, and a file that is named is always read."""
    git(folder, "init", "--quiet")
    ran = check(".", files={"a.yaml": FITS, "b.yaml": MISFIT})
    assert ran.document["summary"]["files"] == 0
    git(folder, "add", "a.yaml")
    assert check(".").verdicts == ["fits"]
    assert check("b.yaml").verdicts == ["does_not_fit"]
    assert check(".", "--all-files").verdicts == ["fits", "does_not_fit"]
    (folder / "a.yaml").unlink()
    assert check(".").document["summary"]["files"] == 0


@pytest.mark.usefixtures("folder")
def test_python_gets_the_same_answer():
    """`kvplan.check` gives units, findings, the exit code and the document of --json."""
    found = kvplan.check("pod.yaml", text=MISFIT)
    assert (found.exit_code, [each.code for each in found.findings]) == (1, ["KVP102"])
    assert found.to_dict()["schema"] == "kvplan.check/1"
    assert kvplan.check("pod.yaml", text=MISFIT, fail_on="never").exit_code == 0
    assert kvplan.check([], text=MISFIT, gpu="h100").exit_code == 0
    with pytest.raises(kvplan.KvplanError):
        kvplan.check("pod.yaml", text=MISFIT, gpu="nosuch")


def test_a_configuration_fills_gaps_and_replaces_nothing(check):
    """A GPU in kvplan.toml counts where a file names none; a file's own, and an accelerator that is none of them, stay."""
    files = {"kvplan.toml": 'gpu = "h100"\n', "pod.yaml": MISFIT, "gap.yaml": UNKNOWN}
    assert check("pod.yaml", files=files).verdicts == ["does_not_fit"]
    assert check("gap.yaml", files=files).verdicts == ["fits"]
    assert check("pod.yaml", "--gpu", "h100", files=files).verdicts == ["fits"]
    files["pod.yaml"] = UNKNOWN.replace("nvidia.com/gpu", "habana.ai/gaudi")
    assert check("pod.yaml", files=files).verdicts == ["unknown"]
