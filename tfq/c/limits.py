"""How much flash and memory a network may take."""

import re

from tfq.c.registry import NoC

_UNITS = {"": 1, "K": 1024, "M": 1024**2}


class TooLarge(NoC):
    """A network that needs more flash or memory than there is; the message says how much."""


def size(text: str) -> int:
    """Bytes of a text such as 256K, 1M or 65536.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"(\d+)([KM]?)", text.strip(), re.ASCII | re.IGNORECASE)
    if match is None:
        raise ValueError(f"a size is a number of bytes, or with K or M behind it, such as 256K; got {text!r}")
    return int(match[1]) * _UNITS[match[2].upper()]


def check(found: dict, flash: int | None, ram: int | None) -> None:
    """Raise unless a network fits.

    Args:
        found: its manifest.
        flash: most bytes of constants and code; None for any.
        ram: most bytes of arena, input and output; None for any.

    Raises:
        TooLarge: it does not.
    """
    needs = (
        ("flash", found["flash"]["total"], flash, "of constants and code"),
        ("ram", found["ram"]["total"], ram, "of arena, input and output"),
    )
    over = [f"{needed:,} bytes {what}, where {name}={most:,}" for name, needed, most, what in needs if most and needed > most]
    if over:
        raise TooLarge(f"the network needs {'; and '.join(over)}")
