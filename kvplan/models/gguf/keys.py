"""The keys of a GGUF file's metadata, read with care: every value checked, every key that was looked at remembered."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from kvplan.checkpoints.gguf_bytes import Skipped
from kvplan.checkpoints.tensors import Tensor
from kvplan.errors import ConfigError, UnsupportedArchitectureError
from kvplan.models.config import show

# Keys that announce a cache of their own kind, or experts. A rule that meets one which it does not read refuses, as
# families do with the keys of a configuration (kvplan/models/family.py SIGNALS).
SIGNALS: Final = frozenset(  # one word list is easier to keep than forty quoted lines
    """
    attention.sliding_window attention.sliding_window_pattern attention.shared_kv_layers attention.kv_lora_rank
    attention.key_length_swa attention.value_length_swa attention.key_length_mla attention.value_length_mla
    attention.indexer.head_count attention.indexer.key_length attention.compress_ratios attention.recurrent_layers
    full_attention_interval shortconv.l_cache kda.head_dim wkv.head_size ssm.state_size decoder_block_count
    expert_count nextn_predict_layers cross_attention_layers
    """.split()  # noqa: SIM905
)
_LARGEST: Final = 2**40
_PLAIN: Final = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}

Rule = Callable[["Keys"], dict[str, Any]]
RULES: Final[dict[str, Rule]] = {}


def rule(*architectures: str) -> Callable[[Rule], Rule]:
    """Register a rule for values of `general.architecture`."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(architectures, function))
        return function

    return register


def given(**values: Any) -> dict[str, Any]:
    """Return the values that are known: what is None is left to the model type's default."""
    return {key: value for key, value in values.items() if value is not None}


