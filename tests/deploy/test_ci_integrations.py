"""Where people use the check: pre-commit's hooks, the GitHub action, the GitLab example, the example files.

Each is run as its user runs it. Only the installation is stood in for, by this checkout; with KVPLAN_INSTALL=1 it is real too,
which takes the package registry and a minute.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from kvplan.cli.app import app
from kvplan.deploy import files

ROOT = Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}
FITS, TOO_LONG = ROOT / "examples/k8s/fits.yaml", ROOT / "examples/k8s/does-not-fit.yaml"
GIT, BASH = shutil.which("git") or "git", shutil.which("bash") or "bash"
REAL = bool(os.environ.get("KVPLAN_INSTALL"))
installs = pytest.mark.skipif(not REAL, reason="installs kvplan and its hook from the registry: KVPLAN_INSTALL=1")
# Options of `kvplan check` that an action has no use for: there is no stream, and --json is --format json.
_NOT_OF_ACTIONS = {"json", "stdin-filename"}


@pytest.fixture
def project(tmp_path):
    """Return a git repository with one deployment that fits and one that does not."""
    folder = tmp_path / "project"
    (folder / "k8s").mkdir(parents=True)
    shutil.copy(FITS, folder / "k8s/fits.yaml")
    shutil.copy(TOO_LONG, folder / "k8s/too-long.yaml")
    commit(folder)
    return folder


def commit(folder: Path) -> str:
    """Commit all that is in a folder, and return the commit."""
    git = [
        GIT,
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.org",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "commit.gpgsign=false",
    ]
    subprocess.run([*git, "init", "--quiet", "."], cwd=folder, check=True)
    subprocess.run([*git, "add", "--all", "--force"], cwd=folder, check=True)
    subprocess.run([*git, "commit", "--quiet", "--no-verify", "--message", "all"], cwd=folder, check=True)
    return subprocess.run(
        [*git, "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def executable(path: Path, text: str) -> None:
    """Write a script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def standing_in(folder: Path) -> dict[str, str]:
    """Return variables under which `python3 -m venv`, pip and kvplan are this interpreter and this checkout."""
    if REAL:
        return {}
    kvplan = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -P -m kvplan "$@"'
    pip = f'[ "$1 $2 $3 $4" = "-I -m pip install" ] && echo "$@" >> "{folder}/installed" && exit'
    venv = f'[ "$1 $2 $3" = "-I -m venv" ] && mkdir -p "$4" && rm -rf "$4/bin" && cp -r "{folder}/venv" "$4/bin"'
    executable(folder / "venv/python", f'{pip}\nexec "{sys.executable}" "$@"')
    executable(folder / "venv/kvplan", kvplan)
    executable(folder / "bin/kvplan", kvplan)
    executable(folder / "bin/pip", f'echo "$@" >> "{folder}/installed"')
    executable(folder / "bin/python3", venv)
    return {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


class Ran:
    """What the steps of the action did.

    Attributes:
        code: the exit code.
        printed: stdout and stderr of all steps.
        outputs: of the action.
        summary: of the job.

    """

    def __init__(self, folder: Path, project: Path, **inputs: str) -> None:
        variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "INPUT_", "RUNNER_"))
        }
        variables |= standing_in(folder)
        output, summary, temp = folder / "output", folder / "summary", folder / "temp"
        temp.mkdir(exist_ok=True)
        output.write_text("")
        summary.write_text("")
        variables |= {
            "GITHUB_ACTION_PATH": str(ROOT), "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(project), "RUNNER_TEMP": str(temp),
        }  # fmt: skip
        values = {name: str(about.get("default", "")) for name, about in ACTION["inputs"].items()}
        values |= {name.replace("_", "-"): value for name, value in inputs.items()}
        assert values.keys() == ACTION["inputs"].keys()
        self.code, self.printed = 0, ""
        for number, step in enumerate(ACTION["runs"]["steps"]):
            script = folder / f"step{number}.sh"
            script.write_text(step["run"], encoding="utf-8")
            own = {
                name: re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)
                for name, value in step.get("env", {}).items()
            }
            done = subprocess.run(
                [BASH, "--noprofile", "--norc", "-eo", "pipefail", str(script)],
                cwd=project, env=variables | {name: values[match[1]] for name, match in own.items()},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
            )  # fmt: skip
            self.printed += done.stdout
            self.code = done.returncode
            if self.code:
                break
        self.summary = summary.read_text(encoding="utf-8")
        said = dict(line.split("=", 1) for line in output.read_text(encoding="utf-8").splitlines())
        self.outputs = {
            name: said.get(about["value"].removeprefix("${{ steps.check.outputs.").removesuffix(" }}"))
            for name, about in ACTION["outputs"].items()
        }


@pytest.fixture
def act(tmp_path, project):
    return lambda **inputs: Ran(tmp_path, project, **inputs)


