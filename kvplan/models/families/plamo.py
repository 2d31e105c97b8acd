"""PLaMo 1 and 3: shared KV heads and one norm; later windows, Q/K norms and four norms. PLaMo 2 is a hybrid."""

from collections.abc import Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, Decoder


class Plamo(Decoder):
    """PLaMo 13B: attention and MLP side by side behind one norm, `n_shared_head` query heads for each KV head.

    The remote code caches keys and values expanded to all query heads; the model has the shared ones.
    """

    model_types = ("plamo",)
    architectures = ("PlamoForCausalLM",)
    source = "pfnet/plamo-13b modeling_plamo.py (remote code): Attention, PlamoDecoderLayer"
    norms_per_layer = 1
    qkv_bias = False
    mlp_bias = False

    @cached_property
    def kv_heads(self) -> int:
        """Query heads / `n_shared_head`, rounded up; `num_key_value_heads` is not read by the reference."""
        self.config.overrule("num_key_value_heads")
        return -(-self.heads // self.config.count("n_shared_head", default=8))

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()


class Plamo3(Decoder):
    """PLaMo 3: windows on all layers but every `sliding_window_pattern`-th, four norms."""

    model_types = ("plamo3",)
    architectures = ("Plamo3ForCausalLM",)
    source = "vLLM 0.33 models/plamo3.py"
    qkv_bias = False
    mlp_bias = False
    qk_norm = True
    norms_per_layer = 4

    @cached_property
    def windows(self) -> Sequence[int | None] | None:
        """A window (or none) for each layer, under either of the keys in use; None where the file has one number."""
        for key in ("interleaved_sliding_window", "sliding_window"):
            if isinstance(self.config.raw(key), list | tuple):
                stated = self.config.items(key) or []
                if len(stated) != self.layer_count:
                    raise self.config.fail(key, f"has {len(stated)} items for {self.layer_count} layers.")
                return [None if w is None else self.config.checked_count(key, w) for w in stated]
        return None

    @cached_property
    def window(self) -> int | None:
        """The window of the layers that slide, the same for all.

        Raises:
            UnsupportedArchitectureError: layers have different windows.

        """
        if self.windows is None:
            return super().window
        sizes = {w for w in self.windows if w}
        if len(sizes) > 1:
            raise self.refuse("sliding_window", "gives layers different windows.", "State one window.")
        return next(iter(sizes), None)

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The windows say which layers slide; else the list, else the pattern.

        Raises:
            ConfigError: list and windows disagree.
            UnsupportedArchitectureError: neither is stated, nor a pattern.

        """
        if self.windows is not None:
            kinds = [SLIDING if w else FULL for w in self.windows]
            stated = self.config.items("layer_types")
            if stated is not None and stated != kinds:
                raise self.config.fail("layer_types", "and the windows of the layers disagree.")
            self.config.overrule("sliding_window_pattern")
            return kinds
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:
        """Every `sliding_window_pattern`-th layer is full.

        Raises:
            UnsupportedArchitectureError: the file has a window and no pattern.

        """
        if self.window is None:
            return FULL
        period = self.config.optional_count("sliding_window_pattern")
        if period is None:
            raise self.refuse("sliding_window_pattern", "is not stated.", "State layer_types or the pattern.")
        return SLIDING if (index + 1) % period else FULL
