"""Plans of pasted commands: with kvplan's own options beside them, and the command changed so that it fits."""

import json
import sys

import pytest
from rich.console import Console

import kvplan
from kvplan import cli
from kvplan.engines.vllm.command.changes import changed
from kvplan.errors import KvplanError, SettingError
from kvplan.launch.command import read_command
from kvplan.launch.planning import plan_command
from kvplan.report.terminal import print_plan

# The cache is given outright, so that these plans hang on no model of the other memory: 4 GiB hold 32,768 tokens.
GIVEN = "--kv-cache-memory-bytes 4G"
BIG = f"vllm serve llama-3.1-8b {GIVEN} --max-model-len=64K --max_num_seqs=64"


def planned(text, gpu="h100", **options):
    """Return the plan of a command."""
    return plan_command(read_command(text, version=options.get("version")), gpu=gpu, **options)


@pytest.fixture
def run(capsys, monkeypatch):
    """Run `kvplan estimate WORDS`; give exit code, stdout and stderr."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["kvplan", "estimate", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return command


@pytest.mark.parametrize("model", ["mamba-130m", "falcon-mamba-7b", "recurrentgemma-2b"])
def test_a_model_of_endless_sequences_may_be_served(model):
    """A command that says no length is planned for models without a longest one, too."""
    assert planned(f"vllm serve {model}").verdict == "fits"


def test_a_command_is_the_same_plan_as_its_options():
    """What a command says gives the very plan that kvplan's own arguments give."""
    of_command = planned(
        "vllm serve llama-3.1-8b -tp 2 --max-model-len 16K --kv-cache-dtype fp8 --max-num-seqs 32 --enforce-eager"
    )
    of_options = kvplan.estimate(
        "llama-3.1-8b",
        "h100",
        tensor_parallel=2,
        context=16384,
        kv_dtype="fp8",
        engine_args={"max_num_seqs": 32, "enforce_eager": True},
    )
    assert of_command.to_dict() == of_options.to_dict()


@pytest.mark.parametrize(
    "options, text, says",
    [
        ({"context": 4096}, "--max-model-len 8k", ("--context 4096", "--max-model-len 8k")),
        ({"tensor_parallel": 4}, "-tp 2", ("--tensor-parallel 4", "-tp 2")),
        ({"data_parallel": 4}, "--data-parallel-size=2", ("--data-parallel 4", "--data-parallel-size=2")),
        ({"kv_dtype": "fp8"}, "--kv-cache-dtype auto", ("--kv-dtype fp8", "--kv-cache-dtype auto")),
        ({"quantization": "int4"}, "-q fp8", ("--quantization int4", "-q fp8")),
        (
            {"kv_cache_memory": "1GiB"},
            "--kv-cache-memory-bytes 2G",
            ("--kv-cache-memory 1GiB", "--kv-cache-memory-bytes 2G"),
        ),
        ({"model": "qwen3-32b"}, "", ("--model qwen3-32b", "llama-3.1-8b")),
        (
            {"draft": "mtp"},
            "--spec-method draft_model --spec-model llama-3.2-1b --spec-tokens 2",
            ("--draft mtp", "llama-3.2-1b"),
        ),
        (
            {"engine_args": {"max_num_seqs": "8"}},
            "--max-num-seqs 16",
            ("--engine-arg max_num_seqs=8", "--max-num-seqs 16"),
        ),
    ],
)
def test_an_option_that_contradicts_the_command_names_both(options, text, says):
    """Kvplan's option and the command's flag that say different things are an error with the words of both."""
    with pytest.raises(SettingError) as error:
        planned(f"vllm serve llama-3.1-8b {text}", **options)
    assert all(words in error.value.message for words in says)
    assert "contradicts" in error.value.message


def test_options_fill_what_the_command_leaves_open():
    """GPU, users, a length and engine arguments come from kvplan's options where the command does not say."""
    plan = planned("vllm serve llama-3.1-8b", context=4096, users=3, engine_args={"max_num_seqs": 8}, kv_dtype="fp8")
    assert plan.request.context_tokens == 4096
    assert plan.request.concurrent_requests == 3
    assert plan.deployment.settings["max_num_seqs"] == 8
    assert plan.deployment.settings.kv_dtype.name == "fp8_e4m3"
    same = planned("vllm serve llama-3.1-8b --max-model-len 4096", context=4096, model="llama-3.1-8b")
    assert same.request.context_tokens == 4096


