"""Words with a shell's variables put in, and where their characters stand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvplan.errors import SettingError
from kvplan.launch.peel import find_launches
from kvplan.launch.text import Source, Text
from kvplan.launch.variables import Variables
from kvplan.launch.words import Given, Word, quote, split


def no_files(name):
    """Return no file."""
    raise SettingError(f"there is no {name}")


def fields(text, **values):
    """Return what the one word of a text becomes."""
    variables = Variables(values={name: Given(value) for name, value in values.items()})
    (word,) = split(text)
    return [each.text for each in variables.fields(word)]


@pytest.mark.parametrize(
    "text, found",
    [
        ("$A", ["x", "y"]),
        ('"$A"', ["x y"]),
        ("'$A'", ["$A"]),
        ("p${A}q", ["px", "yq"]),
        ("$E", []),
        ('"$E"', [""]),
        ("$E$E", []),
        ('"$E"$E', [""]),
        ("$UNKNOWN-${UNKNOWN}", ["$UNKNOWN-${UNKNOWN}"]),
        ("${UNKNOWN:-$A}", ["x", "y"]),
        ('"${UNKNOWN:-$A}"', ["x y"]),
        ("${E:-a}${E-b}", ["a"]),
        ("${A:+z}${E:+z}", ["z"]),
        ("${A:?no} ", ["x", "y"]),
        ("${UNKNOWN:?no}", ["${UNKNOWN:?no}"]),
        ("${A/x/}", ["y"]),
        ("${A//[xy]/z}", ["${A//[xy]/z}"]),
        ("${A@Q}${!A}", ["${A@Q}${!A}"]),
        ("$((N+1))$((M+1))", ["5$((M+1))"]),
        ("$((1/0))$((9**99))", ["$((1/0))$((9**99))"]),
        ("$(echo $A)`x`", ["$(echo $A)`x`"]),
    ],
)
def test_variables_are_put_in_as_a_shell_does(text, found):
    """Values are split where no quotes stand around them; what is not known stays as it is written."""
    assert fields(text, A="x y", E="", N="4") == found


def test_a_default_is_assigned_only_where_it_is_asked_for():
    """${A:=x} sets the variable, ${A:-x} does not; where the text may pass it by, neither does."""
    variables = Variables()
    variables.fields(Word("${A:=x}${B:-y}"))
    assert list(variables.values) == ["A"]
    variables.assigns = False
    variables.fields(Word("${C:=x}"))
    assert list(variables.values) == ["A"]


def test_an_open_variable_takes_no_default():
    """A variable that is set differently on different ways is not replaced by its default."""
    variables = Variables(open={"A"})
    assert [each.text for each in variables.fields(Word("${A:-x}${A:+y}${A:=z}"))] == ["${A:-x}${A:+y}${A:=z}"]


VALUES = st.text(st.sampled_from("abc019./:-_=, {}[]"), min_size=1, max_size=12).filter(
    lambda text: text.strip() == text
)
NAMES = st.sampled_from(["A", "MODEL", "TP_SIZE", "x1"])


@st.composite
def shell_words(draw):
    """Return the words of a command, and a shell's text that gives them: plain, quoted, or by variables."""
    words, parts, lines = [], [], []
    for index in range(draw(st.integers(1, 6))):
        value = draw(VALUES)
        name = f"{draw(NAMES)}{index}"
        kind = draw(st.sampled_from(["quoted", "double", "variable", "array", "default", "argument"]))
        words.append(value)
        if kind == "quoted":
            parts.append(quote(value))
        elif kind == "double":
            parts.append(f'"{value}"')
        elif kind == "variable":
            lines.append(f"{name}={quote(value)}")
            parts.append(f'"${{{name}}}"')
        elif kind == "array":
            more = draw(VALUES)
            lines.append(f"{name}=({quote(value)}\n  {quote(more)})")
            words.append(more)
            parts.append(f'"${{{name}[@]}}"')
        elif kind == "default":
            parts.append(f'"${{{name}:-{value}}}"' if not set("{}") & set(value) else quote(value))
        else:
            lines.append(f"export {name}={quote(value)}")
            parts.append(f'"${name}"')
    between = draw(st.sampled_from([" ", " \\\n    ", "  "]))
    text = "\n".join([*lines, between.join(["vllm", "serve", *parts])])
    if draw(st.booleans()):
        text = f"start() {{\n{text}\n}}\nstart"
    if draw(st.booleans()):
        text = f"if true; then\n{text}\nfi"
    return words, text


@settings(max_examples=300, deadline=None)
@given(shell_words())
def test_each_word_is_read_and_stands_where_it_is_written(case):
    """Whatever way a word is given, the engine gets it, and the characters at its place are the word."""
    words, text = case
    source = Source("start.sh", f"# above\n{text}\n")
    (launch,), _ = find_launches(split(source.whole()), no_files)
    assert [word.text for word in launch.words] == words
    for word in launch.words:
        place = word.place.place()
        assert place is not None
        assert place.source is source
        assert place.text == word.text


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab\"'\\$ {}()=\n#`<&|;"), max_size=40))
def test_words_stand_where_their_characters_are(text):
    """Each character of a word that a run covers is the one in the file, unless the run stands for an escape or a sum."""
    source = Source("x.sh", text)
    try:
        words = split(source.whole())
    except SettingError:
        return
    for word in words:
        assert word.place is None or word.place.value == word.text
        for run in word.place.runs if word.place is not None else ():
            if run.length == run.end - run.start:
                assert word.text[run.offset : run.offset + run.length] == source.text[run.start : run.end]


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 40), st.integers(0, 40))
def test_a_cut_text_keeps_its_places(before, text, first, last):
    """The characters of any cut stand where those of the whole do."""
    source = Source("x", before + text)
    whole = source.piece(len(before), len(source.text))
    cut = whole.cut(first, last)
    assert isinstance(cut, Text)
    assert cut.value == text[first:last]
    place = cut.place()
    assert (place.text if place is not None else "") == cut.value
