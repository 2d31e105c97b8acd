"""Whatever is typed or stands in a file: an answer, or a word about what is wrong with it; never a traceback."""

import contextlib
import io
import json
import sys
from unittest import mock

import pytest
from hostile import assert_sane, config_of, model_types, no_hang
from hypothesis import given
from hypothesis import strategies as st

import kvplan
from kvplan.cli import main
from kvplan.engines import find_engine
from kvplan.units import parse_size, parse_tokens

TYPES = model_types()


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No test here asks the hub, whatever a random name looks like."""
    from huggingface_hub import constants  # noqa: PLC0415  only these tests need it

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def answered_or_refused(**asked):
    """Plan; return the plan, or None where kvplan refuses with a word."""
    try:
        with no_hang():
            plan = kvplan.estimate(**asked)
            json.dumps(plan.to_dict(), allow_nan=False)
    except kvplan.KvplanError as error:
        assert error.message.strip()  # noqa: PT017  an answer is as good as a refusal
        return None
    return plan


def run(*words):
    """Run the command line in this process; return its exit code, stdout and stderr."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=e) for e in ("strict", "backslashreplace"))
    with (
        mock.patch.object(sys, "argv", ["kvplan", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        no_hang(),
    ):
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return code, *texts


# -- files -------------------------------------------------------------------------------------------------------------

WHOLE = json.dumps(config_of(TYPES["llama"])).encode()
FILES = {
    "empty": b"",
    "blank": b" \n\t",
    "binary": bytes(range(256)) * 40,
    "zeros": b"\0" * 1_000,
    "null": b"null",
    "a number": b"1e999",
    "a text": b'"llama"',
    "a list": b"[" + WHOLE + b"]",
    "lists without an end": b"[" * 100_000,
    "objects without an end": b'{"text_config":' * 50_000,
    "deep lists": b'{"model_type": "llama", "layer_types":' + b"[" * 900 + b"]" * 900 + b"}",
    "a number of 100,000 digits": b'{"model_type": "llama", "hidden_size": ' + b"9" * 100_000 + b"}",
    "two documents": WHOLE + WHOLE,
    "a comment": b"// generated\n" + WHOLE,
    "latin-1": WHOLE.replace(b"llama", b"ll\xe4ma"),
    "a lone surrogate": WHOLE.replace(b'"llama"', b'"\\ud800"'),
    "a trailing comma": WHOLE[:-1] + b",}",
    "an HTML page": b"<!doctype html><html>429 Too Many Requests</html>",
    "a git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
    "17 MiB": b'{"x": "' + b"A" * (17 * 2**20) + b'"}',
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_file_that_is_no_configuration_is_refused_by_name(tmp_path, content):
    """What is not a configuration is an error that names the file."""
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(kvplan.KvplanError, match=r"config\.json"), no_hang():
        kvplan.load_model(file)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_a_configuration_is_read_in_any_unicode_encoding(tmp_path, encoding):
    """JSON in UTF-8 with a mark, UTF-16 or UTF-32 is read as what it says."""
    file = tmp_path / "config.json"
    file.write_bytes(WHOLE.decode().encode(encoding))
    assert_sane(kvplan.estimate(file, engine="textbook"))


@given(st.data())
def test_bytes_changed_at_random_are_answered_or_refused(tmp_path_factory, data):
    """A configuration cut short or with bytes overwritten is a sane plan or an error, through `kvplan.estimate`."""
    content = bytearray(json.dumps(config_of(TYPES[data.draw(st.sampled_from(sorted(TYPES)))])).encode())
    for _ in range(data.draw(st.integers(0, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "config.json"
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    plan = answered_or_refused(model=file, engine="textbook")
    if plan is not None:
        assert_sane(plan)


def test_paths_that_are_no_files_are_refused(tmp_path):
    """Missing files, folders without a configuration, a file as a folder and names no file system has are refused."""
    (tmp_path / "a.json").mkdir()
    (tmp_path / "file.json").write_bytes(WHOLE)
    for path in ("missing.json", "a.json", ".", "file.json/config.json", "x" * 300 + ".json", "x/" * 3_000 + "y.json"):
        assert answered_or_refused(model=str(tmp_path / path)) is None
    for path in ("~nobody-of-that-name/config.json", "./\ud800.json", "/dev/null", "/", "..", "x" * 5_000, "a\0b"):
        assert answered_or_refused(model=path) is None


# -- names, sizes, settings --------------------------------------------------------------------------------------------

NUMBERS = [
    "0",
    "-1",
    "1",
    "1e9",
    "1e999",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "1_000",
    "٣",
    " 5 ",
    "9" * 400,
    "9" * 5_000,
    "1.5",
    "",
]
WORDS = [
    "true",
    "off",
    "auto",
    "None",
    "paged",
    "static",
    "1GiB",
    "1e400GiB",
    "9" * 400 + "GiB",
    "0GiB",
    "-1GiB",
    "🙂",
    "\x1b[2J",
]
TEXTS = st.one_of(st.text(max_size=30), st.sampled_from([*NUMBERS, *WORDS]))
NAMES = st.one_of(
    TEXTS,
    st.sampled_from(
        ["llama-3-70b", "qwen3:8b", "llama 3 70b", "llama-3-70bb", "org/name@main", "a/b", "../x/y", "-/-"]
    ),
)


@given(NAMES)
def test_any_model_name_is_answered_or_refused(name):
    """A model by any name is a plan or an error."""
    answered_or_refused(model=name, engine="textbook", context=100)


@given(NAMES, NAMES)
def test_any_gpu_and_engine_name_is_answered_or_refused(gpu, engine):
    """A GPU and an engine by any name are a plan or an error; `auto` is left to its own tests."""
    if gpu.strip().lower() != "auto":
        answered_or_refused(model="llama-3-8b", gpu=gpu, engine="textbook", context=100)
    answered_or_refused(model="llama-3-8b", engine=engine, context=100)


@given(TEXTS, TEXTS, TEXTS)
def test_any_format_and_size_is_answered_or_refused(quantization, kv_dtype, size):
    """Weight formats, cache formats and sizes of any text are a plan or an error."""
    answered_or_refused(model="llama-3-8b", engine="textbook", quantization=quantization)
    answered_or_refused(model="llama-3-8b", engine="textbook", kv_dtype=kv_dtype)
    answered_or_refused(model="deepseek-v3", engine="vllm", kv_dtype=kv_dtype)
    answered_or_refused(model="llama-3-8b", engine="textbook", kv_cache_memory=size)


@pytest.mark.parametrize("engine", ["vllm", "textbook", "transformers"])
@given(data=st.data())
def test_any_engine_argument_is_answered_or_refused(engine, data):
    """Every argument of every engine with any value, and names that it does not have, are a plan or an error."""
    names = st.one_of(st.sampled_from(sorted(find_engine(engine)[0].args)), st.text(max_size=10))
    values = st.one_of(TEXTS, st.none(), st.integers(), st.floats(), st.lists(st.integers(), max_size=2), st.just({}))
    args = data.draw(st.dictionaries(names, values, min_size=1, max_size=3))
    answered_or_refused(model="llama-3-8b", gpu="rtx4090", engine=engine, context=1_000, engine_args=args)


ENDLESS = pytest.param(10**5_000, id="endless")


@pytest.mark.parametrize("value", [0, -1, -0.5, 1.5, 10**18, ENDLESS, "-1", "²", "x", float("inf"), [1]])
@pytest.mark.parametrize("engine", ["vllm", "vllm@0.8.5", "textbook", "transformers"])
def test_a_value_out_of_range_is_named(engine, value):
    """Each argument of each engine refuses what it cannot be by its own name, or plans what it takes."""
    for name in find_engine(engine)[0].args:
        args = {"enable_lora": True, name: value} if name.startswith("max_lora") else {name: value}
        try:
            plan = kvplan.estimate("qwen2.5-vl-7b", "h100", engine=engine, engine_args=args)
        except kvplan.KvplanError as error:
            assert name in error.message or "attention backend" in error.message  # noqa: PT017  as good as a plan
        else:
            assert plan.budget is not None
            assert all(0 <= item.low <= item.bytes <= item.high for item in plan.budget.items if item.name != "runtime")


@pytest.mark.parametrize("size", [-1, 2**61, ENDLESS, "x", "0", "999999999999TiB", True])
def test_a_cache_of_no_size_is_named(size):
    """A cache given outright is a size that a machine could have."""
    with pytest.raises(kvplan.SettingError, match="kv_cache_memory"):
        kvplan.estimate("llama-3-8b", kv_cache_memory=size)


@pytest.mark.parametrize("context", [0, -1, 1.5, True, "8192", 10**11, ENDLESS, float("nan"), [1]])
def test_a_context_that_is_no_count_is_refused(context):
    """The context and the users are whole numbers of at least 1."""
    for name in ("context", "users"):
        with pytest.raises(kvplan.SettingError, match=f"{name} is"):
            kvplan.estimate("llama-3-8b", **{name: context})


@given(TEXTS)
def test_any_text_is_a_size_or_refused(text):
    """A size and a count of tokens are positive whole numbers or an error that shows the text."""
    for read in (parse_size, parse_tokens):
        try:
            assert read(text) > 0
        except kvplan.SettingError as error:
            assert "is not a" in error.message  # noqa: PT017  an answer is as good as a refusal


@pytest.mark.parametrize(
    "text, size",
    [
        ("24GiB", 24 * 2**30),
        ("80 GB", 80 * 10**9),
        ("1.5g", 3 * 2**29),
        ("9007199254740993", 2**53 + 1),  # beyond what a float counts exactly
        ("0.1TB", 10**11),
    ],
)
def test_sizes_are_exact(text, size):
    """Sizes are read in whole numbers: nothing is lost beyond 2**53 or to a decimal fraction."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text, tokens",
    [
        ("8192", 8_192),
        ("32k", 32_000),
        ("32K", 32_768),
        ("1,000", 1_000),
        ("1_000", 1_000),
        ("1.5k", 1_500),
        ("2M", 2**21),
    ],
)
def test_tokens_are_read_as_vllm_reads_them(text, tokens):
    """Lower-case letters are decimal and upper-case ones binary."""
    assert parse_tokens(text) == tokens


# -- the command line --------------------------------------------------------------------------------------------------

SHOWN = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    st.sampled_from([*NUMBERS, *WORDS]),
)
OPTIONS = [
    "--model",
    "--gpu",
    "--engine",
    "--tensor-parallel",
    "--pipeline-parallel",
    "--data-parallel",
    "--context",
    "--users",
    "--quantization",
    "--kv-dtype",
    "--kv-cache-memory",
    "--engine-arg",
    "--json",
    "--explain",
    "--bogus",
    "-tp",
]


@given(st.lists(st.tuples(st.sampled_from(OPTIONS), SHOWN), max_size=3), st.booleans())
def test_any_command_line_ends_with_a_code_of_the_contract(options, as_json):
    """Options with any value end with 0, 1 or 2; errors are one or two lines on stderr, and stdout is JSON or nothing."""
    words = [word for option, value in options for word in (option, value) if option != "--gpu" or value != "auto"]
    code, out, err = run("estimate", "-m", "llama-3-8b", "-g", "24GiB", "-e", "textbook", *["--json"] * as_json, *words)
    assert code in (0, 1, 2), (code, err)
    assert "Traceback" not in err
    if code == 2:
        assert err.strip()
        assert not out
    elif as_json:
        json.loads(out)


@pytest.mark.parametrize("words", [["models"], ["gpus"], ["engines"], ["estimate", "-m"], ["estimate", "--"]])
def test_a_name_longer_than_file_systems_take_is_refused(words):
    """A name of any length is only a name that nothing has."""
    code, out, err = run(*words, "9" * 5_000)
    assert (code, out) == (2, "")
    assert len(err) < 500


@given(st.sampled_from(["estimate", "models", "gpus", "engines", "bogus"]), st.lists(SHOWN, max_size=3))
def test_any_words_after_a_command_end_with_a_code_of_the_contract(command, words):
    """Every command with any words ends with 0, 1 or 2."""
    code, _, err = run(command, *words)
    assert code in (0, 1, 2), (code, err)
    assert "Traceback" not in err


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_the_command_line_refuses_a_broken_file(tmp_path, content):
    """A broken file is exit code 2, with a line on stderr that names it and holds no terminal escapes."""
    file = tmp_path / "config.json"
    file.write_bytes(content)
    code, out, err = run("estimate", "--model", str(file), "--json")
    assert (code, out) == (2, "")
    assert "config.json" in err
    assert "\x1b" not in err


@pytest.mark.parametrize("name", ["b\udcff.json", "c\x1b[31m.json", "d\n.json", "🙂.json"])
@pytest.mark.parametrize("options", [["--json"], [], ["--explain"]])
def test_a_strange_file_name_is_only_a_name(tmp_path, name, options):
    """A file whose name is no UTF-8, or holds escapes, is planned like any other, and no escape reaches the terminal."""
    (tmp_path / name).write_bytes(WHOLE)
    code, out, err = run("estimate", "--model", str(tmp_path / name), "--engine", "textbook", *options)
    assert code == 0, err
    assert "\x1b" not in out
