"""What loading a model takes in vLLM beside the stored weights.

`Model loading took X GiB` is what torch's allocator has handed out (utils/mem_utils.py DeviceMemoryProfiler, the same from
0.8 to 0.33): it counts rotary tables, what kernels and latent attention add, and blocks instead of tensors. Which tensors
there are follows from the modules that vLLM fuses.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from kvplan.caches import MLA, FullAttention
from kvplan.engines.torch_allocator import CachingAllocator
from kvplan.engines.vllm.buffers import buffer_items
from kvplan.engines.vllm.changes import Version, applies
from kvplan.engines.vllm.kernel_layouts import Kernels, added_bytes
from kvplan.engines.vllm.rope import RopeTable, rope_tables
from kvplan.models.spec import Layer, ModelSpec
from kvplan.units import MIB
from kvplan.weights.figure import WeightItem
from kvplan.weights.formats import WeightFormat
from kvplan.weights.parts import Component, Part, linear
from kvplan.weights.ranks import Group, RankParts, Ranks, shard

# vocab_parallel_embedding.py DEFAULT_VOCAB_PADDING_SIZE.
VOCABULARY_MULTIPLE = 64
# What mm_encoder_tp_mode=data keeps whole on every rank, and what language_model_only leaves out (config/multimodal.py).
TOWERS: frozenset[Component] = frozenset({"vision", "audio", "projector"})
# max_split_size while weights are loaded (gpu_worker.py load_model).
_UNSPLIT = 20 * MIB
# Modules that one tensor holds (packed_modules_mapping of the models).
_FUSED = {
    ("attention", "q_proj"): "qkv_proj",
    ("attention", "k_proj"): "qkv_proj",
    ("attention", "v_proj"): "qkv_proj",
    ("attention", "gate"): "qkv_proj",
    ("attention", "q_a_proj"): "fused_qkv_a_proj",
    ("attention", "kv_a_proj_with_mqa"): "fused_qkv_a_proj",
    ("mlp", "gate_proj"): "gate_up_proj",
    ("mlp", "up_proj"): "gate_up_proj",
    ("shared_experts", "gate_proj"): "gate_up_proj",
    ("shared_experts", "up_proj"): "gate_up_proj",
    ("experts", "gate_proj"): "w13_weight",
    ("experts", "up_proj"): "w13_weight",
    ("mixer", "in_proj_qkv"): "in_proj_qkvz",
    ("mixer", "in_proj_z"): "in_proj_qkvz",
    ("mixer", "in_proj_b"): "in_proj_ba",
    ("mixer", "in_proj_a"): "in_proj_ba",
    ("vision", "q_proj"): "qkv",
    ("vision", "k_proj"): "qkv",
    ("vision", "v_proj"): "qkv",
    ("encoder", "q_proj"): "qkv",
    ("encoder", "k_proj"): "qkv",
    ("encoder", "v_proj"): "qkv",
}
# gemma4.py, gemma3n.py: QKVParallelLinear makes K and V for layers that read another's cache, and V where it equals K.
_MAKES_ALL_QKV = ("gemma4", "gemma3n")


@dataclass(frozen=True, kw_only=True)
class Loading:
    """The loading of one stage's fullest rank.

    Attributes:
        model, layers, ranks: what is loaded, and how it is spread.
        parts: what the rank holds.
        plain_bytes: of a number that is not quantised.
        kernels: what decides their layouts.
        batched_tokens: most tokens of one step.
        drafts: whether a draft is served.

    """

    model: ModelSpec
    layers: range
    parts: RankParts
    plain_bytes: int
    ranks: Ranks
    kernels: Kernels
    batched_tokens: int
    drafts: bool

    def items(self) -> tuple[WeightItem, ...]:
        """Return what is taken beside the stored weights; nothing that is zero."""
        return tuple(item for item in self._items() if item.bytes)

    def _items(self) -> Iterator[WeightItem]:
        yield WeightItem(
            name="rotary tables",
            bytes=sum(table.bytes for table in self._tables),
            formula=" + ".join(f"{t.positions:,} positions x {t.width} x {t.number_bytes} B" for t in self._tables),
            source="vLLM 0.33 layers/rotary_embedding",
        )
        yield WeightItem(
            name="kernels' layouts",
            bytes=sum(
                copies * sum(added_bytes(piece.part, piece.form, self.kernels, self.plain_bytes) for piece in group)
                for group, copies in self.parts.distinct
            ),
            formula=f"axes and scales as the kernels of compute capability {self.kernels.generation[0]}.x have them",
            source="vLLM 0.33 fused_moe/oracle/mxfp4.py, quantization/utils/marlin_utils_fp8.py",
        )
        yield WeightItem(
            name="latent attention's copies",
            bytes=sum(self._latent_copies),
            formula=f"kv_b_proj in {8 * self.plain_bytes} bits beside the quantised one",
            source="vLLM 0.33 layers/attention/mla_attention.py process_weights_after_loading",
        )
        yield WeightItem(
            name="unused projections",
            bytes=sum(self._unused),
            formula="K and V of layers that read another layer's, V where it is K",
            source="vLLM 0.33 models/gemma4.py, gemma3n.py (QKVParallelLinear)",
        )
        yield from buffer_items(
            self.model,
            self.layers,
            self.parts,
            plain_bytes=self.plain_bytes,
            batched_tokens=self.batched_tokens,
            version=self.kernels.version,
            drafts=self.drafts,
        )
        yield WeightItem(
            name="allocator's rounding",
            bytes=rounding_bytes(self._sizes, self.kernels.version),
            formula="blocks of torch's allocator less the tensors in them",
            source="vLLM v1/worker/gpu_worker.py load_model; torch c10/cuda/CUDACachingAllocator.cpp",
        )

    @cached_property
    def _tables(self) -> tuple[RopeTable, ...]:
        return rope_tables(self.model, self.plain_bytes, self.kernels.version)

    @cached_property
    def _latent_copies(self) -> tuple[int, ...]:
        """The 16-bit copies of quantised kv_b_proj that decoding multiplies by."""
        if not any(isinstance(cache, MLA) for cache, _ in self.model.caches):
            return ()
        return tuple(
            piece.part.parameters * self.plain_bytes
            for group in self.parts.groups
            for piece in group
            if piece.form is not None and piece.part.name == "kv_b_proj"
        )

    @cached_property
    def _unused(self) -> tuple[int, ...]:
        if not self.model.model_type.startswith(_MAKES_ALL_QKV):
            return ()
        return tuple(
            shard(part, self.ranks).parameters * self.plain_bytes
            for index in self.layers
            for part in _missing_projections(self.model, self.model.layers[index])
        )

    @property
    def _sizes(self) -> Iterator[int]:
        """Every tensor of the rank, layer by layer as vLLM makes them."""
        sizes = {id(group): tuple(fused_sizes(group, self.plain_bytes)) for group, _ in self.parts.distinct}
        for group in self.parts.groups:
            yield from sizes[id(group)]
        yield from (table.bytes for table in self._tables)
        yield from self._latent_copies
        yield from self._unused


def rounding_bytes(sizes: Iterable[int], version: Version) -> int:
    """Return by how much torch's blocks are more than the tensors of these sizes."""
    return _rounding_bytes(tuple(sizes), _UNSPLIT if applies("unsplit_loading", version) else None)


