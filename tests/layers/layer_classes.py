"""Every class of quantized layers, with the options that its layer of Keras has, on inputs of a small size."""

from typing import NamedTuple

import numpy as np
from conftest import array, tensor

from tfq import layers
from tfq.backend.keras import is_legacy, keras


class Case(NamedTuple):
    """Arguments of a layer, and the shape of its inputs without the batch axis."""

    name: str
    cls: type
    arguments: tuple
    options: dict
    shape: tuple[int, ...]

    def __str__(self):
        return f"{self.name[5:]}-{'-'.join(str(value) for value in self.options.values())}"

    def build(self, cls=None, **options):
        """A layer of this class, or of another with its arguments, with values in all of its weights."""
        layer = (cls or self.cls)(*self.arguments, **self.options, **options)
        layer.build((None, *self.shape))
        rng = np.random.default_rng(1)
        for weight in layer.trainable_weights:
            weight.assign(rng.normal(size=tuple(weight.shape)).astype("float32"))
        return layer

    def quantizers(self, quantizer="xnor_weights"):
        """One for each kernel of the layer."""
        return {place.quantizer: quantizer for place in self.cls.kernel_places()}

    @property
    def inputs(self):
        """A batch of two."""
        return np.random.default_rng(0).normal(size=(2, *self.shape)).astype("float32")


# Sizes of the images along the axes of a layer of this rank. None is as long as there are filters, where Keras 3.15 adds a bias
# over the wrong axis of outputs with the channels first, on TensorFlow.
_SIZES = {1: (11,), 2: (11, 9), 3: (6, 7, 5)}
_SAME = {"padding": "same"}
_WINDOWS = [{}, _SAME, {**_SAME, "strides": 2}, {"strides": 2}, {**_SAME, "dilation_rate": 2}]
_CAUSAL = {"padding": "causal"}


def _convolution(name, rank, arguments, options):
    channels = 4
    of_images = (channels, *_SIZES[rank]) if options.get("data_format") == "channels_first" else (*_SIZES[rank], channels)
    return Case(name, getattr(layers, name), arguments, options, of_images)


def _convolutions():
    for rank in (1, 2, 3):
        options = [*_WINDOWS, {"groups": 2}]
        if rank == 1:
            options += [{**_CAUSAL, "dilation_rate": 2}, {**_CAUSAL, "strides": 2}, {**_CAUSAL, "groups": 2}]
        yield f"QuantConv{rank}D", rank, (2, 3), options
        # tf_keras has no dilation of three axes, and no output padding with another meaning than Keras 3.
        transposed = _WINDOWS[:-1] if is_legacy and rank == 3 else _WINDOWS
        yield f"QuantConv{rank}DTranspose", rank, (2, 3), [*transposed, {"strides": 2, "output_padding": 1}]
    for rank in (1, 2):
        options = [*_WINDOWS, {"depth_multiplier": 2}]
        yield f"QuantDepthwiseConv{rank}D", rank, (3,), options
        more = [{**_CAUSAL, "dilation_rate": 2}] if is_legacy and rank == 1 else []
        yield f"QuantSeparableConv{rank}D", rank, (2, 3), [*options, *more]


CONVOLUTIONS = [_convolution(name, rank, args, options) for name, rank, args, every in _convolutions() for options in every]
CHANNELS_FIRST = [
    _convolution(name, rank, args, {**options, "data_format": "channels_first"})
    for name, rank, args, every in _convolutions()
    for options in (every[2], every[-1])
]
_EINSUMS = [
    ("ab,bc->ac", 4, "c", (5,)),
    ("abc,cde->abde", (None, 2, 3), "de", (4, 5)),
    ("abc,edc->abed", (None, 3, 2), "e", (4, 5)),
    ("abc,bcd->abd", (4, 3), None, (4, 5)),
    ("abcd,cde->abe", (None, 3), "e", (2, 4, 5)),
    ("...x,xy->...y", 4, "y", (4, 5)),
    ("ab...,bc->ac...", 3, "c", (5, 4, 2)),
]
DENSE = [
    Case("QuantDense", layers.QuantDense, (4,), {}, (5,)),
    *(Case("QuantEinsumDense", layers.QuantEinsumDense, (e, out), {"bias_axes": b}, shape) for e, out, b, shape in _EINSUMS),
]
CASES = [*CONVOLUTIONS, *CHANNELS_FIRST, *DENSE]
# One of each class.
CLASSES = {case.name: case for case in reversed(CASES)}
CLASSES = {name: CLASSES[name] for name in sorted(CLASSES)}


def stock_on_quantized_operands(case, layer):
    """What the layer of Keras gives for the quantized kernels and the quantized inputs of a layer of tfq."""
    stock = case.build(layer.stock_class())
    for kernel in layer.kernels:
        getattr(stock, kernel.name).assign(kernel.quantized)
    signs = np.where(case.inputs >= 0, 1, -1)
    return array(stock(tensor(signs)))


def all_in_one():
    """A model with one layer of each class, each with inputs and outputs of its own."""
    inputs, outputs = [], []
    for name, case in CLASSES.items():
        layer = case.cls(*case.arguments, **case.options, **case.quantizers(), input_quantizer="xnor_inputs", name=name)
        inputs.append(keras.Input(case.shape))
        outputs.append(layer(inputs[-1]))
    return keras.Model(inputs, outputs), [tensor(case.inputs) for case in CLASSES.values()]
