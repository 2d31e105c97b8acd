"""Settings by keys, as an engine's words."""

from kvplan.deploy.keys import flag_for, flags_of, json_text, words_in
from kvplan.deploy.tree import documents
from kvplan.launch.text import Source


def _tree(text):
    return documents(Source("a.yaml", text))[0].root


def _flags(text, skip=()):
    return [[word.text for word in flag] for flag in flags_of(_tree(text), skip)]


def test_keys_with_underscores_or_dashes_are_flags():
    """Both spellings in one mapping are the same flags."""
    assert _flags("max_model_len: 8192\ntensor-parallel-size: '2'\n") == [
        ["--max-model-len", "8192"],
        ["--tensor-parallel-size", "2"],
    ]


def test_truth_values_are_bare_flags_and_their_opposites():
    """True is the flag, false its `--no-` form, in YAML 1.1's spellings; a quoted word is a value."""
    assert _flags("enforce_eager: true\nenable_x: off\nno-enable-y: no\nz: 'true'\n") == [
        ["--enforce-eager"], ["--no-enable-x"], ["--enable-y"], ["--z", "true"],
    ]  # fmt: skip


def test_mappings_are_json_and_lists_are_words():
    """What a command line has no other form for is JSON; its values keep their places."""
    text = 'speculative_config: {method: eagle, n: 3, p: .5, q: "a\\"b", r: ~}\nsizes: [1, 2]\nlist: [{a: [yes]}]\n'
    flags = flags_of(_tree(text))

    assert [flag[1].text for flag in flags[::2]] == [
        '{"method": "eagle", "n": 3, "p": 0.5, "q": "a\\"b", "r": null}', '[{"a": [true]}]',
    ]  # fmt: skip
    assert [word.text for word in flags[1]] == ["--sizes", "1", "2"]
    at = flags[0][1].text.index("eagle")
    assert flags[0][1].place.cut(at, at + 5).place().text == "eagle"


def test_what_says_nothing_is_left_out():
    """Null, empty lists and keys that are to be skipped make no flag."""
    assert _flags("a: null\nb:\nc: []\nmodel-name: x\nd: 1\n", skip={"model_name"}) == [["--d", "1"]]


def test_numbers_are_written_as_the_engine_reads_them():
    """Underscores in a number are YAML's own; other numbers stay as they are written."""
    assert _flags("a: 32_768\nb: 0.90\nc: 1e-3\n") == [["--a", "32768"], ["--b", "0.90"], ["--c", "1e-3"]]


def test_words_stand_at_their_key_and_at_their_value():
    """A flag is placed at its key, its value at the value."""
    name, value = flag_for("--max-model-len", _tree("x: 1\nmaxModelLen: 4096\n"), "max_model_len", "maxModelLen")

    assert (name.place.place().line, name.place.place().column) == (2, 1)
    assert (value.place.place().line, value.place.place().column) == (2, 14)
    assert flag_for("--x", _tree("a: 1\n"), "b") == ()


def test_mappings_without_end_are_no_flag():
    """Aliases that hold each other many times over make no value."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 4)
    )

    assert json_text(_tree(bomb)) is None
    assert "--z" not in [flag[0] for flag in _flags(f"{bomb}z: {{y: *a3}}\n")]


def test_words_of_a_text_stand_without_their_quotes():
    """A text of flags is split as a shell does, each word at its place."""
    words = words_in(Source("x", "--a 'b c' --d=\"e\" | f").whole())

    assert [word.text for word in words] == ["--a", "b c", "--d=e", "f"]
    assert [word.place.place().text for word in words] == ["--a", "b c", '--d="e"', "f"]