def test_the_action_says_what_does_not_fit_everywhere(act, project):
    """Annotations in the log, a summary of the job, SARIF and counts as outputs; the step fails."""
    ran = act()
    assert ran.code == 1, ran.printed
    assert re.search(r"^::error file=k8s/too-long\.yaml,line=\d+,.*title=KVP102 ", ran.printed, re.MULTILINE)
    assert "| k8s/fits.yaml:" in ran.summary
    assert "| k8s/too-long.yaml:" in ran.summary
    assert (ran.outputs["findings"], ran.outputs["units"]) == ("1", "2")
    sarif = json.loads(Path(ran.outputs["sarif"]).read_text(encoding="utf-8"))
    assert [result["ruleId"] for result in sarif["runs"][0]["results"]] == ["KVP102"]
    assert not subprocess.run([GIT, "status", "--porcelain"], cwd=project, capture_output=True, check=True).stdout


def test_the_action_passes_what_fits(act):
    """Where everything fits the step passes, and says so in the same places."""
    ran = act(paths="k8s/fits.yaml\n")
    assert ran.code == 0, ran.printed
    assert (ran.outputs["findings"], ran.outputs["units"]) == ("0", "1")
    assert "| fits |" in ran.summary


def test_the_actions_inputs_reach_the_check(act, tmp_path):
    """Values of several lines become several options; switches are options only where they are true."""
    (tmp_path / "project/open.sh").write_text(
        "docker run vllm/vllm-openai:v0.11.0 --model /models/x --max-model-len $LEN\n"
    )
    ran = act(
        paths="open.sh\nk8s/fits.yaml", gpu="h100", model_map="/models/x=Qwen/Qwen3-8B\n/models/y=gemma-3-27b", set="LEN=8192",
        fail_on="risk\nunknown", output=f"concise={tmp_path}/concise.txt\njunit={tmp_path}/junit.xml", format="json", fix="false",
    )  # fmt: skip
    assert ran.code == 0, ran.printed
    assert [unit["verdict"] for unit in json.loads(ran.printed)["units"]] == ["fits", "fits"]
    assert (tmp_path / "concise.txt").read_text().count("on h100: fits") == 2
    assert (tmp_path / "junit.xml").exists()


def test_the_action_fails_on_wrong_input_without_outputs(act):
    """A GPU that there is not is exit code 2, and no outputs are left over from an earlier run."""
    act()
    ran = act(gpu="no-such-gpu")
    assert ran.code == 2
    assert "no-such-gpu" in ran.printed
    assert set(ran.outputs.values()) == {None}


HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    '"; touch pwned; "',
    "'; touch pwned; '",
    "x\n; touch pwned",
    "--fix",
    "-x",
    "${{ github.token }}",
    "*",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_an_input_is_run(act, project, text):
    """An input is one word of one option, whatever it holds; the check refuses it or finds no such thing."""
    everywhere = dict.fromkeys((name.replace("-", "_") for name in ACTION["inputs"]), text)
    for inputs in (everywhere, {"paths": text}):
        ran = act(**inputs)
        assert ran.code == 2, ran.printed
    assert not list(project.rglob("pwned"))
    assert not subprocess.run([GIT, "status", "--porcelain"], cwd=project, capture_output=True, check=True).stdout


def test_no_module_of_the_checkout_is_run(act, project):
    """Files of the pull request that are named like Python's own modules, or like kvplan's, are data to the action."""
    for name in ("venv", "pip", "json", "yaml", "typing", "sitecustomize", "kvplan/__init__", "kvplan/__main__"):
        path = project / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("open('pwned', 'w').close()\n", encoding="utf-8")
    ran = act(paths="k8s/fits.yaml")
    assert ran.code == 0, ran.printed
    assert not (project / "pwned").exists()


def test_no_expression_stands_in_a_script():
    """GitHub fills in `${{ }}` before a shell reads the script: none is there."""
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"


