"""Small trained networks to export, and real images."""

import functools
from pathlib import Path

import numpy as np
from random_models import disturb, randomize

from tfq.backend.keras import keras
from tfq.layers import BatchNormalization, QuantConv2D, QuantDense
from tfq.quantizers import DoReFaInputs, DoReFaWeights, TernaryWeights, XnorInputs, XnorWeights

QUANTIZERS = {
    "float": (None, None),
    "xnor": (XnorInputs(), XnorWeights()),
    "ternary": (None, TernaryWeights()),
    "dorefa": (DoReFaInputs(4), DoReFaWeights(4)),
}


@functools.cache
def cifar10_slice():
    """Images of CIFAR-10, normalized, and their labels."""
    with np.load(Path(__file__).parent / "data" / "cifar10_slice.npz") as arrays:
        return arrays["x_train"] / np.float32(127.5) - 1, arrays["y_train"].astype("int32")


@functools.cache
def trained(method):
    """A small network with moving statistics that are real; the padding and K in it have to survive the export.

    One for all tests of a process: what changes its weights puts them back.
    """
    data = cifar10_slice()
    keras.utils.set_random_seed(0)
    input_quantizer, kernel_quantizer = QUANTIZERS[method]
    quantized = {"input_quantizer": input_quantizer, "kernel_quantizer": kernel_quantizer}
    x = keras.Input((32, 32, 3))
    y = BatchNormalization()(keras.layers.Conv2D(16, 3, strides=2, padding="same")(x))
    y = BatchNormalization()(QuantConv2D(16, 3, padding="same", pad_values=1 if method == "xnor" else 0, **quantized)(y))
    y = BatchNormalization()(QuantConv2D(32, 3, strides=2, padding="same", kmap=method == "xnor", **quantized)(y))
    y = BatchNormalization()(keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(y)))
    y = QuantDense(16, **quantized)(y)
    model = keras.Model(x, keras.layers.Dense(10)(y))
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data[0][:256], data[1][:256], batch_size=32, epochs=2, verbose=0)
    return model


def binarynet(images, width=128, pad_values=1):
    """The network for CIFAR-10 of larq's documentation (Courbariaux et al. 2016, arXiv:1602.02830), giving logits, untrained."""
    binary = {"kernel_quantizer": XnorWeights(), "kernel_constraint": "weight_clip", "use_bias": False}
    inner = {"input_quantizer": XnorInputs(), **binary}
    same = {"padding": "same", "pad_values": pad_values, **inner}
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), QuantConv2D(width, 3, **binary), BatchNormalization(momentum=0.0, scale=False)]
    )
    for filters, pools in ((1, True), (2, False), (2, True), (4, False), (4, True)):
        model.add(QuantConv2D(filters * width, 3, **same))
        if pools:
            model.add(keras.layers.MaxPooling2D(2, 2))
        model.add(BatchNormalization(momentum=0.0, scale=False))
    model.add(keras.layers.Flatten())
    for units in (8 * width, 8 * width, 10):
        model.add(QuantDense(units, **inner))
        model.add(BatchNormalization(momentum=0.0, scale=False))
    rng = np.random.default_rng(0)
    randomize(model, rng, zero_filters=0)
    model(images, training=True)  # moving statistics of real images
    disturb(model, rng)
    return model