def test_without_a_gpu_there_are_sizes_only():
    """A command alone is sized; no verdict is made up."""
    assert planned("vllm serve llama-3.1-8b", gpu=None).verdict == "unknown"


def test_the_version_is_the_images_or_the_one_asked_for(run):
    """An image's tag decides the release; --engine vllm@0.19 does where the command does not say; both at odds are an error."""
    image = ["docker", "run", "vllm/vllm-openai:v0.11.0", "--model", "llama-3.1-8b"]
    assert json.loads(run("--json", "--", *image)[1])["engine"]["version"] == "0.11.0"
    assert json.loads(run("--json", "--engine", "vllm@0.11", "--", *image)[1])["engine"]["version"] == "0.11.0"
    words = ["vllm", "serve", "llama-3.1-8b"]
    assert json.loads(run("--json", "--engine", "vllm@0.19", "--", *words)[1])["engine"]["version"] == "0.19"
    code, _, err = run("--engine", "vllm@0.19", "--", *image)
    assert code == 2
    assert "--engine vllm@0.19 contradicts vllm/vllm-openai:v0.11.0" in err
    code, _, err = run("--engine", "textbook", "--", *words)
    assert code == 2
    assert "--engine textbook contradicts the command, which starts vllm" in err


@pytest.mark.parametrize(
    "text",
    [
        "CUDA_VISIBLE_DEVICES=0 vllm serve llama-3.1-8b -tp 2",
        "docker run --gpus 2 vllm/vllm-openai --model llama-3.1-8b -tp 2 -pp 2",
        "docker run --gpus device=0 vllm/vllm-openai --model llama-3.1-8b -dp 2",
    ],
)
def test_more_ranks_than_visible_gpus_are_refused(text):
    """A command that shows vLLM fewer GPUs than its parallel sizes need does not start, and is not planned."""
    with pytest.raises(SettingError, match="shows it"):
        planned(text)
    planned(f"{text} --nnodes 2")


def test_auto_length_is_the_longest_that_surely_fits():
    """`--max-model-len auto` never fails for its length: vLLM shrinks it, and the plan says to what."""
    plan = planned("vllm serve llama-3.1-8b --max-model-len auto", gpu="rtx4090")
    assert plan.verdict == "fits"
    assert 1024 < plan.request.context_tokens < 131072
    assert any("picks the longest request that fits" in note.text for note in plan.assumptions)
    assert planned("vllm serve llama-3.1-8b --max-model-len auto", gpu="h200").request.context_tokens == 131072


def test_longer_than_the_model_needs_the_variable():
    """A length beyond the model's own is refused as vLLM does, unless VLLM_ALLOW_LONG_MAX_MODEL_LEN lets it in."""
    assert planned("vllm serve llama-3-8b --max-model-len 16K", gpu="h200").verdict == "does_not_fit"
    allowed = planned("VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 vllm serve llama-3-8b --max-model-len 16K", gpu="h200")
    assert allowed.verdict == "fits"
    assert any("VLLM_ALLOW_LONG_MAX_MODEL_LEN" in note.text for note in allowed.assumptions)


def test_overrides_change_the_configuration():
    """--hf-overrides and --rope-scaling change what the model caches and how long it may be."""
    plain = planned("vllm serve qwen3-8b", gpu=None)
    short = planned("""vllm serve qwen3-8b --hf-overrides '{"max_position_embeddings": 1024}'""", gpu=None)
    assert short.request.context_tokens == 1024 < plain.request.context_tokens
    fewer = planned("vllm serve qwen3-8b --hf-overrides.num_hidden_layers 2", gpu=None)
    assert fewer.layout.bytes_per_token * 36 == plain.layout.bytes_per_token * 2
    stored = planned("""vllm serve qwen3-8b --hf-overrides.quantization_config '{"quant_method": "fp8"}'""", gpu=None)
    assert stored.deployment.quantization.startswith("fp8")
    rope = planned(
        "vllm serve qwen3-8b --rope-scaling "
        """'{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":32768}'""",
        gpu=None,
        version="0.10.2",
    )
    assert rope.request.context_tokens == 131072
    assert any("configuration is changed" in note.text for note in rope.assumptions)


