"""A shell's text, followed as far as its words tell: assignments, arrays, functions, branches, loops, here-documents.

Nothing is run. Branches whose condition the text itself settles are taken or left; of all others every command is seen, and a
variable that they set differently is open from there on.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from kvplan.launch.text import MASK, Text, join
from kvplan.launch.variables import Variables, text_of
from kvplan.launch.words import Given, Word, split

ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_REDIRECTION = re.compile(r"\d*(?:>>?|<<<|<|&>>?)")
_DUPLICATION = re.compile(r"\d*[<>]&(?:\d+|-)?")
_UNSETTLED = re.compile(rf"\$(?:[\w{{(@*#]|$)|`|{MASK}")
_ARGUMENT = re.compile(r"\$\{?[1-9@*#]")
_NAMED = re.compile(r"\$\{?([A-Za-z_]\w*)", re.ASCII)
_OPENS = ("if", "case", "for", "while", "until", "select")
_CLOSES = ("fi", "esac", "done")
_PASSED = ("then", "else", "elif", "do", "!", "{", "}", "time", "coproc")
_DECLARES = ("export", "declare", "local", "readonly", "typeset")
_DEEPEST_CALL = 6
_MOST_STEPS = 20_000


@dataclass(slots=True)
class Step:
    """A simple command: its words with variables put in, what is set when it runs, and what it reads.

    Attributes:
        words: of the command, without redirections.
        variables: at this point.
        input: the lines of a here-document.
        output: the file that it is written to.
        conditional: whether it stands in a branch or loop that the text does not settle.

    """

    words: list[Word]
    variables: Variables
    input: Word | None = None
    output: str = ""
    conditional: bool = False


@dataclass(slots=True)
class _Block:
    """A branch or loop that is open: its keyword, and what its condition comes to; None: not known."""

    keyword: str
    taken: bool | None = None
    was_taken: bool | None = False
    # Of `case`: the word, None where it is not known; whether a pattern comes next, and those seen of it.
    word: str | None = None
    awaits: bool = False
    patterns: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Simple:
    """A simple command, unexpanded."""

    words: list[Word]
    input: Word | None = None
    output: str = ""
    ends: str = "\n"


def simple_commands(words: Sequence[Word]) -> Iterator[_Simple]:
    """Yield what `;`, `&&`, `|`, parentheses and line ends separate, without redirections."""
    found = _Simple([])
    takes = ""
    for word in words:
        if takes and not word.operator:
            if takes == ">":
                found.output = word.text
            takes = ""
        elif not word.operator:
            found.words.append(word)
        elif word.items is not None:
            found.input = word.items[0]
        elif _REDIRECTION.fullmatch(word.text):
            takes = ">" if ">" in word.text else "<"
        elif not _DUPLICATION.fullmatch(word.text):
            found.ends = word.text
            if found.words or found.input is not None or word.text in ("(", ")", ";;"):
                yield found
            found = _Simple([])
            takes = ""
    if found.words:
        yield found


def commands(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield the words of the simple commands of a shell text."""
    return (each.words for each in simple_commands(words) if each.words)


