"""The mark in a file that the kernels of a layer are stored as they were quantized.

A class of one's own makes its layers with the quantizers that its code names, whatever the file holds.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfq.layers.kernel import QuantizedKernel
from tfq.quantizers.stored import Stored

_MARK = "stored"


def mark(kernels: Sequence[QuantizedKernel], store: Any) -> None:
    """Write which kernels are stored, if one is."""
    flags = [isinstance(kernel.quantizer, Stored) for kernel in kernels]
    if any(flags):
        store[_MARK] = np.array(flags, "float32")


def follow(kernels: Sequence[QuantizedKernel], store: Any) -> Any:
    """Let the quantizers be those of what a file holds; returns it without the mark."""
    names = list(store.keys())
    flags = np.asarray(store[_MARK]) if _MARK in names else np.zeros(len(kernels))
    for kernel, is_stored in zip(kernels, flags, strict=True):
        if is_stored and not isinstance(kernel.quantizer, Stored):
            kernel.set_quantizer(Stored(kernel.quantizer))
        elif not is_stored and isinstance(kernel.quantizer, Stored):
            kernel.set_quantizer(kernel.quantizer.quantizer)
    return {name: store[name] for name in names if name != _MARK}
