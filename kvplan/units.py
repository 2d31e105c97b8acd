"""Sizes and counts as people write them, to integers and back. Inside kvplan sizes are integers in bytes."""

import re

from kvplan.errors import SettingError

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40
# The largest memory that is believed: a thousand times what any machine has.
LARGEST_SIZE = 2**60

_SIZE_UNITS = {
    "": 1, "b": 1,
    "k": KIB, "kib": KIB, "ki": KIB, "kb": 10**3,
    "m": MIB, "mib": MIB, "mi": MIB, "mb": 10**6,
    "g": GIB, "gib": GIB, "gi": GIB, "gb": 10**9,
    "t": TIB, "tib": TIB, "ti": TIB, "tb": 10**12,
}  # fmt: skip
# vLLM's rule for lengths: lower-case letters are decimal, upper-case ones binary (utils/argparse_utils.py).
_TOKEN_UNITS = {"": 1, "k": 10**3, "K": KIB, "m": 10**6, "M": MIB}

# As many digits as any size needs; longer numbers are refused before they are read.
_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,9})?"


def _times(number: str, unit: int) -> int:
    """Return number x unit, exactly, the rest of a byte or token dropped."""
    whole, _, fraction = number.partition(".")
    return int(int(whole + fraction) * unit // 10 ** len(fraction))


def ceil_div(a: int, b: int) -> int:
    """Return a / b rounded up; both are whole, b is positive."""
    return -(-a // b)


def round_up(a: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that holds `a`."""
    return -(-a // multiple) * multiple


def parse_size(text: str, *, name: str = "") -> int:
    """Return the bytes that a text such as `24GiB`, `80GB` or `512MiB` means (GB is decimal, GiB binary).

    Args:
        text: the size.
        name: of the option that gives it, for the message.

    Raises:
        SettingError: the text is not a positive size.

    """
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([a-zA-Z]*)\s*", text)
    unit = _SIZE_UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None or (size := _times(match[1], unit)) <= 0:
        raise SettingError(f"{name} {text[:40]!r} is not a size.".lstrip(), hint="Write it as 24GiB, 80GB or 512MiB.")
    return size


def parse_tokens(text: str, *, name: str = "") -> int:
    """Return the tokens that a text such as `8192`, `32k` (32,000) or `32K` (32,768) means, as vLLM reads it.

    Args:
        text: the count.
        name: of the option that gives it, for the message.

    Raises:
        SettingError: the text is not a positive count.

    """
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([kKmM]?)\s*", re.sub(r"(?<=\d)[_,](?=\d)", "", text))
    count = _times(match[1], _TOKEN_UNITS[match[2]]) if match else 0
    if count <= 0:
        raise SettingError(
            f"{name} {text[:40]!r} is not a number of tokens.".lstrip(), hint="Write it as 8192, 32k or 32K."
        )
    return count


def format_bytes(size: float) -> str:
    """Return a size as people read it: `1.34 GiB`, `320 KiB`, `656 B`."""
    sign, size = ("-", -size) if size < 0 else ("", size)
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            value = size / unit
            return f"{sign}{value:,.0f} {name}" if value >= 100 or value == int(value) else f"{sign}{value:.2f} {name}"
    return f"{sign}{size:,.0f} B"
