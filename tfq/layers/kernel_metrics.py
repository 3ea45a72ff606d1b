"""The metrics of the training that a layer keeps of its kernels: which ones, and what counts."""

from collections.abc import Iterable
from typing import Any

from tfq import metrics
from tfq.layers import flip_ratio
from tfq.quantizers.base import Quantizer


def names(asked: Iterable[str] | None, quantizers: Iterable[Any]) -> list[str]:
    """The metrics of a layer's kernels: asked of the layer or of a quantizer of a kernel; else those of the scope.

    Raises:
        ValueError: there is no metric of this name.
    """
    if isinstance(asked, str):
        raise ValueError(f"metrics must be a list of names; got metrics={asked!r}")
    own = [getattr(quantizer, "metrics", None) or () for quantizer in quantizers if isinstance(quantizer, Quantizer)]
    given = [*(asked or ()), *(name for of_one in own for name in of_one)]
    return sorted({metrics.check_name(name) for name in given or metrics.in_scope})


def begin(layer: Any, asked: list[str]) -> dict[str, flip_ratio.FlipCounter]:
    """Give a built layer its metrics.

    Args:
        layer: a `QuantizedLayer`.
        asked: of `names`.

    Returns:
        What counts the flips, by the names of the kernels.
    """
    return flip_ratio.watch(layer) if "flip_ratio" in asked else {}
