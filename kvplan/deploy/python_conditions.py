"""What Python's conditions come to, as far as literals and names tell; None where they do not."""

import ast
from collections.abc import Callable
from contextlib import suppress

from kvplan.launch.text import MASK, Text


class Number(Text):
    """A number or a truth value, as `str` writes it."""

    __slots__ = ()


class Absent:
    """Python's None."""

    __slots__ = ()


ABSENT = Absent()
# None: not known, and no text.
Value = Text | Absent | list["Value"] | dict[str, tuple[Text, "Value"]] | None
_MOST_PARTS, _DEEPEST = 50, 5


class Fields(dict[str, tuple[Text, Value]]):
    """An object by its fields; one whose value is None is open: whoever starts the program gives it."""

    __slots__ = ()


def truth(value: Value) -> bool | None:
    """Return whether a value counts as true; None where that is not known."""
    if isinstance(value, Number):
        number = as_number(value)
        return number != 0 if number is not None else {"True": True, "False": False}.get(value.value)
    if isinstance(value, Text):
        return None if value.value and not value.value.strip(MASK) else bool(value.value)
    if isinstance(value, list | dict):
        return bool(value) or isinstance(value, Fields)
    return False if isinstance(value, Absent) else None


def decided(test: ast.expr, value: Callable[[ast.expr], Value], depth: int = 0) -> bool | None:
    """Return what a condition comes to.

    Args:
        test: the condition.
        value: returns what an expression in it stands for.
        depth: of conditions in conditions.

    """
    if depth > _DEEPEST:
        return None
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = decided(test.operand, value, depth + 1)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        parts = [decided(each, value, depth + 1) for each in test.values[:_MOST_PARTS]]
        settles = isinstance(test.op, ast.Or)
        if settles in parts:
            return settles
        return None if None in parts or len(test.values) > _MOST_PARTS else not settles
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _compared(test.ops[0], value(test.left), value(test.comparators[0]))
    return truth(value(test))


def _compared(operator: ast.cmpop, left: Value, right: Value) -> bool | None:
    found: bool | None = None
    if isinstance(operator, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
        found = _same(left, right)
    elif isinstance(operator, ast.In | ast.NotIn):
        found = _inside(left, right)
    elif isinstance(left, Number) and isinstance(right, Number):
        first, second = as_number(left), as_number(right)
        if first is not None and second is not None:
            return {ast.Lt: first < second, ast.LtE: first <= second, ast.Gt: first > second}.get(
                type(operator), first >= second
            )
    turned = isinstance(operator, ast.NotEq | ast.IsNot | ast.NotIn)
    return None if found is None else found != turned


def _same(left: Value, right: Value) -> bool | None:
    if isinstance(left, Absent) or isinstance(right, Absent):
        other = right if isinstance(left, Absent) else left
        if isinstance(other, Absent):
            return True
        known = isinstance(other, list | dict) or (
            isinstance(other, Text) and (not other.value or other.value.strip(MASK))
        )
        return False if known else None
    if not isinstance(left, Text) or not isinstance(right, Text) or MASK in left.value + right.value:
        return None
    if isinstance(left, Number) and isinstance(right, Number):
        first, second = as_number(left), as_number(right)
        return first == second if first is not None and second is not None else left.value == right.value
    if left.value == right.value:
        return True if isinstance(left, Number) == isinstance(right, Number) else None
    return False


def _inside(left: Value, right: Value) -> bool | None:
    if not isinstance(left, Text) or MASK in left.value:
        return None
    if isinstance(right, Text):
        return left.value in right.value if MASK not in right.value else (True if left.value in right.value else None)
    if isinstance(right, dict):
        return left.value in right
    if isinstance(right, list):
        parts = [_same(left, each) for each in right]
        return True if True in parts else None if None in parts else False
    return None


def as_number(text: Text) -> int | float | None:
    """Return the number that a text writes; None where it writes none, or a very long one."""
    if len(text.value) > 20:
        return None
    with suppress(ValueError):
        return int(text.value)
    with suppress(ValueError):
        return float(text.value)
    return None
