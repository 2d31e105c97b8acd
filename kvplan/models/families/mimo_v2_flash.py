"""MiMo-V2-Flash: five layers in a window of 128 with their own heads and sinks, then a full one; V narrower than K; experts."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from kvplan.models.decoder import FULL, SLIDING
from kvplan.models.listed import DENSE, SPARSE, ListedMoe
from kvplan.weights.parts import Part, vector


class MiMoV2Flash(ListedMoe):
    """MiMo-V2-Flash: the file's own lists and `swa_` keys; where it has none, transformers' defaults."""

    model_types = ("mimo_v2_flash", "mimo_v2")
    architectures = ("MiMoV2FlashForCausalLM", "MiMoV2ForCausalLM")
    source = "transformers 5.18 modeling_mimo_v2_flash.py, configuration_mimo_v2_flash.py; vLLM 0.33 models/mimo_v2.py"
    output_bias = False
    mlp_bias = False
    first_dense = 1
    beside_list = ("sliding_window", "sliding_window_size", "swa_num_key_value_heads")
    ignored: ClassVar[dict[str, str]] = {
        "attention_chunk_size": "vLLM 0.33 transformers_utils: stripped; the layers slide and are not chunked"
    }

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """`hybrid_layer_pattern`, 1 for a window, is the file's own list; transformers' must not contradict it.

        Raises:
            ConfigError: the pattern is too short, or the two lists differ.

        """
        listed = super().layer_types
        pattern = self.config.counts("hybrid_layer_pattern", minimum=0)
        if pattern is None:
            return listed
        if len(pattern) < self.layer_count:
            raise self.config.fail("hybrid_layer_pattern", f"has {len(pattern)} of {self.layer_count} layers.")
        words = [SLIDING if sliding else FULL for sliding in pattern[: self.layer_count]]
        if self.config.states("layer_types") and list(listed) != words:
            raise self.config.fail("hybrid_layer_pattern", "and layer_types describe different layers; keep one.")
        return words

    def layer_type_rule(self, index: int) -> str:
        """Make the first layer and every sixth full."""
        return FULL if index == 0 or (index + 1) % 6 == 0 else SLIDING

    @cached_property
    def mlp_layer_types(self) -> Sequence[str]:
        """`moe_layer_freq`, 1 for experts, is the file's own list."""
        stated = self.config.raw("moe_layer_freq")
        if not isinstance(stated, list):
            return super().mlp_layer_types
        values = self.config.counts("moe_layer_freq", minimum=0) or []
        if len(values) < self.layer_count:
            raise self.config.fail("moe_layer_freq", f"has {len(values)} of {self.layer_count} layers.")
        words = [SPARSE if sparse else DENSE for sparse in values[: self.layer_count]]
        if self.config.states("mlp_layer_types") and list(super().mlp_layer_types) != words:
            raise self.config.fail("moe_layer_freq", "and mlp_layer_types describe different layers; keep one.")
        return words

    @cached_property
    def window(self) -> int | None:
        """The window, under either name."""
        return self.config.optional_count("sliding_window", "sliding_window_size")

    def slides(self, index: int) -> bool:
        """Whether layer `index` has a window."""
        return self.layer_types[index] == SLIDING

    def heads_at(self, index: int) -> int:
        """Query heads."""
        own = self.config.optional_count("swa_num_attention_heads")
        return own if own and self.slides(index) else self.heads

    def kv_heads_at(self, index: int) -> int:
        """KV heads: twice as many in a window where the file does not say."""
        if not self.slides(index):
            return self.kv_heads
        return self.config.optional_count("swa_num_key_value_heads") or 2 * self.kv_heads

    def key_dim_at(self, index: int) -> int:
        """Width of a key head."""
        own = self.config.optional_count("swa_head_dim", minimum=0)
        return own if own and self.slides(index) else self.head_dim

    def value_dim_at(self, index: int) -> int:
        """Width of a value head."""
        own = self.config.optional_count("swa_v_head_dim", minimum=0) if self.slides(index) else None
        return own or self.config.optional_count("v_head_dim", minimum=0) or self.head_dim

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the sinks of the layers that have them."""
        yield from super().attention_parts(index)
        key, default = ("swa", True) if self.slides(index) else ("full", False)
        if self.config.flag(f"add_{key}_attention_sink_bias", default=default):
            yield vector("sinks", self.heads_at(index), component="attention", split="column")
