"""Every quantizer keeps the contract; one that does not is caught by it."""

import numpy as np
import pytest
from every_quantizer import ALL

from tfq import quantizers
from tfq.backend.keras import keras, ops
from tfq.callbacks import FlipRatio
from tfq.callbacks.quantizer_inputs import QuantizerInputs
from tfq.convert.from_keras import from_keras
from tfq.convert.to_keras import to_keras
from tfq.export import verify
from tfq.layers import QuantConv2D, QuantDense
from tfq.quantizers import (
    DoReFaInputs,
    InputQuantizer,
    KernelQuantizer,
    LSQInputs,
    Quantizer,
    XnorInputs,
    XnorWeights,
)
from tfq.quantizers.grids import Codes, Levels, Sign, filter_axes
from tfq.summary import layer_costs
from tfq.testing import ContractError, check_quantizer


@pytest.mark.parametrize("quantizer", ALL, ids=repr)
def test_a_quantizer_keeps_the_contract(quantizer):
    check_quantizer(quantizer)


def test_one_that_keeps_what_it_learns_of_inputs_is_none_for_kernels():
    assert QuantDense(3, kernel_quantizer=DoReFaInputs(2)).kernel_quantizer == DoReFaInputs(2)
    with pytest.raises(ValueError, match=r"kernel_quantizer must quantize kernels.*; got LSQInputs\(bits=2\)"):
        QuantDense(3, kernel_quantizer=LSQInputs(2))


def test_none_is_left_out():
    public = {getattr(quantizers, name) for name in quantizers.__all__}
    kinds = {kind for kind in public if isinstance(kind, type) and issubclass(kind, Quantizer)}
    kinds -= {quantizers.Stored}  # which quantizes nothing itself: tests/quantized_weights
    assert {type(quantizer) for quantizer in ALL} == {kind for kind in kinds if not kind.__name__.endswith("Quantizer")}


# --- toys


def register(cls):
    return keras.saving.register_keras_serializable(package="tests")(cls)


@register
class HalfSigns(KernelQuantizer):
    bits = 1

    def __call__(self, x, channel_axis=-1):
        return 0.5 * XnorInputs()(x)

    def grid(self):
        return Sign()


@register
class UpToTwo(InputQuantizer):
    bits = 2

    def __call__(self, x):
        return 2.0 * DoReFaInputs(2)(x / 2.0)

    def window(self):
        return 0.0, 2.0

    def grid(self):
        return Levels(2, 0.0, 2.0)


@register
class WideGradient(UpToTwo):
    def window(self):
        return 0.5, 1.5


@register
class WrongGrid(UpToTwo):
    def grid(self):
        return Levels(2, 0.0, 1.0)


@register
class OtherCodes(HalfSigns):
    def encode(self, kernel, channel_axis=-1):
        codes = super().encode(kernel, channel_axis)
        return Codes(codes.codes, 2 * codes.scale, codes.grid)


@register
class ManyLevels(InputQuantizer):
    bits = 1

    def __call__(self, x):
        return DoReFaInputs(2)(x)


@register
class LastAxisAlone(XnorWeights):
    def __call__(self, x, channel_axis=-1):
        return super().__call__(x)


@register
class Half(InputQuantizer):
    bits = 8

    def __call__(self, x):
        return ops.cast(DoReFaInputs(8)(ops.cast(x, "float32")), "float32")


@register
class OneStepForAll(KernelQuantizer):
    """Keeps its step itself, in the object that many layers share."""

    bits = 2

    def __init__(self):
        self.seen = 0

    def __call__(self, x, channel_axis=-1):
        self.seen += 1
        return XnorInputs()(x)


@register
class Unsaved(InputQuantizer):
    bits = 1

    def __init__(self, threshold=0.0):
        self.threshold = threshold

    def __call__(self, x):
        return XnorInputs()(x - self.threshold)

    def get_config(self):
        return {"threshold": 1.0 + self.threshold}


@register
class MeanSigns(InputQuantizer):
    """Says that it looks at each element alone, but takes the mean of the image off."""

    bits = 1
    is_elementwise = True

    def __call__(self, x):
        return XnorInputs()(x - ops.mean(x, axis=(1, 2, 3), keepdims=True))


@pytest.mark.parametrize(
    ("quantizer", "message"),
    [
        (MeanSigns(), "is_elementwise, but gives an element another value where others are left out"),
        (WideGradient(), "passes outside of its window"),
        (WrongGrid(), "its values are off Levels"),
        (OtherCodes(), "encode is off the forward pass"),
        (ManyLevels(), "it gives 4 values; expected at most 2"),
        (LastAxisAlone(), "channel_axis=-2 quantizes a transposed kernel differently"),
        (Half(), "expected .*bfloat16.*, as its operand"),
        (OneStepForAll(), "training changes the object"),
        (Unsaved(), "its configuration gives Unsaved"),
        (Quantizer(), "a quantizer is a KernelQuantizer, InputQuantizer or GradientQuantizer"),
        (abs, "a quantizer is a KernelQuantizer, InputQuantizer or GradientQuantizer"),
    ],
    ids=lambda value: None if isinstance(value, str) else getattr(value, "__name__", type(value).__name__),
)
def test_a_wrong_one_is_caught(quantizer, message):
    with pytest.raises(ContractError, match=message):
        check_quantizer(quantizer)


@pytest.mark.parametrize("quantizer", [HalfSigns(), UpToTwo()], ids=lambda toy: type(toy).__name__)
def test_one_of_ones_own_keeps_it(quantizer):
    check_quantizer(quantizer)


def test_one_of_ones_own_is_trained_counted_and_packed():
    x = keras.Input((6, 6, 3))
    y = QuantConv2D(4, 3, kernel_quantizer=HalfSigns(), input_quantizer=UpToTwo(), name="conv")(x)
    model = keras.Model(x, QuantDense(3, kernel_quantizer=HalfSigns(), name="head")(keras.layers.Flatten()(y)))
    images = np.random.default_rng(0).normal(size=(16, 6, 6, 3)).astype("float32")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callback = FlipRatio()
    model.fit(images, np.arange(16) % 3, verbose=0, callbacks=[callback])
    assert set(callback.ratios) == {"conv", "head"}
    assert [(cost.input_bits, cost.weight_bits) for cost in layer_costs(model) if cost.has_macs] == [(2, 1), (32, 1)]
    assert QuantizerInputs(model).share_outside(images) == pytest.approx(np.mean((images < 0) | (images > 2)))
    graph = from_keras(model)
    assert [node.kernel.coding for node in graph.nodes if hasattr(node, "kernel")] == ["binary", "binary"]
    unpacked = to_keras(graph)
    verify.compare("graph", model, lambda x: unpacked.predict(x, verbose=0), images)


def test_the_axes_of_a_filter():
    assert filter_axes(4, -1) == filter_axes(4, 3) == (0, 1, 2)
    assert filter_axes(4, -2) == (0, 1, 3)
    assert filter_axes(4, (-2, -1)) == (0, 1)
    assert filter_axes(2, -1) == (0,)