@lru_cache(maxsize=64)
def _rounding_bytes(sizes: tuple[int, ...], unsplit: int | None) -> int:
    allocator = CachingAllocator(unsplit=unsplit)
    allocator.allocate(sizes)
    return allocator.allocated_bytes - sum(sizes)


def fused_sizes(group: Group, plain_bytes: int) -> Iterator[int]:
    """Yield the bytes of the tensors of one layer: what is fused is one, experts are stacked, copies of a tower stand apart."""
    sizes: dict[tuple[str, str, str], list[int]] = {}
    for piece in group:
        part, form = piece.part, piece.form
        name = _FUSED.get((part.component, part.name.rsplit(".", 1)[-1]), part.name)
        stacked = part.component == "experts"
        for kind, size in _stored(part, form, plain_bytes):
            entry = sizes.setdefault((part.component, name, kind), [0, 1 if stacked else part.count])
            entry[0] += size * (part.count if stacked else 1)
    for size, count in sizes.values():
        for _ in range(count):
            yield size


def _stored(part: Part, form: WeightFormat | None, plain_bytes: int) -> Iterator[tuple[str, int]]:
    """Yield the tensors of one copy of a part: weight, scales, bias."""
    bias = part.shape[0] if part.bias else 0
    numbers = part.parameters // part.count - bias
    if form is None:
        yield "weight", numbers * plain_bytes
    else:
        rows, columns = part.shape if len(part.shape) == 2 else (1, numbers)
        whole = form.linear_bytes(rows, columns)
        packed = whole if form.average_bits is not None else -(-numbers * round(form.bits * 8) // 64)
        yield "weight", packed
        yield "scales", whole - packed
    if bias:
        yield "bias", bias * plain_bytes


def _missing_projections(model: ModelSpec, layer: Layer) -> Iterator[Part]:
    """Yield K and V of a layer that has queries but not them."""
    own = {part.name for part in layer.parts}
    owner = layer if layer.shares_cache_of is None else model.layers[layer.shares_cache_of]
    cache = next((cache for cache in owner.caches if isinstance(cache, FullAttention)), None)
    if cache is None or "q_proj" not in own:
        return
    for name, dim in (("k_proj", cache.key_dim), ("v_proj", cache.value_dim)):
        if name not in own:
            yield linear(name, cache.heads * dim, model.hidden_size, component="attention", units=cache.heads)
