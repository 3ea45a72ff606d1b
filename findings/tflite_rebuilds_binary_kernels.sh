#!/usr/bin/env bash
# TensorFlow's TFLite converter folds a binary kernel of 2,016 weights into numbers, and leaves one of 2,160 to each inference.
#
# A kernel that is a constant of the converted graph is expected to be folded whatever its size. That of a sign by comparison
# (`where(w >= 0, 1, -1)` times a scale, since sign(0) has to be +1) is folded up to about 2,048 weights only. A larger one goes into
# the file as a bool a weight, and SELECT_V2, MUL and TRANSPOSE make the float kernel of it anew in each inference. `tf.sign` and
# rounding to levels are folded at any size, so that a ternary or k-bit network does not show it. The file looks four times smaller,
# which hides that it is slower.
#
# Versions: TensorFlow 2.21.0. Source: the converter's constant folding, as seen in the operations of the file that it writes.
# For low-bit networks: an export of XNOR-Net or of 1-bit DoReFa builds every kernel of a useful size anew for each image. tfq puts
# kernels into the graph as numbers, or as int8 with a DEQUANTIZE that is run once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow==2.21.0
cd "$folder"
cat > finding.py <<'PYTHON'
import tensorflow as tf


def operations(filters, quantize):
    """Operations of a file that holds one convolution of a quantized kernel, 3x3 on 16 channels."""
    weights = tf.Variable(tf.random.stateless_normal((3, 3, 16, filters), seed=[0, 1]))

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 16))])
    def network(images):
        return tf.nn.conv2d(images, quantize(weights), 1, "SAME")

    file = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()]).convert()
    interpreter = tf.lite.Interpreter(model_content=file)
    return sorted({details["op_name"] for details in interpreter._get_ops_details()} - {"DELEGATE"})


def binary(weights):
    return tf.where(weights >= 0, 1.0, -1.0) * tf.reduce_mean(tf.abs(weights), axis=(0, 1, 2))


def levels(weights):
    return tf.round(tf.tanh(weights) * 7) / 7


print("TensorFlow", tf.__version__)
found = {}
for quantize in (binary, levels):
    for filters in (14, 15):
        found[quantize.__name__, filters] = operations(filters, quantize)
        print(f"{quantize.__name__} kernel of {144 * filters} weights: {', '.join(found[quantize.__name__, filters])}")
rebuilt = ["CONV_2D", "MUL", "SELECT_V2", "TRANSPOSE"]
expected = {("binary", 14): ["CONV_2D"], ("binary", 15): rebuilt, ("levels", 14): ["CONV_2D"], ("levels", 15): ["CONV_2D"]}
raise SystemExit(found != expected)
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" finding.py 2>errors.txt || { status=$?; tail -5 errors.txt >&2; exit $status; }
