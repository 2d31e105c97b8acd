"""CPM-Ant: learned prompt tokens stand before every sequence, and are kept with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from kvplan.caches import FullAttention
from kvplan.dtypes import Dtype
from kvplan.models.decoder import Decoder
from kvplan.weights.parts import Part, embedding, linear, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptedAttention(FullAttention):
    """Keys and values of all positions and of the prompt before them.

    bytes(n) = (n + prompt) x heads x (key_dim + value_dim) x bytes per number

    Attributes:
        prompt: positions of the prompt.

    """

    prompt: int

    def kept_tokens(self, tokens: int) -> int:
        """Return tokens + prompt."""
        return tokens + self.prompt

    def longest(self, budget_bytes: int, dtype: Dtype, model_dtype: Dtype) -> int | None:
        """Return the longest sequence beside the prompt."""
        kept = super(PromptedAttention, self).longest(budget_bytes, dtype, model_dtype)
        return kept if kept is None else max(kept - self.prompt, -1)


class CpmAnt(Decoder):
    """CPM-Ant 10B."""

    model_types = ("cpmant",)
    architectures = ("CpmAntForCausalLM",)
    source = "transformers 5.18 modeling_cpmant.py"
    qkv_bias = False
    mlp_bias = False

    @cached_property
    def kv_heads(self) -> int:
        """One per query head."""
        return self.heads

    @cached_property
    def head_dim(self) -> int:
        """`dim_head`."""
        return self.config.count("dim_head")

    @cached_property
    def intermediate_size(self) -> int:
        """`dim_ff`."""
        return self.config.count("dim_ff")

    @cached_property
    def max_context_tokens(self) -> None:
        """Nothing bounds the length."""

    def full_attention(self, index: int) -> FullAttention:  # noqa: ARG002
        """Return the cache with the prompt's positions."""
        return PromptedAttention(
            heads=self.kv_heads,
            key_dim=self.head_dim,
            value_dim=self.head_dim,
            query_heads=self.heads,
            prompt=self.config.count("prompt_length"),
        )

    def embedding_parts(self) -> Iterator[Part]:
        """Return embeddings of tokens, prompts and segments, and the position bias."""
        config = self.config
        segments, prompts = config.count("segment_types"), config.count("prompt_types") * config.count("prompt_length")
        yield embedding("input_embedding", self.vocab_size + prompts, self.hidden_size)
        yield embedding("segment_embedding", segments, self.hidden_size, split="replicated")
        buckets = segments * segments + config.count("position_bias_num_buckets")
        yield vector("relative_attention_bias", buckets, self.heads, component="embeddings")

    def head_parts(self) -> Iterator[Part]:
        """Return the head, which is the class's own whatever `tie_word_embeddings` says."""
        yield linear("lm_head", self.vocab_size, self.hidden_size, component="head", split="vocabulary")
