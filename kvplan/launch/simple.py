"""Simple commands of a shell's text: what `;`, `&&`, `|`, parentheses and line ends separate."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvplan.launch.programs import SHELLS
from kvplan.launch.words import Word

_REDIRECTION = re.compile(r"\d*(?:>>?|<<<|<|&>>?|>\|)")
_DUPLICATION = re.compile(r"\d*[<>]&(?:\d+|-)?")
_MANIFEST = re.compile(r"^\s*apiVersion:", re.MULTILINE)
ALWAYS_YIELDED = ("(", ")", ";;", "&&", "||")
OPENS = ("if", "case", "for", "while", "until", "select")
CLOSES = ("fi", "esac", "done")
PASSED = ("then", "do", "!", "time", "coproc")


@dataclass(slots=True)
class Simple:
    """A simple command, unexpanded."""

    words: list[Word]
    input: Word | None = None
    output: Word | None = None
    ends: str = "\n"


def simple_commands(words: Sequence[Word]) -> Iterator[Simple]:
    """Yield what `;`, `&&`, `|`, parentheses and line ends separate, without redirections."""
    found = Simple([])
    takes, in_test = "", False
    for word in words:
        if takes and not word.operator:
            if takes == ">":
                found.output = word
            elif takes == "<<<":
                found.input = word
            takes = ""
        elif not word.operator or (in_test and word.text != "\n" and word.items is None):
            in_test = word.text != "]]" if in_test else word.text == "[[" and not word.operator
            found.words.append(word)
        elif word.items is not None:
            found.input = word.items[0]
        elif _REDIRECTION.fullmatch(word.text):
            takes = ">" if ">" in word.text else word.text
        elif not _DUPLICATION.fullmatch(word.text):
            found.ends = word.text
            # `cat <<END | program`: the program reads the lines.
            piped = found.input if word.text == "|" and [each.text for each in found.words] == ["cat"] else None
            if found.words or found.input is not None or word.text in ALWAYS_YIELDED:
                yield found
            found = Simple([], input=piped)
            takes, in_test = "", False
    if found.words or found.input is not None:
        yield found


def commands(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield the words of the simple commands of a shell text."""
    return (each.words for each in simple_commands(words) if each.words)


def braces(found: list[Simple]) -> dict[int, int]:
    """Return, for each command that opens braces, the one that closes the first of them."""
    closes: dict[int, int] = {}
    opened: list[int] = []
    for at, simple in enumerate(found):
        texts = [word.text for word in simple.words]
        # `function NAME {` is the one place where a brace opens behind another word.
        texts = texts[2:] if texts[:1] == ["function"] else texts
        for text in texts:
            if text == "{":
                opened.append(at)
            elif text == "}":
                if opened:
                    closes[opened.pop()] = at
            elif text not in (*PASSED, *OPENS, *CLOSES, "else", "elif"):
                break
    return closes


def is_script(name: str, own: list[Word], body: Word) -> bool:
    """Whether a command has a shell run the lines that it reads."""
    if name == "kubectl" or _MANIFEST.search(body.text):
        return False
    shells = (each.partition(" ")[0].rpartition("/")[2] for each in (name, *(word.text for word in own)))
    return name in ("ssh", "sbatch") or any(each in SHELLS for each in shells)
