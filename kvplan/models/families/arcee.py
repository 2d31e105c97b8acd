"""Llama with a plain MLP: Arcee AFM, Apertus, Jais 2, nanochat."""

from collections.abc import Iterator

from kvplan.models.decoder import Decoder
from kvplan.weights.parts import Part, vector


class Arcee(Decoder):
    """Arcee AFM."""

    model_types = ("arcee",)
    architectures = ("ArceeForCausalLM",)
    source = "transformers 5.18 modeling_arcee.py"
    gated_mlp = False


class Jais2(Arcee):
    """Jais 2: LayerNorm, and biases unless the file says otherwise."""

    model_types = ("jais2",)
    architectures = ("Jais2ForCausalLM",)
    source = "transformers 5.18 modeling_jais2.py"
    norm_bias = True


class Apertus(Decoder):
    """Apertus: a norm on each Q and K head, and an activation with two parameters."""

    model_types = ("apertus",)
    architectures = ("ApertusForCausalLM",)
    source = "transformers 5.18 modeling_apertus.py, activations.py XIELUActivation"
    gated_mlp = False
    mlp_bias = False
    qk_norm = True

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP and xIELU's two numbers."""
        yield from super().mlp_parts(index)
        if self.config.text("hidden_act") == "xielu":
            yield vector("act_fn.alpha_p", 1, component="mlp")
            yield vector("act_fn.alpha_n", 1, component="mlp")


class NanoChat(Arcee):
    """nanochat: norms without parameters."""

    model_types = ("nanochat",)
    architectures = ("NanoChatForCausalLM",)
    source = "transformers 5.18 modeling_nanochat.py"
    mlp_bias = False

    def norm_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return nothing."""
        return iter(())

    def outer(self) -> Iterator[Part]:
        """Return embedding and head."""
        yield from self.embedding_parts()
        yield from self.head_parts()
