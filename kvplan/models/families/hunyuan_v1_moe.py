"""Hunyuan with experts: A13B in transformers' form, Hunyuan-Large with its own code and caches shared by pairs of layers."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.listed import ListedMoe
from kvplan.models.spec import Layer, Moe
from kvplan.weights import blocks
from kvplan.weights.parts import Part


class HunyuanMoe(ListedMoe):
    """Hunyuan-A13B: Q/K norms, experts in every layer beside one MLP for all tokens; counts may be given by layer.

    With `use_cla`, only every `cla_share_factor`-th layer projects and caches keys and values; those after it read them.
    """

    model_types = ("hunyuan_v1_moe",)
    architectures = ("HunYuanMoEV1ForCausalLM",)
    source = "transformers 5.18 modeling_hunyuan_v1_moe.py; SGLang 0.5.23 models/hunyuan.py (use_cla)"
    qk_norm = True
    mlp_bias = False
    expert_keys = ("num_experts",)

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The type's default of one expert is no published model's."""
        return None if self.config.states("num_experts") else "num_experts is not stated"

    def by_layer(self, *keys: str, default: int | None = None) -> list[int]:
        """Return a value for each layer, given once or as a list.

        Raises:
            ConfigError: a list is too short, or nothing is stated and there is no default.

        """
        if isinstance(self.config.raw(*keys), list | tuple):
            values = self.config.counts(*keys) or []
            if len(values) < self.layer_count:
                raise self.config.fail(keys[0], f"has {len(values)} values for {self.layer_count} layers.")
            return values[: self.layer_count]
        value = self.config.count(*keys) if default is None else self.config.count(*keys, default=default)
        return [value] * self.layer_count

    @cached_property
    def moe(self) -> Moe | None:
        """The experts of the last layer, as all layers have them in the published models."""
        return Moe(
            experts=self.by_layer("num_experts")[-1],
            experts_per_token=self.by_layer("moe_topk", "num_experts_per_tok", default=1)[-1],
            shared_experts=1,
            intermediate_size=self.intermediate_size,
        )

    @cached_property
    def sharing(self) -> int:
        """Layers that use one cache."""
        factor = self.config.count("cla_share_factor", default=1)
        return factor if self.config.flag("use_cla", default=False) else 1

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers; only the first of each group that shares keeps something."""
        return tuple(
            Layer(caches=(), parts=tuple(self.parts(i)), shares_cache_of=i - i % self.sharing)
            if i % self.sharing
            else Layer(caches=self.caches(i), parts=tuple(self.parts(i)))
            for i in range(self.layer_count)
        )

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections, those of keys and values only where they are the layer's own."""
        absent = ("k_proj", "v_proj") if index % self.sharing else ()
        return (part for part in super().attention_parts(index) if part.name not in absent)

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return router, experts and the MLP beside them, as wide as one expert."""
        count = self.by_layer("num_experts")[index]
        yield from blocks.router(self.hidden_size, count)
        yield from blocks.experts(self.hidden_size, self.intermediate_size, count)
        yield from self.shared_parts(index)

    def shared_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the MLP for all tokens."""
        yield from blocks.gated_mlp(
            self.hidden_size, self.intermediate_size, component="shared_experts", prefix="shared_mlp."
        )


class Hunyuan(HunyuanMoe):
    """Hunyuan-Large (A52B), remote code: norms, shared experts and sharing as the file says."""

    model_types = ("hunyuan",)
    architectures = ("HunYuanForCausalLM", "HunYuanMoEForCausalLM")

    @cached_property
    def qk_norm(self) -> bool:
        """Norms on Q and K: `use_qk_norm`."""
        return self.config.flag("use_qk_norm", default=False)

    @cached_property
    def head_dim(self) -> int:
        """Width of a head."""
        stated = self.config.optional_count("attention_head_dim", "head_dim", minimum=0)
        return stated or self._derived_head_dim()

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)

    def shared_parts(self, index: int) -> Iterator[Part]:
        """Return `num_shared_expert` experts side by side, where MLP and experts are mixed."""
        if self.config.flag("use_mixed_mlp_moe", default=False):
            width = self.intermediate_size * self.by_layer("num_shared_expert", default=1)[index]
            yield from blocks.gated_mlp(self.hidden_size, width, component="shared_experts", prefix="shared_mlp.")
