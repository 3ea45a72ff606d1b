"""Networks that others have written, as quantized ones: all of them train."""

import re

import numpy as np
import pytest
from conftest import array
from quantizing import constant, fall, images, quantized_layers

from tfq.backend.keras import keras
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


def rest(normalizations):
    """Begin with the last batch normalization of each residual branch at 0 (arXiv:1706.02677, section 5.1).

    What comes out of fifty layers of signs is another in each step otherwise: one weight that flips changes the signs behind it.
    """
    assert normalizations
    for layer in normalizations:
        layer.gamma.assign(np.zeros(layer.gamma.shape, "float32"))


def pixels():
    """Images of 0 to 255, as EfficientNet takes them: of smaller ones its batch normalization makes next to nothing."""
    x, y = images(SHAPE, 16)
    return 255 * x, y


def kernels_of(model):
    return {path: array(kernel.latent) for path, layer in quantized_layers(model).items() for kernel in layer.kernels}


def check_training(model, quantizers, **options):
    quantized, _ = quantize_model(model, **quantizers, **options)
    before = kernels_of(quantized)
    first, last = fall(quantized, *pixels(), keras.optimizers.Adam(1e-3))
    assert last < 0.8 * first
    still = [path for path, kernel in kernels_of(quantized).items() if np.array_equal(kernel, before[path])]
    assert still == [], "these got no gradient"


@pytest.mark.tensorflow_only  # op by op JAX takes minutes
@pytest.mark.parametrize("quantizers", [SIGNS, LEVELS], ids=["signs", "levels"])
@pytest.mark.parametrize(
    ("build", "kernels"),
    [(mobilenet_v2, 51), (resnet50, 52), (efficientnet_b0, 80), (densenet121, 119), (vgg16, 14)],
    ids=["mobilenet", "resnet", "efficientnet", "densenet", "vgg"],
)
def test_quantizers_see_more_than_one_value(build, kernels, quantizers):
    quantized, report = quantize_model(build(), **quantizers)
    assert len(report.quantized) == len(quantized_layers(quantized)) == kernels
    assert constant(quantized, pixels()[0]) == []


@pytest.mark.parametrize(
    ("build", "last_of_branch", "in_a_row"),
    [
        (resnet50, r"conv\d_block\d_3_bn", 4),  # those in front of each stage
        (mobilenet_v2, r"block_\d+_project_BN", 21),
        (efficientnet_b0, r"block\d[b-d]_project_bn", 21),
    ],
    ids=["resnet", "mobilenet", "efficientnet"],
)
def test_the_loss_of_networks_of_signs_falls(build, last_of_branch, in_a_row):
    model = build()
    names = {layer.name for layer in model.layers}
    around = [layer for layer in model.layers if re.fullmatch(last_of_branch, layer.name)]
    rest([layer for layer in around if build is not mobilenet_v2 or layer.name.replace("project_BN", "add") in names])
    report = quantize_model(model, **SIGNS).report
    assert len(report.in_a_row) == in_a_row
    skip = report.in_a_row if in_a_row >= 16 else ()
    assert ("in a row" in str(report)) == bool(skip)
    check_training(model, SIGNS, skip=skip)


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
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[2, 2],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=SHAPE,
    )
    inputs = keras.Input(SHAPE)
    x = keras.layers.GlobalAveragePooling2D()(backbone(inputs))
    model = keras.Model(inputs, keras.layers.Dense(4)(x))
    report = quantize_model(model, **SIGNS).report
    assert {row.path.split("/")[0] for row in report.quantized} == {backbone.name}
    check_training(model, SIGNS)
