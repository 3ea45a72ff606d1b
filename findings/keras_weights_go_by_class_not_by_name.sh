#!/usr/bin/env bash
# Keras loads a float network's weights into the wrong layers of its quantized twin, by names that differ.
#
# `save_weights("x.weights.h5")` stores layers by the name of their class and a running number (conv2d, conv2d_1, conv2d_2). The names
# that the user gave are not in the file. Where the middle layer of three convolutions is of a class of its own, as a quantized
# convolution is, the third layer reads the entry conv2d_1: the weights of the second. With `skip_mismatch=True`, which is meant for
# layers that do not fit, the call ends normally, warns of the middle layer alone, and the last layer holds the inner one's weights.
#
# Versions: Keras 3.15.1, JAX 0.10.2. Source: keras/src/saving/saving_lib.py, where the container of layers is walked by class name.
# For low-bit networks: the usual two stages (train in float, go on quantized) keep first and last layer in float and change the class
# of those between, which is this very case. Nothing shows but an accuracy that starts lower. tfq's
# `--init_from` reads such a file into the float network, and goes on from there by the names of the layers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 numpy==2.4.6
cd "$folder"
cat > finding.py <<'PYTHON'
import warnings

import keras
import numpy as np


class QuantizedConv2D(keras.layers.Conv2D):
    """Stands for any layer of a user's own that has the weights of Keras' convolution."""


def network(inner):
    layers = [
        keras.layers.Conv2D(4, 3, padding="same", name="first"),
        inner(4, 3, padding="same", name="inner"),
        keras.layers.Conv2D(4, 3, padding="same", name="last"),
    ]
    return keras.Sequential([keras.Input((8, 8, 4)), *layers])


float_network, twin = network(keras.layers.Conv2D), network(QuantizedConv2D)
before = {layer.name: keras.ops.convert_to_numpy(layer.kernel) for layer in twin.layers}
float_network.save_weights("float.weights.h5")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    twin.load_weights("float.weights.h5", skip_mismatch=True)

kernels = {layer.name: keras.ops.convert_to_numpy(layer.kernel) for layer in float_network.layers}
came = {}
for layer in twin.layers:
    same = [name for name, kernel in kernels.items() if np.array_equal(kernel, layer.kernel)]
    came[layer.name] = same[0] if same else "its own" if np.array_equal(before[layer.name], layer.kernel) else "?"
    print(f"layer {layer.name!r} of the twin now holds the kernel of {came[layer.name]!r}")
mentioned = [name for name in kernels if any(f"name={name}" in str(one.message) for one in caught)]
print(f"Keras {keras.__version__}: {len(caught)} warning(s), which name {mentioned}")
raise SystemExit(came != {"first": "first", "inner": "its own", "last": "inner"} or "last" in mentioned)
PYTHON
KERAS_BACKEND=jax "$folder/venv/bin/python" finding.py
