"""What calls of Python's own functions return, of `argparse`, `os.environ`, `shlex` and their like."""

import ast
import re
from typing import TYPE_CHECKING

from kvplan.deploy.python_conditions import ABSENT, Fields, Number, Value, as_number
from kvplan.deploy.python_places import dotted
from kvplan.deploy.sagemaker_containers import looked_up
from kvplan.errors import SettingError
from kvplan.launch.text import MASK, Text, join, standing_for
from kvplan.launch.words import split

if TYPE_CHECKING:
    from kvplan.deploy.python_values import Scope

# Of a text that is put together: characters, and parts of the file.
_LONGEST, _MOST_PARTS = 20_000, 500
_MOST_FIELDS = 500
# Words that a shell takes as they are.
_PLAIN = re.compile(rf"[\w@%+=:,./{MASK}-]+")
_DECIMALS = re.compile(r"\.([0-9])f")
_OF_PARSERS = (
    "add_argument_group", "add_mutually_exclusive_group", "add_subparsers", "add_parser", "parse_args", "parse_known_args",
)  # fmt: skip
# LMDeploy's backends by their configurations; arguments of the other engines.
_CONFIGURATIONS = {"PytorchEngineConfig": "pytorch", "TurbomindEngineConfig": "turbomind"}
_ARGUMENTS = ("AsyncEngineArgs", "EngineArgs", "ServerArgs")


def called(scope: "Scope", node: ast.Call, depth: int) -> Value:
    """Return what a few functions return: `str(n)`, `" ".join(list)`, `os.environ.get("X", "default")`, `"a b".split()`."""
    whole = dotted(node.func)
    name = node.func.attr if isinstance(node.func, ast.Attribute) else whole
    first = node.args[0] if len(node.args) == 1 else None
    if whole in ("str", "int", "float", "list", "tuple", "json.dumps", "dumps") and first is not None:
        return _converted(scope, whole, node, first, depth)
    if name == "quote" and first is not None:
        return quoted(scope.value(first, depth + 1))
    if whole == "map" and len(node.args) == 2 and dotted(node.args[0]) == "str":
        return scope.value(node.args[1], depth + 1)
    if name == "dict" and isinstance(node.func, ast.Name) and len(node.args) < 2:
        base = scope.value(first, depth + 1) if first is not None else {}
        return dict(base) | scope.keywords(node, depth + 1) if isinstance(base, dict) else scope.written(node)
    if name == "get" and isinstance(node.func, ast.Attribute) and 0 < len(node.args) < 3:
        owner, key = scope.value(node.func.value, depth + 1), scope.value(node.args[0], depth + 1)
        if isinstance(owner, dict) and isinstance(key, Text) and MASK not in key.value:
            missing = scope.value(node.args[1], depth + 1) if len(node.args) == 2 else ABSENT
            return scope.held(owner, key.value, node) if key.value in owner else missing
    if name in ("get", "getenv") and len(node.args) == 2:
        known = dotted(node.func).endswith(("environ.get", "getenv"))
        return scope.value(node.args[1], depth + 1) if known else scope.written(node)
    if name == "join" and len(node.args) == 1 and isinstance(node.func, ast.Attribute):
        items = scope.value(node.args[0], depth + 1)
        between = " " if isinstance(node.func.value, ast.Name) else _text(scope.value(node.func.value, depth + 1))
        if isinstance(items, list) and between is not None:
            return _together(items, between)
    if whole in ("shlex.split", "split") and node.args:
        return _split(scope.value(node.args[0], depth + 1)) or scope.written(node)
    if name == "split" and isinstance(node.func, ast.Attribute) and not node.args:
        text = scope.value(node.func.value, depth + 1)
        if isinstance(text, Text):
            return [text.cut(*match.span()) for match in re.finditer(r"\S+", text.value)]
    if name == "copy" and isinstance(node.func, ast.Attribute) and not node.args:
        return scope.value(node.func.value, depth + 1)
    if whole == "len" and first is not None and dotted(first) == "sys.argv":
        return scope.number(node, "1")
    if whole == "getattr" and 1 < len(node.args) < 4:
        owner, key = scope.value(node.args[0], depth + 1), scope.value(node.args[1], depth + 1)
        if not isinstance(owner, Fields) or not isinstance(key, Text) or MASK in key.value:
            return scope.written(node)
        if key.value not in owner and len(node.args) == 3:
            return scope.value(node.args[2], depth + 1)
        return scope.held(owner, key.value, node)
    if name in ("copy", "deepcopy", "vars", "asdict") and first is not None:
        return scope.value(first, depth + 1)
    if name in _CONFIGURATIONS:
        own = scope.keywords(node, depth + 1)
        return Fields(own | {"backend": (scope.literal(node, "backend"), scope.literal(node, _CONFIGURATIONS[name]))})
    if name in _ARGUMENTS:
        own = scope.keywords(node, depth + 1)
        return Fields(own) if len(own) <= _MOST_FIELDS else scope.written(node)
    if (found := _parser(scope, name, node, depth)) is not None:
        return found
    if scope.returned is not None and (found := scope.returned(node, scope, depth)) is not None:
        return found
    if name in ("retrieve", "get_huggingface_llm_image_uri"):
        args = [scope.value(each, depth + 1) for each in node.args[:8]]
        named = {key: value for key, (_, value) in scope.keywords(node, depth + 1).items()}
        return looked_up(whole, args, named, scope.source.piece(*scope.span(node))) or scope.written(node)
    return scope.written(node)


