"""Which layers of Keras have a quantized class, and why others are left alone."""

from typing import Any

from tfq import layers, walk
from tfq.backend.keras import keras, weight_name
from tfq.convert.quantize.report import NO_KERNEL
from tfq.convert.quantize.wrapped import unwrapped
from tfq.layers.base import QuantizedLayer
from tfq.quantizers.base import registered_own

_KERNELS = ("kernel", "embeddings")


def quantized_classes() -> dict[type, Any]:
    """Quantized classes by the class of Keras that they quantize: those of tfq, and registered ones where tfq has none."""
    of_tfq = [getattr(layers, name) for name in layers.__all__]
    known = [*registered_own(QuantizedLayer).values(), *of_tfq]
    quantized = [cls for cls in known if _is_both(cls, QuantizedLayer, keras.layers.Layer)]
    return {stock: cls for cls in quantized if (stock := cls.stock_class()) is not None}


def has_kernel(layer: Any) -> bool:
    """Whether a layer, or one in it, multiplies by a matrix or looks up a table."""
    return any(weight_name(weight).endswith(_KERNELS) for weight in getattr(layer, "weights", ()))


def reason_to_leave(layer: Any) -> str | None:
    """Why there is no quantized layer for `layer`; None where there is one."""
    layer = unwrapped(layer)
    if isinstance(layer, QuantizedLayer):
        return "is quantized"
    if not has_kernel(layer):
        return NO_KERNEL
    classes = quantized_classes()
    if getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False):
        return "has Keras' own quantization, or LoRA"
    if type(layer) in classes:
        return None
    inside = [f"{type(inner).__name__} {path!r}" for path, inner in walk.layers(layer) if _own_kernel(inner)]
    if inside:
        return f"computes in its own call, with {', '.join(inside)}"
    return next(
        (f"is a {cls.__name__} with a call of its own" for cls in classes if isinstance(layer, cls)), "has no quantized class"
    )


def _is_both(cls, *bases):
    return isinstance(cls, type) and all(issubclass(cls, base) for base in bases)


def _own_kernel(layer: Any) -> bool:
    return has_kernel(layer) and not any(has_kernel(inner) for _, inner in walk.layers(layer))
