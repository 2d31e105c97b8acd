"""A quantisation section whose values are asked for by type, so that a broken file ends in one clear line."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kvplan.errors import ConfigError
from kvplan.models.config import language_config
from kvplan.weights.formats import WeightFormat
from kvplan.weights.parts import Component
from kvplan.weights.quantization._patterns import check_number, check_regex
from kvplan.weights.scheme import LAYER_LINEARS, Rule, Scheme

# How large a number of bits, a group or a block may be; far above any format's.
_MOST = 1 << 24
_MOST_NAMES = 200_000


@dataclass(frozen=True, kw_only=True)
class Section:
    """The values of a section, the configuration around it, and where both were read.

    A value that is absent, null, or a note that somebody left in its place ("[dropped: 3278 bytes]") is not stated.

    Attributes:
        values: the section.
        config: the configuration around it.
        plain_bytes: of a number that is left alone.
        where: the file, for messages.
        path: the keys that led here, with their dots.

    """

    values: Mapping[str, Any]
    config: Mapping[str, Any]
    plain_bytes: int
    where: str
    path: str = ""

    def has(self, key: str) -> bool:
        """Whether a value is stated."""
        return self.get(key) is not None

    def get(self, key: str) -> Any:
        """Return a value as it stands, None where it is not stated."""
        value = self.values.get(key)
        return None if isinstance(value, str) and value.startswith("[dropped") else value

    def whole(self, *keys: str, least: int = 1, most: int = _MOST) -> int | None:
        """Return the whole number under the first key that states one.

        Raises:
            ConfigError: it is no whole number, or out of range.

        """
        for key in keys:
            value = self.get(key)
            if value is None:
                continue
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise self.wrong(key, value, f"a whole number from {least} to {most}")
            return value
        return None

    def number(self, key: str, *, least: float, most: float) -> float | None:
        """Return the number under a key.

        Raises:
            ConfigError: it is none, or out of range.

        """
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.wrong(key, value, f"a number from {least} to {most}")
        return float(value) if math.isfinite(value) else None

    def group(self, *keys: str) -> int | None:
        """Return a group size; -1 and 0 mean the whole input.

        Raises:
            ConfigError: it is no size.

        """
        size = self.whole(*keys, least=-1)
        return WHOLE_INPUT if size in (-1, 0) else size

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a yes or no.

        Raises:
            ConfigError: it is neither.

        """
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def word(self, key: str) -> str | None:
        """Return a text in lower case; None where the value is something else (those are never needed)."""
        value = self.get(key)
        return value.strip().lower() if isinstance(value, str) else None

    def names(self, *keys: str) -> tuple[str, ...] | None:
        """Return the list of texts under the first key that states one, lists within it laid flat.

        Raises:
            ConfigError: it is no list of texts.

        """
        for key in keys:
            value = self.get(key)
            if value is None:
                continue
            if isinstance(value, str):
                return (value,)
            if not isinstance(value, list | tuple) or len(value) > _MOST_NAMES:
                raise self.wrong(key, value, "a list of module names")
            flat = [name for item in value for name in (item if isinstance(item, list) else (item,))]
            if not all(isinstance(name, str) for name in flat):
                raise self.wrong(key, value, "a list of module names")
            return tuple(flat)
        return None

    def block(self, key: str) -> tuple[int, int] | None:
        """Return the rows and columns of a block.

        Raises:
            ConfigError: they are no two sizes.

        """
        value = self.get(key)
        if value is None:
            return None
        if (
            not isinstance(value, list | tuple)
            or len(value) != 2
            or not all(isinstance(side, int) and not isinstance(side, bool) and 0 < side <= _MOST for side in value)
        ):
            raise self.wrong(key, value, "two sizes, such as [128, 128]")
        return value[0], value[1]

    def part(self, key: str) -> "Section | None":
        """Return the object under a key as a section of its own.

        Raises:
            ConfigError: it is no object.

        """
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.wrong(key, value, "an object")
        return replace(self, values=value, path=f"{self.path}{key}.")

    def parts(self, key: str) -> "dict[str, Section | None]":
        """Return the objects within the object under a key by name (null and false stay None); empty where not stated.

        Raises:
            ConfigError: it is no object of objects.

        """
        inner = self.part(key)
        if inner is None:
            return {}
        return {
            name: None if value is False else inner.part(name)
            for name, value in inner.values.items()
            if isinstance(name, str)
        }

    def rules(self, patterns: Iterable[str], form: WeightFormat | None, key: str) -> tuple[Rule, ...]:
        """Return a rule per pattern: `re:...` is a regular expression, anything with wildcards a glob, else a name.

        Raises:
            ConfigError: an expression that cannot be compiled or could take forever.

        """
        rules = tuple(
            self.regex(pattern[3:], form, key)
            if pattern.startswith("re:")
            else Rule(pattern, form, "glob" if any(char in pattern for char in "*?[") else "name")
            for pattern in patterns
        )
        check_number(rules, self.where, f"{self.path}{key}")
        return rules

    def regex(self, pattern: str, form: WeightFormat | None, key: str) -> Rule:
        """Return a rule by a regular expression.

        Raises:
            ConfigError: it cannot be compiled or could take forever.

        """
        check_regex(pattern, self.where, f"{self.path}{key}")
        return Rule(pattern, form, "regex")

    def scheme(
        self,
        form: WeightFormat | None,
        *,
        source: str,
        rules: tuple[Rule, ...] = (),
        components: frozenset[Component] = LAYER_LINEARS,
        stated: bool,
        drafts: bool = True,
        name: str | None = None,
        expert_form: WeightFormat | None = None,
    ) -> Scheme:
        """Return the scheme of a whole checkpoint; its formats' names are the plan's word for it unless one is given."""
        forms = [form, expert_form] if form or expert_form else [rule.form for rule in rules]
        names = dict.fromkeys(found.name for found in forms if found is not None)
        return Scheme(
            name=name or " + ".join(list(names)[:3]) or "not quantised",
            form=form,
            plain_bytes=self.plain_bytes,
            components=components,
            rules=rules,
            stated=stated,
            expert_form=expert_form,
            decoder_layers=self._decoder_layers(),
            drafts=drafts,
            flat_experts=str(self.config.get("model_type")).startswith("gemma4"),
            source=source,
        )

    def _decoder_layers(self) -> int | None:
        for values in (language_config(self.config), self.config):
            for key in ("num_hidden_layers", "n_layer", "num_layers", "n_layers"):
                count = values.get(key)
                if isinstance(count, int) and not isinstance(count, bool) and 0 < count <= _MOST:
                    return count
        return None

    def wrong(self, key: str, value: Any, expected: str) -> ConfigError:
        """Return the error of a value that cannot be meant."""
        shown = repr(value)
        return ConfigError(
            f"{self.where}: {self.path}{key} of the quantisation section is "
            f"{shown if len(shown) <= 60 else shown[:57] + '...'}, not {expected}."
        )


# A group as long as any input: one scale per output row.
WHOLE_INPUT = 1 << 40
