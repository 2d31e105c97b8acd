"""Which module of a model is stored in which format: what a quantisation section, or a format's own rule, comes to."""

import fnmatch
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

from kvplan.weights.formats import PLAIN_BYTES, WeightFormat, find_format
from kvplan.weights.parts import Component, Part, PartKind
from kvplan.weights.paths import (
    draft_prefixes,
    paths_in_layer,
    paths_outside,
    pieces_in_layer,
    pieces_outside,
    split_rule,
    tower_paths,
    tower_roots,
)

# What quantisers leave alone by default: embeddings, head, router, norms, convolutions, towers and what joins them, and
# the next-token layers. Source: the `ignore` lists of vLLM's tests and of published compressed-tensors checkpoints.
LAYER_LINEARS: frozenset[Component] = frozenset(
    {"attention", "mixer", "mlp", "experts", "shared_experts", "encoder", "indexer"}
)
ALL_LINEARS: frozenset[Component] = LAYER_LINEARS | {"vision", "audio", "projector", "head", "router", "other", "draft"}
_EVERYTHING: frozenset[Component] = ALL_LINEARS | {"embeddings", "norms"}

# Routers by another name: gates of one output per head or of a single one, which no packed format holds and Qwen's fp8 leaves
# alone (Qwen/Qwen3.6-35B-A3B-FP8 has 35,953,925,552 numbers: those of blocks over all linears but these, head and router).
_GATES = frozenset({"shared_expert_gate", "in_proj_a", "in_proj_b"})

Syntax = Literal["name", "glob", "regex"]


class Rule(NamedTuple):
    r"""What one pattern of a quantisation section says of the modules that it matches.

    Attributes:
        pattern: `model.layers.7.mlp.gate`, `lm_head`, `*.self_attn*`, `.*mlp\.gate.*`.
        form: their format; None: they are left alone.
        syntax: `name`: a path, the start of one or a piece of one between dots; `glob`: shell wildcards over the whole
            path or the start of one up to a dot (a pattern without any is a name); `regex`: Python's `re.match`.

    """

    pattern: str
    form: WeightFormat | None
    syntax: Syntax = "name"

    @property
    def is_name(self) -> bool:
        """Whether the pattern has no wildcards."""
        return self.syntax == "name" or (self.syntax == "glob" and not any(char in self.pattern for char in "*?["))

    @property
    def is_general(self) -> bool:
        """Whether the pattern has to be held against modules of every layer."""
        return not self.is_name and self.layer is None

    @property
    def reads_numbers(self) -> bool:
        """Whether its answer may depend on the number of a layer that it does not spell out."""
        return self.is_general and _READS_NUMBERS.search(self.pattern) is not None

    @property
    def layer(self) -> int | None:
        """The one layer that a pattern spells out, None where it may match any."""
        if self.syntax == "name":
            return split_rule(self.pattern)[0]
        match = _NUMBER[self.syntax].search(self.pattern)
        if match is None:
            return None
        return -1 - int(match[2]) if match[1] else int(match[2])


# A layer's number, and what must follow it so that no other number can be meant.
_NUMBER = {
    "glob": re.compile(r"(mtp\.)?\b(?:layers|h|blocks?)\.(\d{1,6})(?:\.|\*|$)"),
    "regex": re.compile(r"(mtp\\?\.)?(?<![a-z])(?:layers|h|blocks?)\\?\.(\d{1,6})(?:\\\.|\$|$)"),
}


