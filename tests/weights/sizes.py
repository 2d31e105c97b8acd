"""What one part takes in a scheme."""

from kvplan.weights.parts import Part
from kvplan.weights.scheme import Scheme


def stored(scheme: Scheme, part: Part, layer: int | None) -> int:
    """Return the bytes of all copies of a part of layer `layer` (None: outside the layers)."""
    return scheme.stored_bytes(part, scheme.format_of(part, layer))
