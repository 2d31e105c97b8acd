"""Decoders whose file lists what each layer is: `layer_types` for its attention, `mlp_layer_types` for its MLP."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from kvplan.models.decoder import MoeDecoder
from kvplan.models.family import Family
from kvplan.models.spec import Layer
from kvplan.weights.parts import Component, Part, linear, norm

DENSE, SPARSE = "dense", "sparse"


class ListedMoe(MoeDecoder):
    """Routed experts where `mlp_layer_types` says `sparse`; without a list, after the first dense layers."""

    first_dense: ClassVar[int] = 0  # dense layers of a file that states neither a list nor `first_k_dense_replace`
    expert_keys = ("n_routed_experts", "num_experts", "num_local_experts")
    per_token_keys = ("num_experts_per_tok",)  # `top_k` in older files is about sampling
    shared_keys: ClassVar[tuple[str, ...]] = ("n_shared_experts", "num_shared_experts")

    # Keys about windows that say nothing of layers which the list does not let slide.
    beside_list: ClassVar[tuple[str, ...]] = ("sliding_window",)

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The list decides which layers slide; a window stated beside it is theirs alone."""
        self.config.read.update(self.beside_list)
        return super().layer_types

    @cached_property
    def mlp_layer_types(self) -> Sequence[str]:
        """`dense` or `sparse` per layer: stated by the file, else by the family's rule."""
        stated = self.config.items("mlp_layer_types")
        if not stated:
            return [SPARSE if self.sparse_rule(i) else DENSE for i in range(self.layer_count)]
        # Longer lists are padded with draft layers.
        words = stated[: self.layer_count]
        if len(words) < self.layer_count or any(word not in (DENSE, SPARSE) for word in words):
            raise self.config.fail(
                "mlp_layer_types", f"does not hold {DENSE!r} or {SPARSE!r} for each of {self.layer_count} layers."
            )
        return words

    @cached_property
    def dense_layers(self) -> int:
        """Layers at the start that do not route."""
        return self.config.count("first_k_dense_replace", default=self.first_dense, minimum=0)

    def sparse_rule(self, index: int) -> bool:
        """Whether layer `index` routes where the file has no list."""
        return index >= self.dense_layers

    def is_moe(self, index: int) -> bool:
        """As listed."""
        return self.mlp_layer_types[index] == SPARSE

    @cached_property
    def shared_size(self) -> int:
        """The shared experts side by side, each as wide as a routed one."""
        return self.expert_size * (self.config.optional_count(*self.shared_keys, minimum=0) or 0)


def layer_overrides(family: Family, known: Sequence[str]) -> Mapping[int, Mapping[str, int]]:
    """Return what `per_layer_config` says of single layers: attribute to value, by layer.

    Source: transformers 5.18 configuration_utils.py, HeterogeneousConfigMixin.

    Raises:
        ConfigError: it is not a JSON object of layer numbers.
        UnsupportedArchitectureError: it overrides an attribute that is not among `known`.

    """
    table = family.config.raw("per_layer_config", default={})
    overrides: dict[int, dict[str, int]] = {}
    for layer, values in table.items() if isinstance(table, Mapping) else [(None, None)]:
        if not str(layer).isdecimal() or not isinstance(values, Mapping):
            raise family.config.fail("per_layer_config", "is not a JSON object of layer numbers and their values.")
        if unknown := sorted(str(key) for key in values if key not in known):
            raise family.refuse(
                f"per_layer_config.{layer}.{unknown[0]}",
                "is set for one layer, which the family has no rule for.",
                f"Known are {', '.join(known)}.",
            )
        overrides[int(str(layer)[:9])] = {
            key: family.config.checked_count(str(key), value) for key, value in values.items()
        }
    return overrides


def with_bias(parts: Iterable[Part], component: Component) -> Iterator[Part]:
    """Return the parts, those of one component with biases."""
    return (replace(part, bias=True) if part.component == component else part for part in parts)


def next_token_layers(family: Family, layer: Layer, count: int) -> tuple[Layer, ...]:
    """Return `count` next-token layers: a whole layer with two norms, a projection of the two inputs and a last norm.

    They share the model's embedding and head. Source: vLLM 0.33 models/deepseek_mtp.py (enorm, hnorm, eh_proj, shared_head).
    """
    hidden = family.hidden_size
    extra = (
        norm("enorm", hidden, component="draft"),
        norm("hnorm", hidden, component="draft"),
        linear("eh_proj", hidden, 2 * hidden, component="draft", split="replicated"),
        norm("shared_head.norm", hidden, component="draft"),
    )
    return (replace(layer, parts=(*layer.parts, *extra)),) * count
