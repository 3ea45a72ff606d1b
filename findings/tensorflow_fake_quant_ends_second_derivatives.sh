#!/usr/bin/env bash
# The gradient of TensorFlow's fake quantization cannot be differentiated again, and what it would add to a second derivative is left
# out in silence.
#
# The gradient itself is the upstream one inside the range and 0 outside: linear in the upstream, so its derivative is plain, and
# tf.clip_by_value has it. For fake_quant_with_min_max_args and _vars TensorFlow registers the op of the gradient as not differentiable.
# Alone it gives None. Beside any other term it gives the number of that term: no error, no warning, and a wrong second derivative.
#
# Versions: tensorflow 2.21.0. Source: `NotDifferentiable("FakeQuantWithMinMaxArgsGradient")` in tensorflow/python/ops/array_grad.py.
# For low-bit networks: tfmot trains by these ops. Hessian-vector products (which layers bear few bits), gradient penalties and
# sharpness-aware training of such a model leave out its quantized weights. tfq's estimators can be differentiated again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow==2.21.0
cd "$folder"
cat > finding.py <<'PYTHON'
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf

QUANTIZERS = {
    "fake_quant_with_min_max_args": lambda x: tf.quantization.fake_quant_with_min_max_args(x, -1, 1),
    "fake_quant_with_min_max_vars": lambda x: tf.quantization.fake_quant_with_min_max_vars(x, -1.0, 1.0),
    "clip_by_value": lambda x: tf.clip_by_value(x, -1, 1),
}


def second(loss):
    """The sum of the second derivatives of a loss at 0.5, or None."""
    x = tf.constant([0.5])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = loss(x)
        slope = inner.gradient(value, x)
    found = outer.gradient(slope, x)
    return None if found is None else float(found[0])


print("tensorflow", tf.__version__)
found = {}
for name, quantize in QUANTIZERS.items():
    found[name] = second(lambda x: quantize(x) ** 2), second(lambda x: quantize(x) ** 2 + x**3)
    print(f"{name}: d2/dx2 of q(x)^2 is {found[name][0]}, of q(x)^2 + x^3 {found[name][1]}; by hand 2 and 5")
quiet = (None, 3.0)
raise SystemExit(list(found.values()) != [quiet, quiet, (2.0, 5.0)])
PYTHON
"$folder/venv/bin/python" finding.py
