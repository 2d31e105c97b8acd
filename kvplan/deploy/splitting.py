"""Words of a command that no shell reads: quotes and backslashes count, `$`, `*` and line ends mean nothing."""

import re

from kvplan.launch.text import Text, join
from kvplan.launch.words import Word

# What a backslash can take its meaning from inside double quotes.
_IN_DOUBLE_QUOTES = '"\\$`'
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_JSON_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def split_text(text: Text, *, stops: str = "", comments: bool = False, keeps: str = "") -> tuple[Word, ...]:
    """Return the words of a text, each with its place.

    Args:
        text: the command.
        stops: characters that end it where no quotes stand around them.
        comments: whether `#` at the start of a word hides the rest of its line.
        keeps: characters before which a backslash stays, for what is put in later.

    """
    return tuple(Word(each.value, place=each) for each in _Splitter(text, stops, comments, keeps).words())


class _Splitter:
    """One pass over a text; a quote that is never closed reaches to its end."""

    def __init__(self, text: Text, stops: str, comments: bool, keeps: str) -> None:
        self.text = text
        self.value = text.value
        self.stops = stops
        self.comments = comments
        self.keeps = keeps
        self.at = 0

    def words(self) -> list[Text]:
        found: list[Text] = []
        while self.at < len(self.value):
            char = self.value[self.at]
            if char.isspace():
                self.at += 1
            elif char in self.stops:
                break
            elif char == "#" and self.comments:
                end = self.value.find("\n", self.at)
                self.at = len(self.value) if end < 0 else end
            elif (line_end := self._continued()) > 0:
                self.at = line_end
            else:
                found.append(self._word())
        return found

    def _continued(self) -> int:
        """Return where the next line starts if a backslash ends this one; 0 where none does."""
        match = re.compile(r"\\[ \t]*\r?\n").match(self.value, self.at)
        return match.end() if match else 0

    def _word(self) -> Text:
        parts: list[Text] = []
        begun = self.at
        quote = ""
        while self.at < len(self.value):
            char, follows = self.value[self.at], self.value[self.at + 1 : self.at + 2]
            if not quote and (char.isspace() or char in self.stops):
                break
            if char == quote or (not quote and char in "'\""):
                parts.append(self.text.cut(begun, self.at))
                quote = "" if quote else char
                self.at += 1
                begun = self.at
            elif char == "\\" and follows and follows in self.keeps:
                self.at += 2
            elif char == "\\" and quote != "'" and (not quote or (follows and follows in _IN_DOUBLE_QUOTES)):
                parts.append(self.text.cut(begun, self.at))
                line_end = 0 if quote else self._continued()
                begun = line_end or self.at + 1
                self.at = line_end or self.at + 2
            else:
                self.at += 1
        self.at = min(self.at, len(self.value))
        parts.append(self.text.cut(begun, max(begun, self.at)))
        return join(parts)


def unescaped(text: Text) -> Text:
    """Return what stands between the quotes of a JSON or HCL string, its escapes read."""
    if "\\" not in text.value:
        return text
    parts: list[Text] = []
    done = 0
    for match in _ESCAPE.finditer(text.value):
        parts.append(text.cut(done, match.start()))
        own = text.cut(match.start(), match.end())
        char = chr(int(match[1], 16)) if match[1] else _JSON_ESCAPES.get(match[2], match[2])
        parts.append(Text(char, [own.runs[0]._replace(length=1, end=own.runs[-1].end)] if own.runs else ()))
        done = match.end()
    parts.append(text.cut(done))
    return join(parts)


def json_list(text: Text) -> tuple[Word, ...] | None:
    """Return the words of a JSON list of strings (`["vllm", "serve"]`); None where it is none."""
    value = text.value.strip()
    if not (value.startswith("[") and value.endswith("]")):
        return None
    found: list[Word] = []
    at, last = text.value.index("[") + 1, text.value.rindex("]")
    while True:
        between = re.compile(r"[\s,]*").match(text.value, at, last)
        at = between.end() if between else at
        if at >= last:
            return tuple(found)
        match = _JSON_STRING.match(text.value, at, last)
        if match is None or (found and between is not None and "," not in between[0]):
            return None
        own = unescaped(text.cut(match.start() + 1, match.end() - 1))
        found.append(Word(own.value, place=own))
        at = match.end()