class Script:
    """One pass over a text.

    Args:
        variables: what is set around it.

    """

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self.functions: dict[str, list[_Simple]] = {}
        self.called: set[str] = set()
        # Variables whose values stand for arguments that a caller may give.
        self.assumed: set[str] = set()
        self.blocks: list[_Block] = []
        self.ended = False
        self.steps_left = _MOST_STEPS

    def steps(self, words: Sequence[Word]) -> Iterator[Step]:
        """Yield the simple commands in the order they stand; bodies of functions where they are called, else at the end.

        Raises:
            SettingError: variables that hold each other without end, a quote that is never closed.

        """
        yield from self._follow(list(simple_commands(words)), 0)
        for name, body in list(self.functions.items()):
            if name not in self.called:
                self.variables.arguments = None
                self.ended = False
                self.blocks = []
                yield from self._follow(body, 1)

    def _follow(self, found: list[_Simple], depth: int) -> Iterator[Step]:
        at = 0
        while at < len(found):
            if (end := self._function(found, at)) is not None:
                at = end
                continue
            simple = found[at]
            at += 1
            self.steps_left -= 1
            if self.steps_left < 0 or self.ended:
                return
            words = self._without_keywords(simple)
            if words is None or any(block.taken is False for block in self.blocks):
                continue
            yield from self._simple(replace(simple, words=words), depth)

    # -- structure ---------------------------------------------------------------------------------------------------

    def _function(self, found: list[_Simple], at: int) -> int | None:
        """Keep the body of a function that starts here; return where the text goes on, None where none starts."""
        words = [word.text for word in found[at].words]
        named = words[:1] if found[at].ends == "(" and len(words) == 1 else words[1:2] if words[:1] == ["function"] else []
        if not named:
            return None
        if found[at].ends == "(" and not (at + 1 < len(found) and found[at + 1].ends == ")" and not found[at + 1].words):
            return None
        inner, depth, end = [], 0, at if words[:1] == ["function"] and "{" in words else at + 1
        while end < len(found):
            texts = [word.text for word in found[end].words]
            opened = texts.count("{")
            closed = texts.count("}")
            depth += opened - closed
            kept = [word for word in found[end].words if word.text not in ("{", "}")]
            if end > at and kept:
                inner.append(replace(found[end], words=kept))
            end += 1
            if depth <= 0 and (opened or closed):
                self.functions[named[0]] = inner
                return end
        return None

    def _without_keywords(self, simple: _Simple) -> list[Word] | None:
        """Open and close blocks; return the command behind the keywords, None where nothing of it is a command."""
        words = self._without_patterns(simple.words, simple.ends)
        while words and not words[0].pieces:
            text = words[0].text
            if text in _OPENS:
                self.blocks.append(_Block(text))
                if text in ("for", "select"):
                    self._loop(words)
                    return None
                if text == "case":
                    self._case(words)
                    return None
                if text == "if":
                    self._condition(words[1:], simple)
                    if self.blocks[-1].taken is not None:
                        return None
            elif text in _CLOSES:
                if self.blocks:
                    self.blocks.pop()
            elif text == "elif" and self.blocks:
                block = self.blocks[-1]
                block.was_taken = _either(block.was_taken, block.taken)
                self._condition(words[1:], simple)
                if block.was_taken:
                    block.taken = False
                if block.taken is not None:
                    return None
            elif text == "else" and self.blocks:
                block = self.blocks[-1]
                seen = _either(block.was_taken, block.taken)
                block.taken = None if seen is None else not seen
            elif text not in _PASSED:
                break
            words = words[1:]
        return words or None

    def _case(self, words: list[Word]) -> None:
        """Open `case WORD in`; a pattern on the same line follows as a command of its own."""
        block = self.blocks[-1]
        block.taken, block.awaits = False, True
        if len(words) > 1:
            texts = self._tested(words[1])
            value = texts[0] if len(texts) == 1 else None
            block.word = None if value is None or _UNSETTLED.search(value) else value
        names = [word.text for word in words]
        if "in" in names[2:]:
            block.patterns += names[names.index("in", 2) + 1 :]

    def _without_patterns(self, words: list[Word], ends: str) -> list[Word]:
        """Return the words of a command that are no patterns of a `case`; a branch whose pattern is not met is left."""
        if not self.blocks or self.blocks[-1].keyword != "case":
            return words
        block = self.blocks[-1]
        if not block.awaits:
            block.awaits = ends in (";;", ";&", ";;&")
            return words
        if words and words[0].text == "esac" and not words[0].pieces:
            return words
        block.patterns += [word.text for word in words]
        if ends == ")":
            met = _met(block.word, block.patterns)
            block.was_taken = _either(block.was_taken, block.taken)
            # After a branch that may have been taken, another one is taken no more surely.
            block.taken = False if block.was_taken else None if block.was_taken is None and met else met
            block.awaits, block.patterns = False, []
        return []

    def _condition(self, words: list[Word], simple: _Simple) -> None:
        """Note what the condition of an `if` comes to, as far as the text tells."""
        self.blocks[-1].taken = None
        if simple.ends in ("&&", "||", "|", "&"):
            return
        fields = [field_ for word in words for field_ in self._tested(word)]
        self.blocks[-1].taken = _truth(fields)

    def _tested(self, word: Word) -> list[str]:
        if self.variables.arguments is None and _ARGUMENT.search(word.text):
            return [word.text]  # what a script is called with is not in it
        if any(name in self.assumed for name in _NAMED.findall(word.text)):
            return ["$"]
        found = [each.text for each in self.variables.fields(word)]
        return found or [""]

    def _loop(self, words: list[Word]) -> None:
        """Set the variable of `for NAME in ...`: to its value if there is one, else it is open."""
        if len(words) > 1:
            items = [each for word in words[3:] for each in self.variables.fields(word)] if len(words) > 3 else []
            name = words[1].text
            if len(items) == 1 and not _UNSETTLED.search(items[0].text):
                self.variables.values[name] = Given(items[0].text, (items[0],))
            else:
                self.variables.values.pop(name, None)
                self.variables.open.add(name)

    # -- commands ----------------------------------------------------------------------------------------------------

    def _simple(self, simple: _Simple, depth: int) -> Iterator[Step]:
        words = simple.words
        first = words[0].text if words else ""
        if first in _DECLARES:
            words = [word for word in words[1:] if not word.text.startswith("-")]
        if words and all(ASSIGNMENT.match(word.text) for word in words):
            for word in words:
                self._assign(word)
            return
        if first in _DECLARES or not words:
            if simple.input is not None:
                yield Step([], self.variables, simple.input, simple.output, self._conditional)
            return
        fields = [each for word in words for each in self.variables.fields(word)]
        if not fields:
            return
        name = fields[0].text
        if name == "eval" and len(fields) > 1 and depth < _DEEPEST_CALL:
            yield from self._eval(fields[1:], depth)
            return
        if name == "set" and len(fields) > 2 and fields[1].text == "--":
            self.variables.arguments = fields[2:]
            return
        if name == "unset":
            for each in fields[1:]:
                self.variables.values.pop(each.text, None)
            return
        if name in self.functions and depth < _DEEPEST_CALL:
            self.called.add(name)
            outer, blocks = self.variables.arguments, self.blocks
            self.variables.arguments = fields[1:]
            self.blocks = [_Block("call", taken=None if self._conditional else True)]
            yield from self._follow(self.functions[name], depth + 1)
            self.variables.arguments, self.blocks = outer, blocks
            return
        body = simple.input
        if body is not None:
            value = self.variables.value(body.place if body.place is not None else Text(body.text))
            body = replace(body, text=value.value, place=value if value.runs else None)
        yield Step(fields, self.variables, body, simple.output, self._conditional)
        if name in ("exec", "exit") and not self._conditional and depth == 0 and (name == "exit" or len(fields) > 1):
            self.ended = True  # nothing behind it is reached

    def _eval(self, fields: list[Word], depth: int) -> Iterator[Step]:
        parts: list[Text | str] = []
        for index, each in enumerate(fields):
            parts += [" "] * bool(index) + [each.place or each.text]
        whole = join(parts)
        yield from self._follow(list(simple_commands(split(whole if whole.runs else whole.value))), depth + 1)

    @property
    def _conditional(self) -> bool:
        return any(block.taken is None for block in self.blocks)

    def _assign(self, word: Word) -> None:
        variables, conditional = self.variables, self._conditional
        target = ASSIGNMENT.match(word.text)
        if target is None:
            return
        name, adds = target[0].rstrip("+="), target[0].endswith("+=")
        if word.items is not None:
            items = [each for item in word.items for each in variables.fields(item)]
            if adds and conditional and name in variables.arrays:
                return  # words that only some ways through the text add are left out; the unit's reader says so
            variables.arrays[name] = [*variables.arrays.get(name, []), *items] if adds else items
            return
        value = self._right_side(word, target.end())
        before = variables.values.get(name)
        if adds:
            if conditional:
                return
            before_text = text_of(before) if before is not None else Text("")
            whole = join([before_text, value])
            variables.values[name] = Given(whole.value, (Word(whole.value, place=whole),))
            return
        settled = not _UNSETTLED.search(value.value)
        if not settled and ("$(" in value.value or "`" in value.value):
            # What a command prints is not known; its variable stands for it.
            if not conditional or before is None:
                variables.values.pop(name, None)
                variables.open.add(name)
            return
        if conditional and before is not None and (not settled or before.value == value.value):
            return
        if conditional and before is not None and before.value != value.value:
            variables.values.pop(name)
            variables.open.add(name)
            return
        if conditional and name in variables.open:
            return
        if not settled and value.value in (f"${name}", f"${{{name}}}"):
            return
        if settled:
            variables.open.discard(name)
        if variables.arguments is None and _ARGUMENT.search(word.text):
            self.assumed.add(name)
        else:
            self.assumed.discard(name)
        text = f"{name}={value.value}"
        place = word.place if word.place is not None and value.runs and "$" not in word.text and not word.pieces else None
        shown = Word(text, word.start, word.end, word.origin, place=place or _prefixed(name, word, value))
        variables.values[name] = Given(value.value, (shown,))

    def _right_side(self, word: Word, start: int) -> Text:
        """Return what is assigned, variables put in, blanks kept."""
        if not word.pieces:
            return self.variables.value((word.place or Text(word.text)).cut(start))
        parts: list[Text | str] = []
        skip = start
        for piece in word.pieces:
            text = piece.place or Text(piece.text)
            if skip >= len(piece.text):
                skip -= len(piece.text)
                continue
            text = text.cut(skip)
            skip = 0
            parts.append(text if piece.quote == "'" else self.variables.value(text))
        return join(parts)


