"""The words after `vllm serve` to values, as vLLM's parser reads them (utils/argparse_utils.py FlexibleArgumentParser)."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kvplan.engines.vllm.command.table import BARE, FlagTable, padded
from kvplan.errors import SettingError
from kvplan.launch.command import shown
from kvplan.launch.text import Text
from kvplan.launch.words import MOST_CHARACTERS, Given, Word

_NUMBER = re.compile(r"-\d+|-\d*\.\d+")
# `--config.key value` and `--list+ value`: utils/__init__.py of these releases. Lists of a config file came with 0.8.0.
_DOTS, _PLUSES, _FALSE_IN_FILES = padded("0.9.0"), padded("0.9.2"), padded("0.28.0")
# `image=4,video=0` instead of JSON (engine/arg_utils.py nullable_kvs).
_PAIRS_GONE = padded("0.10.0")
_OPTIMIZATION_LEVEL = "--optimization-level"
_DEEPEST = 20
# As many unknown flags are compared with all that there are.
_MOST_HINTS = 20


@dataclass(slots=True, kw_only=True)
class Arguments:
    """What a command line says.

    Attributes:
        values: by a flag's main name: True or False, a text, a list of texts, or a JSON value; each with its words.
        model: the word that stands for itself; None where there is none.
        left_out: flags that this release does not have, with their values.
        warnings: what vLLM itself would not accept, or would not do as it looks.
        refused: where the reading goes on behind flags that cannot be meant: why, and their words.

    """

    values: dict[str, Given] = field(default_factory=dict)
    left_out: list[Given] = field(default_factory=list)
    model: Given | None = None
    warnings: list[str] = field(default_factory=list)
    refused: list[tuple[SettingError, tuple[Word, ...]]] | None = None

    def refuse(self, error: SettingError, words: tuple[Word, ...]) -> None:
        """Keep an error for later where the reading goes on; else raise it."""
        if self.refused is None:
            raise error
        self.refused.append((error, words))


@dataclass(frozen=True, slots=True)
class _Token:
    """A word with its underscores made dashes, and the words that it came from."""

    text: str
    words: tuple[Word, ...]


def read_arguments(
    words: Sequence[Word], table: FlagTable, read_file: Callable[[str], str | Text], *, to_the_end: bool = False
) -> Arguments:
    """Return what the words say.

    Args:
        words: those after `vllm serve`.
        table: the flags of the release.
        read_file: returns the text of the file after --config.
        to_the_end: go on behind what cannot be meant, and keep it in `refused`.

    Raises:
        SettingError: a flag that no release has, an abbreviation of several, a value that is missing or not JSON.

    """
    found = Arguments(refused=[] if to_the_end else None)
    tokens = [_Token(word.text, (word,)) for word in words]
    try:
        tokens = _with_file(tokens, table, read_file, found)
    except SettingError as error:
        found.refuse(error, next((token.words for token in tokens if token.text.startswith("--config")), ()))
    tokens = list(_normalised(tokens, table))
    plain, nested = _without_dots(tokens, table, found)
    _parse([*plain, *nested], table, found)
    return found


def _with_file(
    tokens: list[_Token], table: FlagTable, read_file: Callable[[str], str | Text], found: Arguments
) -> list[_Token]:
    """Put the settings of a --config file where vLLM puts them: before the other flags, which therefore win."""
    if any(token.text.startswith("--config=") for token in tokens):
        found.warnings.append("vLLM reads a config file after `--config FILE` only; `--config=FILE` is left alone.")
    places = [index for index, token in enumerate(tokens) if token.text == "--config"]
    if not places:
        return tokens
    if len(places) > 1:
        raise SettingError("vLLM refuses more than one --config.", hint="Keep one file.")
    at = places[0]
    if at + 1 >= len(tokens):
        raise SettingError("--config names no file.", hint="Write it as --config serve.yaml.")
    name = tokens[at + 1].text
    first = 0 if not tokens or tokens[0].text.startswith("-") else 1
    inserted = list(_file_tokens(name, read_file(name), table, found))
    rest = [token for index, token in enumerate(tokens) if index not in (at, at + 1)]
    return [*rest[:first], *inserted, *rest[first:]]


def _file_tokens(name: str, given: str | Text, table: FlagTable, found: Arguments) -> Iterator[_Token]:
    text = given if isinstance(given, str) else given.value
    if not name.endswith((".yaml", ".yml")):
        raise SettingError(f"vLLM reads .yaml and .yml files only, not {name!r}.")
    if len(text) > MOST_CHARACTERS:
        raise SettingError(
            f"{name} has {len(text):,} characters; no settings of vLLM are longer than {MOST_CHARACTERS:,}.",
            hint="Leave out what is none.",
        )
    import yaml  # noqa: PLC0415  only with --config

    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  both are safe loaders
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark is not None else ""
        raise SettingError(f"{name} is not YAML{line}.") from error
    if content is None:
        return
    if not _is_short(content):
        raise SettingError(
            f"{name} repeats itself by its aliases beyond {MOST_CHARACTERS:,} characters.", hint="Write its values out."
        )
    if not isinstance(content, dict):
        raise SettingError(f"{name} holds no mapping of flags to values.", hint="For example: tensor-parallel-size: 2")
    places = {} if isinstance(given, str) else _places(given)
    for key, value in content.items():
        shown_value = _shown(value)
        where = places.get(str(key))
        own = None if where is None or where.value != shown_value else where
        words: tuple[Word, ...] = (
            Word(f"{key}: {shown_value}", origin=name, place=None if own is not None else where),
        )
        if own is not None:
            words = (*words, Word(shown_value, origin=name, place=own))
        flag = _Token(f"--{key}", words)
        if isinstance(value, bool):
            if value:
                yield flag
            elif f"--no-{key}" in table.options and table.number >= _FALSE_IN_FILES:
                yield _Token(f"--no-{key}", words)
            else:
                found.warnings.append(f"vLLM {table.version} leaves `{key}: false` of {name} out of account.")
        elif isinstance(value, list):
            if value:
                yield flag
                yield from (_Token(_shown(item), ()) for item in value)
        else:
            yield flag
            yield _Token(shown_value, ())


def _places(text: Text) -> dict[str, Text]:
    """Return where the values of a configuration file stand that a deployment file holds."""
    from kvplan.launch.settings_file import settings  # noqa: PLC0415  only for files inside deployment files

    return {keys[0]: value for keys, _, value in settings(text) if len(keys) == 1}


def _is_short(content: Any) -> bool:
    """Whether a YAML value, its aliases written out, is no longer than a command may be; one in itself is endless."""
    left, waiting = MOST_CHARACTERS, [content]
    while waiting and left >= 0:
        value = waiting.pop()
        left -= len(value) if isinstance(value, str | bytes) else 1
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple | set):
            waiting += value
    return left >= 0


def _shown(value: Any) -> str:
    """Return a YAML value as vLLM puts it on the command line."""
    if isinstance(value, dict):
        try:
            return json.dumps(value)
        except (TypeError, ValueError, RecursionError):
            return str(value)
    try:
        return str(value)
    except ValueError:  # a whole number of thousands of digits
        return "a number too long to print"


def _normalised(tokens: Sequence[_Token], table: FlagTable) -> Iterator[_Token]:
    """Make underscores of flags dashes, and `-O3` the flag that it stands for."""
    for index, token in enumerate(tokens):
        text = token.text
        if text.startswith("--"):
            name, equals, value = text.partition("=")
            head, dot, rest = name.partition(".")
            yield replace(token, text=head.replace("_", "-") + dot + rest + equals + value)
        elif text.startswith("-O") and text[2:3] != "." and (text != "-O" or _level_follows(tokens, index)):
            level = text[3:] if text[2:3] == "=" else text[2:]
            new = table.kind(_OPTIMIZATION_LEVEL) is not None
            yield replace(token, text=_OPTIMIZATION_LEVEL if new else "-O")
            if level:
                yield replace(token, text=level)
        elif text.startswith("-O.") and table.kind("-O") is None:
            yield replace(token, text=f"--compilation-config{text[2:]}")
        else:
            yield token


def _level_follows(tokens: Sequence[_Token], index: int) -> bool:
    return index + 1 < len(tokens) and tokens[index + 1].text in ("0", "1", "2", "3")


def _without_dots(tokens: Sequence[_Token], table: FlagTable, found: Arguments) -> tuple[list[_Token], list[_Token]]:
    """Return the tokens without dotted flags, and those gathered: one JSON value for each flag, put at the end."""
    plain: list[_Token] = []
    gathered: dict[str, tuple[dict[str, Any], list[Word]]] = {}
    skip = False
    for index, token in enumerate(tokens):
        if skip:
            skip = False
            continue
        name, equals, value = token.text.partition("=")
        if not name.startswith("-") or "." not in name or _NUMBER.fullmatch(name):
            plain.append(token)
            continue
        words = list(token.words)
        if not equals:
            if index + 1 >= len(tokens):
                found.refuse(
                    SettingError(f"{shown(name)} has no value.", hint="Give it one, or leave it out."), token.words
                )
                continue
            value = tokens[index + 1].text
            words += tokens[index + 1].words
            skip = True
        if table.number < _DOTS or (name.endswith("+") and table.number < _PLUSES):
            found.warnings.append(f"vLLM {table.version} does not start with {name}: dotted flags came in 0.9.0.")
        key, *path = name.removesuffix("+").split(".")
        if len(path) > _DEEPEST:
            raise SettingError(f"{shown(key)}.… nests {len(path)} names; vLLM has no setting that deep.")
        read: Any = value.split(",") if name.endswith("+") else _json_or_text(value)
        values, seen = gathered.setdefault(key, ({}, []))
        seen += words
        _merge(values, path, read)
    nested: list[_Token] = []
    for key, (values, words) in gathered.items():
        nested += [_Token(key, tuple(words)), _Token(json.dumps(values), ())]
        if any(token.text.split("=")[0] == key for token in plain):
            found.warnings.append(f"vLLM lets {key}.… replace {key} as a whole: its JSON value is left out of account.")
    return plain, nested


def _merge(values: dict[str, Any], path: Sequence[str], read: Any) -> None:
    """Put a value where a dotted name says; lists grow, other values are replaced."""
    for name in path[:-1]:
        inner = values.get(name)
        if not isinstance(inner, dict):
            inner = values[name] = {}
        values = inner
    last = values.get(path[-1])
    values[path[-1]] = last + read if isinstance(last, list) and isinstance(read, list) else read


def _json_or_text(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return int_or_text(text)
    return value if not isinstance(value, float) or abs(value) < 1e300 else text


def int_or_text(text: str) -> int | str:
    """Return what `80g` means to a dotted flag: a number, or else the text."""
    try:
        return human_int(text)
    except ValueError:
        return text


_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def human_int(text: str) -> int:
    """Return the number that `32768`, `32k` (32,000), `32K` (32,768) or `25.6k` means (vLLM's human_readable_int).

    Raises:
        ValueError: none, or a fraction of a binary unit, which vLLM refuses.

    """
    text = text.strip()
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,18})?)([kKmMgGtT])", text, re.ASCII)
    if match:
        number, unit = match.groups()
        return int(float(number) * _UNITS[unit]) if unit.islower() else int(number) * _UNITS[unit]
    if len(text) > 20:
        raise ValueError(text[:20])
    return int(text)


def _parse(tokens: Sequence[_Token], table: FlagTable, found: Arguments) -> None:
    """Read flags and their values, as argparse does."""
    at, only_words = 0, False
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if token.text == "--" and not only_words:
            only_words = True
            continue
        try:
            if only_words or not _is_flag(token.text, table):
                _take_model(token, table, found)
            else:
                at = _parse_flag(tokens, at, table, found)
        except SettingError as error:
            found.refuse(error, token.words)
            if (
                token.text.startswith("-")
                and "=" not in token.text
                and at < len(tokens)
                and _is_value(tokens[at].text, table)
            ):
                at += 1  # most likely the value of the flag


def _parse_flag(tokens: Sequence[_Token], at: int, table: FlagTable, found: Arguments) -> int:
    """Read the flag before `at` with its values; return where the next one stands."""
    token = tokens[at - 1]
    name, kind, negative, explicit, known = _flag(token, table, found)
    values: list[_Token] = []
    if explicit is not None:
        if kind in BARE:
            raise SettingError(
                f"{name} takes no value, but {shown(explicit)!r} was given.", hint=f"Write {name} alone."
            )
        values = [_Token(explicit, ())]
    elif kind not in BARE:
        most = {"many": len(tokens), "maybe": 1}.get(kind, 1)
        while at < len(tokens) and len(values) < most and _is_value(tokens[at].text, table):
            values.append(tokens[at])
            at += 1
        if not values and kind != "maybe":
            follows = f" before {shown(tokens[at].text)!r}" if at < len(tokens) else ""
            raise SettingError(f"{shown(token.text)} has no value{follows}.", hint="Give it one, or leave it out.")
    words = (*token.words, *(word for value in values for word in value.words))
    try:
        if not known:
            found.left_out.append(Given(None, words))
        else:
            _take(found, table, name, kind, [value.text for value in values], words, negative=negative)
    except SettingError as error:
        found.refuse(error, words)
    return at


def _is_flag(text: str, table: FlagTable) -> bool:
    """Whether argparse takes a word for a flag: it starts with a dash, is no number, and has no blank unless it is known."""
    if len(text) < 2 or not text.startswith("-"):
        return False
    name = text.partition("=")[0]
    if text in table.options or name in table.options:
        return True
    return not _NUMBER.fullmatch(text) and (" " not in text or ("=" in text and bool(table.starting_with(name))))


def _is_value(text: str, table: FlagTable) -> bool:
    return text != "--" and not _is_flag(text, table)


def _take_model(token: _Token, table: FlagTable, found: Arguments) -> None:
    if found.model is None:
        found.model = Given(token.text, token.words)
        return
    near = next((name for name in table.options if name.lstrip("-") == token.text.replace("_", "-")), None)
    raise SettingError(
        f"{shown(token.text)!r} stands alone, and the model is {shown(found.model.value)!r} already.",
        hint=f"Did you mean {near}?" if near else "Put it after a flag, or leave it out.",
    )


def _flag(token: _Token, table: FlagTable, found: Arguments) -> tuple[str, str, bool, str | None, bool]:
    """Return a flag's main name, its kind, whether it says no, its value after `=`, and whether this release has it."""
    text = token.text
    if text in table.options:
        return *table.options[text], None, True
    name, equals, value = text.partition("=")
    explicit = value if equals else None
    if name in table.options:
        return *table.options[name], explicit, True
    matches = table.starting_with(name) if name != "--" else []
    other = table.elsewhere(name)
    if len({table.options[match][::2] for match in matches}) > 1 and other is None:
        meant = " or ".join(sorted(matches)[:3]) + (" ..." if len(matches) > 3 else "")
        raise SettingError(f"{name} may stand for {meant}.", hint="Write the one that is meant in full.")
    if len({table.options[match][::2] for match in matches}) == 1:
        return *table.options[matches[0]], explicit, True
    if not name.startswith("--") and name[:2] in table.options and len(name) > 2:
        main, kind, negative = table.options[name[:2]]
        return main, kind, negative, text[2:], True
    if other is None:
        raise _unknown(name, table, hints=len(found.refused or ()) < _MOST_HINTS)
    main, kind, negative, when = other
    found.warnings.append(f"vLLM {table.version} does not start with {name}: {when}. It is left out of account.")
    return main, kind, negative, explicit, False


def _unknown(name: str, table: FlagTable, *, hints: bool) -> SettingError:
    import difflib  # noqa: PLC0415  on the way to an error

    near = difflib.get_close_matches(name[:60], table.options, n=2, cutoff=0.7) if hints else []
    return SettingError(
        f"vLLM has no flag {shown(name)}.",
        hint=f"Did you mean {' or '.join(near)}?" if near else "See `vllm serve --help=all`.",
    )


def _take(
    found: Arguments,
    table: FlagTable,
    name: str,
    kind: str,
    values: list[str],
    words: tuple[Word, ...],
    *,
    negative: bool,
) -> None:
    value: Any
    if name == "--help":
        raise SettingError("The command asks for help and starts nothing.", hint="Leave --help out.")
    if name == "--model" and name in found.values and found.values[name].value != values[0]:
        raise SettingError(
            f"The command names two models: {found.values[name]} and {Given(values[0], words)}.", hint="Keep one."
        )
    if kind in BARE:
        value = not negative
    elif kind == "many":
        value = values
    elif kind == "maybe":
        value = values[0] if values else True
    elif kind == "each":
        before = found.values.get(name)
        value = [*(before.value if before else []), *values]
        words = (*(before.words if before else ()), *words)
    elif kind == "json" and not (table.number < _PAIRS_GONE and re.fullmatch(r"\w+=\d+(,\w+=\d+)*", values[0])):
        value = json_value(values[0], Given(values[0], words))
    else:
        value = values[0]
    found.values[name] = Given(value, words)


def json_value(text: str, given: Given) -> Any:
    """Return the value of a text that has to be JSON; bare `80g` in it is a number, as vLLM lets it be.

    Raises:
        SettingError: it is not JSON.

    """
    if text in ("", "None"):
        return None
    try:
        return json.loads(text)
    except RecursionError as error:
        raise SettingError(f"{given.words[0].text if given.words else ''} nests too deep.") from error
    except ValueError as error:
        parts = re.split(r'("(?:[^"\\]|\\.)*")', text)
        parts[::2] = [
            re.sub(r"\b\d+(?:\.\d+)?[kKmMgGtT]\b", lambda m: str(int_or_text(m[0])), part) for part in parts[::2]
        ]
        try:
            return json.loads("".join(parts))
        except (ValueError, RecursionError):
            flag = shown(given.words[0].text.partition("=")[0]) if given.words else "A flag"
            raise SettingError(
                f"{flag} is not JSON: {text[:60]!r}.", hint="""Quote it for the shell: '{"key": "value"}'."""
            ) from error