@pytest.mark.parametrize(
    "text, scheme",
    [
        ("llama-3.1-8b -q fp8", "fp8"),
        ("llama-3.1-8b --load-format bitsandbytes", "nf4"),
        ("llama-3.1-8b --dtype float32", "float32"),
        ("llama-3.1-8b --dtype half", "float16"),
        ("deepseek-v3 -q fp8", "fp8"),
        ("gpt-oss-20b -q mxfp4", "mxfp4"),
    ],
)
def test_quantisation_is_the_checkpoints_or_made_while_loading(text, scheme):
    """--quantization names the checkpoint's method, or one that quantises a plain checkpoint as it is loaded."""
    assert planned(f"vllm serve {text}", gpu=None).deployment.quantization.startswith(scheme)


@pytest.mark.parametrize("text", ["llama-3.1-8b -q awq", "deepseek-v3 -q gptq", "llama-3.1-8b -q what"])
def test_a_method_that_is_not_the_checkpoints_is_refused(text):
    """A method that vLLM refuses for the checkpoint, or that is not known, is an error: no width is guessed."""
    with pytest.raises(SettingError, match=r"refuses|not known"):
        planned(f"vllm serve {text}")


def test_a_model_at_a_path_of_another_machine_is_named_by_the_option():
    """A path inside a container is planned as what --model says lies there; without that it is an error that says so."""
    text = "docker run -v /data:/models vllm/vllm-openai --model /models/llama"
    with pytest.raises(SettingError, match="not on this machine"):
        planned(text)
    plan = planned(text, model="llama-3.1-8b")
    assert plan.deployment.model.id == "llama-3.1-8b"
    assert any("/models/llama is planned as llama-3.1-8b" in note.text for note in plan.assumptions)


def test_limits_of_zero_leave_the_towers_out():
    """With every kind of input limited to 0 the towers are not loaded; with one left open they are counted, and that is said."""
    whole = planned("vllm serve qwen2.5-vl-7b", gpu=None)
    closed = planned("""vllm serve qwen2.5-vl-7b --limit-mm-per-prompt '{"image": 0, "video": 0}'""", gpu=None)
    half = planned("""vllm serve qwen2.5-vl-7b --limit-mm-per-prompt '{"image": 0}'""", gpu=None)
    assert closed.weights.bytes < whole.weights.bytes == half.weights.bytes
    assert any("towers are counted" in note.text for note in half.assumptions)


# -- the command, changed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, changed",
    [
        (BIG, BIG.replace("=64K", "={}")),
        (BIG.replace("=64K", " '64K'"), BIG.replace("=64K", " {}")),
        (f"vllm serve llama-3.1-8b {GIVEN} # all", f"vllm serve llama-3.1-8b {GIVEN} --max-model-len {{}} # all"),
        (
            f"vllm serve llama-3.1-8b \\\n    {GIVEN} > log &",
            f"vllm serve llama-3.1-8b \\\n    {GIVEN} \\\n    --max-model-len {{}} > log &",
        ),
        (
            f"docker run -e 'A=b c' vllm/vllm-openai --model llama-3.1-8b {GIVEN}",
            f"docker run -e 'A=b c' vllm/vllm-openai --model llama-3.1-8b {GIVEN} --max-model-len {{}}",
        ),
    ],
)
def test_the_changed_command_keeps_the_users_spelling(text, changed):
    """A remedy is the user's own command with the one change in its place: their spelling, quoting, lines and redirections."""
    remedy = next(remedy for remedy in planned(text).remedies if remedy.words.startswith("--max-model-len"))
    assert remedy.command is not None
    assert remedy.command.text == changed.format(remedy.words.split()[1])
    assert all(remedy.command.text[start:end].strip() for start, end in remedy.command.spans)


