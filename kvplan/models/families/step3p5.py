"""Step 3.5: listed windows with more query heads, gated attention, three dense layers, then experts beside a shared one."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from kvplan.models.decoder import SLIDING
from kvplan.models.listed import DENSE, SPARSE, ListedMoe, layer_overrides, next_token_layers, with_bias
from kvplan.models.spec import Layer
from kvplan.weights.parts import Part, linear


class Step3p5(ListedMoe):
    """Step-3.5-Flash and the language model of Step 3.7; lists may be longer by the draft layers."""

    model_types = ("step3p5", "step3p5_text")
    architectures = ("Step3p5ForCausalLM",)
    source = (
        "transformers 5.18 modeling_step3p7.py, configuration_step3p7.py __post_init__; vLLM 0.33 models/step3p5.py"
    )
    qk_norm = True
    first_dense = 3
    expert_keys = ("moe_num_experts", "n_routed_experts", "num_experts")
    per_token_keys = ("moe_top_k", "num_experts_per_tok")
    beside_list = ("sliding_window", "num_attention_groups")

    @cached_property
    def kv_heads(self) -> int:
        """KV heads: `num_attention_groups` in the published files."""
        return self.config.count("num_attention_groups", "num_key_value_heads")

    # -- what single layers have of their own ------------------------------------------------------------------------

    @cached_property
    def overrides(self) -> Mapping[int, Mapping[str, int]]:
        """What each layer has of its own: stated, else the sliding layers' query heads.

        `attention_other_setting`, the published files' section on sliding layers, also names KV heads and head width;
        they must be the other layers'.
        """
        config = self.config
        if config.states("per_layer_config"):
            config.read.update(("num_sliding_attention_heads", "attention_other_setting"))
            return layer_overrides(self, ("num_attention_heads", "num_key_value_heads", "head_dim"))
        section = config.part("attention_other_setting")
        heads = config.optional_count("num_sliding_attention_heads") or section.optional_count("num_attention_heads")
        for key, expected in (("num_attention_groups", self.kv_heads), ("head_dim", self.head_dim)):
            if section.optional_count(key) not in (None, expected):
                raise self.refuse(f"attention_other_setting.{key}", "differs.", "The references use the other layers'.")
        return {i: {"num_attention_heads": heads or self.heads} for i, t in enumerate(self.layer_types) if t == SLIDING}

    def heads_at(self, index: int) -> int:
        """Query heads of layer `index`."""
        return self.overrides.get(index, {}).get("num_attention_heads", self.heads)

    def kv_heads_at(self, index: int) -> int:
        """KV heads of layer `index`."""
        return self.overrides.get(index, {}).get("num_key_value_heads", self.kv_heads)

    def key_dim_at(self, index: int) -> int:
        """Head width of layer `index`."""
        return self.overrides.get(index, {}).get("head_dim", self.head_dim)

    def value_dim_at(self, index: int) -> int:
        """As the key's."""
        return self.key_dim_at(index)

    # -- parameters --------------------------------------------------------------------------------------------------

    @cached_property
    def mlp_layer_types(self) -> Sequence[str]:
        """List of transformers, else `moe_layers_enum`: the routing layers' numbers, as a list or between commas."""
        stated = self.config.raw("moe_layers_enum")
        if stated is None or self.config.states("mlp_layer_types"):
            return super().mlp_layer_types
        numbers = stated.split(",") if isinstance(stated, str) else stated
        if not isinstance(numbers, list) or not all(str(n).strip().isdecimal() for n in numbers):
            raise self.config.fail("moe_layers_enum", "is not a list of layer numbers.")
        routing = {str(int(str(n).strip()[:9])) for n in numbers}
        return [SPARSE if str(i) in routing else DENSE for i in range(self.layer_count)]

    @cached_property
    def shared_size(self) -> int:
        """Width of the shared expert."""
        return self.config.count("share_expert_dims", "share_expert_dim")

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the output's gate, a value for each head."""
        yield from super().attention_parts(index)
        yield linear("g_proj", self.heads_at(index), self.hidden_size, component="attention")

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP or the experts; `mlp_bias` is about MLP and shared expert."""
        parts = super().mlp_parts(index)
        return with_bias(parts, "shared_experts") if self.mlp_bias else parts

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers: dense, of the kind that the list goes on with, else as the last layer.

        Source: vLLM 0.33 models/step3p5_mtp.py.
        """
        count = self.config.optional_count("num_nextn_predict_layers", minimum=0) or 0
        last = self.layer_count - 1
        parts = (*self.attention_parts(last), *self.dense_mlp(self.intermediate_size), *self.norm_parts(last))
        return next_token_layers(self, Layer(caches=self.caches(last), parts=parts), count)
