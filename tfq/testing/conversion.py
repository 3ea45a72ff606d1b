"""The contract of what converts a layer to operations of a graph and back: all of them compute the same."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfq.backend.keras import keras, ops
from tfq.backend.settings import plain_settings
from tfq.convert.from_keras import from_keras
from tfq.convert.layers import Unsupported
from tfq.convert.to_keras import to_keras
from tfq.graph import file, reference
from tfq.graph.check import GraphError
from tfq.testing.errors import ContractError

_IMAGES = 4
_CLOSE = 1e-4  # of sums of some hundred products in float32, over the largest


@plain_settings()
def check_conversion(layer: Any, input_shape: tuple[int, ...]) -> None:
    """Raise ContractError unless a layer, the operations that it is converted to, and the layers made of these, compute the same.

    A file holds the operations, too.

    Args:
        layer: of any class that a converter is registered for, `tfq.convert.register_from_keras`; if it is not built, with
            random weights.
        input_shape: of a small input, without the batch axis: (height, width, channels) or (features,).

    Raises:
        ContractError: the message says which of them is off.
    """
    kind = type(layer).__name__
    inputs = keras.Input(tuple(input_shape))
    was_built = layer.built
    model = keras.Model(inputs, layer(inputs))
    rng = np.random.default_rng(0)
    if not was_built:
        # Moving variances, and what quantizers keep, must stay as they are.
        for weight in layer.trainable_weights:
            weight.assign(weight + rng.uniform(0.1, 0.5, tuple(weight.shape)).astype("float32"))
    images = rng.normal(size=(_IMAGES, *input_shape)).astype("float32")
    expected = _array(model(images, training=False))
    try:
        graph = from_keras(model)
    except Unsupported as error:
        raise ContractError(f"{kind} has no operations: {error}") from error
    _expect_close(f"{kind}: its operations compute something else than the layer", reference.run(graph, images), expected)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.tfq"
        try:
            file.write(graph, path)
            again = to_keras(file.read(path))
        except (file.FileError, GraphError) as error:
            raise ContractError(f"{kind}: a file does not hold its operations: {error}") from error
        except (TypeError, ValueError) as error:
            raise ContractError(f"{kind}: its operations do not become layers again: {error}") from error
    _expect_close(f"{kind}: the layers made of its operations compute something else", _array(again(images)), expected)


def _expect_close(what, found, expected):
    if found.shape != expected.shape:
        raise ContractError(f"{what}: shape {found.shape[1:]} instead of {expected.shape[1:]}")
    off = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30)
    if not off <= _CLOSE:
        raise ContractError(f"{what}: off by {off:.1e} of the largest value; expected {_CLOSE:.0e} at most")


def _array(x):
    return np.asarray(ops.convert_to_numpy(x), "float32")