def _parser(scope: "Scope", name: str, node: ast.Call, depth: int) -> Value:
    """Return a parser of arguments, which holds their defaults, and what it returns; its groups are the parser itself."""
    if name in ("ArgumentParser", "Namespace", "SimpleNamespace"):
        return Fields(scope.keywords(node, depth + 1) if name != "ArgumentParser" else {})
    if name not in _OF_PARSERS or not isinstance(node.func, ast.Attribute):
        return None
    parser = scope.value(node.func.value, depth + 1)
    if not isinstance(parser, Fields):
        return None
    return [parser, []] if name == "parse_known_args" else parser


def _split(text: Value) -> list[Value]:
    """Return a text's words as a shell takes them; none where it is none."""
    if not isinstance(text, Text):
        return []
    try:
        return [each.place if each.place is not None else Text(each.text) for each in split(text)]
    except SettingError:
        return []


def _converted(scope: "Scope", name: str, node: ast.Call, first: ast.expr, depth: int) -> Value:
    """Return `str(n)`, `int("4")`, `json.dumps(4)`; what JSON writes otherwise than `str` is not known."""
    value = scope.value(first, depth + 1)
    if name.endswith("dumps"):
        plain = isinstance(value, Number) and as_number(value) is not None
        return Text(value.value, value.runs) if plain and isinstance(value, Number) else scope.written(node)
    if isinstance(value, Text):
        return Number(value.value, value.runs) if name in ("int", "float") else Text(value.value, value.runs)
    return value


def joined(texts: list[Text]) -> Text | None:
    """Return texts one behind the other; None for more than a command holds."""
    if sum(len(each.value) for each in texts) > _LONGEST or sum(len(each.runs) for each in texts) > _MOST_PARTS:
        return None
    return join(texts)


def formatted(value: Value, node: ast.FormattedValue) -> Value:
    """Return a value as an f-string writes it; numbers with a number of decimals are rounded, other formats not known."""
    if not isinstance(value, Text) or node.conversion not in (-1, ord("s")):
        return None
    if node.format_spec is None:
        return value
    parts = node.format_spec.values if isinstance(node.format_spec, ast.JoinedStr) else []
    only = parts[0].value if len(parts) == 1 and isinstance(parts[0], ast.Constant) else ""
    match = _DECIMALS.fullmatch(only) if isinstance(only, str) else None
    number = as_number(value) if isinstance(value, Number) else None
    return standing_for(f"{number:.{match[1]}f}", value) if match and number is not None else None


def asks_environment(node: ast.AST) -> bool:
    """Return whether an expression is a variable of the environment, or what the program is given."""
    if isinstance(node, ast.Attribute):
        return dotted(node) == "sys.argv"
    return isinstance(node, ast.Call) and dotted(node.func).endswith(("environ.get", "getenv"))


def quoted(value: Value) -> Value:
    """Return a text as `shlex.quote` does."""
    if not isinstance(value, Text) or _PLAIN.fullmatch(value.value) or "'" in value.value:
        return value
    return join(["'", value, "'"])


def _text(value: Value) -> str | None:
    return value.value if isinstance(value, Text) and MASK not in value.value else None


def _together(items: list[Value], between: str) -> Text | None:
    parts: list[Text] = []
    for index, each in enumerate(items):
        if not isinstance(each, Text):
            return None
        parts += [Text(between), each] if index else [each]
    return joined(parts)
