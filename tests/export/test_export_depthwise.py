"""Depthwise convolutions in the formats for other programs; what larq-compute-engine has no form for is said by name."""

import numpy as np
import pytest

from tfq import export
from tfq.backend.keras import keras
from tfq.layers import QuantConv2D, QuantDepthwiseConv2D
from tfq.quantizers import XnorInputs, XnorWeights

pytestmark = [pytest.mark.tensorflow_only, pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")]
SIGNS = {"input_quantizer": XnorInputs(), "kernel_quantizer": XnorWeights()}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 3))
    y = keras.layers.Conv2D(4, 3, padding="same", name="pixels")(x)
    y = QuantDepthwiseConv2D(3, padding="same", pad_values=1, depth_multiplier=2, name="spread", **SIGNS)(y)
    y = QuantConv2D(8, 1, name="point", **SIGNS)(y)
    return keras.Model(x, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(y)))


def test_each_format_computes_it(model, tmp_path):
    """Each file is loaded again and compared with the model before it is kept."""
    images = np.random.default_rng(0).normal(size=(64, 6, 6, 3)).astype("float32")
    formats = ["savedmodel", "keras", "tflite", "tflite_int8"]
    reports = export.save(model, tmp_path, formats, images=images)
    assert [report.format for report in reports] == formats


def test_larq_compute_engine_has_no_binary_one(model):
    with pytest.raises(export.Unsupported, match=r"layer 'spread' .* it has no binary QuantDepthwiseConv2D"):
        export.check_model(model, ["lce"])
