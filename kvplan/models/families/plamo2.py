"""PLaMo 2: Mamba heads between layers of attention, with four norms per layer."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from kvplan.caches import RecurrentState, StateTensor
from kvplan.models.decoder import FULL, LINEAR
from kvplan.models.hybrid import Hybrid
from kvplan.models.mixers import Mixer
from kvplan.weights.parts import Part, convolution, linear, norm, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class PlamoMamba:
    """Mamba-2's heads with Mamba-1's projections; the convolution runs over the inputs alone."""

    hidden: int
    heads: int
    head_dim: int
    state: int
    taps: int
    rank: int

    def cache(self) -> RecurrentState:
        """Return conv inner x taps and ssm heads x head_dim x state."""
        return RecurrentState(
            style="mamba2",
            tensors=(
                StateTensor(name="conv", shape=(self.heads * self.head_dim, self.taps), taps=True),
                StateTensor(name="ssm", shape=(self.heads, self.head_dim, self.state), dtype="float32"),
            ),
        )

    def parts(self) -> Iterator[Part]:
        """Return in_proj, conv, the projections of B, C and dt with their norms, A, D, dt_bias and out_proj."""
        inner = self.heads * self.head_dim
        yield linear("in_proj", 2 * inner, self.hidden, component="mixer")
        yield convolution("conv1d", inner, 1, self.taps, component="mixer")
        yield linear("bcdt_proj", self.rank + 2 * self.state, inner, component="mixer", split="row")
        yield linear("dt_proj", self.heads, self.rank, component="mixer")
        for name in ("A_log", "D", "dt_bias"):
            yield vector(name, self.heads, component="mixer", split="column")
        yield norm("dt_norm", self.rank, component="mixer")
        yield norm("bc_norm", self.state, component="mixer", count=2)
        yield linear("out_proj", self.hidden, inner, component="mixer", split="row")


class Plamo2(Hybrid):
    """PLaMo 2 and 2.1. Attention is taken as full, as vLLM runs it, though the files state a window."""

    model_types = ("plamo2",)
    architectures = ("Plamo2ForCausalLM",)
    source = "vLLM 0.12 models/plamo2.py"
    qkv_bias = False
    mlp_bias = False
    norms_per_layer = 4

    @cached_property
    def head_dim(self) -> int:
        """Width of a head of attention and of the mixer."""
        return self.config.count("hidden_size_per_head")

    @cached_property
    def mixer(self) -> Mixer:
        """The Mamba mixer."""
        return PlamoMamba(
            hidden=self.hidden_size,
            heads=self.config.count("mamba_num_heads"),
            head_dim=self.head_dim,
            state=self.config.count("mamba_d_state"),
            taps=self.config.count("mamba_d_conv"),
            rank=max(64, self.hidden_size // 16),
        )

    def layer_type_rule(self, index: int) -> str:
        """One layer of `mamba_step` attends, the middle one; of few layers, the last."""
        if not self.config.flag("mamba_enabled", default=True):
            return FULL
        step = self.config.count("mamba_step", minimum=2)
        if self.layer_count <= step // 2:
            return FULL if index == self.layer_count - 1 else LINEAR
        return FULL if index % step == step // 2 else LINEAR

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the mixer, or attention with a norm for each head."""
        yield from super().attention_parts(index)
        if not self.is_recurrent(index):
            yield norm("q_norm", self.heads * self.head_dim)
            yield norm("k_norm", self.kv_heads * self.head_dim)
