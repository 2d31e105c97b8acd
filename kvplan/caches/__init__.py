"""What one layer keeps for one request: one file per cache kind, each answering the same few questions."""

from kvplan.caches.base import LayerCache
from kvplan.caches.chunked_local import ChunkedLocal
from kvplan.caches.compressed import CompressorState
from kvplan.caches.cross_attention import CrossAttention
from kvplan.caches.full_attention import FullAttention
from kvplan.caches.mla import MLA
from kvplan.caches.recurrent_state import RecurrentState, StateTensor
from kvplan.caches.sliding_window import SlidingWindow
from kvplan.caches.sparse_index import SparseIndex

__all__ = [
    "MLA",
    "ChunkedLocal",
    "CompressorState",
    "CrossAttention",
    "FullAttention",
    "LayerCache",
    "RecurrentState",
    "SlidingWindow",
    "SparseIndex",
    "StateTensor",
]
