"""IQuest LoopCoder: Llama run several times over; the first run keeps everything, each further one a window."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import LayerCache, SlidingWindow
from kvplan.models.decoder import Decoder
from kvplan.weights.parts import Part, linear


class IQuestLoopCoder(Decoder):
    """IQuest Coder V1 Loop."""

    model_types = ("iquestloopcoder",)
    architectures = ("IQuestLoopCoderForCausalLM",)
    source = "vLLM 0.33 models/iquest_loopcoder.py"
    qkv_bias = False
    mlp_bias = False

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the first run's keys and values, and a window for each further run.

        Raises:
            ConfigError: more runs than are believed.

        """
        runs = self.config.count("loop_num", default=2)
        self.config.checked_count("loop_num x num_hidden_layers", runs * self.layer_count)
        window = SlidingWindow(
            heads=self.kv_heads,
            key_dim=self.head_dim,
            value_dim=self.head_dim,
            query_heads=self.heads,
            window=self.config.count("loop_window_size", default=64),
        )
        return (*super().caches(index), *(window,) * (runs - 1))

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the gate between the runs."""
        yield from super().attention_parts(index)
        yield linear("gate_proj", self.heads, self.head_dim, bias=True, component="attention")
