"""Templates (Helm, Jinja, Terraform, ERB) that were not rendered: expressions masked or cut out, so that YAML can be read."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from kvplan.launch.text import MASK

_LONGEST = 4000
_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}", "%{": "}", "<%": "%>"}
_OPENING = re.compile(r"\{\{|(?<!\$)\{[%#]|(?<!%)%\{(?=~?\s*(?:if|for|else|endif|endfor)\b)|<%(?=[-=#\s])")
_COMMENT_END = re.compile(r"\*/\s{0,9}-?\}\}")
_COMMENT = re.compile(r"\{\{-?\s*/\*|\{#")
# What stands for no text itself: branches, loops, definitions, assignments; and what brings lines of its own.
_CONTROL = re.compile(
    r"\{%|%\{|<%[-#\s]|\{\{[-~]?\s*(?:if|else|end|range|with|define|block|template|break|continue)\b"
    r"|\{\{[-~]?\s*\$[\w.]+(?:\s*,\s*\$\w+)?\s*:?="
)
_BRANCH = re.compile(r"\{\{[-~]?\s*(?:if|range|with)\b|\{%-?\s*(?:if|for)\b")
_END = re.compile(r"\{\{[-~]?\s*end\b|\{%-?\s*end(?:if|for)\b")
_BRINGS_LINES = re.compile(r"\|\s*n?indent\s+\S+\s*[-~]?\}\}\Z")
# A line's part of an expression, without the indentation that YAML asks of lines within a value.
_INK = re.compile(r"((?:(?<=\n)|(?<=\r))[ \t]*|)([^\n\r]+)")
_LINE_OF_A_VARIABLE = re.compile(r"^[ \t]*(\$?\{\w{1,60}\}|\$\w{1,60})[ \t]*$", re.ASCII | re.MULTILINE)
_ALONE = re.compile(f"^[ \t]*{MASK}[{MASK} \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """A text as it is parsed.

    Attributes:
        text: with MASK for each character of an expression, and without those that are cut.
        cuts: offsets in it of what follows each cut.
        lost: how many characters are cut up to there.
        templated: whether expressions decide which lines there are.

    """

    text: str
    cuts: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    templated: bool = False

    def start(self, index: int) -> int:
        """Return where a character stands in the whole text."""
        at = bisect_right(self.cuts, index)
        return index + (self.lost[at - 1] if at else 0)

    def end(self, index: int) -> int:
        """Return where the stretch that ends there ends in the whole text."""
        at = bisect_left(self.cuts, index)
        return index + (self.lost[at - 1] if at else 0)

    def stretches(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the stretches of it that hold together in the whole text."""
        edges = [start, *self.cuts[bisect_right(self.cuts, start) : bisect_left(self.cuts, end)], end]
        return list(pairwise(edges))


def expressions(text: str) -> list[tuple[int, int]]:
    """Return where the expressions of a template stand; each character is looked at a few times, whatever the text."""
    found = []
    missing: set[str] = set()
    at = 0
    while (opening := _OPENING.search(text, at)) is not None:
        start = opening.start()
        comment = opening[0] == "{{" and _COMMENT.match(text, start) is not None
        closing = "*/" if comment else _CLOSING[opening[0]]
        close = -1 if closing in missing else text.find(closing, opening.end())
        at = opening.end()
        if close < 0:
            missing.add(closing)
            continue
        if close - start > _LONGEST:
            at = max(at, close - _LONGEST)
            continue
        if comment:
            behind = _COMMENT_END.match(text, close)
            end = behind.end() if behind else 0
        else:
            close = _behind_quotes(text, start, close) if closing == "}}" else close
            end = close + len(closing)
        if end:
            at = end
            found.append((start, at))
    return found


def whole_lines(text: str) -> list[tuple[int, int]]:
    """Return the lines that are a variable alone, which a shell's template puts lines of its own in for (`envsubst`)."""
    return [match.span(1) for match in _LINE_OF_A_VARIABLE.finditer(text)]


