"""FLOPs by keras-flops, in this very process, whichever Keras it runs."""

import importlib.util

import pytest

import models
from tfq.backend.keras import keras
from tfq.summary import flops, summarize

WITHOUT_TENSORFLOW = importlib.util.find_spec("tensorflow") is None


@pytest.mark.tensorflow_only
def test_float_resnet20(capfd):
    model = models.build("resnet20", method="float")
    capfd.readouterr()
    assert flops.count(model) == 319_347_658  # 2 * 159,042,048 of convolutions and head, and what is not multiplied
    assert flops.count(model) == 319_347_658  # also once keras-flops is loaded
    assert capfd.readouterr() == ("", "")  # TensorFlow's profiler prints a report


@pytest.mark.tensorflow_only
def test_by_hand():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(7)])
    weights = model.get_weights()
    assert flops.count(model) == 2 * 5 * 7 + 7
    assert [w.tolist() for w in weights] == [w.tolist() for w in model.get_weights()]


@pytest.mark.tensorflow_only
def test_two_inputs():
    inputs = [keras.Input((5,)), keras.Input((3,))]
    outputs = [keras.layers.Dense(7, use_bias=False)(x) for x in inputs]
    assert flops.count(keras.Model(inputs, outputs)) == 2 * 7 * (5 + 3)


@pytest.mark.tensorflow_only
def test_the_summary_agrees_on_float_models():
    """But for convolutions in groups and einsums, of which keras-flops counts none in some versions of Keras."""
    layers, options = keras.layers, {"use_bias": False}
    x = keras.Input((9, 9, 4))
    y = layers.Conv2D(6, 3, strides=2, padding="same", **options)(x)
    y = layers.SeparableConv2D(8, 3, depth_multiplier=2, **options)(layers.DepthwiseConv2D(2, **options)(y))
    y = layers.Conv2DTranspose(3, 3, strides=2, padding="same", **options)(y)
    z = layers.Conv1D(6, 3, **options)(layers.Reshape((16, 3))(y))
    model = keras.Model(x, layers.Dense(7, **options)(layers.Flatten()(z)))
    assert flops.count(model) == 2 * summarize(model).total_macs > 0


@pytest.mark.skipif(not WITHOUT_TENSORFLOW, reason="needs an environment without TensorFlow")
def test_missing_tensorflow_names_the_extra():
    with pytest.raises(ImportError, match=r"tfq\[tensorflow\]"):
        flops.count(keras.Sequential([keras.Input((5,)), keras.layers.Dense(7)]))
