"""One configuration read with care: every value checked, every default named, every key that was looked at remembered."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kvplan.errors import ConfigError
from kvplan.models.defaults import TypeFacts, type_facts


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()

# The largest value that is believed, by the first word found in a key; anything beyond is a broken file. The limits lie
# an order of magnitude above any published model, and keep every reader quick on hostile input.
_LIMITS: Final = (
    ("vocab", 100_000_000),
    ("layer", 4_000),
    ("depth", 4_000),
    ("head_dim", 65_536),
    ("d_kv", 65_536),
    ("kv_channels", 65_536),
    ("head", 65_536),
    ("expert", 65_536),
    ("position", 10_000_000_000),
    ("length", 10_000_000_000),
    ("seq", 10_000_000_000),
    ("window", 10_000_000_000),
    ("chunk", 10_000_000_000),
    ("context", 10_000_000_000),
    ("merge", 1_000),
    ("patch", 10_000),
)
_LIMIT: Final = 10_000_000
_DEEPEST: Final = 6


def _limit(key: str) -> int:
    return next((limit for word, limit in _LIMITS if word in key), _LIMIT)


class Config:
    """A configuration (or a nested part of one): the file's own values, then its type's published defaults.

    A key is looked up under its own name, the name its type maps it to (`num_hidden_layers` is `n_layer` for GPT-2) and
    the other names given; names that are both stated and differ are an error. What the file does not state comes from
    the defaults of the type's configuration class and is remembered in `assumed`.

    Args:
        values: the mapping as read.
        where: what error messages call the file.
        path: the keys that lead to this part (`text_config.`), for messages.
        model_type: the type whose defaults count; None: the `model_type` that the values state.

    Raises:
        ConfigError: `values` is not a mapping of texts.

    """

    def __init__(
        self, values: Any, *, where: str = "config.json", path: str = "", model_type: str | None = None
    ) -> None:
        if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
            raise ConfigError(f"{where}: {path.rstrip('.') or 'the configuration'} is not a JSON object.")
        self.values: Mapping[str, Any] = values
        self.where = where
        self.path = path
        stated_type = values.get("model_type")
        self.model_type = model_type or (stated_type if isinstance(stated_type, str) else "")
        self.facts: TypeFacts | None = type_facts(self.model_type) if self.model_type else None
        self.read: set[str] = set()
        self.assumed: dict[str, Any] = {}
        self.parts: list[Config] = []
        self.reader: Any = None  # the Family that reads this part

    def fail(self, key: str, problem: str) -> ConfigError:
        """Return the error for a key: where it is, what it holds, what was expected."""
        return ConfigError(f"{self.where}: {self.path}{key} {problem}")

    # -- looking up ------------------------------------------------------------------------------------------------

    def _names(self, keys: Sequence[str]) -> list[str]:
        mapped = self.facts.attribute_map if self.facts else {}
        return list(dict.fromkeys(name for key in keys for name in (key, mapped.get(key, key))))

    def _find(self, keys: Sequence[str]) -> tuple[str, Any, bool]:
        """Return the name found, its value and whether the file states it; the value is UNSET where nothing does."""
        names = self._names(keys)
        self.read.update(names)
        stated = [(name, self.values[name]) for name in names if name in self.values]
        known = [(name, value) for name, value in stated if value is not None]
        if known:
            name, value = known[0]
            for other, second in known[1:]:
                if second != value:
                    raise self.fail(
                        name, f"is {show(value)} but {other} is {show(second)}: they mean the same; keep one."
                    )
            return name, value, True
        if stated:
            return stated[0][0], None, True
        if self.facts:
            for name in names:
                if name in self.facts.defaults:
                    return name, self.facts.defaults[name], False
        return names[0], UNSET, False

    def states(self, *keys: str) -> bool:
        """Whether the file itself gives one of these keys a value other than null. Counts as reading them."""
        names = self._names(keys)
        self.read.update(names)
        return any(self.values.get(name) is not None for name in names)

    def declares(self, key: str) -> bool:
        """Whether the type has this key; a type without published defaults may have any."""
        return self.facts is None or key in self.facts.defaults

    def overrule(self, *keys: str) -> None:
        """Count keys as read that another key of the file makes void."""
        self.read.update(self._names(keys))

    def raw(self, *keys: str, default: Any = None) -> Any:
        """Return the value unchecked, or `default` where neither the file nor the type's defaults have one."""
        name, value, stated = self._find(keys)
        if value is UNSET or value is None:
            return default
        self._assume(name, value, stated)
        return value

    def _assume(self, name: str, value: Any, stated: bool) -> None:
        if not stated:
            self.assumed[name] = value

    # -- checked values --------------------------------------------------------------------------------------------

    def count(self, *keys: str, default: int | _Unset = UNSET, minimum: int = 1) -> int:
        """Return a whole number of at least `minimum`.

        Args:
            keys: the key and its other names.
            default: for a key that neither the file nor the type's defaults give; UNSET makes it required.
            minimum: the smallest value allowed.

        Raises:
            ConfigError: missing, null without a default, not a whole number, or out of range.

        """
        value = self.optional_count(*keys, minimum=minimum)
        if value is not None:
            return value
        if isinstance(default, _Unset):
            raise self.fail(keys[0], f"is not stated. {self._needs(keys)}")
        return default

    def _needs(self, keys: Sequence[str]) -> str:
        others = [name for name in self._names(keys) if name != keys[0]]
        also = f" (or {', '.join(others)})" if others else ""
        return f"Add {keys[0]}{also} as a whole number."

    def optional_count(self, *keys: str, minimum: int = 1) -> int | None:
        """Return a whole number of at least `minimum`, or None where it is null or not stated.

        Raises:
            ConfigError: not a whole number, or out of range.

        """
        name, value, stated = self._find(keys)
        if value is UNSET or value is None:
            return None
        checked = self.checked_count(name, value, minimum=minimum)
        self._assume(name, value, stated)
        return checked

    def checked_count(self, name: str, value: Any, *, minimum: int = 1) -> int:
        """Return `value` if it is a whole number in the range that `name` allows.

        Raises:
            ConfigError: it is not.

        """
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(name, f"is {show(value)}; a whole number was expected.")
        if value < minimum:
            raise self.fail(name, f"is {value}; at least {minimum} was expected.")
        if value > (limit := _limit(name)):
            raise self.fail(name, f"is {show(value)}; at most {limit:,} is believed.")
        return value

    def number(self, *keys: str, default: float | _Unset = UNSET) -> float:
        """Return a finite number.

        Raises:
            ConfigError: missing without a default, or not a finite number.

        """
        name, value, stated = self._find(keys)
        if value is UNSET or value is None:
            if isinstance(default, _Unset):
                raise self.fail(keys[0], "is not stated; a number was expected.")
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
            raise self.fail(name, f"is {show(value)}; a number was expected.")
        self._assume(name, value, stated)
        return value

    def flag(self, *keys: str, default: bool | _Unset = UNSET) -> bool:
        """Return true or false.

        Raises:
            ConfigError: missing without a default, or neither true nor false.

        """
        name, value, stated = self._find(keys)
        if value is UNSET or value is None:
            if isinstance(default, _Unset):
                raise self.fail(keys[0], "is not stated; true or false was expected.")
            return default
        # Three of Microsoft's published Phi files have the words as texts.
        value = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
        if not isinstance(value, bool):
            raise self.fail(name, f"is {show(value)}; true or false was expected.")
        self._assume(name, value, stated)
        return value

    def text(self, *keys: str, default: str = "") -> str:
        """Return a text.

        Raises:
            ConfigError: it is something else.

        """
        name, value, stated = self._find(keys)
        if value is UNSET or value is None:
            return default
        if not isinstance(value, str):
            raise self.fail(name, f"is {show(value)}; a text was expected.")
        self._assume(name, value, stated)
        return value

    def items(self, *keys: str) -> list[Any] | None:
        """Return a list, or None where it is null or not stated.

        Raises:
            ConfigError: it is something else.

        """
        name, value, stated = self._find(keys)
        if value is UNSET or value is None:
            return None
        if not isinstance(value, list | tuple):
            raise self.fail(name, f"is {show(value)}; a list was expected.")
        self._assume(name, value, stated)
        return list(value)

    def counts(self, *keys: str, minimum: int = 1) -> list[int] | None:
        """Return a list of whole numbers of at least `minimum`, or None where it is null or not stated.

        Raises:
            ConfigError: it is no list, or an item is no such number.

        """
        found = self.items(*keys)
        if found is None:
            return None
        return [self.checked_count(f"{keys[0]}[{i}]", value, minimum=minimum) for i, value in enumerate(found)]

    def part(self, key: str, model_type: str | None = None) -> "Config":
        """Return the nested configuration at `key`; where it is not stated, an empty one with its type's defaults.

        Raises:
            ConfigError: it is not a JSON object, or lies deeper than any model has parts.

        """
        if self.path.count(".") >= _DEEPEST:
            raise self.fail(key, f"is the {_DEEPEST + 1}th part inside another: no model is nested so deep.")
        self.read.add(key)
        nested = self.values.get(key)
        if nested is None:
            nested = {}
        elif isinstance(nested, Mapping):
            stated = nested.get("model_type")
            model_type = stated if isinstance(stated, str) and stated else model_type
        if model_type is None and self.facts:
            model_type = self.facts.sub_configs.get(key)
        part = Config(nested, where=self.where, path=f"{self.path}{key}.", model_type=model_type)
        self.parts.append(part)
        return part


# Keys under which a multimodal configuration nests its language model.
LANGUAGE_KEYS = ("text_config", "llm_config", "language_config", "thinker_config")


def language_config(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration of the language model, however deep a file nests it; the file's own where it does not."""
    while inner := next((v for key in LANGUAGE_KEYS if isinstance(v := values.get(key), Mapping) and v), None):
        values = inner
    return values


def show(value: Any) -> str:
    """Return a value as messages show it: short, and without following a nesting bomb to its end."""
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} nested too deep"
    except ValueError:  # a whole number of thousands of digits
        return f"a {type(value).__name__} too long to print"
    return text if len(text) <= 60 else text[:57] + "..."
