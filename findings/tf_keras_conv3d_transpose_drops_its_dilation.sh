#!/usr/bin/env bash
# tf_keras' Conv3DTranspose takes dilation_rate, keeps it as an attribute, and computes without it.
#
# The output has the size of a kernel without dilation, and so have its values. Conv2DTranspose of the same package dilates. The
# configuration of the 3-D layer leaves the argument out, so that a saved model shows no trace of it. Nothing warns.
#
# Versions: tf_keras 2.21.0, tensorflow 2.21.0. Source: `call`, `compute_output_shape` and `get_config` of Conv3DTranspose, none of which
# reads `dilation_rate`.
# For low-bit networks: volumes (CT, radar, video) are where 1-bit kernels save most, and a comparison of a float baseline on tf_keras with
# another backend is off from this layer on. tfq refuses dilation of QuantConv3DTranspose on tf_keras.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tf_keras==2.21.0 tensorflow==2.21.0
cd "$folder"
cat > finding.py <<'PYTHON'
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tf_keras


def length(cls, dilation):
    """Of the first axis, out of 5 cells by a kernel of 3; that of the textbook is 5 - 1 + 2 dilation + 1."""
    layer = cls(1, 3, dilation_rate=dilation)
    rank = 2 if cls is tf_keras.layers.Conv2DTranspose else 3
    found = layer(np.ones((1, *[5] * rank, 1), "float32")).shape[1]
    print(f"{cls.__name__}, dilation_rate={layer.dilation_rate}: {found}; saved as {layer.get_config().get('dilation_rate', 'nothing')}")
    return found


print("tf_keras", tf_keras.__version__)
L = tf_keras.layers
found = [length(cls, dilation) for cls in (L.Conv2DTranspose, L.Conv3DTranspose) for dilation in (1, 2)]
raise SystemExit(found != [7, 9, 7, 7])
PYTHON
"$folder/venv/bin/python" finding.py
