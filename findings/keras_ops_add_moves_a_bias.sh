#!/usr/bin/env bash
# keras.ops.add on TensorFlow adds a (1, C, 1, 1) tensor along the last axis, as soon as the last axis has C entries as well.
#
# The broadcast of NumPy, JAX and torch along axis 1 is what the shape asks for. Keras takes any second operand with one axis longer
# than 1 for a bias, drops its other axes and looks for its length among the axes of the first: the last axis wins. Keras' own Conv2D
# with channels first adds its bias so: it is wrong where the outputs are as wide as there are filters. Nothing warns of it, and
# `x + y` of the same tensors is right.
#
# Versions: keras 3.15.1, tensorflow 2.21.0. Source: `add` in keras/src/backend/tensorflow/numpy.py, the case for `bias_add`.
# For low-bit networks: a bias, a scale of each filter and a learned threshold of each channel are such operands, and feature maps of
# 32 x 32 with 32 filters are common. tfq adds with the channels first by `+`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check keras==3.15.1 tensorflow==2.21.0
cd "$folder"
cat > finding.py <<'PYTHON'
import os

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
import keras
import numpy as np


def of_add(width):
    """The largest error of 4 channels plus a bias for each, on images of this width."""
    x, bias = np.zeros((1, 4, 5, width), "float32"), np.arange(4, dtype="float32").reshape(1, 4, 1, 1)
    tensors = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(bias)
    return np.abs(np.asarray(keras.ops.add(*tensors)) - (x + bias)).max(), np.abs(np.asarray(tensors[0] + tensors[1]) - (x + bias)).max()


def of_conv(width):
    """Likewise of a convolution of Keras, whose kernel is 0."""
    layer = keras.layers.Conv2D(4, 1, data_format="channels_first", kernel_initializer="zeros")
    layer.build((1, 2, 5, width))
    layer.bias.assign(np.arange(4))
    found = np.asarray(layer(np.zeros((1, 2, 5, width), "float32")))
    return np.abs(found - np.arange(4).reshape(1, 4, 1, 1)).max()


print("keras", keras.__version__)
for width in (3, 4):
    print(f"4 channels, width {width}: ops.add is off by {of_add(width)[0]}, + by {of_add(width)[1]}, Conv2D by {of_conv(width)}")
raise SystemExit(not (of_add(3) == (0, 0) and of_add(4) == (3, 0) and of_conv(3) == 0 and of_conv(4) == 3))
PYTHON
"$folder/venv/bin/python" finding.py
