"""Vision and audio towers: their building blocks, and the reading of models that put them beside a language model.

Letters: D width of the tower, F width of its MLP. A tower keeps no cache; its layers are equal, so a block is listed once
with the number of copies.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from kvplan.models.config import Config
from kvplan.models.family import Family, family_of
from kvplan.models.multimodal import Multimodal
from kvplan.models.spec import Note
from kvplan.weights.parts import Component, Part, Split, convolution, linear, norm, vector


def times(count: int, parts: Iterable[Part]) -> Iterator[Part]:
    """Return the parts `count` times over."""
    return (replace(part, count=part.count * count) for part in parts) if count > 0 else iter(())


def replicated(parts: Iterable[Part]) -> Iterator[Part]:
    """Return the parts of a tower that vLLM takes from transformers or timm as it is: every rank has all of it."""
    return (replace(part, split="replicated", units=0) for part in parts)


def self_attention(
    width: int,
    *,
    component: Component,
    inner: int | None = None,
    kv_inner: int | None = None,
    source: int | None = None,
    qkv_bias: bool = True,
    k_bias: bool | None = None,
    output_bias: bool = True,
) -> Iterator[Part]:
    """Return Q, K, V and O of a tower: 4 x D x D where `inner` (all query heads) and `kv_inner` (all KV heads) are D.

    `source` is the width that keys and values come from where it is not D; `k_bias`: the bias of K where it differs.
    """
    inner = width if inner is None else inner
    kv_inner = inner if kv_inner is None else kv_inner
    source = width if source is None else source
    yield linear("q_proj", inner, width, bias=qkv_bias, component=component)
    yield linear("k_proj", kv_inner, source, bias=qkv_bias if k_bias is None else k_bias, component=component)
    yield linear("v_proj", kv_inner, source, bias=qkv_bias, component=component)
    yield linear("o_proj", width, inner, bias=output_bias, component=component, split="row")


def feed_forward(
    width: int,
    inner: int,
    *,
    component: Component,
    gated: bool = False,
    bias: bool = True,
    output_bias: bool | None = None,
) -> Iterator[Part]:
    """Return an MLP: 2 x D x F, or 3 x D x F gated; `output_bias`: the bias of the last linear where it differs."""
    if gated:
        yield linear("gate_proj", inner, width, bias=bias, component=component)
    yield linear("up_proj", inner, width, bias=bias, component=component)
    last = bias if output_bias is None else output_bias
    yield linear("down_proj", width, inner, bias=last, component=component, split="row")


def encoder_layer(
    width: int,
    mlp: int,
    *,
    component: Component = "vision",
    inner: int | None = None,
    kv_inner: int | None = None,
    qkv_bias: bool = True,
    k_bias: bool | None = None,
    output_bias: bool = True,
    gated: bool = False,
    mlp_bias: bool = True,
    norm_bias: bool = True,
    norms: int = 2,
) -> Iterator[Part]:
    """Return one layer of a transformer encoder: attention, MLP and their norms; as the ViT and Whisper have it."""
    yield from self_attention(
        width,
        component=component,
        inner=inner,
        kv_inner=kv_inner,
        qkv_bias=qkv_bias,
        k_bias=k_bias,
        output_bias=output_bias,
    )
    yield from feed_forward(width, mlp, component=component, gated=gated, bias=mlp_bias)
    yield norm("layer_norm", width, bias=norm_bias, component=component, count=norms)


def pooling_head(width: int, mlp: int, *, gated: bool = False) -> Iterator[Part]:
    """Return SigLIP's attention pooling: a probe, torch's multi-head attention, a norm and an MLP."""
    yield vector("head.probe", 1, 1, width, component="vision")
    yield linear("head.attention.in_proj", 3 * width, width, bias=True, component="vision", split="replicated")
    yield linear("head.attention.out_proj", width, width, bias=True, component="vision", split="replicated")
    yield norm("head.layernorm", width, bias=True, component="vision")
    yield from feed_forward(width, mlp, component="vision", gated=gated, bias=not gated)


def whisper_stem(width: int, mel_bins: int) -> Iterator[Part]:
    """Return the two convolutions of 3 taps that Whisper's encoder begins with."""
    yield convolution("conv1", width, mel_bins, 3, bias=True, component="audio", split="replicated")
    yield convolution("conv2", width, width, 3, bias=True, component="audio", split="replicated")


