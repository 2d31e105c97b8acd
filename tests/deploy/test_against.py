"""--against: what a change does to capacity, from a real repository, without running anything of it."""

import re

import pytest
from deployments import FITS, MISFIT, UNKNOWN, git, pod, write

import kvplan


@pytest.fixture
def repository(folder):
    """Make the folder a repository; return what commits files in it."""
    git(folder, "init", "--quiet", "--initial-branch=main")

    def commit(files, message="x"):
        write(folder, files)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--allow-empty", "--message", message)

    return commit


def messages(ran):
    """Return what a run says of changes."""
    return [each["message"] for each in ran.document["findings"] if each["code"] in ("KVP120", "KVP121")]


def test_a_change_is_said_in_requests_of_the_length_of_now(check, repository):
    """A line says `1.2 → 5.6 requests of 8,192 tokens`, with the settings that changed and what they were."""
    repository({"pod.yaml": FITS})
    ran = check("pod.yaml", "--against", "HEAD", files={"pod.yaml": FITS.replace("8B", "4B")})
    (message,) = messages(ran)
    held, holds = map(
        float, re.match(r"since HEAD: ([\d.]+) → ([\d.]+) requests of 8,192 tokens at once \(\+", message).groups()
    )
    assert 0 < held < holds
    (note,) = [each for each in ran.document["findings"] if each["code"] == "KVP121"]
    assert [each["message"] for each in note["related"]] == ["was Qwen/Qwen3-8B"]
    assert (ran.code, note["severity"]) == (0, "note")


@pytest.mark.parametrize("limit, code", [("10", 1), ("99", 0), ("0", 1)])
def test_a_loss_beyond_the_limit_fails(check, repository, limit, code):
    """--max-loss makes a larger loss an error, whatever --fail-on says of the rest, but for never."""
    repository({"pod.yaml": FITS})
    files = {"pod.yaml": FITS.replace("8192", "8192\n    - --gpu-memory-utilization=0.85")}
    ran = check("pod.yaml", "--against", "HEAD", "--max-loss", limit, "--fail-on", "unknown", files=files)
    assert (ran.code, "KVP120" in ran.codes) == (code, bool(code))
    assert check("pod.yaml", "--against", "HEAD", "--max-loss", limit, "--fail-on", "never").code == 0
    if code:
        assert f"more than the {limit} % that are allowed" in messages(ran)[0]


def test_a_gain_is_never_too_much(check, repository):
    """More capacity than before is a note under any limit, and nothing that stayed the same is said."""
    repository({"pod.yaml": FITS, "same.yaml": pod(name="b")})
    ran = check(
        ".",
        "--against",
        "HEAD",
        "--max-loss",
        "0",
        files={"pod.yaml": FITS.replace("8192", "4096"), "same.yaml": "# c\n" + pod(name="b")},
    )
    assert ran.code == 0
    assert all("+0.0" not in message for message in messages(ran))
    repository({"pod.yaml": FITS})
    assert messages(check(".", "--against", "HEAD")) == []
    longer = FITS.replace("8192", "10240")
    assert messages(check(".", "--against", "HEAD", files={"pod.yaml": longer})) == [], (
        "as many requests of one length as before"
    )


def test_only_another_gpu_is_a_change(check, repository):
    """The GPU alone changes capacity, and its old name stands beside it."""
    repository({"pod.yaml": pod(gpu="nvidia-h100-80gb")})
    ran = check("pod.yaml", "--against", "HEAD", "--max-loss", "10", files={"pod.yaml": FITS})
    (found,) = [each for each in ran.document["findings"] if each["code"] == "KVP120"]
    assert [each["message"] for each in found["related"]] == ["was h100"]
    assert ran.code == 1


def test_new_files_and_engines_have_nothing_to_lose(check, repository):
    """What was not there before is compared with nothing."""
    repository({"pod.yaml": FITS})
    ran = check(
        ".",
        "--against",
        "HEAD",
        "--max-loss",
        "0",
        "--all-files",
        files={"pod.yaml": f"{FITS}---\n{pod(name='b')}", "new.yaml": pod(name="c")},
    )
    assert (ran.code, messages(ran), len(ran.verdicts)) == (0, [], 3)


def test_an_engine_that_is_gone_is_said(check, repository, folder):
    """A deleted engine, or file, is a note with what it held."""
    repository({"pods.yaml": f"{FITS}---\n{pod(name='b')}", "old.yaml": pod(name="old"), "other/x.yaml": pod(name="x")})
    (folder / "old.yaml").unlink()
    (folder / "other" / "x.yaml").unlink()
    ran = check(
        "pods.yaml",
        "old.yaml" if (folder / "old.yaml").exists() else ".",
        "--against",
        "HEAD",
        files={"pods.yaml": FITS},
    )
    said = sorted(messages(ran))
    assert [message.split(";")[0] for message in said] == [
        "since HEAD: Pod b, container vllm is gone",
        "since HEAD: Pod old, container vllm is gone",
        "since HEAD: Pod x, container vllm is gone",
    ]
    assert all(re.search(r"it held [\d.]+ requests of 8,192 tokens at once", message) for message in said)
    assert messages(check("pods.yaml", "--against", "HEAD"))[0].startswith("since HEAD: Pod b")