def test_the_actions_inputs_are_the_commands_options():
    """Every option of `kvplan check` is an input of the same name, and there are no others but the paths."""
    command = typer.main.get_command(app).commands["check"]  # type: ignore[attr-defined]
    names = {max(parameter.opts, key=len).lstrip("-") for parameter in command.params} - _NOT_OF_ACTIONS - {"help"}
    assert set(ACTION["inputs"]) == names
    (step,) = [step for step in ACTION["runs"]["steps"] if "env" in step]
    assert step["env"] == {f"INPUT_{name.upper().replace('-', '_')}": f"${{{{ inputs.{name} }}}}" for name in names}
    for name in names - {"paths"}:
        assert re.search(
            rf'^(option|switch) {name} "\$INPUT_{name.upper().replace("-", "_")}"$', step["run"], re.MULTILINE
        )


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_a_hooks_entry_checks_the_files_it_is_given(hook, project):
    """The command of the manifest, with files behind it as pre-commit puts them: 0 where they fit, 1 where one does not."""
    words = shlex.split(hook["entry"])
    assert words[0] == "kvplan"
    command = [sys.executable, "-m", "kvplan", *words[1:]]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for names, code in ((["k8s/fits.yaml"], 0), (["k8s/fits.yaml", "k8s/too-long.yaml"], 1)):
        done = subprocess.run(
            [*command, *names], cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
    assert "k8s/too-long.yaml:21:15: KVP102 error" in done.stdout


def test_hooks_take_what_a_folders_check_reads():
    """A commit is held to the same files as CI: every suffix and name that a folder's check reads, and no other."""
    names = [f"k8s/x{suffix}" for suffix in sorted(files._SUFFIXES)]  # noqa: SLF001  what the hook's pattern repeats
    names += [f"k8s/{name}" for name in (*files._NAMES, "Dockerfile.gpu", "no-suffix", "x.YAML")]  # noqa: SLF001
    names += ["README.md", "main.go", "k8s/model.safetensors", "x.yaml.md"]
    for hook in HOOKS.values():
        for name in names:
            assert bool(re.search(hook["files"], name)) == files._may_deploy(Path(name)), name  # noqa: SLF001
        assert hook["require_serial"]
        assert hook["pass_filenames"]
    assert {hook["language"] for hook in HOOKS.values()} == {"python", "system"}


def test_pre_commit_takes_the_manifest():
    """`pre-commit validate-manifest` has nothing to say."""
    pytest.importorskip("pre_commit")
    command = [sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert not done.stdout


@installs
def test_pre_commit_installs_and_runs_the_hook(project, tmp_path):
    """The real pre-commit builds this checkout, runs the hook on a commit's files and passes its verdict on."""
    pytest.importorskip("pre_commit")
    repository = tmp_path / "hooks"
    listed = subprocess.run(
        [GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, repository / name)
    used = {
        "repo": str(repository),
        "rev": commit(repository),
        "hooks": [{"id": "kvplan-check", "args": ["--fail-on", "risk"]}],
    }
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [used]}), encoding="utf-8")
    subprocess.run([GIT, "add", "."], cwd=project, check=True)
    environment = os.environ | {"PRE_COMMIT_HOME": str(tmp_path / "cache")}
    for name, code in (("k8s/fits.yaml", 0), ("k8s/too-long.yaml", 1), (".pre-commit-config.yaml", 0)):
        command = [sys.executable, "-m", "pre_commit", "run", "--files", name]
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert ("KVP102 error" in done.stdout) == bool(code)


def test_the_gitlab_job_leaves_its_reports(project, tmp_path):
    """The example's script, run line by line in a project, fails on the misfit and leaves the artifacts that it names."""
    job = yaml.safe_load((ROOT / "examples/gitlab-ci.yml").read_text(encoding="utf-8"))["kvplan"]
    if REAL:
        subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "real")], check=True)
    search = {"PATH": f"{tmp_path / 'real/bin'}{os.pathsep}{os.environ['PATH']}"} if REAL else standing_in(tmp_path)
    variables = os.environ | job["variables"] | {"KVPLAN": str(ROOT)} | search
    done = subprocess.run(
        [BASH, "-eo", "pipefail", "-c", "\n".join(job["script"])],
        cwd=project,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    reports = job["artifacts"]["reports"]
    quality = json.loads((project / reports["codequality"]).read_text(encoding="utf-8"))
    assert [(each["check_name"], each["location"]["path"]) for each in quality] == [("KVP102", "k8s/too-long.yaml")]
    assert '<testsuites tests="2" failures="1"' in (project / reports["junit"]).read_text(encoding="utf-8")
    assert job["artifacts"]["when"] == "always"


def check(*words: str) -> tuple[int, dict]:
    """Return the exit code and the JSON of a check in the folder of examples."""
    command = [sys.executable, "-m", "kvplan", "check", *words, "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT / "examples", env=environment, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_the_example_that_does_not_fit_is_fixed_by_one_number(tmp_path):
    """`--fix` writes a length that fits into the example, and changes nothing else in it."""
    shutil.copy(TOO_LONG, tmp_path / "x.yaml")
    command = [sys.executable, "-m", "kvplan", "check", "x.yaml", "--fix"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    before, after = (path.read_text(encoding="utf-8").splitlines() for path in (TOO_LONG, tmp_path / "x.yaml"))
    ((old, new),) = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert old.strip() == "- --max-model-len=131072"
    assert re.fullmatch(r" +- --max-model-len=\d+", new)


def test_the_example_configuration_settles_what_its_file_leaves_open():
    """With kvplan.toml the open example is planned and fits; without it its verdict is unknown, and every gap is named."""
    code, found = check("k8s/from-outside.yaml")
    assert (code, [unit["verdict"] for unit in found["units"]]) == (0, ["fits"])
    assert found["findings"] == []
    code, found = check("k8s/from-outside.yaml", "--config", os.devnull, "--fail-on", "unknown")
    assert (code, [unit["verdict"] for unit in found["units"]]) == (1, ["unknown"])
    assert {each["code"] for each in found["findings"]} == {"KVP003", "KVP401", "KVP402"}
