"""What a model family is to kvplan: the reading of one kind of configuration.

A family is one small file in `families/` with a class that names its model types and says where it departs from the
general reader (`decoder.py`). The folder is the registry: `find_family` imports `families/<model_type>.py` where there is
one, else the whole folder.
"""

import contextlib
import importlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from kvplan.dtypes import find_dtype
from kvplan.errors import UnsupportedArchitectureError
from kvplan.models.config import LANGUAGE_KEYS, Config, show
from kvplan.models.spec import Layer, ModelSpec, Moe, Note
from kvplan.weights.parts import Component, Part

# Keys that announce a cache of their own kind. A family that meets one which it does not read refuses: the file says
# something about the cache that no rule here has understood.
SIGNALS = frozenset(  # one word list is easier to keep than forty quoted lines
    """
    attention_chunk_size attn_layer_indices attn_layer_offset attn_layer_period attn_type_list block_configs block_types
    cla_share_factor compress_rates compress_ratios conv_L_cache cross_attention_layers full_attention_interval
    full_attn_idxs hybrid_layer_pattern hybrid_override_pattern index_head_dim index_kpool kv_lora_rank layer_types
    layers_block_type linear_attn_config linear_conv_kernel_dim local_attention mamba_d_state mamba_state_dim mixer_types
    num_attention_groups num_kv_shared_layers sliding_window sliding_window_pattern sliding_window_size sparse_attention_freq
    per_layer_config sparse_attention_config ssm_state_size state_size swa_num_key_value_heads use_cla use_sliding_window
    """.split()  # noqa: SIM905
)
# Files that state another model's type beside their own class (xAI's Grok 2 says that it is GIT), or an older spelling.
_MISNAMED = {
    ("git", "Grok1ForCausalLM"): "grok_1",
    ("lfm2-vl", "Lfm2VlForConditionalGeneration"): "lfm2_vl",
}
# Values that switch a signal off.
_OFF: tuple[Any, ...] = (None, False, 0, -1, [], {}, "")


# What no model comes near: a thousand times the largest published count, and a cache of an exabyte for one request.
_MOST_PARAMETERS, _MOST_CACHE_BYTES = 10**15, 2**59