class Keys:
    """A file's metadata under its architecture's prefix, and what its tensors tell beside it.

    Args:
        metadata: as read.
        tensors: the file's; empty where only the metadata is at hand: what they would tell is then unknown.
        where: what error messages call the file.

    Raises:
        ConfigError: the file names no architecture.

    """

    def __init__(self, metadata: Mapping[str, Any], tensors: Iterable[Tensor], where: str) -> None:
        self.metadata = metadata
        self.where = where
        architecture = metadata.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            raise ConfigError(f"{where}: general.architecture is not stated: it holds no model.")
        self.architecture = architecture
        self.tensors = {tensor.name: tensor for tensor in tensors}
        # What stands behind the layer's number, for questions about any layer.
        self.suffixes = {
            name.split(".", 2)[2] for name in self.tensors if name.startswith("blk.") and name.count(".") > 1
        }
        self.read: set[str] = set()

    def fail(self, key: str, problem: str) -> ConfigError:
        """Return the error for a key."""
        return ConfigError(f"{self.where}: {self.architecture}.{key} {problem}")

    def refuse(self, key: str, problem: str) -> UnsupportedArchitectureError:
        """Return the refusal of a key that no rule covers."""
        return UnsupportedArchitectureError(
            f"{self.where}: {self.architecture}.{key} {problem} kvplan does not guess what it caches.",
            hint="Give the config.json of the model that the file was made from.",
        )

    # -- looking up --------------------------------------------------------------------------------------------------

    def raw(self, key: str) -> Any:
        """Return a value as it stands in the file, or None."""
        self.read.add(key)
        return self.metadata.get(f"{self.architecture}.{key}")

    def optional(self, key: str) -> int | None:
        """Return a whole number, or None; a list of equal numbers counts as one.

        Raises:
            ConfigError: it is something else.
            UnsupportedArchitectureError: a list whose numbers differ, where the rule knows only one for all layers.

        """
        value = self.raw(key)
        if value is None:
            return None
        values = self._checked(key, value if isinstance(value, list) else [value])
        if not values or any(other != values[0] for other in values):
            raise self.refuse(key, "differs from layer to layer, which the rule does not cover.")
        return values[0]

    def count(self, key: str, default: int | None = None) -> int:
        """Return a whole number.

        Raises:
            ConfigError: it is missing and has no default, or is something else.

        """
        value = self.optional(key)
        if value is None and default is None:
            raise self.fail(key, "is not stated.")
        return default if value is None else value  # type: ignore[return-value]  # one of the two is no None

    def number(self, key: str, default: float) -> float:
        """Return a finite number.

        Raises:
            ConfigError: it is something else.

        """
        value = self.raw(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise self.fail(key, f"is {show(value)}; a number was expected.")
        return float(value)

    def per_layer(self, key: str) -> list[int] | None:
        """Return a number for each layer, given once or as a list (longer where it also covers draft layers).

        Raises:
            ConfigError: it is something else, or the list is too short.

        """
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, list):
            return self._checked(key, [value]) * self.layers
        if len(value) < self.layers:
            raise self.fail(key, f"has {len(value)} values for {self.layers} layers.")
        return self._checked(key, value[: self.layers])

    def listed(self, key: str) -> list[int]:
        """Return `per_layer` for a key that must be there.

        Raises:
            ConfigError: as `per_layer`, or it is missing.

        """
        values = self.per_layer(key)
        if values is None:
            raise self.fail(key, "is not stated.")
        return values

    def _checked(self, key: str, values: Sequence[Any]) -> list[int]:
        for value in values:
            if isinstance(value, Skipped):
                raise self.fail(key, f"is a list of {len(value):,} values, more than any model has layers.")
            if not isinstance(value, int) or not 0 <= value <= _LARGEST:
                raise self.fail(key, f"is {show(value)}; a whole number was expected.")
        return [int(value) for value in values]  # true and false count as 1 and 0

    # -- what every architecture has -----------------------------------------------------------------------------------

    @property
    def drafts(self) -> int:
        """Next-token layers, which stand behind the others and are counted with them."""
        return self.count("nextn_predict_layers", 0)

    @property
    def layers(self) -> int:
        """Layers without the next-token ones."""
        count = self.count("block_count") - self.drafts
        if not 1 <= count <= 4000:
            raise self.fail("block_count", f"leaves {count} layers.")
        return count

    @property
    def hidden(self) -> int:
        """Width of the model."""
        return self._positive("embedding_length")

    @property
    def heads(self) -> int:
        """Query heads."""
        return self._positive("attention.head_count")

    def _positive(self, key: str) -> int:
        value = self.count(key)
        if not value:
            raise self.fail(key, "is 0.")
        return value

    @property
    def vocabulary(self) -> int | None:
        """Rows of the embedding, else the stated size, else the tokens of the vocabulary."""
        stated = self.optional("vocab_size")
        embedding = self.tensors.get("token_embd.weight")
        if embedding is not None and len(embedding.shape) == 2:
            return embedding.shape[0]
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        return stated or (len(tokens) if isinstance(tokens, Skipped | list) else None)

    @property
    def tied(self) -> bool | None:
        """Whether the head is the embedding: there is no `output.weight`. None without a table of tensors."""
        return "output.weight" not in self.tensors if self.tensors else None

    def present(self, *suffixes: str) -> bool | None:
        """Whether any layer has a tensor of one of these names (`attn_q.bias`). None without a table of tensors."""
        return any(suffix in self.suffixes for suffix in suffixes) if self.tensors else None

    @property
    def dtype(self) -> str | None:
        """The format of the embedding where it is a plain one: of quantised files nothing is known."""
        embedding = self.tensors.get("token_embd.weight")
        return _PLAIN.get(embedding.dtype) if embedding else None

    @property
    def head_dim(self) -> int:
        """Width of a head: stated, else hidden size / heads (llama.cpp llama-model.cpp load_hparams).

        Raises:
            ConfigError: nothing gives a width.
            UnsupportedArchitectureError: keys and values differ in width.

        """
        heads = self.heads
        if heads > self.hidden:
            raise self.fail("attention.head_count", f"is {heads}, for a width of {self.hidden}.")
        key, value = (self.count(f"attention.{kind}_length", self.hidden // heads) for kind in ("key", "value"))
        if key != value:
            raise self.refuse("attention.value_length", f"is {value}, but keys are {key} wide.")
        return key

    def base(self, model_type: str, **more: Any) -> dict[str, Any]:
        """Return the keys that nearly all model types have, then those given; what is None is left out."""
        kv_heads = self.optional("attention.head_count_kv")
        common = given(
            model_type=model_type,
            num_hidden_layers=self.layers,
            hidden_size=self.hidden,
            num_attention_heads=self.heads,
            num_key_value_heads=self.heads if kv_heads is None else kv_heads,
            head_dim=self.head_dim,
            intermediate_size=self.optional("feed_forward_length") or None,
        )
        return common | self.outer() | given(**more)

    def outer(self) -> dict[str, Any]:
        """Return the keys that say nothing of single layers."""
        return given(
            vocab_size=self.vocabulary,
            max_position_embeddings=self.optional("context_length"),
            tie_word_embeddings=self.tied,
            torch_dtype=self.dtype,
            rope_scaling=self._rope_scaling(),
        )

    def _rope_scaling(self) -> dict[str, Any] | None:
        """Return linear scaling, the only kind whose length is not in `context_length` already."""
        if self.raw("rope.scaling.type") != "linear":
            return None
        factor = self.number("rope.scaling.factor", 0)
        return {"rope_type": "linear", "factor": factor} if factor else None

    def experts(self, model_type: str, **more: Any) -> dict[str, Any]:
        """Return `base` for a model with routed experts, under the three names that most types know."""
        width = self.optional("expert_feed_forward_length")
        return self.base(
            model_type,
            **given(num_experts_per_tok=self.optional("expert_used_count"), moe_intermediate_size=width or None) | more,
        )

    def window_types(self, period: int, *, dense_first: bool = False) -> list[str]:
        """Return what each layer attends to: listed, else all but each `period`-th (llama.cpp set_swa_pattern).

        Args:
            period: of the architecture, where the file has no pattern.
            dense_first: whether the full layer is the first of each period, not the last.

        """
        pattern = self.raw("attention.sliding_window_pattern")
        if isinstance(pattern, list):
            slides = [bool(value) for value in self.listed("attention.sliding_window_pattern")]
        else:
            every = self.count("attention.sliding_window_pattern", period)
            full = 0 if dense_first else every - 1
            slides = [every == 0 or i % every != full for i in range(self.layers)]
        return ["sliding_attention" if sliding else "full_attention" for sliding in slides]

    def windowed(self, period: int, *, dense_first: bool = False, default: int | None = None) -> dict[str, Any]:
        """Return `layer_types` and the window; all full where the file has none.

        Args:
            period: as in `window_types`.
            dense_first: as in `window_types`.
            default: the window that llama.cpp takes where the file states none.

        """
        window = self.count("attention.sliding_window", default or 0)
        types = self.window_types(period, dense_first=dense_first)
        if not window:
            return {"layer_types": ["full_attention"] * self.layers}
        return {"layer_types": types, "sliding_window": window}

    @property
    def dense_layers(self) -> int:
        """Layers at the start without experts: told by their tensors, which some files' metadata contradicts."""
        stated = self.count("leading_dense_block_count", 0)
        routed = [i for i in range(self.layers) if f"blk.{i}.ffn_gate_inp.weight" in self.tensors]
        return routed[0] if routed else stated

    def words(self, key: str, *, some: str, none: str) -> list[str]:
        """Return a word for each layer: `none` where the number is 0.

        Raises:
            ConfigError: the key is missing or no number or list.

        """
        return [some if value else none for value in self.listed(key)]

    def most(self, key: str) -> int:
        """Return the number of all layers that do not have 0.

        Raises:
            ConfigError: it is missing, or 0 in all layers.
            UnsupportedArchitectureError: layers have different ones.

        """
        found = {value for value in self.listed(key) if value}
        if len(found) > 1:
            raise self.refuse(key, "differs from layer to layer, which the rule does not cover.")
        if not found:
            raise self.fail(key, "is 0 in every layer.")
        return found.pop()

    def quotient(self, key: str, divisor: int, what: str) -> int:
        """Return a number divided by another one that must divide it.

        Raises:
            ConfigError: it does not.

        """
        value = self.count(key)
        if not divisor or value % divisor:
            raise self.fail(key, f"is {value}, no multiple of {what} ({divisor}).")
        return value // divisor

    # -- at the end ----------------------------------------------------------------------------------------------------

    def check_signals(self) -> None:
        """Refuse where the file states a key about caches that the rule did not read.

        Raises:
            UnsupportedArchitectureError: naming the key.

        """
        for key in sorted(SIGNALS - self.read):
            value = self.metadata.get(f"{self.architecture}.{key}")
            if value and not (isinstance(value, list) and not any(value)):
                raise self.refuse(key, f"is {show(value)}, a key that the rule for this architecture does not know.")
