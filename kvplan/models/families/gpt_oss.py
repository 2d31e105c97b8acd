"""gpt-oss: every other layer in a window of 128, attention sinks, experts with biases; and a classifier made from it."""

from collections.abc import Iterator
from typing import ClassVar

from kvplan.models.decoder import FULL, SLIDING
from kvplan.models.listed import ListedMoe
from kvplan.weights.parts import Part, linear, vector


class GptOss(ListedMoe):
    """gpt-oss: layers 0, 2, 4, ... slide where the file has no list."""

    model_types = ("gpt_oss",)
    architectures = ("GptOssForCausalLM",)
    source = (
        "transformers 5.18 modeling_gpt_oss.py, configuration_gpt_oss.py __post_init__; vLLM 0.33 models/gpt_oss.py"
    )
    expert_keys = ("num_local_experts", "num_experts")
    router_bias = True
    expert_bias = True

    @property
    def qkv_bias(self) -> bool:
        """Biases on all four projections, unless the file says otherwise."""
        return self.config.flag("attention_bias", default=True)

    def layer_type_rule(self, index: int) -> str:
        """Even layers slide."""
        return FULL if index % 2 else SLIDING

    def is_moe(self, index: int) -> bool:  # noqa: ARG002
        """All layers route."""
        return True

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and a sink per head."""
        yield from super().attention_parts(index)
        yield vector("sinks", self.heads, component="attention", split="column")


class OpenAiPrivacyFilter(GptOss):
    """OpenAI's privacy filter: gpt-oss attending both ways, with a head that classifies tokens."""

    model_types = ("openai_privacy_filter",)
    architectures = ("OpenAIPrivacyFilterForTokenClassification",)
    source = "transformers 5.18 modeling_openai_privacy_filter.py"
    cacheless = "a token classifier that attends both ways"
    ignored: ClassVar[dict[str, str]] = {
        "sliding_window": "modeling_openai_privacy_filter.py: both ways, and nothing is cached"
    }

    def caches(self, index: int) -> tuple[()]:  # noqa: ARG002
        """Return nothing."""
        return ()

    def head_parts(self) -> Iterator[Part]:
        """Return the classifier."""
        labels = self.config.optional_count("num_labels") or len(self.config.raw("id2label", default={0: "", 1: ""}))
        yield linear("score", labels, self.hidden_size, bias=True, component="head", split="replicated")