@pytest.mark.parametrize(
    "text, changes, expected",
    [
        ("vllm serve M -tp 2 --port 1", {"tensor_parallel": 4}, "vllm serve M -tp 4 --port 1"),
        ("vllm serve M -tp=2", {"tensor_parallel": 4}, "vllm serve M -tp=4"),
        ("vllm serve M -q fp8", {"kv_dtype": "fp8"}, "vllm serve M -q fp8 --kv-cache-dtype fp8"),
        ("vllm serve M -tp 2 -tp 4", {"tensor_parallel": 8}, "vllm serve M -tp 2 -tp 8"),
        ("docker run --gpus 2 vllm/vllm-openai M", {"tensor_parallel": 2, "gpu": "h100"},
         "docker run --gpus 2 vllm/vllm-openai M --tensor-parallel-size 2"),
        ("docker run --gpus=2 vllm/vllm-openai M -tp 2", {"tensor_parallel": 4, "gpu": "h100"},
         "docker run --gpus=4 vllm/vllm-openai M -tp 4"),
        ("vllm serve M --no-enforce-eager", {"engine_args": {"enforce_eager": True}}, "vllm serve M --enforce-eager"),
        ("vllm serve M --gpu_memory_utilization .9", {"engine_args": {"gpu_memory_utilization": 0.95}},
         "vllm serve M --gpu_memory_utilization 0.95"),
        ("vllm serve M", {"engine_args": {"max_num_seqs": 64}, "quantization": "fp8"},
         "vllm serve M --max-num-seqs 64 --quantization fp8"),
        ("vllm serve M --", {"context": 4096}, "vllm serve M --max-model-len 4096 --"),
        ("CUDA_VISIBLE_DEVICES=0,1 vllm serve M -tp 2", {"tensor_parallel": 4, "gpu": "h100"}, None),
        ("vllm serve M", {"users": 3}, None),
        ("vllm serve M", {"quantization": "int4"}, None),
        ("bash -c 'vllm serve M -tp 2'", {"tensor_parallel": 4}, None),
    ],
)  # fmt: skip
def test_a_change_goes_where_the_flag_is(text, changes, expected):
    """A changed value replaces the one that counts, in its own form; a new flag follows the last word; else there is none."""
    try:
        command = read_command(text)
    except SettingError:
        assert expected is None
        return
    result = changed(command, changes, {name: given.value for name, given in command.engine_args.items()})
    assert (result.text if result else None) == expected


@pytest.mark.parametrize(
    "text", [BIG, f"vllm serve llama-3.1-8b {GIVEN}", "vllm serve mixtral-8x7b --enforce-eager -tp 2"]
)
@pytest.mark.parametrize("gpu", ["rtx4090", "a100", "h100"])
def test_each_changed_command_fits(text, gpu):
    """What is printed is read again, and its plan is the remedy's: it fits."""
    for remedy in planned(text, gpu).remedies:
        if remedy.command is not None:
            again = planned(remedy.command.text, gpu)
            assert again.verdict == "fits"
            assert again.capacity == remedy.plan.capacity


@pytest.mark.parametrize(
    "text, expected",
    [
        ("vllm serve M --swap-space 4 --port 1", "vllm serve M --port 1 --max-model-len 8"),
        ("vllm serve M --port 1 --swap-space=4", "vllm serve M --port 1 --max-model-len 8"),
        ("vllm serve M \\\n  --swap-space 4 \\\n  --port 1", "vllm serve M \\\n  --port 1 \\\n  --max-model-len 8"),
    ],
)
def test_what_the_release_does_not_start_with_is_taken_out(text, expected):
    """The changed command starts: flags that the release no longer has are not in it, and that is said."""
    result = changed(read_command(text), {"context": 8}, {})
    assert result is not None
    assert result.text == expected
    assert result.without.replace("=", " ") == "--swap-space 4"
    assert not read_command(result.text).warnings


def test_a_plan_that_fits_prints_no_command(run):
    """Where nothing has to change, no command is printed."""
    code, out, _ = run("--gpu", "h200", "--", "vllm", "serve", "llama-3.1-8b")
    assert code == 0
    assert "The command with" not in out
    assert not json.loads(run("--gpu", "h200", "--json", "--", "vllm", "serve", "llama-3.1-8b")[1])["remedies"]


def test_the_screen_ends_with_the_command(run):
    """The terminal's report shows what changed and the command, in lines that a shell takes as one."""
    code, out, err = run(
        "--gpu", "h100", "--", *BIG.split(), "--served-model-name", "one", "two", "three", "--port", "8000"
    )
    assert code == 1, err
    assert "(was 64K)" in out
    title, block = out.split("The command with ")[1].split("\n\n")[0].split("\n", 1)
    again = read_command(block)
    assert title == f"--max-model-len {again.settings['context'].value}"
    assert again.settings["context"].value <= 32768
    assert again.words[-1].text == "8000"
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "\x1b" not in out


def test_json_carries_the_command(run):
    """In the JSON each remedy that the command can say has it whole, on one line."""
    _, out, _ = run("--gpu", "h100", "--json", "--", *BIG.split())
    remedy = json.loads(out)["remedies"][0]
    assert remedy["command"] == BIG.replace("=64K", f"={remedy['change'].split()[1]}")


