"""Nemotron-H and Nemotron 3: layers that each are one thing, a Mamba-2 mixer, attention, an MLP or experts."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar

from kvplan.caches import LayerCache
from kvplan.models.config import Config
from kvplan.models.decoder import FULL, LINEAR, MoeDecoder
from kvplan.models.hybrid import Hybrid
from kvplan.models.mixers import Mamba2, Mixer
from kvplan.models.spec import Layer, Moe
from kvplan.weights import blocks
from kvplan.weights.parts import Part, linear, norm

MLP, EXPERTS = "mlp", "moe"
_LETTERS = {"M": LINEAR, "*": FULL, "-": MLP, "E": EXPERTS}
_WORDS = {"mamba": LINEAR, "attention": FULL} | {word: word for word in _LETTERS.values()}

# What a block of Nemotron 3 Puzzle may have of its own, and the keys that are about blocks.
_BLOCK_KEYS = {
    "attention": frozenset(("sliding_window",)),
    "mamba": frozenset(("ssm_state_size",)),
    "mlp": frozenset(("intermediate_size",)),
    "moe": frozenset(
        (
            "n_routed_experts",
            "num_experts_per_tok",
            "moe_intermediate_size",
            "moe_shared_expert_intermediate_size",
            "moe_latent_size",
            "routed_scaling_factor",
            "n_group",
            "topk_group",
            "norm_topk_prob",
        )
    ),
}
_PUZZLE = (
    "block_configs",
    "mtp_block_configs",
    "hybrid_override_pattern",
    "mtp_hybrid_override_pattern",
    "layers_block_type",
    "layer_types",
    "num_hidden_layers",
)


class NemotronH(Hybrid, MoeDecoder):
    """Nemotron-H, Nemotron Nano 2, Nemotron 3: the layers are a list or a pattern of letters, and count themselves."""

    model_types = ("nemotron_h",)
    architectures = ("NemotronHForCausalLM",)
    source = "transformers 5.18 modeling_nemotron_h.py, configuration_nemotron_h.py __post_init__"
    ignored: ClassVar[dict[str, str]] = {"sliding_window": "modeling_nemotron_h.py: attention takes no window"}
    gated_mlp = False
    norms_per_layer = 1
    qkv_bias = False
    expert_keys = ("n_routed_experts",)
    per_token_keys = ("num_experts_per_tok",)
    tied = False  # transformers ties nothing here, whatever the file says

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The file's list, else its pattern; a number of layers stated beside it must agree."""
        types = self._words("layers_block_type", "layer_types")
        pattern = self._letters("hybrid_override_pattern")
        types = types or pattern
        if not types:
            raise self.config.fail("layers_block_type", "is not stated, nor is hybrid_override_pattern.")
        stated = self.config.optional_count("num_hidden_layers")
        if stated is not None and stated != len(types):
            raise self.config.fail("num_hidden_layers", f"is {stated}, but {len(types)} layers are listed.")
        return types

    def _words(self, *keys: str) -> list[str]:
        stated = self.config.items(*keys) or []
        for i, word in enumerate(stated):
            if not isinstance(word, str) or word not in _WORDS:
                raise self.refuse(f"{keys[0]}[{i}]", f"is {str(word)[:60]!r}.", f"Known are {', '.join(_WORDS)}.")
        return [_WORDS[word] for word in stated]

    def _letters(self, key: str) -> list[str]:
        pattern = self.config.text(key)
        for i, letter in enumerate(pattern):
            if letter not in _LETTERS:
                raise self.refuse(f"{key}[{i}]", f"is {letter!r}.", f"Known are {' '.join(_LETTERS)}.")
        return [_LETTERS[letter] for letter in pattern]

    @cached_property
    def layer_count(self) -> int:
        """As many as are listed."""
        return self.config.checked_count("num_hidden_layers", len(self.layer_types))

    @cached_property
    def head_dim(self) -> int:
        """Width of a head; Nemotron-H-56B's file calls it `attention_head_dim`."""
        return self.config.count("head_dim", "attention_head_dim")

    @cached_property
    def mixer(self) -> Mixer:
        """The Mamba-2 mixer; some keys have an older name."""
        config = self.config
        return Mamba2(
            hidden=self.hidden_size,
            heads=config.count("mamba_num_heads"),
            head_dim=config.count("mamba_head_dim"),
            state=config.count("ssm_state_size"),
            groups=config.count("n_groups", "mamba_n_groups"),
            taps=config.count("conv_kernel", "mamba_d_conv"),
            bias=config.flag("use_bias"),
            conv_bias=config.flag("use_conv_bias", "mamba_conv_bias"),
        )

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the state, keys and values, or nothing."""
        return self._caches(self.layer_types[index])

    def _caches(self, word: str) -> tuple[LayerCache, ...]:
        state = self.mixer.cache()
        if word == LINEAR:
            return (state,)
        return (self.full_attention(0),) if word == FULL else ()

    def is_moe(self, index: int) -> bool:
        """Whether layer `index` is a layer of experts."""
        return self.layer_types[index] == EXPERTS

    @cached_property
    def shared_size(self) -> int:
        """Width of the shared expert, of which there is one whatever `n_shared_experts` says."""
        return self.config.count("moe_shared_expert_intermediate_size")

    def parts(self, index: int) -> Iterator[Part]:
        """Return the parameters of layer `index`."""
        yield from self._parts(self.layer_types[index])

    def _parts(self, word: str) -> Iterator[Part]:
        if word == LINEAR:
            yield from self.mixer.parts()
        elif word == FULL:
            yield from super(Hybrid, self).attention_parts(0)
        elif word == MLP:
            yield from self.dense_mlp(self.intermediate_size)
        else:
            yield from self._experts()
        yield from self.norm_parts(0)

    def _experts(self) -> Iterator[Part]:
        """Return router, experts (in a narrower space where there is a latent size) and the shared expert."""
        latent = self.config.optional_count("moe_latent_size")
        yield from blocks.router(self.hidden_size, self.experts)
        yield from blocks.experts(latent or self.hidden_size, self.expert_size, self.experts, gated=False)
        yield from blocks.plain_mlp(
            self.hidden_size,
            self.shared_size,
            bias=self.mlp_bias,
            component="shared_experts",
            prefix="shared_experts.",
        )
        if latent:
            for name, out, source in (("fc1", latent, self.hidden_size), ("fc2", self.hidden_size, latent)):
                yield linear(
                    f"{name}_latent_proj", out, source, bias=self.mlp_bias, component="experts", split="replicated"
                )

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers: a list of their own, projections before its first, a norm after its last.

        Source: vLLM 0.33 models/nemotron_h_mtp.py.
        """
        steps = self.config.count("num_nextn_predict_layers", default=0, minimum=0)
        words = self._words("mtp_layers_block_type") or [FULL, EXPERTS]
        if words == [FULL, EXPERTS]:
            words = self._letters("mtp_hybrid_override_pattern") or words
        self.config.checked_count("num_nextn_predict_layers", steps * len(words), minimum=0)
        hidden = self.hidden_size
        start = (
            norm("enorm", hidden, component="draft"),
            norm("hnorm", hidden, component="draft"),
            linear("eh_proj", hidden, 2 * hidden, component="draft"),
        )
        end = (norm("final_layernorm", hidden, component="draft"),)
        step = tuple(
            Layer(
                caches=self._caches(word),
                parts=(*self._parts(word), *(start if i == 0 else ()), *(end if i == len(words) - 1 else ())),
            )
            for i, word in enumerate(words)
        )
        return step * steps


