"""GPT-Neo: every other layer attends to a window."""

from collections.abc import Sequence
from functools import cached_property

from kvplan.models.classic import Classic
from kvplan.models.decoder import FULL, SLIDING

_WORDS = {"global": FULL, "local": SLIDING}


class GptNeo(Classic):
    """GPT-Neo 125M, 1.3B, 2.7B."""

    model_types = ("gpt_neo",)
    architectures = ("GPTNeoForCausalLM",)
    source = "transformers 5.18 modeling_gpt_neo.py, configuration_gpt_neo.py expand_attention_types_params"
    qkv_bias = False
    learned_positions = 0

    @cached_property
    def intermediate_size(self) -> int:
        """`intermediate_size`, else four times the hidden size."""
        return self.config.optional_count("intermediate_size") or 4 * self.hidden_size

    @cached_property
    def window(self) -> int | None:
        """`window_size`."""
        return self.config.count("window_size", default=256)

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """As `attention_types` lists, [[["global", "local"], 12]]; without it global and local in turn.

        Raises:
            ConfigError: the list is of another form, or of another length than the layers.

        """
        stated = self.config.items("attention_types") or [[["global", "local"], -(-self.layer_count // 2)]]
        words: list[str] = []
        for item in stated:
            match item:
                case [[*pattern], int(times)] if 0 <= times <= self.layer_count and all(
                    isinstance(word, str) and word in _WORDS for word in pattern
                ):
                    words += [_WORDS[word] for word in pattern] * times
                case _:
                    raise self.config.fail("attention_types", 'is not a list of [["global", "local"], times] pairs.')
        if self.config.states("attention_types") and len(words) != self.layer_count:
            raise self.config.fail(
                "attention_types", f"describes {len(words)} layers, num_layers is {self.layer_count}."
            )
        return words[: self.layer_count]
