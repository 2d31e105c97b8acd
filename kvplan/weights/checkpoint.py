"""Which scheme a model's weights are stored by: the one asked for, else the one its checkpoint is published in."""

from kvplan.dtypes import Dtype
from kvplan.errors import SettingError
from kvplan.models.spec import ModelSpec
from kvplan.weights.formats import WeightFormat, find_format
from kvplan.weights.parts import Component
from kvplan.weights.scheme import Scheme, named_scheme


def published_scheme(model: ModelSpec, plain: Dtype) -> Scheme | None:
    """Return the scheme the checkpoint is published in.

    A checkpoint that is not quantised is loaded in `plain`, the engine's number format for this model.

    None where its quantisation section states no width that a rule here establishes: the weights are then unknown.

    Raises:
        ConfigError: a value of the section cannot be meant.

    """
    if model.published_as is not None:
        return named_scheme(model.published_as, kept=_left_alone(model.published_as, model))
    if not model.quantization:
        form = WeightFormat(name=plain.name, bits=8 * plain.block_bytes, source="the configuration's dtype")
        return Scheme(name=plain.name, form=None, plain_bytes=plain.block_bytes, source=form.source)
    from kvplan.weights.quantization import read_scheme  # noqa: PLC0415  only for quantised checkpoints

    return read_scheme(model.quantization, config=model.config, plain_bytes=plain.block_bytes, where=model.id)


def weight_scheme(model: ModelSpec, quantization: str | None, plain: Dtype) -> tuple[Scheme | None, bool]:
    """Return the scheme planned for, and whether the checkpoint is loaded as it is published.

    A format that the checkpoint has already is the checkpoint as it is: `fp8` of one in fp8 blocks, `nvfp4` of one whose
    experts are. None where its own section is not understood.

    Raises:
        SettingError: the name is not a format.
        ConfigError: a value of the checkpoint's own section cannot be meant.

    """
    published = published_scheme(model, plain)
    if quantization is None:
        return published, True
    try:
        asked = named_scheme(quantization, kept=_left_alone(quantization, model))
    except SettingError:
        method = str((model.quantization or {}).get("quant_method", "")).lower()
        if method and quantization.strip().lower() == method:
            return published, True
        raise
    if asked.form is not None and published is not None and _width(asked.form) in _widths(published):
        return published, True
    return asked, False


def _widths(scheme: Scheme) -> set[str]:
    """Return what a checkpoint is called by: its format and its experts'; one that only names single modules is of none."""
    return {_width(form) for form in (scheme.form, scheme.expert_form) if form is not None}


def _left_alone(name: str, model: ModelSpec) -> tuple[Component, ...]:
    """Return the components that checkpoints of a format leave in 16 bits where the model has them.

    Recurrent mixers: every FP4 checkpoint whose modules are known leaves them (nvidia's and RedHatAI's of Qwen 3.5, amd's),
    every int4 one of a mixture of experts, too (Qwen's GPTQ, RedHatAI's w4a16, cyankiwi's Qwen3-Next); dense int4 ones
    do not (cyankiwi's Qwen 3.5 9B). By element counts: tests/weights/checkpoints.json.
    """
    try:
        form, _ = find_format(name)
    except SettingError:
        return ()
    fp4 = form.name in ("nvfp4", "mxfp4")
    return ("mixer",) if fp4 or (form.name == "int4" and model.moe is not None) else ()


def _width(form: WeightFormat) -> str:
    """Return a format's name without how its scales are spread: `fp8` of `fp8-block`."""
    return form.name.split("-")[0]


def declared_kv_dtype(model: ModelSpec) -> str | None:
    """Return the cache format that the checkpoint declares (`kv_cache_quant_algo`, `kv_cache_scheme`), or None."""
    if model.published_kv_dtype is not None or not model.quantization:
        return model.published_kv_dtype
    from kvplan.weights.quantization import declared_kv_dtype as declared_in  # noqa: PLC0415  as above

    return declared_in(model.quantization)
