"""Words of commands that no shell reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvplan.deploy.splitting import json_list, split_text, unescaped
from kvplan.launch.text import Source


def words(text, **options):
    return [word.text for word in split_text(Source("x", text).whole(), **options)]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a  b\n\tc", ["a", "b", "c"]),
        ("'a b' \"c d\" e'f g'h", ["a b", "c d", "ef gh"]),
        (r'"a\"b" "a\n" \"c\" d\ e', ['a"b', r"a\n", '"c"', "d e"]),
        ("a \\\n  b", ["a", "b"]),
        ("a\\\nb", ["ab"]),
        ("'' a", ["", "a"]),
        ("'never closed", ["never closed"]),
        ("a\\", ["a"]),
        ("$X `y` *", ["$X", "`y`", "*"]),
    ],
)
def test_quotes_and_backslashes_count(text, expected):
    """Blanks and line ends separate words; quotes and backslashes hold them together."""
    assert words(text) == expected


def test_options():
    """Comments, characters that end a command, and backslashes that are kept are asked for."""
    assert words("a # b\nc", comments=True) == ["a", "c"]
    assert words("a #b ; c", stops=";") == ["a", "#b"]
    assert words(r"a\$b", keeps="$") == [r"a\$b"]


@given(st.text(alphabet="ab '\"\\\n$#;", max_size=40))
def test_every_character_of_a_word_stands_in_the_text(text):
    """Words of one stretch hold the characters that stand at their place."""
    for word in split_text(Source("x", text).whole(), stops=";", comments=True):
        for run in word.place.runs:
            assert text[run.start : run.end] == word.text[run.offset : run.offset + run.length]


@pytest.mark.parametrize(
    "text, expected",
    [
        ('["a", "b c"]', ["a", "b c"]),
        (' [ "a" ,\n"\\"\\u0041\\n" ] ', ["a", '"A\n']),
        ("[]", []),
        ("['a']", None),
        ('["a" "b"]', None),
        ('["a", b]', None),
        ("a", None),
    ],
)
def test_lists_of_json(text, expected):
    """A list of strings gives its words; all else is none."""
    found = json_list(Source("x", text).whole())
    assert (None if found is None else [word.text for word in found]) == expected


def test_escapes_keep_the_places_around_them():
    """What follows an escape still stands where it did."""
    text = unescaped(Source("x", r"a\nb").whole())
    assert (text.value, text.cut(2).place().start) == ("a\nb", 3)
