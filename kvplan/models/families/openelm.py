"""OpenELM: heads, KV heads and the MLP's width grow from layer to layer; the file lists them."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import Decoder
from kvplan.weights.parts import Part, norm


class OpenElm(Decoder):
    """OpenELM 270M to 3B."""

    model_types = ("openelm",)
    architectures = ("OpenELMForCausalLM",)
    source = "apple/OpenELM modeling_openelm.py (remote code); total of OpenELM-1_1B-Instruct on the hub"
    qkv_bias = False
    mlp_bias = False

    @property
    def gated_mlp(self) -> bool:
        """`ffn_with_glu`."""
        return self.config.flag("ffn_with_glu", default=True)

    @cached_property
    def qk_norm(self) -> bool:
        """`normalize_qk_projections`."""
        return self.config.flag("normalize_qk_projections", default=False)

    @cached_property
    def hidden_size(self) -> int:
        """`model_dim`."""
        return self.config.count("model_dim")

    @cached_property
    def layer_count(self) -> int:
        """`num_transformer_layers`."""
        return self.config.count("num_transformer_layers")

    @cached_property
    def head_dim(self) -> int:
        """`head_dim`."""
        return self.config.count("head_dim")

    @cached_property
    def max_context_tokens(self) -> int | None:
        """`max_context_length`."""
        return self.config.optional_count("max_context_length")

    @cached_property
    def tied(self) -> bool:
        """`share_input_output_layers`."""
        return self.config.flag("share_input_output_layers", default=True)

    def _per_layer(self, key: str) -> list[int]:
        """Return one number per layer.

        Raises:
            ConfigError: the list has another length.
            UnsupportedArchitectureError: the file leaves it to the configuration's code.

        """
        stated = self.config.counts(key)
        if stated is None:
            raise self.refuse(key, "is not stated.", "Give the list that the published files have, one item per layer.")
        if len(stated) != self.layer_count:
            raise self.config.fail(key, f"has {len(stated)} items for {self.layer_count} layers.")
        return stated

    @cached_property
    def heads_by_layer(self) -> list[int]:
        """`num_query_heads`."""
        return self._per_layer("num_query_heads")

    @cached_property
    def kv_heads_by_layer(self) -> list[int]:
        """`num_kv_heads`."""
        return self._per_layer("num_kv_heads")

    @cached_property
    def heads(self) -> int:
        """The most that a layer has."""
        return max(self.heads_by_layer)

    @cached_property
    def kv_heads(self) -> int:
        """The most that a layer has."""
        return max(self.kv_heads_by_layer)

    def heads_at(self, index: int) -> int:
        """Query heads of layer `index`."""
        return self.heads_by_layer[index]

    def kv_heads_at(self, index: int) -> int:
        """KV heads of layer `index`."""
        return self.kv_heads_by_layer[index]

    def width_at(self, index: int) -> int:
        """Width of layer `index`'s MLP: multiplier x hidden size to the nearest multiple of the divisor, not 10% less.

        Raises:
            ConfigError: the multipliers are no list of numbers, one per layer.

        """
        ratios = self.config.items("ffn_multipliers") or []
        if len(ratios) != self.layer_count:
            raise self.config.fail("ffn_multipliers", f"has {len(ratios)} items for {self.layer_count} layers.")
        ratio = ratios[index]
        if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio < 1000:
            raise self.config.fail("ffn_multipliers", "holds something that is no number of the size of a multiplier.")
        step, exact = self.config.count("ffn_dim_divisor", default=256), ratio * self.hidden_size
        width = max(step, int(exact + step / 2) // step * step)
        return width + step if width < 0.9 * exact else width

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP."""
        return self.dense_mlp(self.width_at(index))

    def norm_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the norms."""
        yield norm("layer_norms", self.hidden_size, count=2)
