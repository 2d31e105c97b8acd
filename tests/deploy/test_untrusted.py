"""Files are data: whatever stands in them or in their repository, nothing is run, fetched, followed or broken."""

import json
import os
import re
import socket
import stat
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from deployments import FITS, MISFIT, git, pod, write

import kvplan
from kvplan.report.check import formats
from kvplan.rules.catalogue import rules

HEAD = "image: vllm/vllm-openai\n"
BOMB = (
    HEAD
    + "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 60))
)
MERGES = (
    HEAD
    + "a0: &a0 {x: 1}\n"
    + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], k{n}: 1}}\n" for n in range(1, 60))
)
HOSTILE = {
    "alias bomb": ("a.yaml", BOMB),
    "merge bomb": ("a.yaml", MERGES),
    "itself inside itself": ("a.yaml", "kind: Pod\nspec: &a\n  containers: [{image: vllm/vllm-openai, args: *a}]\n  x: *a\n"),
    "lists 100,000 deep": ("a.yaml", HEAD + "a: " + "[" * 100_000),
    "maps 100,000 deep": ("a.yaml", HEAD + "a: " + "{a: " * 100_000),
    "blocks 100,000 deep": ("a.yaml", "image: vllm\n" + "- " * 100_000),
    "JSON 100,000 deep": ("a.json", '{"vllm": ' + "[" * 100_000),
    "brackets of a command": ("a.sh", "vllm serve x --hf-overrides '" + '{"a":' * 100_000 + "'\n"),
    "substitutions 100,000 deep": ("a.sh", "vllm serve " + "$(" * 100_000 + "\n"),
    "braces 100,000 deep": ("compose.yaml", "services: {a: {image: vllm/vllm-openai, command: '" + "${a:-" * 100_000 + "'}}\n"),
    "shells in shells": ("a.sh", "sh -c '" * 20_000 + "vllm serve x\n"),
    "HCL 100,000 deep": ("a.tf", 'x "vllm" ' + "{ a " * 100_000),
    "Python 100,000 deep": ("a.py", "import vllm\nx = " + "(" * 100_000),
    "TOML 100,000 deep": ("a.toml", "vllm = " + "[" * 100_000),
    "expressions 100,000 deep": ("a.yaml", HEAD + "a: " + "{{ " * 100_000),
    "a scalar of a megabyte": ("a.yaml", pod(model="m" * 1_000_000)),
    "a command of a megabyte": ("a.sh", "vllm serve " + "--a-flag x " * 90_000),
    "a number of a megabyte": ("a.yaml", pod(length="9" * 1_000_000)),
    "an image of a megabyte": ("a.yaml", FITS.replace("v0.11.0", "9" * 1_000_000)),
    "20,000 documents": ("a.yaml", "---\nimage: vllm\n" * 20_000),
    "50,000 services": ("compose.yaml", "services:\n" + "".join(f"  a{n}: {{image: x}}\n" for n in range(50_000)) + "# vllm\n"),
    "100,000 lines that go on": ("a.sh", "vllm serve x \\\n" + "  --a b \\\n" * 90_000),
    "blanks": ("a.sh", "vllm serve x" + " " * 1_900_000 + "y\n"),
    "quotes": ("a.yaml", HEAD + "args: " + "'" * 500_000 + '"' * 500_000),
    "NUL": ("a.yaml", f"# vllm\0\n{FITS}".encode()),
    "NUL behind text": ("a.yaml", FITS.encode() + b" " * 9000 + b"# \0\n"),
    "binary": ("a.yaml", b"vllm" + bytes(range(256)) * 100),
    "UTF-16": ("a.yaml", FITS.encode("utf-16")),
    "half of UTF-16": ("a.yaml", b"\xff\xfe" + b"vllm\0"),
    "UTF-32": ("a.yaml", b"\xff\xfe\0\0" + FITS.encode("utf-32-le")),
    "latin-1": ("a.yaml", f"# caf\xe9\n{FITS}".encode("latin-1")),
    "lone surrogates": ("a.yaml", b"# \xed\xa0\x80\n" + FITS.encode()),
    "surrogates of UTF-16": ("a.yaml", b"\xff\xfe" + b"\x00\xd8" + FITS.encode("utf-16-le")),
    "escapes for surrogates": ("a.yaml", pod(name='"\\ud800\\udc00 \\0"')),
    "the mask itself": ("a.yaml", pod(model="\ue000", name="\ue000")),
    "a carriage return alone": ("a.yaml", FITS.replace("\n", "\r")),
    "line separators": ("a.yaml", FITS.replace("kind", "# \u2028\u2029\x85\x0b\x0c\nkind")),
    "only a mark": ("a.yaml", b"\xef\xbb\xbf"),
    "types where none are expected": ("a.yaml", "apiVersion: [1]\nkind: {a: vllm}\nspec: {containers: {image: [vllm]}}\n"),
    "tags": ("a.yaml", 'kind: !!python/object/apply:os.system ["touch ran"]\nimage: !!python/name:os.system vllm\n'),
}  # fmt: skip


