"""A.X-K1 and A.X-K2: DeepSeek's latent attention, a norm after the experts; K2 with sparse attention and gated norms."""

from collections.abc import Iterator

from kvplan.models.families.deepseek_v3 import LatentMoe
from kvplan.models.families.deepseek_v32 import SparseLatent
from kvplan.weights.parts import Part, linear, norm


class AxK1(LatentMoe):
    """A.X-K1."""

    model_types = ("axk1", "AXK1")
    architectures = ("AXK1ForCausalLM",)
    source = "transformers 5.18 modeling_axk1.py; vLLM 0.33 models/AXK1.py"
    first_dense = 1

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the layer's two norms, and a third after the experts."""
        yield norm("layer_norms", self.hidden_size, count=3 if self.is_moe(index) else 2)


class AxK2(SparseLatent):
    """A.X-K2: query and output gate from one projection; norms with a low-rank gate before attention and experts."""

    model_types = ("axk2",)
    architectures = ("AXK2ForCausalLM",)
    source = "transformers 5.18 modeling_axk2.py, configuration_axk2.py __post_init__"
    first_dense = 1
    unknown_parameters = None

    def sparse_rule(self, index: int) -> bool:
        """Every `moe_layer_freq`-th layer after the dense ones."""
        return index >= self.dense_layers and index % self.config.count("moe_layer_freq", default=1) == 0

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return latent attention with the gate, and the indexer."""
        rank = self.query_rank or 0
        gated = self.heads * (self.head_dim + self.value_dim)
        for part in super().attention_parts(index):
            # The projection takes the query latent twice: normed and as it is.
            yield linear("q_gate_proj", gated, 2 * rank, component="attention") if part.name == "q_b_proj" else part

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the two norms with their gates; a dense layer's second norm has none."""
        gates = 2 if self.is_moe(index) else 1
        rank = self.config.count("gated_norm_rank")
        yield from super().norm_parts(index)
        yield linear("norm_gate.fc1", rank, self.hidden_size, component="norms", split="replicated", count=gates)
        yield linear("norm_gate.fc2", self.hidden_size, rank, component="norms", split="replicated", count=gates)
