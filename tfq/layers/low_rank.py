"""Keras' low-rank adaptation (LoRA) of a kernel that is quantized."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tfq.backend.keras import ops

# Names of the two factors among the weights of a layer.
FACTORS = ("lora_kernel_a", "lora_kernel_b")


def latent(layer: Any, name: str) -> Any:
    """The weight of this name; once `layer.enable_lora(rank)` has frozen the kernel W, W + (alpha / rank) A B.

    So the quantizer sees the sum, in float32, and A and B are trained through it. Keras' own `kernel` is in the type that the
    layer computes in.

    Args:
        layer: any layer.
        name: of the attribute.
    """
    if name != "kernel" or not getattr(layer, "lora_enabled", False):
        return getattr(layer, name)
    frozen = next(weight for weight in layer.weights if weight.name == name)
    a, b = (getattr(layer, factor) for factor in FACTORS)
    return ops.add(frozen, (layer.lora_alpha / layer.lora_rank) * ops.matmul(a, b))


@contextlib.contextmanager
def enabled_last(layer: Any) -> Iterator[None]:
    """Context in which a layer is built, whose `lora_rank` counts behind it: Keras takes no more weights after the factors.

    Args:
        layer: any layer.
    """
    rank = getattr(layer, "lora_rank", None)
    if rank is not None:
        layer.lora_rank = None
    yield
    if rank is not None:
        layer.enable_lora(rank, lora_alpha=layer.lora_alpha)