class NemotronHPuzzle(NemotronH):
    """Nemotron 3 Puzzle: each layer's own description, with experts, windows and states of its own."""

    model_types = ("nemotron_h_puzzle",)
    architectures = ("NemotronHPuzzleForCausalLM",)
    source = "NVIDIA configuration_nemotron_h_puzzle.py (remote code); vLLM 0.33 models/nemotron_h.py"
    ignored: ClassVar[dict[str, str]] = {}

    @cached_property
    def blocks(self) -> tuple["NemotronH", ...]:
        """The file as each layer has it: the layer's values stand over the file's.

        Raises:
            ConfigError: no list of JSON objects.
            UnsupportedArchitectureError: a layer's word or key that no rule here covers.

        """
        return self._blocks("block_configs")

    def _blocks(self, key: str) -> tuple["NemotronH", ...]:
        config, families = self.config, []
        shared = {k: v for k, v in config.values.items() if k not in _PUZZLE}
        for i, block in enumerate(config.items(key) or ()):
            if not isinstance(block, Mapping) or not all(isinstance(name, str) for name in block):
                raise config.fail(f"{key}[{i}]", "is not a JSON object.")
            word = str(block.get("block_type"))[:60]
            if word not in _BLOCK_KEYS:
                raise self.refuse(f"{key}[{i}].block_type", f"is {word!r}.", f"Known are {', '.join(_BLOCK_KEYS)}.")
            own = {name: value for name, value in block.items() if value is not None and name != "block_type"}
            if unknown := sorted(own.keys() - _BLOCK_KEYS[word]):
                raise self.refuse(f"{key}[{i}].{unknown[0]}", "is set.", "No rule covers it in a block of this kind.")
            values = {**shared, **own, "layers_block_type": [word]}
            part = Config(values, where=config.where, path=f"{config.path}{key}[{i}].", model_type="nemotron_h")
            families.append(NemotronH(part))
            config.read.update(part.read)
        return tuple(families)

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The blocks' kinds; a pattern stated beside them must agree.

        Raises:
            ConfigError: there are no blocks, or the pattern differs.

        """
        kinds = [block.layer_types[0] for block in self.blocks]
        pattern = self._letters("hybrid_override_pattern")
        if not kinds or (pattern and pattern != kinds):
            raise self.config.fail("block_configs", "is empty, or does not agree with hybrid_override_pattern.")
        self.config.overrule(*_PUZZLE, "sliding_window", "ssm_state_size", "layers_block_type", "num_hidden_layers")
        return kinds

    @cached_property
    def moe(self) -> Moe | None:
        """The most experts that a layer has."""
        found = [block.moe for block in self.blocks]
        return max((moe for moe in found if moe), key=lambda moe: moe.experts, default=None)

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the state, keys and values (in the layer's window), or nothing."""
        return self._cache_of(self.blocks[index])

    def _cache_of(self, block: "NemotronH") -> tuple[LayerCache, ...]:
        window = block.config.optional_count("sliding_window")
        if block.layer_types[0] == FULL and window is not None:
            return (block.sliding_window(0),)
        return block.caches(0)

    def parts(self, index: int) -> Iterator[Part]:
        """Return the parameters of layer `index`."""
        return self.blocks[index].parts(0)

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers, as the file describes them, with the projections and norms of Nemotron-H."""
        steps = self.config.count("num_nextn_predict_layers", default=0, minimum=0)
        drafts = self._blocks("mtp_block_configs")
        self.config.checked_count("num_nextn_predict_layers", steps * len(drafts), minimum=0)
        hidden = self.hidden_size
        extra = (
            norm("draft_norms", hidden, component="draft", count=3),
            linear("eh_proj", hidden, 2 * hidden, component="draft"),
        )
        step = tuple(
            Layer(caches=self._cache_of(block), parts=(*block.parts(0), *(() if i else extra)))
            for i, block in enumerate(drafts)
        )
        return step * steps
