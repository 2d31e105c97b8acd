"""Variables of a shell: what is set, and words with their values put in; what nothing settles stays as it is written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from kvplan.launch.text import Text, join
from kvplan.launch.words import MOST_CHARACTERS, Given, Piece, Word, too_long

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SIMPLE = re.compile(r"\$([A-Za-z_]\w*|[0-9@*#?$!-])", re.ASCII)
_BRACED = re.compile(r"(#?)([A-Za-z_]\w*|[0-9@*]+)(\[[^\]]*\])?(.*)", re.ASCII | re.DOTALL)
_ITEMS = re.compile(r"\$(?:[@*]|\{(?:[@*]|\w+\[[@*]\]).*\})", re.ASCII | re.DOTALL)
_ARITHMETIC = re.compile(r"[\d\s+*/%()-]+", re.ASCII)
_DEEPEST = 8


@dataclass(slots=True)
class Variables:
    """What a shell has set so far.

    Attributes:
        values: by name; a variable that is set differently on different ways through the text is not among them.
        arrays: by name.
        open: variables whose value depends on what the text does not say.
        arguments: `$1`, `$2`; None where the text's own are not known.
        length: characters that values have put into words so far.

    """

    values: dict[str, Given] = field(default_factory=dict)
    arrays: dict[str, list[Word]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    arguments: list[Word] | None = None
    length: int = 0

    def copy(self) -> "Variables":
        """Return one that changes apart from it."""
        return Variables(dict(self.values), dict(self.arrays), set(self.open), self.arguments, self.length)

    def fields(self, word: Word) -> list[Word]:
        """Return the words that one becomes: with its variables put in, and split where a bare value holds blanks.

        Raises:
            SettingError: variables that hold each other make more of it than a command has characters.

        """
        if "$" not in word.text and "`" not in word.text:
            return [word]
        pieces = word.pieces or (Piece(word.text, "", word.place),)
        done: list[list[Text | str]] = [[]]
        started = False
        for piece in pieces:
            # `"${ARRAY[@]}"` of an array without items is no word at all; `""` is one.
            started = started or (bool(piece.quote) and not _ITEMS.fullmatch(piece.text))
            whole: Text | str = piece.text if piece.place is None else piece.place
            if piece.quote == "'" or "$" not in piece.text and "`" not in piece.text:
                done[-1].append(whole)
                continue
            for part, put_in in self._parts(Text(piece.text) if piece.place is None else piece.place, 0):
                if isinstance(part, list):
                    # An array: each item a word of its own, the first and the last joined with what stands around them.
                    for index, item in enumerate(part):
                        if index:
                            done.append([])
                        done[-1].append(item.place or item.text)
                elif put_in and not piece.quote:
                    self._split(part, done)
                else:
                    done[-1].append(part)
        found: list[Word] = []
        for texts in done:
            whole_text = join(texts)
            if whole_text.value or (started and len(done) == 1):
                found.append(
                    replace(word, text=whole_text.value, place=whole_text if whole_text.runs else word.place, pieces=())
                )
        if len(found) > 1:
            found = [replace(each, start=-1, end=-1) for each in found]
        self._count(sum(len(each.text) for each in found))
        return found

    def _count(self, characters: int) -> None:
        self.length += characters
        if self.length > MOST_CHARACTERS:
            raise too_long()

    @staticmethod
    def _split(text: Text, done: list[list[Text | str]]) -> None:
        at = 0
        for match in re.finditer(r"\s+", text.value):
            if match.start() > at:
                done[-1].append(text.cut(at, match.start()))
            if done[-1] or match.start() > at:
                done.append([])
            at = match.end()
        if at < len(text.value):
            done[-1].append(text.cut(at))

    def _parts(self, text: Text, depth: int) -> Iterator[tuple[Text | list[Word], bool]]:
        """Yield the parts of a text, each with whether it is a value that was put in."""
        value, at, plain = text.value, 0, 0
        while (at := _next_dollar(value, at)) >= 0:
            end = _end_of(value, at)
            if end <= at + 1:
                at += 1
                continue
            if at > plain:
                yield text.cut(plain, at), False
            known = self._value(text.cut(at, end), depth)
            if known is None:
                yield text.cut(at, end), False
            else:
                if isinstance(known, Text):
                    self._count(len(known.value))
                yield known, True
            at = plain = end
        if plain < len(value):
            yield text.cut(plain), False

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
        match = _BRACED.fullmatch(written[2:-1])
        if match is None or depth > _DEEPEST:
            return None
        length, name, index, rest = match.groups()
        whole = index in ("[@]", "[*]") or name in ("@", "*")
        if length:
            array = self.arrays.get(name) if whole else None
            return None if array is None else Text(str(len(array)))
        if name in ("@", "*") and (first := re.fullmatch(r":(\d{1,3})", rest)):
            return (self.arguments or [])[max(0, int(first[1]) - 1) :]
        known = self._named(name, whole=whole, index=index)
        if not rest:
            return known
        operator = re.match(r":?[-=+?]|:", rest)
        if operator is None:
            return _trimmed(known, rest)
        if operator[0] == ":":
            return None
        start = 2 + len(name) + len(index or "") + len(operator[0])
        default = text.cut(start, len(written) - 1)
        if operator[0] in (":-", "-", ":=", "=") and name not in self.open:
            empty = known is None or (operator[0][0] == ":" and isinstance(known, Text) and not known.value)
            return self.value(_unquoted(default), depth + 1) if empty else known
        if operator[0] in (":-", "-", ":=", "="):
            return None
        if operator[0] in (":?", "?") or isinstance(known, list):
            return known
        return (Text("") if name not in self.open else None) if known is None else self.value(_unquoted(default), depth + 1)

    def _named(self, name: str, *, whole: bool, index: str | None = None) -> Text | list[Word] | None:
        if name in self.arrays:
            items = self.arrays[name]
            if whole:
                return items
            at = (index or "[0]")[1:-1]
            return (items[int(at)].place or Text(items[int(at)].text)) if at.isdecimal() and len(at) < 5 and int(at) < len(items) else None
        if name in ("@", "*"):
            return self.arguments or []  # what the caller adds is not in the file
        if name.isdecimal():
            at_number = int(name) if len(name) < 4 else 1000
            if self.arguments is not None and 0 < at_number <= len(self.arguments):
                return self.arguments[at_number - 1].place or Text(self.arguments[at_number - 1].text)
            return None
        given = self.values.get(name)
        return None if given is None or given.value is None else text_of(given)

    def _sum(self, text: Text) -> Text | None:
        """Return what `$((...))` comes to, for whole numbers and the four kinds of arithmetic."""
        inner = text.value[3:-2]
        inner = _NAME.sub(lambda m: f"${m[0]}" if m.start() == 0 or inner[m.start() - 1] not in "${" else m[0], inner)
        value = self.value(Text(inner)).value
        if not _ARITHMETIC.fullmatch(value) or len(value) > 60 or "**" in value:
            return None
        try:
            result = _calculated(value)
        except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
            return None
        place = text.place()
        return Text(str(result)) if place is None else Text(str(result), text.cut(0, 1).runs)


def text_of(given: Given) -> Text:
    """Return a value's characters with their places, where its last word stands in a file."""
    text = str(given.value)
    place = given.words[-1].place if given.words else None
    if place is not None and place.value.endswith(text):
        return place.cut(len(place.value) - len(text))
    return Text(text)