def _prefixed(name: str, word: Word, value: Text) -> Text:
    head = word.place.cut(0, len(name) + 1) if word.place is not None else Text(f"{name}=")
    return join([head, value])


def _met(word: str | None, patterns: list[str]) -> bool | None:
    """Return whether a word matches one of a shell's patterns; None where the word is not known, or a pattern is odd."""
    if word is None:
        return True if patterns == ["*"] else None
    for pattern in patterns:
        if len(pattern) > 200 or _UNSETTLED.search(pattern):
            return None
        if fnmatchcase(word, pattern):
            return True
    return False


def _either(first: bool | None, second: bool | None) -> bool | None:
    """Return whether one of two conditions holds, as far as known."""
    if first or second:
        return True
    return None if first is None or second is None else False


def _truth(words: list[str]) -> bool | None:
    """Return what `[ ... ]` or `[[ ... ]]` comes to; None where it depends on what is not known, or is another command."""
    if words[:1] not in (["["], ["[["], ["test"]):
        return {"true": True, "false": False}.get(words[0]) if len(words) == 1 else None
    words = [word for word in words[1:] if word not in ("]", "]]")]
    if words[:1] == ["!"]:
        inner = _truth(["test", *words[1:]])
        return None if inner is None else not inner
    if any(_UNSETTLED.search(word) for word in words) or any(word in ("&&", "||", "-a", "-o") for word in words):
        return None
    if len(words) == 2 and words[0] in ("-n", "-z"):
        return (words[0] == "-n") == bool(words[1])
    if len(words) == 3 and words[1] in ("=", "==", "!="):
        if any(char in words[2] for char in "*?["):
            return None
        return (words[0] == words[2]) == (words[1] != "!=")
    compare = {"-eq", "-ne", "-gt", "-ge", "-lt", "-le"}
    if len(words) == 3 and words[1] in compare and all(re.fullmatch(r"-?\d{1,12}", words[at]) for at in (0, 2)):
        left, right = int(words[0]), int(words[2])
        return {
            "-eq": left == right,
            "-ne": left != right,
            "-gt": left > right,
            "-ge": left >= right,
            "-lt": left < right,
            "-le": left <= right,
        }[words[1]]
    return None
