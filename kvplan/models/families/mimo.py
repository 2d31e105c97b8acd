"""MiMo 7B: Qwen 2 with next-token layers."""

from kvplan.models.families.qwen2 import Qwen2
from kvplan.models.spec import Layer
from kvplan.weights.parts import linear, norm


class MiMo(Qwen2):
    """MiMo 7B."""

    model_types = ("mimo",)
    architectures = ("MiMoForCausalLM",)
    source = "vLLM 0.33 models/mimo.py, mimo_mtp.py"

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers: a whole layer each, three norms and a projection of the two inputs."""
        hidden = self.hidden_size
        extra = (
            norm("draft_layernorms", hidden, component="draft", count=3),
            linear("input_proj", hidden, 2 * hidden, component="draft", split="replicated"),
        )
        last = self.layer_count - 1
        layer = Layer(caches=self.caches(last), parts=(*self.parts(last), *extra))
        return (layer,) * (self.config.optional_count("num_nextn_predict_layers", minimum=0) or 0)