# What makes a pattern's answer depend on the layer's number although it does not spell it out.
_READS_NUMBERS = re.compile(r"\\[dDwWS]|\[|layers|blocks|\.\d|\?")


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How a checkpoint stores its modules. The first rule that matches decides, names before patterns; else `form`.

    Attributes:
        name: what plans call it.
        form: of the modules that are quantised; None: only those that a rule names are.
        plain_bytes: of a number that is left alone.
        components: whose linears are quantised where no rule matches.
        kinds: of parts that can be quantised (MLX and GGUF store embeddings so, too).
        rules: what the section says of single modules.
        stated: whether the section says which modules stay; else the format's rule does.
        expert_form: of the routed experts where it is another one and no rule matches.
        decoder_layers: how many layers there are before the next-token ones, whose modules files name `mtp.layers.0`, too.
        drafts: whether next-token layers are quantised like the others where no rule matches.
        flat_experts: whether experts stand beside the layer's `mlp` and not in it (Gemma 4).
        source: where the rules come from.

    """

    name: str
    form: WeightFormat | None
    plain_bytes: int = 2
    components: frozenset[Component] = LAYER_LINEARS
    kinds: frozenset[PartKind] = frozenset({"linear"})
    rules: tuple[Rule, ...] = ()
    stated: bool = False
    expert_form: WeightFormat | None = None
    decoder_layers: int | None = None
    drafts: bool = True
    flat_experts: bool = False
    source: str = ""
    _found: dict[tuple[Part, int | None], WeightFormat | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_plain(self) -> bool:
        """Whether nothing is quantised."""
        return self.form is None and self.expert_form is None and not self.rules

    def format_of(self, part: Part, layer: int | None) -> WeightFormat | None:
        """Return the format of a part of layer `layer` (None: outside the layers); None where it is left alone."""
        if part.kind not in self.kinds:
            return None
        key = (part, layer)
        if key not in self._found:
            draft = None
            if layer is not None and self.decoder_layers is not None and layer >= self.decoder_layers:
                draft = layer - self.decoder_layers
            rule = self._rule(part, layer, draft) if self.rules else None
            self._found[key] = rule.form if rule else self._by_default(part, draft)
        return self._found[key]

    def stored_bytes(self, part: Part, form: WeightFormat | None) -> int:
        """Return the bytes of all copies of a part (or a rank's piece of it) in a format; None: plain numbers."""
        if form is None:
            return part.parameters * self.plain_bytes
        rows, columns = part.shape if len(part.shape) == 2 else (1, part.parameters // part.count)
        bias = part.shape[0] * self.plain_bytes if part.bias else 0
        return part.count * (form.linear_bytes(rows, columns) + bias)

    def bounds(self, size: int) -> tuple[int, int]:
        """Return the bounds of a size in this scheme; narrower where the section says which modules stay."""
        form = self.form or self.expert_form
        if form is None or self.stated:
            return size, size
        return form.bounds(size)

    def _by_default(self, part: Part, draft: int | None) -> WeightFormat | None:
        component: Component = "router" if part.name in _GATES else part.component
        if component not in self.components or (draft is not None and not self.drafts):
            return None
        if component == "experts" and self.expert_form is not None:
            return self.expert_form
        return self.form

    def _rule(self, part: Part, layer: int | None, draft: int | None) -> Rule | None:
        if self.flat_experts and part.component == "experts":
            part = replace(part, component="other")
        found = self._names.find(part, layer, draft) or self._patterns.find(part, layer, draft)
        if found is None and layer is None and part.component in ("vision", "audio"):
            found = self._towers[part.component]
        return found

    @cached_property
    def _names(self) -> "_Names":
        return _Names(rule for rule in self.rules if rule.is_name)

    @cached_property
    def _patterns(self) -> "_Patterns":
        return _Patterns(rule for rule in self.rules if not rule.is_name)

    @cached_property
    def _towers(self) -> dict[Component, Rule | None]:
        """The rule, if any, that leaves a tower alone: files list a tower's modules one by one, parts count them by kind."""
        towers: tuple[Component, ...] = ("vision", "audio")
        return {tower: self._names.of_tower(tower) or self._patterns.of_tower(tower) for tower in towers}


_EVERY_KIND: frozenset[PartKind] = frozenset({"linear", "embedding", "vector", "convolution"})


def named_scheme(name: str, *, kept: Iterable[str] = ()) -> Scheme:
    """Return the scheme of a `--quantization`: its format on the layers' linears, but for the components `kept` as they are.

    Raises:
        SettingError: no such format, or a container that does not say a width.

    """
    form, plain_bytes = find_format(name)
    if form.name in PLAIN_BYTES:
        return Scheme(name=form.name, form=None, plain_bytes=plain_bytes, source=form.source)
    if form.average_bits is not None:
        # An average over a whole file: everything in it counts that much.
        return Scheme(name=form.name, form=form, components=_EVERYTHING, kinds=_EVERY_KIND, source=form.source)
    return Scheme(name=form.name, form=form, components=LAYER_LINEARS - frozenset(kept), source=form.source)


class _Names:
    """Rules that name a module: by layer (None: whatever the layer), then by the path without prefix."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_layer: dict[int | None, dict[str, Rule]] = {}
        for rule in rules:
            layer, rest = split_rule(rule.pattern)
            self._by_layer.setdefault(layer, {}).setdefault(rest.strip("."), rule)
        self._anywhere = self._by_layer.get(None, {})
        self._of_part: dict[tuple[Part, bool], Rule | None] = {}

    def find(self, part: Part, layer: int | None, draft: int | None) -> Rule | None:
        for key in (layer, None if draft is None else -1 - draft):
            of_layer = None if key is None else self._by_layer.get(key)
            if not of_layer:
                continue
            # A rule may name the layer alone.
            if found := of_layer.get("") or _first(of_layer, pieces_in_layer(part)):
                return found
        if draft is not None and (found := self._anywhere.get("mtp")):
            return found
        known = (part, layer is None)
        if known not in self._of_part:
            pieces = pieces_outside(part) if layer is None else pieces_in_layer(part)
            self._of_part[known] = _first(self._anywhere, pieces)
        return self._of_part[known]

    def of_tower(self, tower: Component) -> Rule | None:
        roots = tower_roots(tower)
        return next(
            (r for name, r in self._anywhere.items() if r.form is None and name.split(".", 1)[0] in roots), None
        )


def _first(rules: dict[str, Rule], pieces: Iterable[str]) -> Rule | None:
    return next((rules[piece] for piece in pieces if piece in rules), None) if rules else None


class _Pattern(NamedTuple):
    order: int
    match: Callable[[str], object]
    rule: Rule
    prefixes: tuple[str, ...]
    within: bool  # whether it is held against the path within its layer

    def matches(self, paths: Iterable[str]) -> bool:
        return any(self.match(prefix + path) for path in paths for prefix in self.prefixes)


class _Patterns:
    """Rules with wildcards: those that spell out a layer's number are asked about that layer only, the others once a part."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_layer: dict[int, list[_Pattern]] = {}
        self._by_number: list[_Pattern] = []
        self._anywhere: list[_Pattern] = []
        self._of_part: dict[tuple[Part, bool, bool], _Pattern | None] = {}
        for order, rule in enumerate(rules):
            layer, text = rule.layer, rule.pattern
            # `model.layers.7.mlp.gate*` is `mlp.gate*` within layer 7, whatever stands before the layers.
            within = rule.syntax == "glob" and layer is not None and split_rule(text)[0] == layer
            compiled = _compiled(split_rule(text)[1] if within else text, rule.syntax)
            if compiled is None:
                continue  # the section's reader refuses what it cannot compile
            prefixes = ("",) if within else _PREFIXES[:1] if text.startswith(("*", ".*")) else _PREFIXES
            pattern = _Pattern(order, compiled, rule, prefixes, within)
            if layer is not None:
                self._by_layer.setdefault(layer, []).append(pattern)
            elif rule.reads_numbers:
                self._by_number.append(pattern)
            else:
                self._anywhere.append(pattern)

    def find(self, part: Part, layer: int | None, draft: int | None) -> Rule | None:
        best = self._layer_free(part, outside=layer is None, draft=draft is not None)
        if layer is None:
            own: list[_Pattern] = self._by_number
        else:
            own = [*self._by_layer.get(layer, ()), *self._by_number]
            if draft is not None:
                own += self._by_layer.get(-1 - draft, ())
        if own:
            inner = paths_in_layer(part)
            paths = () if all(pattern.within for pattern in own) else _paths(part, layer, draft)
            for pattern in sorted(own, key=lambda item: item.order):
                if best is not None and pattern.order > best.order:
                    break
                if pattern.matches(inner if pattern.within else paths):
                    return pattern.rule
        return best.rule if best else None

    def of_tower(self, tower: Component) -> Rule | None:
        paths = tower_paths(tower)
        rules = (*self._anywhere, *self._by_number, *(p for own in self._by_layer.values() for p in own))
        return next((p.rule for p in rules if p.rule.form is None and p.matches(paths)), None)

    def _layer_free(self, part: Part, *, outside: bool, draft: bool) -> _Pattern | None:
        if not self._anywhere:
            return None
        key = (part, outside, draft)
        if key not in self._of_part:
            paths = _paths(part, None if outside else 0, 0 if draft else None)
            self._of_part[key] = next((pattern for pattern in self._anywhere if pattern.matches(paths)), None)
        return self._of_part[key]


def _paths(part: Part, layer: int | None, draft: int | None) -> tuple[str, ...]:
    if layer is None:
        return paths_outside(part)
    inner = paths_in_layer(part)
    starts = (f"layers.{layer}.", *(draft_prefixes(draft) if draft is not None else ()))
    return tuple(start + path for start in starts for path in inner)


def _compiled(text: str, syntax: Syntax) -> Callable[[str], object] | None:
    if syntax == "glob":
        stem = text.removesuffix("*")
        if not any(char in stem for char in "*?["):
            # Nearly all globs, by the thousand: no expression is compiled for them.
            return lambda path: path.startswith(stem)
        # A module's whole tree is meant, as a name means it.
        text = f"{fnmatch.translate(text)}|{fnmatch.translate(text + '.*')}"
    try:
        return re.compile(text).match
    except (re.error, RecursionError, OverflowError, ValueError):
        return None


# How a full path may begin; a pattern such as `.*self_attn.*` matches the first of them at once.
_PREFIXES = (
    "model.",
    "",
    "model.language_model.",
    "language_model.model.",
    "language_model.",
    "backbone.",
    "thinker.model.",
)
