"""Nemotron-NAS: Llama with blocks removed, narrowed or given fewer KV heads by a search."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from kvplan.caches import LayerCache
from kvplan.models.config import Config, show
from kvplan.models.decoder import Decoder
from kvplan.weights import blocks
from kvplan.weights.parts import Part, linear, norm

# Options of a block that change what it caches and that no published model uses.
_UNUSED = ("window_length", "sparsify", "num_sink_tokens", "is_mamba", "mamba", "llama4")


class NemotronNas(Decoder):
    """Llama Nemotron Super 49B, Ultra 253B, 51B: each block with its own KV heads and MLP width, or without them."""

    model_types = ("nemotron-nas",)
    architectures = ("DeciLMForCausalLM",)
    source = "vLLM 0.33 models/nemotron_nas.py"

    @cached_property
    def blocks(self) -> list[Config]:
        """`block_configs`, one for each layer.

        Raises:
            ConfigError: not a list of JSON objects, or of another length.

        """
        stated = self.config.items("block_configs")
        if not stated or len(stated) != self.layer_count:
            raise self.config.fail("block_configs", f"is not a list of {self.layer_count} blocks, one for each layer.")
        return [
            Config(block, where=self.config.where, path=f"{self.config.path}block_configs[{i}].")
            for i, block in enumerate(stated)
        ]

    def part_of_block(self, index: int, key: str) -> Config | None:
        """Return the options of a block's `attention` or `ffn`; None where it has none.

        Raises:
            UnsupportedArchitectureError: an option that no rule here covers.

        """
        options = self.blocks[index].part(key)
        for unused in _UNUSED:
            if options.raw(unused):
                raise self.refuse(
                    f"block_configs[{index}].{key}.{unused}",
                    f"is {show(options.raw(unused))}.",
                    "Open an issue with the configuration.",
                )
        return None if options.flag("no_op", default=False) else options

    def replaced(self, options: Config) -> bool:
        """Whether one linear layer stands in the place of attention or MLP."""
        return options.flag("replace_with_linear", default=False)

    def kv_heads_at(self, index: int) -> int:
        """Heads / `n_heads_in_group`.

        Raises:
            ConfigError: the group is larger than the heads.

        """
        options = self.part_of_block(index, "attention")
        group = options.count("n_heads_in_group") if options else 1
        if group > self.heads:
            raise self.config.fail(
                f"block_configs[{index}].attention.n_heads_in_group", f"is {group} of {self.heads} heads."
            )
        return self.heads // group

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return keys and values, nothing for blocks without attention."""
        options = self.part_of_block(index, "attention")
        return () if options is None or self.replaced(options) else (self.full_attention(index),)

    def parts(self, index: int) -> Iterator[Part]:
        """Return what the block has of attention and MLP, each with its norm."""
        for key, whole in (("attention", self.attention_parts), ("ffn", self.mlp_parts)):
            options = self.part_of_block(index, key)
            if options is None:
                continue
            if self.replaced(options):
                component: Any = "attention" if key == "attention" else "mlp"
                yield linear(
                    f"{key}.linear", self.hidden_size, self.hidden_size, component=component, split="replicated"
                )
            else:
                yield from whole(index)
            yield norm(f"{key}_layernorm", self.hidden_size)

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP: 2/3 x `ffn_mult` x D wide, rounded up to 256, or `intermediate_size`."""
        options = self.part_of_block(index, "ffn")
        if options is None:
            return
        if options.states("ffn_mult"):
            width = int(2 * options.number("ffn_mult") * self.hidden_size / 3)
            width = options.checked_count("ffn_mult", -(-width // 256) * 256)
        else:
            width = options.count("intermediate_size")
        yield from blocks.gated_mlp(self.hidden_size, width, bias=self.mlp_bias)
