"""Multi-head latent attention (DeepSeek-V2 on): one compressed latent and one rotary key per position."""

from dataclasses import dataclass
from typing import ClassVar, Self

from kvplan.caches.base import LayerCache
from kvplan.dtypes import Dtype
from kvplan.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class MLA(LayerCache):
    """The latent c_KV and the shared rotary key, one vector per position, no V beside it.

    bytes(n) = floor(n / ratio) x (latent_dim + rope_dim) x bytes per number   (656 B packed in fp8_ds_mla)

    Attributes:
        latent_dim: kv_lora_rank.
        rope_dim: qk_rope_head_dim.
        ratio: positions that share one entry (DeepSeek-V4's compressed layers); 1: each has its own.
        heads, expanded_key_dim: query heads, and the width of a key (qk_nope + qk_rope) for engines that cache every
            head's keys and values in full.

    """

    kind: ClassVar[str] = "mla"
    latent_dim: int
    rope_dim: int
    ratio: int = 1
    heads: int = 1
    expanded_key_dim: int = 0

    def token_bytes(self, dtype: Dtype) -> int:
        """Return the bytes of one entry.

        Raises:
            SettingError: the packed fp8_ds_mla layout is defined for 512 + 64 only.

        """
        if dtype.packed_mla_bytes is not None:
            if (self.latent_dim, self.rope_dim) != (512, 64):
                raise SettingError(
                    f"{dtype.name} is a layout for latents of 512 + 64, this model's are {self.latent_dim} + {self.rope_dim}.",
                    hint="Use --kv-dtype fp8 or bf16.",
                )
            return dtype.packed_mla_bytes
        # Latent and rotary key are one row: a block format's blocks may span both.
        return dtype.row_bytes(self.latent_dim + self.rope_dim) + dtype.scale_bytes

    def kept_tokens(self, tokens: int) -> int:
        """Return floor(tokens / ratio): an entry is written when its positions are complete."""
        return tokens // self.ratio

    def page_bytes(self, block_tokens: int, dtype: Dtype) -> int:
        """Return the bytes of one page: block_tokens / ratio entries."""
        return -(-block_tokens // self.ratio) * self.token_bytes(dtype)

    def longest_keeping(self, kept: int) -> int:
        """Return the last position before the next entry is written."""
        return (kept + 1) * self.ratio - 1

    def growth_bytes(self, dtype: Dtype) -> int:
        """Return the bytes of one entry / ratio, rounded up."""
        return -(-self.token_bytes(dtype) // self.ratio)

    def formula(self, dtype: Dtype, model_dtype: Dtype) -> str:  # noqa: ARG002
        """Return entries x (latent + rope) x bytes."""
        length = "n" if self.ratio == 1 else f"n / {self.ratio}"
        size = self.token_bytes(dtype)
        if dtype.packed_mla_bytes is not None:
            return f"{length} x {size} B packed"
        return f"{length} x ({self.latent_dim} + {self.rope_dim}) x {dtype.bits / 8:g} B ({size:,} B per entry)"

    @property
    def kv_heads(self) -> int:
        """One: the latent serves every query head."""
        return 1

    @property
    def head_dim(self) -> int:
        """Width of one entry: latent + rope."""
        return self.latent_dim + self.rope_dim

    def shard(self, tensor: int) -> Self:  # noqa: ARG002
        """Return itself: every tensor-parallel rank keeps the whole latent."""
        return self
