"""Llama 4: three layers in chunks of 8,192, then one that sees everything; experts beside a shared one; a tower."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.caches import ChunkedLocal, FullAttention
from kvplan.models.decoder import CHUNKED, FULL
from kvplan.models.family import Family
from kvplan.models.listed import ListedMoe
from kvplan.models.towers import Composed, Tower, encoder_layer, patch_grid, times
from kvplan.weights.parts import Part, linear, norm, vector


class Llama4Text(ListedMoe):
    """Llama 4's language model: the layers with rotary positions are the chunked ones."""

    model_types = ("llama4_text",)
    architectures = ("Llama4ForCausalLM",)
    source = "transformers 5.18 modeling_llama4.py, configuration_llama4.py __post_init__; vLLM 0.33 models/llama4.py"
    mlp_bias = False
    expert_keys = ("num_local_experts",)
    beside_list = ("sliding_window", "attention_chunk_size")

    @cached_property
    def rotary(self) -> list[int]:
        """`no_rope_layers`: 1 where a layer does have rotary positions; by default all but every fourth."""
        stated = self.config.counts("no_rope_layers", minimum=0)
        if not stated:
            every = self.config.count("no_rope_layer_interval", default=4)
            return [int((i + 1) % every != 0) for i in range(self.layer_count)]
        if len(stated) < self.layer_count:
            raise self.config.fail("no_rope_layers", f"has {len(stated)} values for {self.layer_count} layers.")
        return stated

    def layer_type_rule(self, index: int) -> str:
        """Layers with rotary positions are chunked."""
        return CHUNKED if self.rotary[index] else FULL

    def chunked_local(self, index: int) -> ChunkedLocal | FullAttention:
        """Return the cache of a chunked layer; full where the file switches chunks off."""
        if self.config.optional_count("attention_chunk_size", minimum=0):
            return super().chunked_local(index)
        return self.full_attention(index)

    def is_moe(self, index: int) -> bool:
        """Whether layer `index` is in `moe_layers`, else is every `interleave_moe_layer_step`-th."""
        stated = self.config.counts("moe_layers", minimum=0)
        if stated is not None:
            return index in stated
        return (index + 1) % self.config.count("interleave_moe_layer_step", default=1) == 0

    @cached_property
    def expert_size(self) -> int:
        """Width of one expert."""
        return self.intermediate_size

    @cached_property
    def shared_size(self) -> int:
        """One shared expert as wide as the others."""
        return self.intermediate_size

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the experts, or a wider MLP."""
        if self.is_moe(index):
            yield from super().mlp_parts(index)
        else:
            yield from self.dense_mlp(self.config.count("intermediate_size_mlp"))


class Llama4Vision(Tower):
    """The vision tower: a class token, positions, norms before and after, and an adapter that folds patches together."""

    model_types = ("llama4_vision_model",)
    source = "transformers 5.18 modeling_llama4.py"

    @cached_property
    def features(self) -> int:
        """Width of what the tower hands on."""
        return self.config.count("vision_output_dim")

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c, width = self.config, self.width
        patch = c.count("patch_size")
        out = c.count("projector_output_dim")
        yield linear("patch_embedding", width, c.count("num_channels") * patch * patch, component="vision")
        yield vector("class_embedding", width, component="vision")
        yield vector("positional_embedding_vlm", patch_grid(c) + 1, width, component="vision")
        yield norm("layernorms", width, bias=True, component="vision", count=2)
        yield from times(self.depth, encoder_layer(width, self.mlp))
        yield linear("vision_adapter.fc1", c.count("projector_input_dim"), self.mlp, component="vision")
        yield linear("vision_adapter.fc2", out, out, component="vision", split="row")


class Llama4(Composed):
    """Llama 4 with its tower: Scout, Maverick."""

    model_types = ("llama4",)
    architectures = ("Llama4ForConditionalGeneration",)
    source = "transformers 5.18 modeling_llama4.py"
    fixed: ClassVar[dict[str, str]] = {"text_config": "llama4_text", "vision_config": "llama4_vision_model"}

    def _tied(self, text: Family) -> bool:
        """Only the language model's word counts: it is a whole model with its own head."""
        return text.tied

    def projector_parts(self) -> Iterator[Part]:
        """Return the projection."""
        yield self.join("linear_1", self.hidden_size, self.width_of("vision_config"), bias=False, split="column")
