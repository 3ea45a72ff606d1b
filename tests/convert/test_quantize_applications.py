"""Networks that others have written, as quantized ones: all of them train."""

import numpy as np
import pytest
from quantizing import constant, fall, images, quantized_layers

from tfq.backend.keras import backend, keras
from tfq.convert import quantize_model
from tfq.quantizers import DoReFaInputs, DoReFaWeights, XnorInputs, XnorWeights

pytestmark = pytest.mark.slow
SIGNS = {"weights": XnorWeights(), "inputs": XnorInputs()}
LEVELS = {"weights": DoReFaWeights(2), "inputs": DoReFaInputs(2)}
SHAPE = (32, 32, 3)
ARGUMENTS = {"weights": None, "input_shape": SHAPE, "classes": 4, "classifier_activation": None}


def mobilenet_v2():
    return keras.applications.MobileNetV2(alpha=0.35, **ARGUMENTS)


def resnet50():
    return keras.applications.ResNet50(**ARGUMENTS)


def efficientnet_b0():
    return keras.applications.EfficientNetB0(**ARGUMENTS)


def densenet121():
    return keras.applications.DenseNet121(**ARGUMENTS)


def vgg16():
    return keras.applications.VGG16(**ARGUMENTS)


def check(model, quantizers, trains=True):
    quantized, report = quantize_model(model, **quantizers)
    assert len(report.quantized) == len(quantized_layers(quantized))
    x, y = images(SHAPE, 32)
    if backend != "jax":  # which runs op by op for minutes
        assert constant(quantized, x) == []
    if trains:
        first, last = fall(quantized, x, y)
        assert np.isfinite(last)
        assert last < 0.8 * first
    return report


@pytest.mark.parametrize("quantizers", [SIGNS, LEVELS], ids=["signs", "levels"])
@pytest.mark.parametrize(
    ("build", "kernels"), [(mobilenet_v2, 51), (resnet50, 52), (efficientnet_b0, 80)], ids=["mobilenet", "resnet", "efficientnet"]
)
def test_networks_of_keras_train(build, kernels, quantizers):
    assert len(check(build(), quantizers).quantized) == kernels


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("quantizers", [SIGNS, LEVELS], ids=["signs", "levels"])
@pytest.mark.parametrize("build", [densenet121, vgg16], ids=["densenet", "vgg"])
def test_quantizers_of_other_networks_see_more_than_one_value(build, quantizers):
    check(build(), quantizers, trains=False)


def test_what_becomes_of_resnet50():
    _, report = quantize_model(resnet50(), **SIGNS)
    # In each block two ReLUs stand between a batch normalization and the next convolution; the one behind the sum stays.
    assert len(report.removed) == 32
    assert {row.path for row in report.added} == {
        f"conv{stage}_block{block}_{part}_conv_input_bn"
        for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3))
        for block in range(1, blocks + 1)
        for part in ((0, 1) if block == 1 else (1,))
    }


@pytest.mark.keras3_only
def test_a_backbone_of_keras_hub_trains():
    hub = pytest.importorskip("keras_hub")
    backbone = hub.models.ResNetBackbone(
        input_conv_filters=[16],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[16, 32],
        stackwise_num_blocks=[2, 2],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=SHAPE,
    )
    inputs = keras.Input(SHAPE)
    x = keras.layers.GlobalAveragePooling2D()(backbone(inputs))
    report = check(keras.Model(inputs, keras.layers.Dense(4)(x)), SIGNS)
    assert {row.path.split("/")[0] for row in report.quantized} == {backbone.name}
