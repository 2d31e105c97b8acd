"""A command's text, as a shell splits it."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvplan.errors import SettingError
from kvplan.launch.simple import commands
from kvplan.launch.words import joined, quote, split


@pytest.mark.parametrize(
    "text, words",
    [
        ("vllm serve M -tp 2", ["vllm", "serve", "M", "-tp", "2"]),
        ("vllm serve M \\\n  -tp 2 \\\r\n --port 1", ["vllm", "serve", "M", "-tp", "2", "--port", "1"]),
        ("a 'b c' \"d e\"f", ["a", "b c", "d ef"]),
        (r"a \"b\" 'c\d' \ ", ["a", '"b"', r"c\d", " "]),
        (r'''--x '{"a": "b"}' "{\"a\": 1}"''', ["--x", '{"a": "b"}', '{"a": 1}']),
        ("a # comment 'open\nb", ["a", "b"]),
        ("a \\  # why 'this'\n  b \\ \n c", ["a", "b", "c"]),
        ("a$'\\n'b c#d", ["a\nb", "c#d"]),
        ("serve <your model> --x <n_1> <in", ["serve", "<your model>", "--x", "<n_1>", "in"]),
        ("${A:-b c} $X $(a b) `c d`", ["${A:-b c}", "$X", "$(a b)", "`c d`"]),
    ],
)
def test_words_are_a_shells(text, words):
    """Quotes, escapes, continued lines and comments are a POSIX shell's; variables stay as they are written."""
    assert [word.text for word in split(text) if not word.operator] == words


@pytest.mark.parametrize(
    "text, parts",
    [
        ("cd /x && vllm serve M > log 2>&1 &", [["cd", "/x"], ["vllm", "serve", "M"]]),
        ("A=1 vllm serve M 2>&1 | tee log", [["A=1", "vllm", "serve", "M"], ["tee", "log"]]),
        ("a; b\nc || d", [["a"], ["b"], ["c"], ["d"]]),
        ("a <in >>out -x 2", [["a", "-x", "2"]]),
        ("a &> all --flag", [["a", "--flag"]]),
    ],
)
def test_commands_end_where_a_shell_ends_them(text, parts):
    """Chains, pipes and line ends separate commands; redirections and their files belong to none."""
    assert [[word.text for word in command] for command in commands(split(text))] == parts


@pytest.mark.parametrize("text", ["a 'b", 'vllm serve "M', "x\ny 'z"])
def test_an_open_quote_is_named_with_its_place(text):
    """A quote that is never closed is an error that says where it opens."""
    with pytest.raises(SettingError, match="that opens at line"):
        split(text)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=8))
def test_joined_words_are_split_into_the_same(texts):
    """Quoting an argument list and splitting it gives the list back, each word where it is said to stand."""
    text, words = joined(texts)
    assert [word.text for word in split(text)] == texts == shlex.split(text)
    assert all(split(text[word.start : word.end])[0].text == word.text for word in words)


@given(st.text(max_size=60))
def test_any_text_is_split_or_refused(text):
    """No text makes the splitter fail but with an error of kvplan."""
    try:
        words = split(text)
    except SettingError:
        return
    assert all(0 <= word.start < word.end <= len(text) for word in words)
    assert quote(text)