def test_a_terminal_sees_the_change_in_colour():
    """On a terminal what changed is coloured."""
    console = Console(force_terminal=True, width=100, color_system="standard", highlight=False)
    with console.capture() as captured:
        print_plan(planned(BIG), console)
    assert "\x1b[1;32m--max-model-len=" in captured.get()


def test_dashes_before_the_command_may_be_left_out(run):
    """`kvplan estimate --gpu h100 vllm serve M -tp 2` reads -tp as the command's."""
    plan = json.loads(run("--gpu", "h100", "--json", "vllm", "serve", "llama-3.1-8b", "-tp", "2")[1])
    assert plan["parallel"]["tensor"] == 2


def test_one_quoted_text_is_a_command(run):
    """A command given as one word is split as a shell does."""
    plan = json.loads(run("--gpu", "h100", "--json", "--", "vllm serve llama-3.1-8b \\\n -tp 2 > log")[1])
    assert plan["parallel"]["tensor"] == 2


def test_warnings_are_said_and_kept(run):
    """What vLLM would refuse is a warning on stderr and an assumption in the plan; the document stays clean."""
    code, out, err = run("--gpu", "h100", "--json", "--", "vllm", "serve", "llama-3.1-8b", "--swap-space", "4")
    assert code == 0
    assert "kvplan: warning: vLLM 0.33 does not start with --swap-space: it was removed in 0.18.0" in err
    assert any("--swap-space" in note["text"] for note in json.loads(out)["assumptions"])


@pytest.mark.parametrize(
    "words", [["vllm"], ["sglang", "serve"], ["--model", "x", "--", "make"], ["--", "vllm", "serve", "--port", "1"]]
)
def test_a_command_that_cannot_be_planned_is_exit_2(run, words):
    """A command without engine or model is an error of the input: one message, no traceback, exit code 2."""
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("kvplan: ")
    assert "Traceback" not in err


def test_a_model_in_the_commands_place_is_told_where_it_goes(run):
    """`kvplan estimate llama-3-70b` names the two ways to write it."""
    code, _, err = run("llama-3-70b", "--gpu", "h100")
    assert code == 2
    assert "Write --model llama-3-70b, or -- vllm serve llama-3-70b" in err


def test_errors_are_kvplans():
    """What cannot be planned raises kvplan's errors in Python, too."""
    with pytest.raises(KvplanError):
        planned("vllm serve")


def test_what_is_asked_for_beside_the_command_is_said_and_goes_into_it():
    """A length that the command lacks is planned, said not to be the command's, and put into the changed command."""
    plan = planned(f"vllm serve llama-3.1-8b {GIVEN}", context=60_000, engine_args={"max_num_seqs": 8})
    said = "The command itself does not say --context 60000, --engine-arg max_num_seqs 8: planned as if it did."
    assert said in [note.text for note in plan.assumptions]
    remedy = next(remedy for remedy in plan.remedies if "--kv-cache-dtype" in remedy.words)
    assert remedy.command is not None
    assert set(remedy.command.text.split()) >= {
        "--max-model-len",
        "60000",
        "--kv-cache-dtype",
        "fp8",
        "--max-num-seqs",
        "8",
    }
    assert planned(remedy.command.text).capacity == remedy.plan.capacity
    assert not planned("vllm serve llama-3.1-8b", context=131_072).command.warnings


@pytest.mark.parametrize(
    "text",
    [
        "docker run -e HF_TOKEN=hf_abc --env=MY_API_KEY=hf_abc vllm/vllm-openai --model llama-3.1-8b",
        "OPENAI_API_KEY=hf_abc vllm serve llama-3.1-8b --api-key hf_abc 'hf_abc' --port 1",
        "vllm serve llama-3.1-8b --api-key=hf_abc --max-num-batched-tokens 4096 --max-num-batched-tokens=8192",
    ],
)
def test_secrets_are_not_printed(text):
    """Values of keys and tokens in the command are not in what is printed; the rest is, and what changed is marked."""
    plan = planned(f"{text} {GIVEN}")
    remedy = next(remedy for remedy in plan.remedies if remedy.words.startswith("--max-model-len"))
    assert "hf_abc" not in json.dumps(plan.to_dict())
    assert remedy.command is not None
    assert remedy.command.text.count("***") == text.count("hf_abc")
    assert "--max-num-batched-token" not in text or "4096 --max-num-batched-tokens=8192" in remedy.command.text
    assert [remedy.command.text[start:end] for start, end in remedy.command.spans] == [remedy.words]
