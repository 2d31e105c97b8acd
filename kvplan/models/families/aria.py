"""Aria: a multimodal model of experts; its own projector attends from learned queries to patches."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar

from kvplan.models.listed import ListedMoe, with_bias
from kvplan.models.towers import Composed
from kvplan.weights.parts import Part, linear, norm, vector


class AriaText(ListedMoe):
    """Aria's language model: experts in every layer, shared ones as wide as `moe_num_shared_experts` of them."""

    model_types = ("aria_text",)
    architectures = ("AriaTextForCausalLM",)
    source = "transformers 5.18 modeling_aria.py; vLLM 0.33 models/aria.py"
    expert_keys = ("moe_num_experts",)
    per_token_keys = ("moe_topk",)
    shared_keys = ("moe_num_shared_experts",)

    @cached_property
    def expert_size(self) -> int:
        """Width of one expert."""
        return self.intermediate_size

    def is_moe(self, index: int) -> bool:  # noqa: ARG002
        """All layers route."""
        return True

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the experts; `mlp_bias` is about the shared ones."""
        parts = super().mlp_parts(index)
        return with_bias(parts, "shared_experts") if self.mlp_bias else parts


class Aria(Composed):
    """Aria with its tower."""

    model_types = ("aria",)
    architectures = ("AriaForConditionalGeneration",)
    source = "transformers 5.18 modeling_aria.py, configuration_aria.py __post_init__"
    fixed: ClassVar[dict[str, str]] = {"text_config": "aria_text", "vision_config": "idefics3_vision"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the queries, one for each output token, the cross-attention and the MLP after it."""
        table = self.config.raw("projector_patch_to_query_dict", default={})
        if not isinstance(table, Mapping):
            raise self.config.fail("projector_patch_to_query_dict", "is not a JSON object.")
        counts = [self.config.checked_count("projector_patch_to_query_dict", value) for value in table.values()]
        width, inner = self.width_of("vision_config"), self.hidden_size
        most = self.config.optional_count("max_value_projector_patch_to_query_dict") or max(counts, default=256)
        yield vector("query", most, width, component="projector")
        for name in ("q_proj", "k_proj", "v_proj"):
            yield self.join(f"cross_attn.{name}", width, width, bias=False)
        yield linear("cross_attn.in_proj", 3 * width, width, bias=True, component="projector", split="replicated")
        yield self.join("cross_attn.out_proj", width, width)
        yield self.join("cross_attn.linear", width, width)
        yield norm("norms", width, bias=True, component="projector", count=3)
        yield self.join("feed_forward.linear_in", inner, width, bias=False, split="column")
        yield self.join("feed_forward.linear_out", inner, inner, bias=False, split="row")