def _behind_quotes(text: str, start: int, close: int) -> int:
    """Return where an expression ends, one that stands inside a quoted part of it passed over."""
    for _ in range(4):
        if text.count('"', start, close) % 2 == 0:
            break
        end = text.find("\n", close)
        quote = text.find('"', close, end if end >= 0 else None)
        further = text.find("}}", quote, end if end >= 0 else None) if quote >= 0 else -1
        if further < 0:
            break
        close = further
    return close


def masked(text: str, found: list[tuple[int, int]]) -> Page:
    """Return a text with its expressions masked, each character by one; nothing is cut."""
    return Page(_covered(text, found))


def cut(text: str, found: list[tuple[int, int]]) -> Page:
    """Return a text with values masked, and without what decides about lines or brings its own."""
    spans: list[tuple[int, int]] = []
    values: list[tuple[int, int]] = []
    templated = False
    for start, end, joined in _inline(text, found):
        comment = _COMMENT.match(text, start) is not None
        decides = not comment and not joined and _decides(text, start, end)
        templated = templated or decides
        (spans if comment or decides else values).append((start, end))
    # Lines of nothing else are cut to their ends: blanks in front of a block would count as its indentation.
    # `${{ ... }}` is GitHub's, and always stands for a text.
    own = [span for span in found if text[max(0, span[0] - 1) : span[0]] != "$"]
    whole = [match.span() for match in _ALONE.finditer(_covered(text, own))]
    templated = templated or any(start <= value < end for value, _ in values for start, end in _around(whole, value))
    return _without(_covered(text, values), sorted([*spans, *whole]), templated=templated)


def _inline(text: str, found: list[tuple[int, int]]) -> Iterator[tuple[int, int, bool]]:
    """Yield expressions, those of a branch that ends on its line as one: `{{ if .x }}a{{ else }}b{{ end }}` is a value."""
    waiting: list[tuple[int, int, bool]] = []
    for start, end in found:
        if waiting and "\n" in text[waiting[-1][1] : start]:
            yield from waiting
            waiting = []
        if waiting and _END.match(text, start):
            yield waiting[0][0], end, True
            waiting = []
        elif waiting or _BRANCH.match(text, start):
            waiting.append((start, end, False))
        else:
            yield start, end, False
    yield from waiting


def _around(whole: list[tuple[int, int]], at: int) -> list[tuple[int, int]]:
    """Return the one stretch of sorted ones that a character may stand in."""
    index = bisect_right(whole, at, key=lambda span: span[0])
    return whole[max(0, index - 1) : index]


def _decides(text: str, start: int, end: int) -> bool:
    """Whether an expression stands for no text within a line."""
    if _CONTROL.match(text, start) is not None:
        return True
    line_end = text.find("\n", end)
    alone_behind = not text[end : line_end if line_end >= 0 else len(text)].strip()
    return alone_behind and _BRINGS_LINES.search(text[start:end]) is not None


def _covered(text: str, found: list[tuple[int, int]]) -> str:
    parts = []
    done = 0
    for start, end in found:
        parts += [text[done:start], _INK.sub(lambda match: match[1] + MASK * len(match[2]), text[start:end])]
        done = end
    return "".join([*parts, text[done:]])


def _without(text: str, spans: list[tuple[int, int]], *, templated: bool) -> Page:
    """Return a text without some stretches of it; line ends in them stay."""
    parts: list[str] = []
    cuts: list[int] = []
    lost: list[int] = []
    done = length = gone = 0
    for span_start, span_end in spans:
        first = max(done, span_start)
        for match in re.finditer(r"[^\n\r]+", text[first:span_end]):
            start, end = first + match.start(), first + match.end()
            parts.append(text[done:start])
            length += start - done
            gone += end - start
            if cuts and cuts[-1] == length:
                lost[-1] = gone
            else:
                cuts.append(length)
                lost.append(gone)
            done = end
    return Page("".join([*parts, text[done:]]), tuple(cuts), tuple(lost), templated)
