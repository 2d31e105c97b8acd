"""The workspace that fused experts compute in.

Three tensors at most are alive: the first products, their activation and the second products, each with one row for every
token and expert chosen. Backends hold them in two buffers, one of which is used twice.
Source: model_executor/layers/fused_moe, each backend's workspace_shapes (0.11 to 0.33); v1/worker/workspace.py keeps them
from 0.13 on, before that they live through one layer.
"""

from typing import NamedTuple

from kvplan.engines.vllm.changes import Version, applies

# VLLM_FUSED_MOE_CHUNK_SIZE.
_CHUNK = 32_768
_NUMBER = 2


class ExpertsOnRank(NamedTuple):
    """The experts of one layer on one rank.

    Attributes:
        per_token: experts chosen for a token.
        width: of one expert on this rank.
        hidden: of the model, or of the latent that experts work on.
        gated: whether an expert's first product is two of its width.
        backend: the family of kernels.

    """

    per_token: int
    width: int
    hidden: int
    gated: bool
    backend: str


def workspace_bytes(experts: ExpertsOnRank, tokens: int, version: Version) -> tuple[int, bool]:
    """Return the bytes of the workspace for a batch of tokens, and whether it is kept after the layer."""
    if not applies("whole_experts_batch", version):
        tokens = min(tokens, _CHUNK)
    rows = tokens * experts.per_token
    kept = applies("kept_workspace", version)
    first = experts.width * (2 if experts.gated else 1)
    if experts.backend == "fused":
        # The kernel has its own; one output remains.
        return tokens * experts.hidden * _NUMBER, kept
    if experts.backend == "triton_kernels":
        return rows * (first + experts.width) * _NUMBER, False
    if not kept:
        # fused_experts_impl: cache 1 and 3 share one buffer, cache 2 is the activation.
        return (rows * (max(first, experts.hidden) + experts.width) + tokens * experts.hidden) * _NUMBER, False
    return rows * (max(experts.width, experts.hidden) + max(first, experts.hidden)) * _NUMBER, True