def _calculated(text: str) -> int:
    """Return a sum of whole numbers, read as Python's own grammar reads it and worked out here."""
    import ast  # noqa: PLC0415  only for sums

    def value(node: ast.AST) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.BinOp):
            left, right = value(node.left), value(node.right)
            if isinstance(node.op, ast.Add):
                return left + right
            if isinstance(node.op, ast.Sub):
                return left - right
            if isinstance(node.op, ast.Mult):
                return left * right
            if isinstance(node.op, ast.Mod):
                return left % right
            return left // right
        raise ValueError("not a sum")

    return value(ast.parse(text.strip(), mode="eval").body)


def _next_dollar(value: str, at: int) -> int:
    found = [index for index in (value.find("$", at), value.find("`", at)) if index >= 0]
    return min(found) if found else -1


def _end_of(value: str, at: int) -> int:
    """Return where what starts with `$` or a backtick ends; `at + 1` where it is no variable."""
    if value[at] == "`":
        return value.find("`", at + 1) + 1 or at + 1
    simple = _SIMPLE.match(value, at)
    if simple:
        return simple.end()
    opens = value[at + 1 : at + 2]
    if opens not in ("{", "("):
        return at + 1
    depth, end, close = 0, at + 1, {"{": "}", "(": ")"}[opens]
    while end < len(value):
        depth += (value[end] == opens) - (value[end] == close)
        end += 1
        if not depth:
            return end
    return at + 1


def _unquoted(text: Text) -> Text:
    value = text.value
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return text.cut(1, len(value) - 1)
    return text


def _trimmed(known: Text | list[Word] | None, rest: str) -> Text | None:
    """Return a value without a plain prefix or suffix (`${MODEL##*/}`, `${NAME%.gguf}`); None for other changes."""
    if not isinstance(known, Text):
        return None
    match = re.fullmatch(r"(##?|%%?)(\*?)([^*?\[\]$`]*)(\*?)", rest)
    if match is None or not match[3]:
        return None
    how, before, plain, behind = match.groups()
    value = known.value
    if how.startswith("#") and not behind:
        at = (value.rfind(plain) if how == "##" else value.find(plain)) if before else (0 if value.startswith(plain) else -1)
        return known if at < 0 else known.cut(at + len(plain))
    if how.startswith("%") and not before:
        at = (value.find(plain) if how == "%%" else value.rfind(plain)) if behind else (
            len(value) - len(plain) if value.endswith(plain) else -1
        )
        return known if at < 0 else known.cut(0, at)
    return None

