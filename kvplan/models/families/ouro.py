"""Ouro, Nanbeige 4.2 and Dory: layers run several times over, each time with a cache of its own."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import LayerCache
from kvplan.models.decoder import FULL, SLIDING, Decoder
from kvplan.weights.parts import Part, linear, vector


class Ouro(Decoder):
    """Ouro: the whole stack runs `total_ut_steps` times; four norms a layer, a gate that may stop early."""

    model_types = ("ouro",)
    architectures = ("OuroForCausalLM",)
    source = (
        "ByteDance/Ouro modeling_ouro.py (remote code): OuroModel, UniversalTransformerCache; vLLM 0.25 models/ouro.py"
    )
    norms_per_layer = 4
    qkv_bias = False
    mlp_bias = False

    @cached_property
    def steps(self) -> int:
        """Runs of the stack.

        Raises:
            ConfigError: more than are believed.

        """
        steps = self.config.count("total_ut_steps", default=4)
        self.config.checked_count("total_ut_steps x num_hidden_layers", steps * self.layer_count)
        return steps

    @cached_property
    def window(self) -> int | None:
        """`sliding_window` counts only where `use_sliding_window` is true."""
        stated = super().window
        return stated if self.config.flag("use_sliding_window", default=False) else None

    def layer_type_rule(self, index: int) -> str:
        """Slide from layer `max_window_layers` on."""
        return SLIDING if self.window and index >= self.config.count("max_window_layers", minimum=0) else FULL

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return a cache for each run."""
        return super().caches(index) * self.steps

    def outer(self) -> Iterator[Part]:
        """Return embeddings, norm, head and the gate."""
        yield from super().outer()
        yield linear("early_exit_gate", 1, self.hidden_size, bias=True, component="other", split="replicated")


class Nanbeige(Decoder):
    """Nanbeige with loops: Llama whose stack runs `num_loops` times."""

    model_types = ("nanbeige",)
    architectures = ("NanbeigeForCausalLM",)
    source = "Nanbeige modeling_nanbeige.py (remote code), as its SGLang port has it: NanbeigeAttention"
    qkv_bias = False
    mlp_bias = False

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return a cache for each run.

        Raises:
            ConfigError: more runs than are believed, or none stated.

        """
        loops = self.config.count("num_loops")
        self.config.checked_count("num_loops x num_hidden_layers", loops * self.layer_count)
        return super().caches(index) * loops


class Dory(Decoder):
    """Dory: blocks of attention or of an MLP alone, normalised without norms; the middle ones run several times."""

    model_types = ("dory",)
    architectures = ("DoryForCausalLM",)
    source = "vLLM 0.33 models/dory.py, transformers_utils/configs/dory.py"
    qkv_bias = False
    mlp_bias = False

    def layer_type_rule(self, index: int) -> str:
        """Put an MLP in every odd block; of the even ones the fourth of four is full, the others slide."""
        if index % 2:
            return "mlp"
        return FULL if index % 8 == 6 else SLIDING

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return a cache for each run of an attention block; nothing of an MLP.

        Raises:
            ConfigError: the parts do not add up to the layers, or the cache mode is unknown.

        """
        config = self.config
        first = config.count("n_input_layers", default=0, minimum=0)
        last = config.count("n_output_layers", default=0, minimum=0)
        middle = config.optional_count("n_recurrent_layers", minimum=0)
        middle = self.layer_count - first - last if middle is None else middle
        if first + middle + last != self.layer_count:
            raise config.fail("n_recurrent_layers", f"and its neighbours do not add up to {self.layer_count} layers.")
        mode = config.text("recurrent_kv_cache_mode", default="per_loop")
        if mode not in ("per_loop", "last_loop"):
            raise config.fail("recurrent_kv_cache_mode", "is neither per_loop nor last_loop.")
        loops = config.count("n_recurrent_loops", default=1)
        config.checked_count("n_recurrent_loops x num_hidden_layers", loops * self.layer_count)
        if self.layer_types[index] == "mlp":
            return ()
        recurrent = first <= index < first + middle
        return super().caches(index) * (loops if recurrent and mode == "per_loop" else 1)

    def parts(self, index: int) -> Iterator[Part]:
        """Return the block's projections, the scales of its activations and of the step it takes."""
        if self.layer_types[index] == "mlp":
            yield from self.dense_mlp(self.intermediate_size)
            yield vector("suv", self.intermediate_size, component="mlp", split="column", count=2)
        else:
            width = self.heads * self.head_dim
            yield from super().attention_parts(index)
            yield linear("g_proj", width, self.hidden_size, component="attention")
            yield vector("s_gate, sqk", width, component="attention", split="column", count=2)
        yield vector("alpha", self.hidden_size, component="other")

    def outer(self) -> Iterator[Part]:
        """Return embeddings, head and the scales of the logits; there is no norm."""
        yield from self.embedding_parts()
        yield from self.head_parts()
        yield vector("lm_head.logit_scale", self.vocab_size, component="head", split="vocabulary")
