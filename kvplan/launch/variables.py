"""Variables of a shell: what is set, and words with their values put in; what nothing settles stays as it is written."""

import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from kvplan.launch.text import Text, join, standing_for
from kvplan.launch.words import MOST_CHARACTERS, Given, Piece, Word, substitution_end, too_long

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SIMPLE = re.compile(r"\$([A-Za-z_]\w*|[0-9@*#?$!-])", re.ASCII)
_BRACED = re.compile(r"(#?)([A-Za-z_]\w*|[0-9@*]+)(\[[^\]]*\])?(.*)", re.ASCII | re.DOTALL)
_THROUGH = re.compile(r"!([A-Za-z_]\w*)(?:(:?[-=+?]).*)?", re.ASCII | re.DOTALL)
_ITEMS = re.compile(r"\$(?:[@*]|\{(?:[@*]|\w+\[[@*]\])\})", re.ASCII)
_IN_ONE = re.compile(r"\$(?:\*|\{(?:\*|\w+\[\*\]))", re.ASCII)
_ARITHMETIC = re.compile(r"[\d\s+*/%()<>=!-]+", re.ASCII)
_STARTS = re.compile(r"[$`]")
_DEEPEST = 8


@dataclass(slots=True)
class Variables:
    """What a shell has set so far.

    Attributes:
        values: by name; a variable that is set differently on different ways through the text is not among them.
        arrays: by name.
        open: variables whose value depends on what the text does not say.
        arguments: `$1`, `$2`; None where the text's own are not known.
        script: `$0`; None where it is not known.
        assigns: whether `${NAME:=value}` sets the variable: not where the text may pass it by.
        length: characters that values have put into words so far.

    """

    values: dict[str, Given] = field(default_factory=dict)
    arrays: dict[str, list[Word]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    arguments: list[Word] | None = None
    script: Word | None = None
    assigns: bool = True
    length: int = 0

    def forget(self, name: str) -> None:
        """Take a variable for open: something sets it that the text does not tell."""
        self.values.pop(name, None)
        self.arrays.pop(name, None)
        self.open.add(name)

    def fields(self, word: Word) -> list[Word]:
        """Return the words that one becomes: with its variables put in, and split where a bare value holds blanks.

        Raises:
            SettingError: variables that hold each other make more of it than a command has characters.

        """
        if "$" not in word.text and "`" not in word.text:
            return [word]
        done = _Fields()
        for piece in word.pieces or (Piece(word.text, "", word.place),):
            if piece.quote == "'" or not _STARTS.search(piece.text):
                done.add(piece.text if piece.place is None else piece.place)
                continue
            for part, written in self._parts(Text(piece.text) if piece.place is None else piece.place, 0):
                self._put(part, written, done, quoted=bool(piece.quote))
        found: list[Word] = []
        for texts in done.words:
            whole = join(texts)
            place = whole if whole.runs or word.place is None else standing_for(whole.value, word.place)
            found.append(replace(word, text=whole.value, place=place if place.runs else None, pieces=()))
        if len(found) > 1:
            found = [replace(each, start=-1, end=-1) for each in found]
        self._count(sum(len(each.text) for each in found))
        return found

    @staticmethod
    def _put(part: Text | list[Word], written: str, done: "_Fields", *, quoted: bool) -> None:
        """Put a part of a word behind those before it, as a shell does within quotes and without."""
        if isinstance(part, Text):
            if written and not quoted:
                done.split(part)
            else:
                done.add(part)
            return
        # `${ARRAY[@]+"${ARRAY[@]}"}` has quotes of its own.
        quoted = quoted or '"' in written
        # An array: each item a word of its own, the first and the last joined with what stands around them.
        for index, item in enumerate(part):
            text = item.place or Text(item.text)
            if not quoted:
                if index:
                    done.end()
                done.split(text)
            elif index and _IN_ONE.match(written):
                done.add(" ")
                done.add(text)
            else:
                if index:
                    done.end()
                done.add(text)

    def _count(self, characters: int) -> None:
        self.length += characters
        if self.length > MOST_CHARACTERS:
            raise too_long()

    def _parts(self, text: Text, depth: int) -> Iterator[tuple[Text | list[Word], str]]:
        """Yield the parts of a text, each with the variable that it was put in for; "" for what stood there itself."""
        value, at, plain = text.value, 0, 0
        while (match := _STARTS.search(value, at)) is not None:
            at = match.start()
            simple = _SIMPLE.match(value, at)
            end = simple.end() if simple else substitution_end(value, at)
            if end <= at + 1:
                at += 1
                continue
            if at > plain:
                yield text.cut(plain, at), ""
            known = self._value(text.cut(at, end), depth)
            if known is None:
                yield text.cut(at, end), ""
            else:
                if isinstance(known, Text):
                    self._count(len(known.value))
                yield known, value[at:end]
            at = plain = end
        if plain < len(value):
            yield text.cut(plain), ""

    def value(self, text: Text, depth: int = 0) -> Text:
        """Return a text with its variables put in, as between double quotes."""
        parts: list[Text | str] = []
        for part, _ in self._parts(text, depth):
            if isinstance(part, list):
                for index, item in enumerate(part):
                    parts += [" "] * bool(index) + [item.place or item.text]
            else:
                parts.append(part)
        whole = join(parts)
        self._count(len(whole.value))
        return whole

    def _value(self, text: Text, depth: int) -> Text | list[Word] | None:
        """Return what `$NAME`, `${NAME...}` or `$((...))` stands for; None: not known."""
        written = text.value
        if written.startswith(("$(", "`")):
            return self._sum(text) if written.startswith("$((") else None
        if not written.startswith("${"):
            return self._named(written[1:], whole=written[1:] in ("@", "*"))
        if (through := _THROUGH.fullmatch(written[2:-1])) is not None:
            return self._through(through, text, depth)
        match = _BRACED.fullmatch(written[2:-1])
        if match is None or depth > _DEEPEST:
            return None
        length, name, index, rest = match.groups()
        whole = index in ("[@]", "[*]") or name in ("@", "*")
        if name in ("@", "*") and (first := re.fullmatch(r":(\d{1,3})", rest)):
            return (self.arguments or [])[max(0, int(first[1]) - 1) :]
        known = self._named(name, whole=whole, index=index)
        if isinstance(known, list) and (first := re.fullmatch(r":(\d{1,4})", rest)):
            return known[int(first[1]) :]
        if length:
            if rest or known is None or (isinstance(known, Text) and whole):
                return None
            return standing_for(str(len(known) if isinstance(known, list) else len(known.value)), text)
        if not rest:
            return known
        how = re.match(r":?[-=+?]", rest)
        if how is None:
            return _changed(known, rest) if isinstance(known, Text) else None
        start = 2 + len(name) + len(index or "") + len(how[0])
        return self._given(name, known, how[0], text.cut(start, len(written) - 1), depth)

    def _through(self, match: re.Match[str], text: Text, depth: int) -> Text | list[Word] | None:
        """Return what `${!NAME}` or `${!NAME:-other}` stands for: the variable that another one names."""
        pointer = self._named(match[1], whole=False)
        name = pointer.value if isinstance(pointer, Text) and _NAME.fullmatch(pointer.value) else ""
        known = self._named(name, whole=False) if name else None
        # Without anything behind it, what it stands for is asked from outside.
        if not match[2] or depth > _DEEPEST or match[1] in self.open or match.end(2) == match.end():
            return known
        return self._given(name, known, match[2], text.cut(2 + match.end(2), len(text.value) - 1), depth)

    def _given(
        self, name: str, known: Text | list[Word] | None, how: str, other: Text, depth: int
    ) -> Text | list[Word] | None:
        """Return what `${NAME:-other}`, `${NAME:=other}`, `${NAME:+other}` or `${NAME:?other}` stands for."""
        if how[-1] == "?":
            return known
        if name in self.open:
            return None
        empty = not known if isinstance(known, list) else known is None or (how[0] == ":" and not known.value)
        if how[-1] == "+" and empty:
            return [] if isinstance(known, list) else Text("")
        if how[-1] != "+" and not empty:
            return known
        other = _unquoted(other)
        if _ITEMS.fullmatch(other.value):
            return self._value(other, depth + 1)
        value = self.value(other, depth + 1)
        if how[-1] == "=" and self.assigns and _NAME.fullmatch(name):
            self.values[name] = Given(value.value, (Word(value.value, place=value if value.runs else None),))
        return value

    def _named(self, name: str, *, whole: bool, index: str | None = None) -> Text | list[Word] | None:
        if name in self.arrays:
            items = self.arrays[name]
            if whole:
                return items
            at = (index or "[0]")[1:-1]
            if not re.fullmatch(r"\d{1,4}", at, re.ASCII) or int(at) >= len(items):
                return None
            return items[int(at)].place or Text(items[int(at)].text)
        if name in ("@", "*"):
            return self.arguments or []  # what the caller adds is not in the file
        if name == "#":
            return None if self.arguments is None else Text(str(len(self.arguments)))
        if name == "0":
            return None if self.script is None else self.script.place or Text(self.script.text)
        if name.isdecimal():
            at_number = int(name) if len(name) < 4 else 1000
            if self.arguments is None or not at_number:
                return None
            found = next(iter(self.arguments[at_number - 1 : at_number]), Word(""))
            return found.place or Text(found.text)
        given = self.values.get(name)
        return None if given is None or given.value is None else text_of(given)

    def _sum(self, text: Text) -> Text | None:
        """Return what `$((...))` comes to, for whole numbers and the four kinds of arithmetic."""
        if not text.value.endswith("))"):
            return None
        result = self.sum_of(text.value[3:-2])
        return None if result is None else standing_for(str(result), text)

    def sum_of(self, inner: str) -> int | None:
        """Return what stands between `((` and `))` comes to; None where it is no sum or comparison of known numbers."""
        named = _NAME.sub(
            lambda m: m[0] if inner[max(0, m.start() - 1) : m.start()] in ("$", "{") else f"${m[0]}", inner
        )
        value = self.value(Text(named)).value
        if not _ARITHMETIC.fullmatch(value) or len(value) > 60:
            return None
        try:
            return _calculated(value)
        except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
            return None


class _Fields:
    """Words that are being put together.

    Attributes:
        words: the parts of each.

    """

    def __init__(self) -> None:
        self.words: list[list[Text | str]] = []
        self._ended = True

    def add(self, text: Text | str) -> None:
        """Put a text behind the last word's, or start a word with it: one of no characters is a word too."""
        if self._ended:
            self.words.append([])
        self._ended = False
        self.words[-1].append(text)

    def end(self) -> None:
        """Let what follows be another word."""
        self._ended = True

    def split(self, text: Text) -> None:
        """Put the words of a text behind the last one's."""
        at = 0
        for match in re.finditer(r"[ \t\n]+", text.value):
            if match.start() > at:
                self.add(text.cut(at, match.start()))
            self.end()
            at = match.end()
        if at < len(text.value):
            self.add(text.cut(at))


def text_of(given: Given) -> Text:
    """Return a value's characters with their places, where its last word stands in a file."""
    text = str(given.value)
    place = given.words[-1].place if given.words else None
    if place is not None and place.value.endswith(text):
        return place.cut(len(place.value) - len(text))
    return Text(text)


_COMPARISONS = {
    "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt, "GtE": operator.ge, "Eq": operator.eq, "NotEq": operator.ne,
}  # fmt: skip


def _calculated(text: str) -> int:
    """Return a sum of whole numbers, read as Python's own grammar reads it and worked out here."""
    import ast  # noqa: PLC0415  only for sums

    def value(node: ast.AST) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            compare = _COMPARISONS.get(type(node.ops[0]).__name__)
            if compare is not None:
                return int(compare(value(node.left), value(node.comparators[0])))
        if isinstance(node, ast.BinOp):
            left, right = value(node.left), value(node.right)
            kind = type(node.op).__name__
            if kind == "Pow" and 0 <= right < 64 and abs(left) < 2**32:
                return int(left**right)
            if kind in ("Div", "Mod"):
                # Towards zero, as in C.
                quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
                return quotient if kind == "Div" else left - right * quotient
            if kind in ("Add", "Sub", "Mult"):
                return {"Add": left + right, "Sub": left - right, "Mult": left * right}[kind]
        raise ValueError("not a sum")

    result: int = value(ast.parse(text.strip(), mode="eval").body)
    if abs(result) >= 2**63:
        raise ValueError("more than a shell's whole number holds")
    return result


def _unquoted(text: Text) -> Text:
    value = text.value
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return text.cut(1, len(value) - 1)
    return text


def _changed(known: Text, how: str) -> Text | None:
    """Return a value as `${NAME##*/}`, `${NAME:2:3}`, `${NAME/a/b}` or `${NAME,,}` change it; None for other changes."""
    value = known.value
    if how in (",,", "^^"):
        other = value.lower() if how == ",," else value.upper()
        return standing_for(other, known)
    if match := re.fullmatch(r":\s*(-?\d{1,4})(?::\s*(-?\d{1,4}))?", how, re.ASCII):
        first, length = int(match[1]), match[2]
        first = first if first >= 0 else len(value) + first
        end = len(value) if length is None else int(length) + (first if int(length) >= 0 else len(value))
        return known.cut(first, max(first, min(end, len(value)))) if 0 <= first <= len(value) else Text("")
    if match := re.fullmatch(r"(//?)((?:[^/*?\[\]$`\\]|\\.)+)/([^$`\\]*)", how):
        every, old, new = match[1] == "//", _bare(match[2]), _bare(match[3])
        if old[:1] in ("#", "%"):
            return None
        pieces: list[Text | str] = []
        at = 0
        for found in list(re.finditer(re.escape(old), value))[: None if every else 1] if old else []:
            pieces += [known.cut(at, found.start()), new]
            at = found.end()
        return join([*pieces, known.cut(at)])
    return _trimmed(known, how)


def _bare(text: str) -> str:
    """Return a pattern or its replacement without quotes and backslashes."""
    return re.sub(r"[\"'\\]", "", text)


def _trimmed(known: Text, how: str) -> Text | None:
    """Return a value without a plain prefix or suffix (`${MODEL##*/}`, `${NAME%.gguf}`); None for other patterns."""
    match = re.fullmatch(r"(##?|%%?)(\*?)([^*?\[\]$`]*)(\*?)", how)
    if match is None or not (plain := _bare(match[3])):
        return None
    kind, before, _, behind = match.groups()
    value = known.value
    if kind.startswith("#") and not behind:
        at = 0 if value.startswith(plain) else -1
        if before:
            at = value.rfind(plain) if kind == "##" else value.find(plain)
        return known if at < 0 else known.cut(at + len(plain))
    if kind.startswith("%") and not before:
        at = len(value) - len(plain) if value.endswith(plain) else -1
        if behind:
            at = value.find(plain) if kind == "%%" else value.rfind(plain)
        return known if at < 0 else known.cut(0, at)
    return None
