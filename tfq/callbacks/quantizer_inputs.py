"""What reaches the quantizers of a model's inputs."""

import contextlib

import numpy as np

from tfq import walk
from tfq.backend.keras import keras, ops
from tfq.quantizers.base import Quantizer
from tfq.terminal import Log


class QuantizerInputs:
    """Sees the values that quantizers of inputs take, wherever in a model they are: each is watched while the model is called.

    Args:
        model: any built Keras model; layers of models and layers in it take part, and quantizers that are an activation function.
        log: takes the line on those that are left out.
    """

    def __init__(self, model: keras.Model, log: Log = print) -> None:
        self.model = model
        self.log = log
        self._said = False

    def share_outside(self, images: np.ndarray) -> float | None:
        """Mean over the quantizers of the share of values where they pass no gradient; None where it is known of no quantizer.

        Args:
            images: a batch, as the model takes it.
        """
        places = [(path, layer, name) for path, layer in walk.layers(self.model) for name in _quantizers(layer)]
        watching = [_Watching(getattr(layer, name)) for _, layer, name in places]
        with walk.standing_in([(layer, name, each) for (_, layer, name), each in zip(places, watching, strict=True)]):
            self.model(images, training=False)
        self._say([path for (path, _, _), each in zip(places, watching, strict=True) if not each.shares])
        shares = [np.mean(each.shares) for each in watching if each.shares]
        return float(np.mean(shares)) if shares else None

    def _say(self, left_out):
        if left_out and not self._said:
            self.log(
                f"Diagnosis leaves {', '.join(left_out)} out of inputs_outside: its quantizer has no window that is known, or "
                "sees no values outside of a compiled function"
            )
            self._said = True


def _quantizers(layer):
    """Names of the attributes that quantize what goes through a layer."""
    if getattr(layer, "input_quantizer", None) is not None and not _is_off(layer.input_quantizer):
        yield "input_quantizer"
    if isinstance(getattr(layer, "activation", None), Quantizer) and not _is_off(layer.activation):
        yield "activation"


def _is_off(quantizer):
    return getattr(quantizer, "is_off", False)


def _window(quantizer, state):
    """The lowest and the highest value that a quantizer passes a gradient at; None where that is not known."""
    if isinstance(quantizer, Quantizer):
        return quantizer.window(**state)
    if type(quantizer).__module__.split(".")[0] == "larq":
        return 0.0 if type(quantizer).__name__ == "DoReFa" else -1.0, 1.0
    return None


class _Watching:
    """A quantizer that notes the share of its inputs that lies outside, at each call."""

    def __init__(self, quantizer):
        self.shares = []
        self._quantizer = quantizer

    def __call__(self, x, **state):
        with contextlib.suppress(Exception):  # in a function that the backend compiles there are no values yet
            window = _window(self._quantizer, state)
            if window is not None:
                values = ops.convert_to_numpy(x)
                self.shares.append(np.mean((values < window[0]) | (values > window[1])))
        return self._quantizer(x, **state)
