"""Inkling's towers and the whole model; its language model has a file of its own."""

import math
from collections.abc import Iterator
from typing import ClassVar, cast

from kvplan.models.towers import Composed, Tower
from kvplan.weights.parts import Component, Part, embedding, linear, norm


def _prime_factors(number: int) -> list[int]:
    """Return the prime factors, the smallest first."""
    factors, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 else factors


def _scales(frames: int, patch: int, channels: int) -> list[tuple[int, int, int]]:
    """Return (frames, side, channels) of each step from a pixel to a whole patch: space first, then time."""
    scales, side, time = [(1, 1, channels)], 1, 1
    for factor in reversed(_prime_factors(patch)):
        side *= factor
        scales.append((1, side, -(-side * side * channels // 64) * 64))
    for factor in reversed(_prime_factors(frames)):
        time *= factor
        scales.append((time, side, side * side * channels * time * 64))
    return scales


def _plan(scales: list[tuple[int, int, int]], ideals: list[float]) -> list[int]:
    """Return the scale of each boundary between layers: the nearest by size, or the best increasing choice if layers are few."""
    sizes = [math.log(time * side * side) for time, side, _ in scales]
    if len(ideals) > len(scales):
        return [min(range(len(scales)), key=lambda j: abs(ideal - sizes[j])) for ideal in ideals]
    best = [(0.0, list[int]())] + [(math.inf, list[int]())] * len(ideals)
    for column, size in enumerate(sizes):
        for row in range(len(ideals), 0, -1):
            cost = best[row - 1][0] + abs(ideals[row - 1] - size)
            if cost < best[row][0]:
                best[row] = (cost, [*best[row - 1][1], column])
    return best[-1][1]


class InklingVision(Tower):
    """A ladder of linears that fold neighbouring pixels, then frames, with a norm behind each but the last."""

    model_types = ("inkling_vision",)
    source = "transformers 5.18 modeling_inkling.py (plan_out_scales)"

    def outer(self) -> Iterator[Part]:
        """Return all parameters at the width that the file states."""
        return self.at_width(self.config.count("text_hidden_size"))

    def at_width(self, hidden: int) -> Iterator[Part]:
        """Return all parameters at the language model's width, which the configuration class puts in."""
        c = self.config
        frames, patch, channels = c.count("temporal_patch_size"), c.count("patch_size"), c.count("num_channels")
        layers = c.count("n_layers", "num_hidden_layers")
        scales = _scales(frames, patch, channels)
        whole = math.log(patch * patch * frames * channels)
        chosen = _plan(scales, [whole * index / layers for index in range(layers + 1)])
        chosen[0], chosen[-1] = 0, len(scales) - 1
        for index in range(layers):
            (time, side, source), (next_time, next_side, out) = scales[chosen[index]], scales[chosen[index + 1]]
            last = index == layers - 1
            fold = (next_time // time) * (next_side // side) ** 2
            yield linear(f"encoder_layers.{index}", hidden if last else out, source * fold, component="vision")
            if not last:
                yield norm(f"encoder_layers.{index}.layer_norm", out, component="vision")
        yield norm("final_norm", hidden, component="vision")


class InklingAudio(Tower):
    """A table of mel values per mel bin, summed, and a norm."""

    model_types = ("inkling_audio",)
    source = "transformers 5.18 modeling_inkling.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters at the width that the file states."""
        return self.at_width(self.config.count("text_hidden_size"))

    def at_width(self, hidden: int) -> Iterator[Part]:
        """Return all parameters at the language model's width."""
        rows = self.config.count("n_mel_bins") * self.config.count("mel_vocab_size")
        yield embedding("embed_audio_tokens", rows, hidden, component="audio")
        yield norm("norm", hidden, component="audio")


class Inkling(Composed):
    """Inkling."""

    model_types = ("inkling_mm_model",)
    architectures = ("InklingForConditionalGeneration",)
    source = "transformers 5.18 modeling_inkling.py, configuration_inkling.py __post_init__"
    never_tied = True
    towers: ClassVar[dict[str, Component]] = {"vision_config": "vision", "audio_config": "audio"}
    fixed: ClassVar[dict[str, str]] = {
        "vision_config": "inkling_vision",
        "audio_config": "inkling_audio",
        "text_config": "inkling_text",
    }

    def outer(self) -> Iterator[Part]:
        """Return the language model's outer parts and the towers at its width."""
        yield from self.text.outer()
        for key in self.towers:
            yield from cast("InklingVision | InklingAudio", self.tower(key)).at_width(self.hidden_size)
