"""How many axes the inputs of a convolution have."""

from typing import Any

from tfq.backend.keras import Shape


def check(layer: Any, input_shape: Shape) -> None:
    """Raise ValueError unless the inputs of a convolution with quantized operands have its own axes, those of batch and channels.

    Keras 3 says it of some layers from within its operations; tf_keras takes more axes in front, which `keras.ops` does not.

    Args:
        layer: a convolution of any rank, transposed or not.
        input_shape: of its inputs.
    """
    axes = layer.rank + 2
    if len(input_shape) != axes:
        raise ValueError(f"{layer.name}: expected inputs of {axes} axes, batch and channels among them; got {tuple(input_shape)}")
