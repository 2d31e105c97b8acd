"""Step 3: one wide KV head for all queries, which pass through a narrower space (MFA); listed expert layers. Remote code."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from kvplan.models.listed import DENSE, SPARSE, ListedMoe
from kvplan.models.multimodal import Multimodal
from kvplan.weights.parts import Part, linear, norm


class Step3Text(ListedMoe):
    """Step 3's language model."""

    model_types = ("step3_text",)
    architectures = ("Step3TextForCausalLM",)
    source = "vLLM 0.33 models/step3_text.py, transformers_utils/configs/step3_vl.py"
    expert_keys = ("moe_num_experts",)
    per_token_keys = ("moe_top_k",)
    beside_list = ("sliding_window", "num_attention_groups")

    @cached_property
    def kv_heads(self) -> int:
        """KV heads: `num_attention_groups`; the reference knows one.

        Raises:
            UnsupportedArchitectureError: more than one.

        """
        groups = self.config.count("num_attention_groups", default=1)
        if groups != 1:
            raise self.refuse("num_attention_groups", f"is {groups}.", "Step 3 has one KV head.")
        return groups

    @cached_property
    def max_context_tokens(self) -> int | None:
        """The longest sequence the file allows."""
        return self.config.optional_count("max_position_embedding", "max_position_embeddings")

    @cached_property
    def mlp_layer_types(self) -> Sequence[str]:
        """`moe_layers_enum`, numbers between commas or in a list; else all but the first layer."""
        stated = self.config.raw("moe_layers_enum")
        if stated is None:
            return [SPARSE if i else DENSE for i in range(self.layer_count)]
        numbers = stated.split(",") if isinstance(stated, str) else stated
        if not isinstance(numbers, list) or not all(str(n).strip().isdecimal() for n in numbers):
            raise self.config.fail("moe_layers_enum", "is not a list of layer numbers.")
        routing = {str(n).strip().lstrip("0") or "0" for n in numbers}
        return [SPARSE if str(i) in routing else DENSE for i in range(self.layer_count)]

    @cached_property
    def shared_size(self) -> int:
        """Width of the shared expert."""
        return self.config.count("share_expert_dim")

    def attention_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the shared query projection with its norm, the head, the queries made from it, and the output."""
        hidden, dim, shared = self.hidden_size, self.head_dim, self.config.count("share_q_dim")
        yield linear("qkv_proj", shared + 2 * dim, hidden, component="attention", split="replicated")
        yield norm("inter_norm", shared)
        yield linear("wq", self.heads * dim, shared, component="attention")
        yield linear("o_proj", hidden, self.heads * dim, component="attention", split="row")


class Step3(Multimodal):
    """Step 3 with its tower, which no rule counts."""

    model_types = ("step3_vl",)
    architectures = ("Step3VLForConditionalGeneration",)
    source = "vLLM 0.33 models/step3_vl.py"
    text_type = "step3_text"
    unknown_parameters = "no rule counts the vision tower of Step 3"

    def outer(self) -> Iterator[Part]:
        """Return nothing: the parameters are not counted."""
        return iter(())