def test_renamed_files_and_engines_are_found(check, repository, folder):
    """A file that moved is compared with what it was, as is the only engine of a file under another name."""
    repository({"a/pod.yaml": FITS, "pod.yaml": pod(name="old")})
    (folder / "a" / "pod.yaml").rename(folder / "moved.yaml")
    files = {
        "moved.yaml": FITS.replace("8192", "8192\n    - --gpu-memory-utilization=0.85"),
        "pod.yaml": pod(name="new", length="8192", gpu="nvidia-h100-80gb"),
    }
    git(folder, "add", "--all")
    ran = check(".", "--against", "HEAD", "--max-loss", "5", files=files)
    assert (ran.code, ran.codes.count("KVP120"), ran.codes.count("KVP121")) == (1, 1, 1)
    assert not [message for message in messages(ran) if "gone" in message]


def test_a_verdict_that_changes_is_said(check, repository):
    """From unknown to known and back there are no requests to compare, and the verdicts are named."""
    repository({"a.yaml": UNKNOWN, "b.yaml": pod(name="b"), "c.yaml": pod(name="c"), "d.yaml": pod(name="d", gpu="")})
    files = {
        "a.yaml": FITS,
        "b.yaml": pod(name="b", gpu=""),
        "c.yaml": MISFIT.replace("qwen", "c"),
        "d.yaml": "# x\n" + pod(name="d", gpu=""),
    }
    said = messages(check(".", "--against", "HEAD", files=files))
    assert said[0] == "since HEAD: unknown → fits."
    assert said[1] == "since HEAD: fits → unknown."
    assert said[2].endswith("; fits → does not fit.")
    assert len(said) == 3


def test_files_beside_are_those_of_then(check, repository):
    """A variable of `.env` that changed changes the engine of the compose file that did not."""
    flags = "--model Qwen/Qwen3-8B --max-model-len 8192 --gpu-memory-utilization ${PART}"
    compose = f"services:\n  llm:\n    image: vllm/vllm-openai:v0.11.0\n    command: {flags}\n"
    repository({"compose.yaml": compose, ".env": "PART=0.95\n"})
    ran = check("compose.yaml", "--gpu", "l4", "--against", "HEAD", files={".env": "PART=0.85\n"})
    (message,) = messages(ran)
    assert "(-" in message


def test_losses_are_ignored_and_baselined_like_the_rest(check, repository):
    """A comment with a reason, --ignore, and a baseline take a loss away."""
    repository({"pod.yaml": FITS})
    lower = FITS.replace("8192", "8192\n    - --gpu-memory-utilization=0.85")
    words = [".", "--against", "HEAD", "--max-loss", "1"]
    assert check(*words, files={"pod.yaml": lower}).code == 1
    assert check(*words, "--ignore", "KVP120").code == 0
    check(*words, "--write-baseline", "base.json")
    assert check(*words, "--baseline", "base.json").code == 0
    ran = check(
        *words, files={"pod.yaml": lower.replace("    image:", "    # kvplan: ignore[KVP120] agreed\n    image:")}
    )
    assert (ran.code, ("KVP120", "agreed") in ran.suppressed) == (0, True)
    assert "KVP090" not in ran.codes


@pytest.mark.parametrize(
    "reference",
    [
        "nosuch",
        "--help",
        "-h",
        "--upload-pack=touch x",
        "HEAD~99",
        "main:pod.yaml",
        "a\nb",
        "a\0b",
        "",
        "x" * 10_000,
        "@{-1}",
    ],
)
def test_a_revision_that_there_is_not_is_refused(check, repository, folder, reference):
    """A name that is none, also one that looks like an option, ends with exit code 2 and does nothing."""
    repository({"pod.yaml": FITS})
    ran = check("pod.yaml", f"--against={reference}")
    assert ran.code == 2
    assert "There is no revision" in ran.err or "git cannot be run" in ran.err
    assert sorted(each.name for each in folder.iterdir()) == [".git", "pod.yaml"]


def test_without_a_repository_there_is_nothing_to_compare_with(check):
    """Outside a repository --against ends with exit code 2."""
    ran = check("pod.yaml", "--against", "HEAD", files={"pod.yaml": FITS})
    assert (ran.code, ran.out) == (2, "")
    assert "git repository" in ran.err


def test_the_repository_is_the_one_that_the_files_are_in(repository, folder, monkeypatch, tmp_path_factory):
    """Files of another place are compared with their own repository."""
    repository({"pod.yaml": FITS})
    write(folder, {"pod.yaml": FITS.replace("8B", "4B")})
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    found = kvplan.check(str(folder / "pod.yaml"), against="main")
    assert "KVP121" in [each.code for each in found.findings]
    assert "KVP121" in [each.code for each in kvplan.check(folder, against="main").findings]
    link = tmp_path_factory.mktemp("links") / "link"
    link.symlink_to(folder)
    assert "KVP121" in [each.code for each in kvplan.check(link / "pod.yaml", against="main").findings]


def test_tags_and_branches_are_revisions(check, repository, folder):
    """Whatever git knows as a commit may be named."""
    repository({"pod.yaml": FITS})
    git(folder, "tag", "v1")
    repository({"pod.yaml": FITS.replace("8B", "4B")})
    for name in ("v1", "HEAD~1", "main~", git(folder, "rev-parse", "v1").strip()[:10]):
        assert len(messages(check("pod.yaml", "--against", name))) == 1
    assert messages(check("pod.yaml", "--against", "main")) == []