class Family:
    """The reading of one kind of configuration. Subclasses name their types and override what differs.

    Attributes:
        model_types: the `model_type` values read; a subclass that states some is registered for them.
        architectures: class names that tell the family where a file has no `model_type`.
        signature: keys that tell the family where a file has neither.
        source: where the rules come from.
        ignored: signal keys that the reference implementation does not use, each with the source that says so.

    """

    model_types: ClassVar[tuple[str, ...]] = ()
    architectures: ClassVar[tuple[str, ...]] = ()
    signature: ClassVar[frozenset[str]] = frozenset()
    source: ClassVar[str] = ""
    ignored: ClassVar[dict[str, str]] = {}

    # Whether the file describes one language model at its top level, with none nested in it.
    one_level: ClassVar[bool] = False

    registry: ClassVar[dict[str, type["Family"]]] = {}
    by_architecture: ClassVar[dict[str, type["Family"]]] = {}
    by_signature: ClassVar[dict[frozenset[str], type["Family"]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in cls.__dict__.get("model_types", ()):
            Family.registry[name] = cls
        for name in cls.__dict__.get("architectures", ()):
            Family.by_architecture[name] = cls
        if keys := cls.__dict__.get("signature"):
            Family.by_signature[keys] = cls

    def __init__(self, config: Config) -> None:
        self.config = config
        config.reader = self

    # -- what a family says ------------------------------------------------------------------------------------------

    def layers(self) -> tuple[Layer, ...]:
        """Return the decoder's layers in order."""
        return ()

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the layers that only speculation loads (MTP, next-token prediction)."""
        return ()

    def outer(self) -> Iterable[Part]:
        """Return the parameters outside the layers."""
        return ()

    unknown_parameters: str | None = None
    cacheless: str | None = None
    hidden_size: int = 0
    vocab_size: int = 0
    max_context_tokens: int | None = None
    encoder_tokens: int | None = None
    has_encoder: bool = False
    moe: Moe | None = None
    tied: bool = False

    # -- what every family shares ------------------------------------------------------------------------------------

    def refuse(self, key: str, problem: str, settles: str) -> UnsupportedArchitectureError:
        """Return the refusal: the key not understood and what would settle it."""
        where = f"{self.config.where}: {self.config.path}{key}"
        return UnsupportedArchitectureError(
            f"{where} {problem} kvplan does not guess what model type {self.config.model_type!r} caches.", hint=settles
        )

    def nested(self, key: str, model_type: str | None = None) -> "Family":
        """Return the family of the nested configuration at `key`, whose type is `model_type` where it states none."""
        return family_of(self.config.part(key, model_type))

    def check_signals(self) -> None:
        """Refuse where the file states a key about caches that this family did not read.

        Raises:
            UnsupportedArchitectureError: naming the key.

        """
        for config in (self.config, *_descendants(self.config)):
            reader = config.reader or self
            if reader.cacheless:
                continue  # a tower's windows and chunks are no cache
            for key in sorted(
                SIGNALS & config.values.keys() - config.read - self.ignored.keys() - reader.ignored.keys()
            ):
                if config.values[key] not in _OFF:
                    raise self.refuse(
                        config.path.removeprefix(self.config.path) + key,
                        f"is {show(config.values[key])}, a key that the family {type(self).__name__} has no rule for.",
                        "Remove the key if the model does not use it, or open an issue with the configuration.",
                    )

    def spec(self, *, spec_id: str, source: str) -> ModelSpec:
        """Return the model that the configuration describes.

        Raises:
            ConfigError: a value is broken or contradicts another.
            UnsupportedArchitectureError: a key that decides the cache is not understood.

        """
        interned: dict[Layer, Layer] = {}
        layers = tuple(interned.setdefault(layer, layer) for layer in self.layers())
        draft_layers = self.draft_layers()
        outer = tuple(self.outer())
        model = ModelSpec(
            id=spec_id,
            source=source,
            model_type=self.config.model_type,
            layers=layers,
            draft_layers=draft_layers,
            outer=outer,
            unknown_parameters=self.unknown_parameters,
            hidden_size=self.hidden_size,
            vocab_size=self.vocab_size,
            max_context_tokens=self.max_context_tokens,
            dtype=self.dtype,
            cacheless=self.cacheless,
            encoder_tokens=self.encoder_tokens,
            has_encoder=self.has_encoder,
            moe=self.moe,
            tied=self.tied,
            quantization=self.quantization,
            assumptions=tuple(self.assumptions()),
            config=self.config.values,
        )
        self.check_signals()
        self._check_size(model)
        return model

    def _check_size(self, model: ModelSpec) -> None:
        """Refuse a model whose values are each believable and together are not.

        Raises:
            ConfigError: naming the part that is the most of it.

        """
        if not model.layers and model.cacheless is None:
            raise self.refuse(
                "num_hidden_layers", "comes to no layer that decodes.", "Give the language model's layers."
            )
        if model.unknown_parameters is None and (model.parameters or 0) > _MOST_PARAMETERS:
            part = max(model.parts(), key=lambda part: part.parameters)
            shape = " x ".join(f"{axis:,}" for axis in (part.count, *part.shape))
            raise self.config.fail(
                "hidden_size",
                f"and the other sizes make {part.name} {shape} and the model {model.parameters:,} parameters;"
                f" at most {_MOST_PARAMETERS:,} are believed.",
            )
        plain, longest = find_dtype("float32"), model.max_context_tokens or 1
        for cache, layers in model.caches:
            size = layers * cache.bytes_for(longest, plain, plain)
            if size > _MOST_CACHE_BYTES:
                raise self.config.fail(
                    "num_hidden_layers",
                    f"and the other sizes make one request of {longest:,} tokens take {size:,} B ({layers:,} x {cache.kind});"
                    f" at most {_MOST_CACHE_BYTES:,} are believed.",
                )

    @cached_property
    def dtype(self) -> str:
        """The checkpoint's number format: `dtype` or `torch_dtype`, here or in the nested configurations; else bfloat16."""
        return self._stated_dtype or "bfloat16"

    @cached_property
    def _stated_dtype(self) -> str | None:
        """The format as stated; None where it is not, or where it is no plain format (a quantised file's `float8_e4m3fn`)."""
        for config in (self.config, *_descendants(self.config)):
            for key in ("dtype", "torch_dtype"):
                stated = config.values.get(key)
                if stated is not None and not isinstance(stated, str):
                    raise config.fail(key, f"is {show(stated)}; the name of a number format was expected.")
                if stated and (name := stated.removeprefix("torch.")) in ("float32", "float16", "bfloat16"):
                    return name
        return None

    @cached_property
    def quantization(self) -> dict[str, Any] | None:
        """The configuration's own quantisation section, here or in the nested configurations."""
        for config in (self.config, *_descendants(self.config)):
            for key in ("quantization_config", "compression_config"):
                section = config.values.get(key)
                if isinstance(section, dict) and section:
                    return section
        return None

    def assumptions(self) -> Iterator[Note]:
        """Yield what the file did not state, and where it was taken from."""
        if self.config.model_type and self.config.model_type not in Family.registry:
            named = f"model_type {self.config.model_type!r} is not known: read as its architecture's class says"
            yield Note(named, "vLLM chooses the model by architecture (model_executor/models/registry.py)")
        if self._stated_dtype is None:
            yield Note("The configuration states no number format: bfloat16", "most published checkpoints")
        for config in (self.config, *_descendants(self.config)):
            # A switch that is off by default changes nothing that a reader would look for.
            counted = {key: value for key, value in config.assumed.items() if value not in _OFF}
            if counted and config.facts:
                values = ", ".join(f"{key}={value!r}" for key, value in sorted(counted.items()))
                yield Note(
                    f"{config.path + ' ' if config.path else ''}not stated, so the type's defaults: {values}",
                    f"{config.facts.class_name}, transformers 5.18.0",
                )


def _descendants(config: Config) -> Iterator[Config]:
    for part in config.parts:
        yield part
        yield from _descendants(part)


def as_component(parts: Iterable[Part], component: Component) -> Iterator[Part]:
    """Return the parts counted under another component: a tower's parts under `vision`, an encoder's under `encoder`."""
    return (replace(part, component=component) for part in parts)


def family_of(config: Config) -> Family:
    """Return the family that reads this configuration.

    Raises:
        UnsupportedArchitectureError: no family knows its model type.

    """
    config = _renamed(config)
    family = find_family(config.model_type) if config.model_type else _by_architecture(config) or _by_signature(config)
    named = re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", config.model_type)
    if family is None and named and config.facts is None and not config.values.get("auto_map"):
        # An unknown type of a known class, without code of its own: engines choose by the class (vLLM registry.py).
        family = _by_architecture(config)
    if family is not None and family.one_level and any(config.values.get(key) for key in LANGUAGE_KEYS):
        # The type of a language model on a file that nests one: the architecture is what the file is read by.
        family = _by_architecture(config)
        if family is None or family.one_level:
            key = next(key for key in LANGUAGE_KEYS if config.values.get(key))
            raise UnsupportedArchitectureError(
                f"{config.where}: {config.path}{key} holds a model of its own, but model_type {config.model_type!r} has none.",
                hint=f"Set model_type to the multimodal type, or give the content of {key} as a configuration of its own.",
            )
    if family is None:
        which = f"model_type {config.model_type!r}" if config.model_type else "a configuration without model_type"
        raise UnsupportedArchitectureError(
            f"{config.where}: {config.path}{which} is not one that kvplan has a rule for.",
            hint="If it is a renamed copy of a known type, set model_type to that; else open an issue with the configuration.",
        )
    return family(config)


def _renamed(config: Config) -> Config:
    """Return the configuration under its class's own type, where it states another model's."""
    names = config.values.get("architectures")
    for name in names if isinstance(names, list) else []:
        if isinstance(name, str) and (own := _MISNAMED.get((config.model_type, name))):
            return Config(config.values, where=config.where, path=config.path, model_type=own)
    return config


def find_family(model_type: str) -> type[Family] | None:
    """Return the family class for a model type, or None."""
    if model_type not in Family.registry:
        module = re.sub(r"[^a-z0-9_]", "_", model_type.lower())
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(f"kvplan.models.families.{module}")
        if model_type not in Family.registry:
            _import_all()
    return Family.registry.get(model_type)


def _by_architecture(config: Config) -> type[Family] | None:
    names = config.values.get("architectures")
    if not isinstance(names, list):
        return None
    _import_all()
    return next(
        (Family.by_architecture[name] for name in names if isinstance(name, str) and name in Family.by_architecture),
        None,
    )


def _by_signature(config: Config) -> type[Family] | None:
    if config.values.get("architectures"):
        return None
    _import_all()
    return next((family for keys, family in Family.by_signature.items() if keys <= config.values.keys()), None)


def _import_all() -> None:
    import pkgutil  # noqa: PLC0415  only where a type has no file of its own name

    package = importlib.import_module("kvplan.models.families")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
