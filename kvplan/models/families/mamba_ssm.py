"""Files of the mamba_ssm library (state-spaces/mamba-2.8b, mamba2-2.7b): no model type, no class, known by their keys."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.config import Config
from kvplan.models.hybrid import Recurrent
from kvplan.models.mixers import Mamba1, Mamba2, Mixer, count_or_auto
from kvplan.weights.parts import Part, norm


class MambaSsm(Recurrent):
    """Mamba 1 and 2 as their authors publish them: the mixer's arguments under `ssm_cfg`, the vocabulary padded."""

    signature: ClassVar[frozenset[str]] = frozenset(("d_model", "n_layer", "vocab_size", "ssm_cfg"))
    source = "mamba_ssm: models/config_mamba.py, models/mixer_seq_simple.py, modules/mamba_simple.py, modules/mamba2.py"

    @property
    def norm_bias(self) -> bool:
        """LayerNorm has one; `rms_norm` is on where the file does not say."""
        return not self.config.flag("rms_norm", default=True)

    @cached_property
    def hidden_size(self) -> int:
        """`d_model`."""
        return self.config.count("d_model")

    @cached_property
    def layer_count(self) -> int:
        """`n_layer`."""
        return self.config.count("n_layer")

    @cached_property
    def vocab_size(self) -> int:
        """`vocab_size`, up to the next multiple of `pad_vocab_size_multiple`."""
        step = self.config.count("pad_vocab_size_multiple", default=8)
        return -(-self.config.count("vocab_size") // step) * step

    @cached_property
    def tied(self) -> bool:
        """`tie_embeddings`."""
        return self.config.flag("tie_embeddings", default=True)

    @cached_property
    def ssm(self) -> Config:
        """The mixer's arguments.

        Raises:
            UnsupportedArchitectureError: layers that attend, or an MLP.

        """
        if self.config.items("attn_layer_idx"):
            raise self.refuse("attn_layer_idx", "names layers that attend.", "Open an issue with the configuration.")
        if self.config.optional_count("d_intermediate", minimum=0):
            raise self.refuse("d_intermediate", "gives the layers an MLP.", "Open an issue with the configuration.")
        return self.config.part("ssm_cfg")

    @cached_property
    def mixer(self) -> Mixer:
        """The mixer that `layer` names, Mamba 1 where it names none.

        Raises:
            ConfigError: the width is no multiple of the heads'.
            UnsupportedArchitectureError: another mixer, or arguments that change its parameters.

        """
        ssm, hidden = self.ssm, self.hidden_size
        inner = ssm.count("expand", default=2) * hidden
        taps, bias = ssm.count("d_conv", default=4), ssm.flag("bias", default=False)
        conv_bias = ssm.flag("conv_bias", default=True)
        layer = ssm.text("layer", default="Mamba1")
        if layer == "Mamba1":
            return Mamba1(
                hidden=hidden,
                inner=inner,
                state=ssm.count("d_state", default=16),
                taps=taps,
                rank=count_or_auto(ssm, "dt_rank", -(-hidden // 16)),
                bias=bias,
                conv_bias=conv_bias,
            )
        unusual = next((key for key in ("d_ssm", "D_has_hdim", "rmsnorm") if ssm.states(key)), None)
        if layer != "Mamba2" or unusual:
            key = unusual or "layer"
            raise self.refuse(
                f"ssm_cfg.{key}", "is not one that a rule covers.", "Open an issue with the configuration."
            )
        width = ssm.count("headdim", default=64)
        if inner % width:
            raise ssm.fail("headdim", f"is {width}, which does not divide the inner width ({inner}).")
        return Mamba2(
            hidden=hidden,
            heads=inner // width,
            head_dim=width,
            state=ssm.count("d_state", default=128),
            groups=ssm.count("ngroups", default=1),
            taps=taps,
            bias=bias,
            conv_bias=conv_bias,
        )

    def outer(self) -> Iterator[Part]:
        """Return embedding, final norm and head."""
        yield from self.embedding_parts()
        yield norm("norm_f", self.hidden_size, bias=self.norm_bias)
        yield from self.head_parts()
