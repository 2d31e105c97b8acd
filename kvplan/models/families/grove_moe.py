"""GroveMoE: Qwen 3 with experts, each two of which share a small one beside them."""

from collections.abc import Iterator

from kvplan.models.families.qwen3 import Qwen3Moe
from kvplan.weights.parts import Part, linear

# Both are written into the reference's code: experts of a group, and the width of the expert beside it.
_GROUP, _WIDTH = 2, 128


class GroveMoe(Qwen3Moe):
    """GroveMoE 33B-A3B."""

    model_types = ("grove_moe",)
    architectures = ("GroveMoeForCausalLM",)
    source = "inclusionAI/GroveMoE-Inst modeling_grove_moe.py (remote code): GroveMoeSparseMoeBlock"

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return router, experts and the small experts beside them."""
        yield from super().mlp_parts(index)
        if not self.is_moe(index):
            return
        count = self.experts // _GROUP
        for name, out, width in (("gate_proj", _WIDTH, self.hidden_size), ("up_proj", _WIDTH, self.hidden_size)):
            yield linear(f"chunk_experts.{name}", out, width, component="experts", split="experts", count=count)
        yield linear(
            "chunk_experts.down_proj", self.hidden_size, _WIDTH, component="experts", split="experts", count=count
        )