@pytest.mark.parametrize("name, content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_a_finding_or_nothing(check, folder, name, content):
    """Bombs, depth, size and odd bytes end in seconds with an exit code of the contract, never with a failure of kvplan."""
    start = time.process_time()
    for words in ([name], [".", "--fail-on", "unknown"], [name, "--fix"]):
        ran = check(*words, files={name: content})
        assert ran.code in (0, 1), ran.err
        assert ran.document["schema"] == "kvplan.check/1"
        assert "Traceback" not in ran.err
    assert time.process_time() - start < 20
    assert sorted(each.name for each in folder.iterdir()) == [name]


def test_a_file_that_is_read_in_part_is_no_fit(check):
    """A file that cannot be read as text is named when it was asked for, and counted when it was found."""
    ran = check("a.yaml", files={"a.yaml": b"vllm\0"})
    assert (ran.codes, ran.document["summary"]["units"]) == (["KVP011"], 0)
    assert "binary" in ran.document["findings"][0]["message"]
    assert "1 file passed over: it is binary" in check(".", form="full").out
    ran = check("a.yaml", files={"a.yaml": b"#" * 2_000_001})
    assert "larger than 2 MB" in ran.document["findings"][0]["message"]


def test_old_encodings_are_read(check):
    """UTF-16 with its mark and latin-1 hold the same settings as UTF-8."""
    for content in (FITS.encode("utf-16"), f"# caf\xe9\n{FITS}".encode("latin-1"), b"\xef\xbb\xbf" + FITS.encode()):
        assert check("a.yaml", files={"a.yaml": content}).verdicts == ["fits"]


# -- what is opened ------------------------------------------------------------------------------------------------------

_events: list[tuple[str, str]] | None = None


def _hook(event, arguments):
    if _events is not None and event in (
        "open",
        "os.listdir",
        "os.scandir",
        "subprocess.Popen",
        "os.system",
        "socket.connect",
        "socket.getaddrinfo",
        "os.exec",
        "os.posix_spawn",
        "import",
        "exec",
        "compile",
    ):
        _events.append((event, str(arguments[0] if arguments else "")))


sys.addaudithook(_hook)


@contextmanager
def watched():
    """Yield a list to which everything is added that Python opens, runs, connects to or imports meanwhile."""
    global _events  # noqa: PLW0603  a hook of the interpreter cannot be taken off again
    _events = found = []
    try:
        yield found
    finally:
        _events = None


def outside(events, *allowed):
    """Return what was opened that is neither kvplan's, Python's nor below some folders."""
    package = Path(kvplan.__file__).resolve().parents[1]
    own = [str(each) for each in (package / "kvplan", package / "model_specs", package / "gpu_specs", *allowed)]
    own += [sys.prefix, sys.base_prefix, *(each for each in sys.path if "site-packages" in each)]
    opened = [name for event, name in events if event in ("open", "os.listdir", "os.scandir")]
    return [name for name in opened if not name.isdecimal() and not str(Path(name).absolute()).startswith(tuple(own))]


MODELS = [
    "../../etc", "../secret", "./secret", "~", "~root", "~/secret", "/etc/passwd", "/proc/self/environ", "/dev/zero",
    "..", ".", "secret", "org/secret", "org/link", "https://example.org/x", "s3://bucket/x", "file:///etc/passwd",
    "git+ssh://example.org/x", "secret/config.json", "config.json", "weights.gguf", "org/x:weights.gguf",
    "../x.safetensors", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "x" * 10_000,
    "org/" + "x" * 10_000, "a\0b", "org/x@../../y", "org/x@refs/pr/1", "\\\\host\\share\\x", "C:\\x", "-rf",
    "$(touch ran)", "`touch ran`", "; touch ran", "\ud800",
]  # fmt: skip


@pytest.fixture
def bait(folder):
    """Return a folder with things that models' names could mean, beside things that nobody may open."""
    config = json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"})
    tree = folder / "tree"
    write(folder, {"secret/config.json": config, "x.safetensors": "x", "etc/config.json": config})
    write(tree, {f"{each}/config.json": config for each in ("secret", "org/secret")})
    write(
        tree,
        dict.fromkeys(
            ("config.json", "weights.gguf", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"),
            config,
        ),
    )
    (tree / "org" / "link").symlink_to(folder / "secret")
    return tree


@pytest.mark.parametrize("model", MODELS, ids=lambda name: ascii(name[:40]))
def test_models_that_files_name_are_never_opened(bait, monkeypatch, model):
    """A model is looked up in the catalogue and the hub's cache: no path or folder of its name is opened, and it stays unknown."""
    monkeypatch.chdir(bait)
    monkeypatch.setenv("HF_HOME", str(bait / "hub"))
    quoted = json.dumps(model)
    draft = json.dumps({"model": model, "num_speculative_tokens": 2})
    files = {
        "pod.yaml": pod(model="").replace("    args:\n", f"    args:\n    - --model\n    - {quoted}\n"),
        "config.yaml": f"# kvplan: gpu=l4\nmodel: {quoted}\nmax-model-len: 4096\n",
        "run.sh": f"# kvplan: gpu=l4\nvllm serve '{model}' --max-model-len 4096\n",
        "draft.sh": f"# kvplan: gpu=l4\nvllm serve Qwen/Qwen3-8B --speculative-config '{draft}'\n",
        "tokenizer.sh": f"# kvplan: gpu=l4\nvllm serve Qwen/Qwen3-8B --max-model-len 4096 --tokenizer '{model}'\n",
        "lora.sh": f"# kvplan: gpu=l4\nvllm serve Qwen/Qwen3-8B --max-model-len 4096 --enable-lora --lora-modules 'a={model}'\n",
        "quoted.sh": f"# kvplan: gpu=l4 model={quoted}\nvllm serve x --max-model-len 4096\n",
    }
    kvplan.check("warm.yaml", text=FITS + pod(model="org/not-in-the-catalogue"))
    for name, text in files.items():
        with watched() as events:
            found = kvplan.check(name, text=text)
        assert [each for each in outside(events) if "/hub/" not in each] == [], name
        assert not [
            event
            for event in events
            if event[0] not in ("open", "os.listdir", "os.scandir", "import", "exec", "compile")
        ], name
        if name in ("pod.yaml", "config.yaml", "run.sh"):
            assert [unit.verdict for unit in found.units if unit.engine == "vllm"] in ([], ["unknown"]), name
    assert not (bait / "ran").exists()


@pytest.mark.parametrize("online", [False, True])
def test_nothing_is_fetched_unless_asked(folder, monkeypatch, online):
    """Without --online no socket is opened; with it only for names of the hub's form, never for a path or a URL."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HOME", str(folder / "hub"))
    asked = []

    def refuse(*arguments, **_):
        asked.append(str(arguments[:2]))
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for model in (
        "https://example.org/x",
        "s3://bucket/x",
        "/etc/passwd",
        "../../etc",
        "http://169.254.169.254/latest",
    ):
        kvplan.check("pod.yaml", text=pod(model=model), online=online)
    assert asked == []
    if not online:
        kvplan.check("pod.yaml", text=pod(model="org/not-in-the-catalogue"))
        assert asked == []


# -- links and odd files -------------------------------------------------------------------------------------------------


def test_links_out_of_the_tree_are_not_followed(check, folder, monkeypatch):
    """A file that is a link out of the tree is passed over; one that stays inside is read."""
    write(folder, {"secret.yaml": MISFIT, "tree/real.yaml": FITS, "tree/d/x": "", "away/pod.yaml": MISFIT})
    monkeypatch.chdir(folder / "tree")
    for name, target in (
        ("out.yaml", "../secret.yaml"),
        ("whole.yaml", folder / "secret.yaml"),
        ("in.yaml", "real.yaml"),
        ("gone.yaml", "no"),
        ("loop.yaml", "loop.yaml"),
    ):
        (folder / "tree" / name).symlink_to(target)
    (folder / "tree" / "away").symlink_to(folder / "away")
    ran = check(".", "--all-files")
    assert ran.verdicts == ["fits", "fits"]
    ran = check("out.yaml", "whole.yaml", "away/pod.yaml")
    assert (ran.verdicts, ran.codes) == ([], ["KVP011"] * 3)
    assert check("../secret.yaml").verdicts == ["does_not_fit"], "named itself"


SERVICE = "services:\n  a:\n    image: vllm/vllm-openai:v0.11.0\n"
BESIDE = {
    ".env": ("compose.yaml", SERVICE + "    command: --model ${SECRET}\n", ".env"),
    "env_file": ("compose.yaml", SERVICE + "    env_file: vars\n    command: --model Qwen/Qwen3-8B\n", "vars"),
    "--config": ("run.sh", "vllm serve --config settings.yaml\n", "settings.yaml"),
    "EnvironmentFile": ("a.service", "[Service]\nEnvironmentFile=vars\nExecStart=vllm serve Qwen/Qwen3-8B\n", "vars"),
}  # fmt: skip


@pytest.mark.parametrize("name, text, beside", BESIDE.values(), ids=BESIDE)
@pytest.mark.parametrize("how", ["link", "dots", "whole", "fifo", "folder", "device", "git"])
def test_files_beside_stay_in_the_tree(folder, monkeypatch, name, text, beside, how):
    """What a file names beside it is read only where it is a regular file of the tree, and never of .git."""
    write(
        folder, {"secret": "SECRET=hunter2\nmodel: hunter2\n", "tree/.git/config": "SECRET=hunter2\nmodel: hunter2\n"}
    )
    tree = folder / "tree"
    monkeypatch.chdir(tree)
    path = tree / beside
    if how == "link":
        path.symlink_to(folder / "secret")
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "device":
        path.symlink_to("/dev/zero")
    else:
        target = {"dots": "../secret", "whole": str(folder / "secret"), "git": ".git/config"}[how]
        text = (
            text.replace("env_file: vars", f"env_file: {target}")
            .replace("File=vars", f"File={target}")
            .replace("settings.yaml", target)
        )
    found = kvplan.check(name, text=text)
    said = "".join(render(found, rules=rules()) for render in formats().values())
    assert "hunter2" not in said


def test_pipes_devices_and_folders_are_no_files(check, folder):
    """A pipe, a device or a folder that is named like a deployment is passed over, without waiting."""
    os.mkfifo(folder / "pipe.yaml")
    (folder / "zero.yaml").symlink_to("/dev/zero")
    (folder / "folder.yaml").mkdir()
    start = time.perf_counter()
    ran = check(".", "--all-files", files={"pod.yaml": FITS})
    assert ran.verdicts == ["fits"]
    ran = check("pipe.yaml", "zero.yaml", "pod.yaml")
    assert (ran.verdicts, ran.codes) == (["fits"], ["KVP011", "KVP011"])
    assert time.perf_counter() - start < 5


def test_a_file_that_may_not_be_read_is_said(check, folder):
    """No permission is a finding where the file was named."""
    write(folder, {"pod.yaml": FITS})
    (folder / "pod.yaml").chmod(0)
    if os.access(folder / "pod.yaml", os.R_OK):
        pytest.skip("this user may read everything")
    ran = check("pod.yaml")
    assert (ran.code, ran.codes) == (0, ["KVP011"])


# -- names ---------------------------------------------------------------------------------------------------------------

NAMES = [
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\u202egnp", "a\u200bb", "::error::x", "##[error]x",
    "##vso[task.setvariable variable=x]y", "%0A::warning::x", "<script>alert(1)</script>", "]]>&\"'",
    "| [x](javascript:1) @everyone #1", "```\n", "\x00", "\x7f", "\x85", "\ud800", "\ufffe", "a,b:c;d",
    "${{ github.token }}",
]  # fmt: skip


@pytest.mark.parametrize("form", sorted(formats()))
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_hostile_names_act_on_no_output(form, name):
    """Whatever an engine, model, file or option is called, it starts no escape, command, element or mention in any format."""
    quoted = json.dumps(name)
    text = pod(name=quoted, model="").replace(
        "    args:\n", f"    args:\n    - --model\n    - {quoted}\n    - {json.dumps('--max-' + name)}\n"
    )
    text += f"# kvplan: {name}\n---\n" + MISFIT.replace("vllm/vllm-openai:v0.11.0", '"vllm/vllm-openai:v0.11.0"')
    path = f"a{name}.yaml".replace("\0", "")
    found = kvplan.check(path, text=text)
    out = formats()[form](found, rules=rules(), width=80)
    out.encode("utf-8")
    # A tab ends a name with blanks in a diff's head.
    shown = re.sub(r"(?m)^(---|\+\+\+) (.*)\t$", r"\1 \2", out)
    assert not any(ord(one) < 32 and one != "\n" for one in shown)
    assert not any(one in out for one in ("\x7f", "\x85", "\u202e", "\u200b"))
    if form != "github":
        assert not [line for line in out.splitlines() if line.lstrip().startswith("::")]
    assert "##[" not in out
    assert "##vso[" not in out
    if form == "markdown":
        assert "<script" not in out.split("```")[0]
    if form in ("json", "sarif", "gitlab"):
        json.loads(out)
    if form == "junit":
        ET.fromstring(out)  # noqa: S314  what kvplan wrote itself


# -- repositories --------------------------------------------------------------------------------------------------------


def test_a_repositorys_own_settings_run_nothing(check, folder, monkeypatch):
    """Monitors, hooks, filters, text converters, external diffs, pagers and aliases of the checked repository stay quiet."""
    program = folder / "away" / "program"
    write(folder, {"away/program": f"#!/bin/sh\ntouch {folder}/away/ran\nexit 1\n"})
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    tree = folder / "tree"
    write(tree, {"pod.yaml": FITS, "b.yaml": pod(name="b"), ".gitattributes": "* filter=x diff=x merge=x\n"})
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "x")
    for key in (
        "core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass", "diff.external",
        "diff.x.textconv", "diff.x.command", "filter.x.clean", "filter.x.smudge", "filter.x.process",
        "pager.ls-files", "pager.cat-file", "pager.rev-parse", "gpg.program", "credential.helper",
        "uploadpack.packObjectsHook",
    ):  # fmt: skip
        git(tree, "config", key, str(program))
    for alias in ("ls-files", "ls-tree", "rev-parse", "cat-file"):
        git(tree, "config", f"alias.{alias}", f"!{program}")
    for key, value in (
        ("core.hooksPath", str(program.parent)),
        ("filter.x.required", "true"),
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::{program}"),
        ("protocol.ext.allow", "always"),
    ):
        git(tree, "config", key, value)
    for hook in ("post-index-change", "fsmonitor-watchman", "reference-transaction", "post-checkout"):
        for place in (tree / ".git" / "hooks", program.parent):
            place.mkdir(exist_ok=True)
            (place / hook).write_bytes(program.read_bytes())
            (place / hook).chmod(0o755)
    write(tree, {"pod.yaml": FITS.replace("8B", "4B")})
    os.utime(tree / "b.yaml")
    monkeypatch.chdir(tree)
    ran = check(".", "--against", "HEAD", "--max-loss", "1")
    assert (ran.code, ran.codes) == (0, ["KVP121"]), ran.err
    blob = git(tree, "rev-parse", "HEAD:pod.yaml").strip()
    (tree / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    check(".", "--against", "HEAD")
    check("pod.yaml", "--fix")
    assert not (folder / "away" / "ran").exists()


def test_nothing_that_a_file_says_is_run(check, folder):
    """Scripts, Python, Makefiles, templates and settings with commands in them are read, and none of it happens."""
    bad = f"touch {folder}/ran"
    files = {
        "a.sh": f"#!/bin/sh\n{bad}\nX=$({bad}; echo 1)\nvllm serve Qwen/Qwen3-8B --max-model-len $({bad}) `{bad}`\n",
        "a.py": f"import os\nos.system('{bad}')\nfrom vllm import LLM\n"
        f"LLM(__import__('os').system('{bad}'), max_model_len=eval('os.system(\"{bad}\")'))\n",
        "Makefile": f"X := $(shell {bad})\nrun:\n\t{bad}\n\tvllm serve Qwen/Qwen3-8B\n",
        "a.yaml": f"kind: Pod\nspec: {{containers: [{{image: vllm/vllm-openai, command: [sh, -c, '{bad}; vllm serve x']}}]}}\n",
        "values.yaml": f"image: {{repository: vllm/vllm-openai}}\nargs: ['{{{{ exec \"{bad}\" }}}}']\n",
        "a.service": f"[Service]\nExecStartPre={bad}\nExecStart=vllm serve Qwen/Qwen3-8B\n",
        "Dockerfile": f"FROM vllm/vllm-openai\nRUN {bad}\nCMD vllm serve x $({bad})\n",
        "main.tf": f'data "external" "x" {{ program = ["sh", "-c", "{bad}"] }}\nlocals {{ x = "vllm serve x" }}\n',
        "sitecustomize.py": f"import os; os.system('{bad}')\n",
        "yaml.py": f"import os; os.system('{bad}')\n",
        "kvplan.toml": f'gpu = "l4"\n[variables]\nX = "$({bad})"\n',
    }
    with watched() as events:
        ran = check(".", "--fix", files=files)
    assert ran.code in (0, 1), ran.err
    assert not (folder / "ran").exists()
    programs = [
        name for event, name in events if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
    ]
    assert set(programs) <= {"git"}
    assert not [event for event in events if event[0].startswith("socket.")]


def test_reading_and_judging_import_neither_torch_nor_the_network():
    """kvplan/deploy and kvplan/rules name no module that runs models or fetches."""
    package = Path(kvplan.__file__).parent
    for path in [*(package / "deploy").rglob("*.py"), *(package / "rules").rglob("*.py"), package / "checking.py"]:
        text = path.read_text(encoding="utf-8")
        for module in (
            "torch",
            "transformers",
            "socket",
            "http",
            "urllib.request",
            "requests",
            "huggingface_hub",
            "httpx",
        ):
            assert f"import {module}\n" not in text, path
            assert f"from {module} import" not in text, path