def sides(config: Config, *keys: str) -> tuple[int, int]:
    """Return height and width of a size that a file gives as one number or as two.

    Raises:
        ConfigError: neither.

    """
    value = config.raw(*keys)
    if not isinstance(value, list | tuple):
        side = config.count(*keys)
        return side, side
    if len(value) != 2:
        raise config.fail(keys[0], f"is {str(value)[:60]}; one number or two were expected.")
    return config.checked_count(keys[0], value[0]), config.checked_count(keys[0], value[1])


def patch_grid(config: Config) -> int:
    """Return the patches of an image: (height // patch height) x (width // patch width).

    Raises:
        ConfigError: a size is broken, or the patch is larger than the image.

    """
    image, patch = sides(config, "image_size"), sides(config, "patch_size")
    if patch[0] > image[0] or patch[1] > image[1]:
        raise config.fail("patch_size", f"is larger than image_size ({image[0]} x {image[1]}).")
    return (image[0] // patch[0]) * (image[1] // patch[1])


def patch_embedding(config: Config, width: int, *, bias: bool, channels: str = "num_channels", frames: int = 1) -> Part:
    """Return the convolution that turns patches into vectors: D x channels (x frames) x patch height x patch width."""
    return convolution(
        "patch_embedding",
        width,
        config.count(channels, default=3) * frames,
        *sides(config, "patch_size"),
        bias=bias,
        component="vision",
        split="replicated",
    )


def head_width(config: Config, width: int, heads: int) -> int:
    """Return width / heads.

    Raises:
        ConfigError: there are more heads than the width has elements.

    """
    if heads > width:
        raise config.fail("num_attention_heads", f"is {heads}, more than the width ({width}).")
    return width // heads


def scaled(config: Config, key: str, width: int, default: float | None = None) -> int:
    """Return the width times the ratio at `key`, rounded down.

    Raises:
        ConfigError: the ratio is no number, or leaves nothing or more than is believed.

    """
    ratio = config.number(key) if default is None else config.number(key, default=default)
    return config.checked_count(f"{key} x {width:,}", int(width * ratio))


def folded(config: Config, width: int, key: str = "downsample_ratio") -> int:
    """Return the width of the patches folded into one: 1 / ratio (a half where the file has none) on each side.

    Raises:
        ConfigError: the ratio is not above 0 and at most 1.

    """
    ratio = config.number(key, default=0.5)
    if not 1e-3 < ratio <= 1:
        raise config.fail(key, f"is {ratio}; above 0 and at most 1 was expected.")
    return width * int(1 / ratio) ** 2


class Tower(Family):
    """An encoder beside a language model: parameters, no cache."""

    cacheless = "an encoder without a language model"

    @cached_property
    def width(self) -> int:
        """Width of the tower."""
        return self.config.count("hidden_size")

    @cached_property
    def depth(self) -> int:
        """Layers of the tower."""
        return self.config.count("num_hidden_layers", "depth", minimum=0)

    @cached_property
    def mlp(self) -> int:
        """Width of its MLP."""
        return self.config.count("intermediate_size")

    @cached_property
    def features(self) -> int:
        """Width of what the tower hands on."""
        return self.width

    def inner(self, key: str, model_type: str) -> Family:
        """Return the family of the tower's own part at `key`, of a type that the file cannot change.

        Raises:
            ConfigError: it is not a JSON object.

        """
        config = self.config
        config.read.add(key)
        stated = config.values.get(key)
        if stated is not None and not isinstance(stated, Mapping):
            raise config.fail(key, "is not a JSON object.")
        part = Config(stated or {}, where=config.where, path=f"{config.path}{key}.", model_type=model_type)
        config.parts.append(part)
        return family_of(part)


class Composed(Multimodal):
    """A language model and towers, with what transformers fills in where a file leaves parts out.

    Attributes:
        fixed: key of a part to the type that it is whatever its own `model_type` says (`sub_configs` names a class).
        absent: key of a part to the values it has where the file has no such part (`__post_init__`).
        filled: key of a part to values that stand under the stated ones (`_default_text_config_kwargs`).
        tie_either: the head is also tied where only the language model's part says so (`__post_init__`).
        untied: the published checkpoints of a silent file have a head of their own, whatever the class declares.
        never_tied: the model has a head of its own whatever a file says (`_tied_weights_keys` names none).

    """

    fixed: ClassVar[Mapping[str, str]] = {}
    absent: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    filled: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    tie_either: ClassVar[bool] = False
    untied: ClassVar[bool] = False
    never_tied: ClassVar[bool] = False

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._sections: dict[str, Family] = {}

    @cached_property
    def flat(self) -> bool:
        """Whether the language model's keys stand at the top level, as in files from before transformers 4.52."""
        return not self.config.states(self.text_key) and self.config.states("num_hidden_layers", "hidden_size")

    def section(self, key: str, model_type: str | None = None) -> Family:
        """Return the family of the part at `key`, always the same one.

        Raises:
            ConfigError: it is not a JSON object.
            UnsupportedArchitectureError: its type is not known.

        """
        if key not in self._sections:
            self._sections[key] = family_of(self._part(key, model_type))
        return self._sections[key]

    def _part(self, key: str, model_type: str | None) -> Config:
        self.config.read.add(key)
        stated = self.config.values.get(key)
        if stated is not None and not isinstance(stated, Mapping):
            raise self.config.fail(key, "is not a JSON object.")
        values = dict(self.absent.get(key, {}) if stated is None else stated)
        if key in self.filled:
            values = {**self.filled[key], **values}
        own = values.get("model_type")
        facts = self.config.facts
        name = (
            self.fixed.get(key)
            or (own if isinstance(own, str) and own else None)
            or model_type
            or (facts.sub_configs.get(key) if facts else None)
        )
        part = Config(values, where=self.config.where, path=f"{self.config.path}{key}.", model_type=name)
        self.config.parts.append(part)
        return part

    @cached_property
    def text(self) -> Family:
        """The family of the language model, its head tied as the whole model says."""
        if self.flat:
            facts = self.config.facts
            name = self.fixed.get(self.text_key) or self.text_type or (facts and facts.sub_configs.get(self.text_key))
            values = {**self.absent.get(self.text_key, {}), **self.config.values}
            part = Config(values, where=self.config.where, path=self.config.path, model_type=name or None)
            part.read = self.config.read  # what the language model reads counts as read
            self.config.parts.append(part)
            family = family_of(part)
            if isinstance(family, Composed):
                # The architecture named this family again: what the language model is stays unsaid.
                raise self.refuse(
                    self.text_key, "is not stated.", f"Give the language model's values in {self.text_key}."
                )
        else:
            family = self.section(self.text_key, self.text_type)
        family.tied = self._tied(family)
        return family

    def _tied(self, text: Family) -> bool:
        """Return whether the head is the embedding: the whole model's word, else the language model's, else the default.

        transformers 5 asks the whole model only (`get_expanded_tied_weights_keys`), transformers 4 and vLLM the language
        model; published files agree with the language model's word where they state it (Ministral 3, Mistral Small 3.1).
        Files of transformers 4 leave it out where it is the language model's default.
        """
        config = self.config
        if self.never_tied:
            config.raw("tie_word_embeddings")
            return False
        either = self.tie_either and text.tied
        if config.states("tie_word_embeddings") and not self.flat:
            return config.flag("tie_word_embeddings") or either
        if text.config.states("tie_word_embeddings"):
            return text.tied
        if self.untied:
            return either
        if config.facts is None or "tie_word_embeddings" not in config.facts.defaults:
            return text.tied
        if str(config.values.get("transformers_version", "")).startswith("4.") and not text.tied:
            return False
        return config.flag("tie_word_embeddings", default=False) or either

    def check_signals(self) -> None:
        """Refuse as every family does, but not the language model's keys that the top level repeats as they are.

        transformers 4.52 to 4.57 wrote them on both levels.

        Raises:
            UnsupportedArchitectureError: naming the key.

        """
        inner = self.text.config.values
        self.config.read.update(
            key for key, value in self.config.values.items() if key in inner and inner[key] == value
        )
        super().check_signals()

    def tower(self, key: str) -> Family:
        """Return the family of the tower at `key`."""
        return self.section(key)

    def width_of(self, key: str) -> int:
        """Return the width of what the tower at `key` hands on."""
        family = self.tower(key)
        return family.features if isinstance(family, Tower) else family.config.count("hidden_size")

    def join(self, name: str, out: int, source: int, *, bias: bool = True, split: Split = "replicated") -> Part:
        """Return a linear of the projector."""
        return linear(name, out, source, bias=bias, component="projector", split=split)

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Why the parameters cannot be counted: the language model's reason or a tower's."""
        families = [self.text, *(self.tower(key) for key in self.towers)]
        return next((family.unknown_parameters for family in families if family.unknown_parameters), None)

    def assumptions(self) -> Iterator[Note]:
        """Return what the file did not state and where it was taken from."""
        yield from super().assumptions()
        for key in (self.text_key, *self.towers):
            if not self.config.states(key) and not (key == self.text_key and self.flat):
                yield Note(f"No {key}: the values of the type's configuration class", self.source)
