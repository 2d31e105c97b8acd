"""DeepSeek V4.1: windows of latents everywhere; four layers pool older positions for all others, four more choose among them."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import LayerCache
from kvplan.models.families.deepseek_v4 import Compression, DeepseekV4
from kvplan.models.multimodal import Multimodal
from kvplan.models.spec import Layer
from kvplan.weights.parts import Part


class DeepseekV41Text(DeepseekV4):
    """The language model. Layers without a source of their own read the last source's entries and choice of positions."""

    model_types = ("deepseek_v41_text",)
    source = "vLLM 0.33 models/deepseek_v41/attention.py and compressor.py"
    unknown_parameters = "no public total confirms a count of the engram tables and the vision tower"

    @cached_property
    def sources(self) -> frozenset[int]:
        """The layers that pool."""
        return frozenset(self.config.counts("kv_source_layer_ids", minimum=0) or ())

    @cached_property
    def ratios(self) -> list[int]:
        """Positions per entry by layer: 0 is the window alone.

        Raises:
            ConfigError: the list is missing or too short, or a layer that pools has no source before it.
            UnsupportedArchitectureError: a ratio without a rule.

        """
        ratios = self.config.counts("compress_ratios", minimum=0) or []
        if len(ratios) < self.layer_count:
            raise self.config.fail("compress_ratios", f"has {len(ratios)} entries for {self.layer_count} layers.")
        for i, ratio in enumerate(ratios[: self.layer_count]):
            if ratio not in (0, 1, 2):
                raise self.refuse(f"compress_ratios[{i}]", f"is {ratio}.", "The reference has layers for 0, 1 and 2.")
            if ratio and not any(source <= i for source in self.sources):
                raise self.config.fail("kv_source_layer_ids", f"has no source for layer {i}, whose ratio is {ratio}.")
        return ratios

    def compression(self, index: int) -> Compression:
        """Return how layer `index` pools; only sources do, and each of them also keeps the index keys."""
        if index >= self.layer_count or index not in self.sources:
            return Compression()
        return Compression(self.ratios[index], indexed=True)

    def compressed_caches(self, how: Compression) -> Iterator[LayerCache]:
        """Return entries and index keys; the index is made from the entries, so it needs no state of its own.

        With one position per entry nothing waits to be pooled.
        """
        caches = list(super().compressed_caches(how))
        yield from caches[: 1 if how.ratio == 1 else 2]
        yield from caches[2:3]

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return what layer `index` keeps, once all ratios are checked."""
        return super().caches(index) if self.ratios else ()

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers' windows; their parameters are not counted either."""
        return tuple(Layer(caches=layer.caches, parts=()) for layer in super().draft_layers())


class DeepseekV41(Multimodal):
    """DeepSeek V4.1 with its vision tower."""

    model_types = ("deepseek_v41",)
    architectures = ("DeepseekV41ForCausalLM",)
    source = "vLLM 0.33 models/deepseek_v41, transformers_utils/configs/deepseek_v41.py"
    text_type = "deepseek_v41_text"

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The language model's reason."""
        return self.text.unknown_parameters

    def outer(self) -> Iterator[Part]:
        """Return nothing: the parameters are not counted."""
        return iter(())
