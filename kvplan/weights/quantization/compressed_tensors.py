"""compressed-tensors (llm-compressor's): groups of modules, each with its own width, strategy and file format.

Sources: compressed-tensors 0.20.1 quantization/lifecycle/initialize.py (scales and their number types), compressors/
(pack_quantized, nvfp4, mxfp4, mxfp6, mxfp8, naive_quantized), config/ (sparsity); vllm 0.33
quantization/compressed_tensors/utils.py (targets, `ignore`).
"""

from dataclasses import replace

from kvplan.weights.formats import WeightFormat
from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import ALL_LINEARS, LAYER_LINEARS, Rule, Scheme

METHODS = ("compressed-tensors", "compressed_tensors", "sparseml")
KEYS = ({"config_groups"},)

_SOURCE = "compressed-tensors 0.20.1"


def read(section: Section) -> Scheme | None:
    """Return the scheme of a compressed-tensors checkpoint.

    A target `Linear` is every nn.Linear: towers and the head, too, unless `ignore` names them. Routers are modules of their
    own in most families, and recipes name them where they are not: they stay.
    """
    groups = section.parts("config_groups")
    if not groups:
        return None
    every: WeightFormat | None = None
    rules: list[Rule] = []
    for group in groups.values():
        if group is None:
            continue
        weights = group.part("weights")
        if weights is None:
            continue  # a group of cached keys and values
        form = _form(group, weights, section)
        targets = group.names("targets") or ("Linear",)
        if form is None:
            return None
        for target in targets:
            if target in _CLASSES:
                every = every or form
            elif "." not in target and target[:1].isupper():
                return None  # a class of modules that no rule here knows
            else:
                rules.extend(section.rules((target,), form, "targets"))
    if every is None and not rules:
        return None
    kept = section.names("ignore")
    nested = section.config.get("quantization_config") is None and "text_config" in section.config
    return section.scheme(
        every,
        rules=(*section.rules(kept or (), None, "ignore"), *rules),
        # A section of the text configuration says nothing of the towers beside it.
        components=LAYER_LINEARS | {"head"} if nested else ALL_LINEARS - {"router"},
        stated=kept is not None,
        drafts=False,
        source=_SOURCE,
    )


_CLASSES = ("Linear", "QKVParallelLinear", "RowParallelLinear", "ColumnParallelLinear", "MergedColumnParallelLinear")


def _form(group: Section, weights: Section, section: Section) -> WeightFormat | None:
    bits = weights.whole("num_bits", most=16)
    kind = weights.word("type") or "int"
    file_format = group.word("format") or section.word("format") or ""
    if bits is None:
        return None
    form = _float(bits, group, weights) if kind == "float" else _integer(bits, file_format, group, weights)
    return None if form is None else _sparse(form, file_format, section)


def _float(bits: int, group: Section, weights: Section) -> WeightFormat | None:
    size = weights.group("group_size")
    scaled = group.has("input_activations")
    if bits == 4 and size == 16:
        return layouts.nvfp4(input_scale=scaled, source=_SOURCE)
    if bits in (4, 6, 8) and size == 32:
        return layouts.microscaled(bits, source=_SOURCE)
    if bits != 8:
        return None
    scale = group.plain_bytes
    match weights.word("strategy") or _strategy(weights):
        case "tensor":
            return replace(layouts.fp8_tensor(input_scale=False, source=_SOURCE), tensor_bytes=scale + _input(group))
        case "channel":
            return layouts.fp8_row(scale_bytes=scale, tensor_bytes=_input(group), source=_SOURCE)
        case "block":
            return layouts.fp8_block(weights.block("block_structure") or (128, 128), scale_bytes=scale, source=_SOURCE)
        case "group":
            return replace(
                layouts.integers(8, size or 128, scale_bits=8 * scale, zero_bits=0, source=_SOURCE), name="fp8"
            )
        case _:
            return None


def _integer(bits: int, file_format: str, group: Section, weights: Section) -> WeightFormat | None:
    if bits > 8:
        return None
    scale = group.plain_bytes
    even = weights.flag("symmetric", default=True)
    # Only files that pack keep less than a byte per weight.
    packs = "pack" in file_format or file_format == "marlin-24" or (not file_format and bits < 8)
    order = weights.word("actorder")
    extra = 16 if packs else _input(group)  # weight_shape: two int64
    columns = 4 if order in ("group", "true") or weights.get("actorder") is True else 0
    stored = bits if packs else 8
    zero = 0 if even else stored
    match weights.word("strategy") or _strategy(weights):
        case "group":
            size = weights.group("group_size")
        case "channel":
            size = None
        case "tensor":
            return replace(
                layouts.integers(bits, None, scale_bits=0, zero_bits=0, source=_SOURCE),
                bits=stored,
                tensor_bytes=extra + scale,
            )
        case _:
            return None
    form = layouts.integers(
        bits, size, scale_bits=8 * scale, zero_bits=zero, column_bytes=columns, tensor_bytes=extra, source=_SOURCE
    )
    return replace(form, bits=stored)


def _strategy(weights: Section) -> str:
    """Return the strategy where none is stated (QuantizationArgs' own rule)."""
    if weights.has("block_structure"):
        return "block"
    size = weights.whole("group_size", least=-1)
    return "tensor" if size is None else "channel" if size == -1 else "group"


def _input(group: Section) -> int:
    """Return the bytes of a scale of the inputs that is fixed ahead of time."""
    inputs = group.part("input_activations")
    return group.plain_bytes if inputs is not None and inputs.get("dynamic") is False else 0


def _sparse(form: WeightFormat, file_format: str, section: Section) -> WeightFormat:
    """Return the layout of 2:4 sparse weights: half of them, and a bit for each that says which."""
    sparsity = section.part("sparsity_config")
    kind = sparsity.word("format") if sparsity else None
    if file_format == "marlin-24" or kind == "sparse-24-bitmask":
        return replace(form, bits=form.bits / 2 + 1, name=f"{form.name} 2:4")
    return form
