"""The layout of one rank: groups over a shared pool, priced by the block."""

from dataclasses import dataclass
from functools import cached_property

from kvplan.dtypes import Dtype
from kvplan.engines.base import CacheGroup, CacheLayout
from kvplan.engines.plain import group_of
from kvplan.engines.vllm.grouping import Group
from kvplan.engines.vllm.specs import InFlight


@dataclass(frozen=True, kw_only=True)
class VllmLayout(CacheLayout):
    """Every group draws its blocks from one pool: a request costs the sum of its groups' blocks, each at one price.

    blocks = available // bytes_per_block; concurrency = blocks / blocks of one request; the printed tokens are
    int(concurrency x max_model_len). Source: vLLM 0.33 v1/core/kv_cache_utils.py.
    """

    parts: tuple[Group, ...]
    flight: InFlight
    model_dtype: Dtype
    block_tokens: int | None = None

    @cached_property
    def groups(self) -> tuple[CacheGroup, ...]:  # type: ignore[override]  # worked out once, from `parts`
        """The report's view of the groups; groups of equal layers as one."""
        merged: dict[tuple[object, ...], CacheGroup] = {}
        for part in self.parts:
            for spec, count in part.specs:
                view = group_of(
                    spec.cache, count, dtype=spec.dtype, model_dtype=self.model_dtype, page_tokens=spec.block_tokens
                )
                known = merged.get((spec,))
                layers = count + (known.layers if known else 0)
                merged[spec,] = CacheGroup(
                    kind=view.kind,
                    layers=layers,
                    kv_heads=view.kv_heads,
                    head_dim=view.head_dim,
                    dtype=view.dtype,
                    window_tokens=view.window_tokens,
                    bytes_per_token=view.bytes_per_token + (known.bytes_per_token if known else 0),
                    fixed_bytes=view.fixed_bytes + (known.fixed_bytes if known else 0),
                    page_bytes=spec.page_bytes,
                    block_tokens=view.block_tokens,
                    formula=view.formula,
                )
        return tuple(merged.values())

    @cached_property
    def bytes_per_block(self) -> int | None:  # type: ignore[override]  # worked out once, from `parts`
        """Bytes of one block over all layers of a group."""
        return max((part.bytes_per_block for part in self.parts), default=None)

    def request_blocks(self, tokens: int) -> int:
        """Return the blocks that one request of `tokens` reserves."""
        return sum(part.leader.blocks(tokens, self.flight) for part in self.parts)

    def request_bytes(self, tokens: int, encoder_tokens: int) -> int:  # noqa: ARG002
        """Return blocks of one request x bytes per block."""
        return self.request_blocks(tokens) * (self.bytes_per_block or 0)

    def live_bytes(self, tokens: int, encoder_tokens: int) -> int:  # noqa: ARG002
        """Return the blocks a request holds while it decodes x bytes per block."""
        blocks = sum(part.leader.live_blocks(tokens, self.flight) for part in self.parts)
        return blocks * (self.bytes_per_block or 0)

    def concurrency(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> float:  # noqa: ARG002
        """Return whole blocks / blocks of one request. The null block is not taken off here (kv_cache_utils.py)."""
        if not self.bytes_per_block:
            return float("inf")
        return max(cache_bytes, 0) // self.bytes_per_block / self.request_blocks(tokens)

    def admits(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> bool:
        """Whether start-up accepts the length: the request fits beside the null block (kv_cache_planning.py)."""
        return self.request_bytes(tokens, encoder_tokens) <= cache_bytes - (self.bytes_per_block or 0)
