"""What one layer's forward pass holds at its peak for the largest batch, on one rank.

Attention itself is skipped in the profile run, so that projections decide: with T tokens, b bytes a number, H the width of
the model and I an MLP's width on this rank, a gated MLP holds gate and up (2 I), their product (I), and beside them the
residual, the layer's input and output and the attention's output (4 H): T x b x (3 I + 4 H).
"""

from collections.abc import Iterable
from typing import NamedTuple

from kvplan.models.spec import Layer
from kvplan.weights.parts import Part
from kvplan.weights.ranks import Ranks, shard

_RESIDUALS = 4
# The last linear of an MLP and of a mixer, by the end of its name; what stands before it widens.
_DOWN = ("down_proj", "fc2", "w2", "c_proj")
_OUT = ("o_proj", "out_proj", "dense", "c_proj")


class Width(NamedTuple):
    """Numbers that one token takes at a layer's peak, and where that is."""

    numbers: float
    where: str


def widest(layers: Iterable[Layer], hidden: int, ranks: Ranks, *, streams: int, narrow_activations: bool) -> Width:
    """Return the widest layer's peak.

    Args:
        layers: of the stage.
        hidden: width of the model.
        ranks: how modules are split.
        streams: residual streams beside the first (hyper-connections).
        narrow_activations: whether linears quantise their inputs, whose copies in 8 bits lie beside them.

    """
    widths = {
        id(layer): _layer_width([shard(part, ranks) for part in layer.parts], narrow=narrow_activations)
        for layer in {id(layer): layer for layer in layers}.values()
    }
    best = max(widths.values(), key=lambda width: width.numbers, default=Width(0, "no layers"))
    return Width(best.numbers + (_RESIDUALS + streams) * hidden, best.where)


def _layer_width(parts: list[Part], *, narrow: bool) -> Width:
    mlp = max(_mlp(parts, "mlp", narrow=narrow), _mlp(parts, "shared_experts", narrow=narrow))
    attention = _projections(parts, "attention")
    mixer = _projections(parts, "mixer")
    return max(
        (Width(mlp, "MLP"), Width(attention, "attention"), Width(mixer, "mixer")), key=lambda width: width.numbers
    )


def _mlp(parts: list[Part], component: str, *, narrow: bool) -> float:
    """Gate, up and their product; without a gate the first product and its activation. In 8 bits, half as much again of one."""
    linears = [part for part in parts if part.component == component and part.kind == "linear"]
    down = next((part.shape[1] for part in linears if part.name.endswith(_DOWN)), 0)
    first = sum(part.shape[0] for part in linears if not part.name.endswith(_DOWN))
    return first + down * (1.5 if narrow else 1)


def _projections(parts: list[Part], component: str) -> float:
    """Return what projections into a mixer give, and twice what goes out of it."""
    linears = [part for part in parts if part.component == component and part.kind == "linear"]
    out = next((part.shape[1] for part in linears if part.name.endswith(_OUT)), 0)
    into = sum(part.shape[0] for part in linears if not part.name.endswith(_OUT))
    return into + 2 * out
