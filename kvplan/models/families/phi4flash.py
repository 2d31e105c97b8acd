"""Phi 4 mini Flash (SambaY): Mamba and windows below, one full attention whose cache the layers above read."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import LayerCache
from kvplan.models.classic import BiasedHead
from kvplan.models.mixers import Mamba1, count_or_auto
from kvplan.models.spec import Layer
from kvplan.weights.parts import Part, linear, norm, vector


class Phi4Flash(BiasedHead):
    """Phi-4-mini-flash-reasoning.

    Even layers are Mamba, odd ones attend. From the middle layer on: a Mamba, an attention to everything, then gates on
    that Mamba's output and attention to that attention's cache, which keep nothing themselves.
    """

    model_types = ("phi4flash",)
    architectures = ("Phi4FlashForCausalLM",)
    source = (
        "microsoft/Phi-4-mini-flash-reasoning modeling_phi4flash.py (remote code), as TensorRT-LLM auto_deploy has it;"
        " vLLM 0.10 models/phi4flash.py; total on the hub"
    )
    norm_bias = True
    qkv_bias = True
    output_bias = True

    @property
    def mlp_bias(self) -> bool:
        """`mlp_bias`."""
        return self.config.flag("mlp_bias", default=False)

    @property
    def head_bias(self) -> bool:
        """`lm_head_bias`."""
        return self.config.flag("lm_head_bias", default=False)

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    @cached_property
    def window(self) -> int | None:
        """One number, or the list that the configuration's code makes of it: the window of the odd layers below.

        Raises:
            ConfigError: the list does not follow the rule.

        """
        stated = self.config.raw("sliding_window")
        if not isinstance(stated, list | tuple):
            return super().window
        slides = [i < self.middle and i % 2 == 1 for i in range(self.layer_count)]
        sizes = {w for w in stated if isinstance(w, int)}
        if [w is not None for w in stated] != slides or len(sizes) != 1:
            raise self.config.fail("sliding_window", "is not one window for each odd layer of the lower half.")
        return self.config.checked_count("sliding_window", sizes.pop())

    @cached_property
    def middle(self) -> int:
        """The first layer of the upper half.

        Raises:
            UnsupportedArchitectureError: the layers do not alternate, or the upper half begins with attention.

        """
        if self.config.count("mb_per_layer", default=2, minimum=0) != 2 or self.layer_count % 4:
            raise self.refuse(
                "mb_per_layer", "is not 2, or the layers are no multiple of 4.", "No such model is known."
            )
        return self.layer_count // 2

    @cached_property
    def mixer(self) -> Mamba1:
        """The Mamba mixer."""
        config = self.config
        return Mamba1(
            hidden=self.hidden_size,
            inner=config.count("mamba_expand", default=2) * self.hidden_size,
            state=config.count("mamba_d_state", default=16),
            taps=config.count("mamba_d_conv", default=4),
            rank=count_or_auto(config, "mamba_dt_rank", -(-self.hidden_size // 16)),
            bias=config.flag("mamba_proj_bias", default=False),
            conv_bias=config.flag("mamba_conv_bias", default=True),
        )

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers; those that read the upper half's cache keep nothing."""
        lender = self.middle + 1
        return tuple(
            Layer(
                caches=self.caches(i) if i <= lender else (),
                parts=tuple(self.parts(i)),
                shares_cache_of=lender if i > lender and i % 2 else None,
            )
            for i in range(self.layer_count)
        )

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the mixer's state, the window, or everything."""
        if index % 2 == 0:
            return (self.mixer.cache(),)
        if index < self.middle and self.window is not None:
            return (self.sliding_window(index),)
        return (self.full_attention(index),)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the mixer or its gate, or differential attention, which in the uppermost layers has queries only."""
        above = index > self.middle + 1
        width, mixer = self.heads * self.head_dim, self.mixer
        if index % 2 == 0 and above:
            yield linear("in_proj", mixer.inner, self.hidden_size, bias=mixer.bias, component="mixer")
            yield linear("out_proj", self.hidden_size, mixer.inner, bias=mixer.bias, component="mixer", split="row")
            return
        if index % 2 == 0:
            yield from mixer.parts()
            return
        if above:
            yield linear("q_proj", width, self.hidden_size, bias=True, component="attention")
            yield linear("o_proj", self.hidden_size, width, bias=True, component="attention", split="row")
        else:
            yield from super().attention_parts(index)
        yield vector("lambda", self.head_dim, component="attention", count=4)
        yield norm("subln", 2 * self.head_dim)
