#!/usr/bin/env bash
# A larq model that is saved and loaded, or cloned, no longer measures its flip ratio, and says nothing.
#
# larq's quantizers take metrics=["flip_ratio"]: the share of binary weights that changed sign in a step, by which the training of binary
# networks is watched. It stands in `history` as flip_ratio/NAME. The argument is not in the configuration of the quantizer, so the loaded
# model trains on with the same loss and without the metric. Stored as .keras, as HDF5 or cloned, it is the same, whether the metric came by
# the argument or by `metrics_scope`. A callback that monitors flip_ratio then has nothing to monitor.
#
# Versions: TensorFlow and tf_keras 2.21.0, larq 0.14.0. Source: larq/quantizers.py, `get_config` of the quantizers, which names all
# arguments but this one.
# For low-bit networks: whoever goes on from a checkpoint to see whether the weights still flip sees no column at all from there on. In tfq
# the metric is of the layer and in its configuration, so a loaded model measures on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow==2.21.0 tf_keras==2.21.0 larq==0.14.0 numpy==1.26.4
cd "$folder"
cat > finding.py <<'PYTHON'
import larq
import numpy as np
import tf_keras as keras

x, y = np.ones((8, 8), "float32"), np.ones((8, 4), "float32")


def model(quantizer):
    return keras.Sequential([keras.Input((8,)), larq.layers.QuantDense(4, kernel_quantizer=quantizer)])


def columns(trained):
    """What a step of training reports beside the loss."""
    trained.compile("sgd", "mse")
    return [name.split("/")[0] for name in trained.fit(x, y, verbose=0).history if name != "loss"]


def stored(trained, name):
    trained.save(name)
    return keras.models.load_model(name)


by_argument = model(larq.quantizers.SteSign(metrics=["flip_ratio"]))
with larq.context.metrics_scope(["flip_ratio"]):
    by_scope = model("ste_sign")
print("tf_keras", keras.__version__, "larq 0.14.0")
good = True
for text, first in (("the argument", by_argument), ("metrics_scope", by_scope)):
    before = columns(first)
    after = [columns(again) for again in (stored(first, "a.keras"), stored(first, "a.h5"), keras.models.clone_model(first))]
    print(f"flip_ratio by {text}: history has {before}; loaded from .keras, from HDF5, cloned: {after}")
    good &= before == ["flip_ratio"] and after == [[], [], []]
config = larq.quantizers.SteSign(metrics=["flip_ratio"]).get_config()
print("configuration of SteSign(metrics=['flip_ratio']):", sorted(config))
raise SystemExit(not (good and "metrics" not in config))
PYTHON
TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" finding.py 2>errors.txt || { status=$?; tail -5 errors.txt >&2; exit $status; }
