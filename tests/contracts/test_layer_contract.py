"""The contract of the quantized layers: all of tfq's keep it, and what does not is caught, on every backend."""

from functools import partial

import numpy as np
import pytest
from conftest import tensor

from tfq.backend.keras import is_legacy, keras, ops
from tfq.layers import QuantConv2D, QuantDense, QuantDepthwiseConv2D, QuantizedConvolution, QuantizedLayer
from tfq.layers.parameters import uses
from tfq.quantizers import XnorWeights
from tfq.testing import ContractError, check_layer

X = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype("float32")
register = keras.saving.register_keras_serializable("tests")


@register
class QuantConv2DTranspose(QuantizedLayer, keras.layers.Conv2DTranspose):
    """A layer of a user's own, from outside the package."""

    channel_axis = -2

    def quantized_op(self, inputs, kernel):
        return ops.conv_transpose(inputs, kernel, self.strides, self.padding, data_format=self.data_format)


@register
class QuantConv1D(QuantizedConvolution, keras.layers.Conv1D):
    """Another, with values to pad with."""

    def quantized_op(self, inputs, kernel):
        inputs, padding = self.padded(inputs)
        return ops.conv(inputs, kernel, list(self.strides), padding, self.data_format, self.dilation_rate)


@register
class Scaled(QuantizedLayer, keras.layers.Layer):
    """One that no layer of Keras computes."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 4), initializer="glorot_uniform")
        super().build(input_shape)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 4)

    def quantized_op(self, inputs, kernel):
        return 3 * ops.matmul(inputs, kernel)


LAYERS = {
    "conv": (partial(QuantConv2D, 4, (3, 2), strides=2, padding="same"), (5, 6, 3)),
    "dense": (partial(QuantDense, 4, activation="relu"), (5,)),
    "depthwise": (partial(QuantDepthwiseConv2D, (3, 2), strides=2, padding="same", depth_multiplier=2), (5, 6, 3)),
    "depthwise_padded": (partial(QuantDepthwiseConv2D, 2, dilation_rate=2, padding="same", pad_values=1), (5, 6, 3)),
    "own": (Scaled, (5,)),
}
OF_OTHER_SIZES = {
    "transpose": (partial(QuantConv2DTranspose, 4, 3, strides=2), (3, 4, 2)),
    "conv_1d": (partial(QuantConv1D, 4, 3, padding="same", pad_values=1), (6, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_quantized_layers_keep_their_contract(name):
    check_layer(*LAYERS[name])


@pytest.mark.keras3_only  # what they have of their own does not depend on the backend
@pytest.mark.tensorflow_only
@pytest.mark.parametrize("name", OF_OTHER_SIZES)
def test_convolutions_of_other_sizes_keep_it_with_a_file_of_their_own(name):
    check_layer(*OF_OTHER_SIZES[name])


# --- what does not keep it


@register
class Forgetful(QuantizedLayer, keras.layers.DepthwiseConv2D):
    """It leaves the operation to Keras, which takes the latent kernel."""

    kernel_name = QuantDepthwiseConv2D.kernel_name

    def call(self, inputs, training=None):
        return keras.layers.DepthwiseConv2D.call(self, inputs)


@register
class Careless(QuantDepthwiseConv2D):
    """It has the quantized kernel, and takes the latent one."""

    def quantized_op(self, inputs, kernel):
        return super().quantized_op(inputs, ops.cast(self.latent_kernel, inputs.dtype))


@register
class Halfway(QuantDepthwiseConv2D):
    """It computes with both."""

    def quantized_op(self, inputs, kernel):
        return super().quantized_op(inputs, (kernel + ops.cast(self.latent_kernel, inputs.dtype)) / 2)


@register
class OfTheWrongAxis(QuantDepthwiseConv2D):
    """It has one scale for all channels."""

    channel_axis = -1


class WithoutOperation(QuantizedLayer, keras.layers.DepthwiseConv2D):
    """It states nothing."""


def forgetful(**options):
    return Forgetful(3, kernel_quantizer=XnorWeights(), name="forgetful", **options)


MESSAGE = r"layer 'forgetful' \(Forgetful\): its kernel did not pass through kernel_quantizer=XnorWeights"


def test_a_forgotten_quantizer_is_said_in_a_call():
    with pytest.raises(RuntimeError, match=MESSAGE):
        forgetful()(tensor(X))


def test_a_forgotten_quantizer_is_said_when_a_functional_model_is_made():
    with pytest.raises(RuntimeError, match=MESSAGE):
        forgetful()(keras.Input(X.shape[1:]))
    # What was read outside of a call is none.
    layer = forgetful()
    layer.build((None, *X.shape[1:]))
    assert layer.quantized_kernel is not None
    with pytest.raises(RuntimeError, match=MESSAGE):
        layer(keras.Input(X.shape[1:]))


class Model(keras.Model):
    """A model without a graph of layers: they are called first in the first batch of `fit`."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(self.layer(inputs))


def fitted(layer):
    model = Model(layer)
    model.compile("sgd", "mse")
    model.fit(X, np.zeros((2, 1, 2, 3), "float32"), verbose=0)
    return model


def test_a_kernel_that_an_operation_does_not_take_is_said():
    with pytest.raises(RuntimeError, match=r"layer 'careless' \(Careless\): its kernel did not pass through"):
        Careless(3, kernel_quantizer=XnorWeights(), name="careless")(keras.Input((5, 6, 3)))
    Careless(3, name="careless")(keras.Input((5, 6, 3)))


def closes_over(self, inputs, w):
    return [inputs * w for _ in range(2)]


def deletes(self, inputs, w):
    del w
    return inputs


@pytest.mark.parametrize(
    ("function", "expected"),
    [(closes_over, True), (deletes, False), (lambda self, x, w: x, False), (lambda *everything: 0, True), (max, True)],
    ids=["closes_over", "deletes", "ignores", "everything", "builtin"],
)
def test_whether_a_function_uses_what_it_is_given(function, expected):
    assert uses(function, 2) is expected


def test_a_forgotten_quantizer_is_said_in_fit():
    with pytest.raises(RuntimeError, match=MESSAGE):
        fitted(forgetful())


def test_a_forgotten_quantizer_of_none_is_none():
    layer = Forgetful(3)
    assert layer(tensor(X)).shape == layer(tensor(X)).shape == (2, 3, 4, 3)
    assert layer(keras.Input(X.shape[1:])).shape == (None, 3, 4, 3)


def test_a_layer_of_its_own_call_may_take_the_quantized_kernel_and_is_watched_no_longer():
    class Careful(Forgetful):
        calls = 0

        def call(self, inputs, training=None):
            type(self).calls += 1
            return self.quantized_op(inputs, self.quantized_kernel)

        def quantized_op(self, inputs, kernel):
            return ops.depthwise_conv(inputs, kernel)

    layer = Careful(3, kernel_quantizer=XnorWeights())
    fitted(layer)  # shared, within a model's call
    layer(keras.Input(X.shape[1:]))
    layer(tensor(X))
    made = Careful.calls
    layer(keras.Input(X.shape[1:]))
    assert Careful.calls == made + is_legacy  # tf_keras calls it each time itself


def test_layers_that_hold_one_another_are_each_watched():
    class Outer(Forgetful):
        def build(self, input_shape):
            super().build(input_shape)
            self.inner = QuantDepthwiseConv2D(1, kernel_quantizer=XnorWeights())
            self.inner.build(input_shape)

        def call(self, inputs, training=None):
            return super().call(self.inner(inputs))

    with pytest.raises(RuntimeError, match=r"layer 'outer' .* did not pass"):
        Outer(3, kernel_quantizer=XnorWeights(), name="outer")(tensor(X))


def test_a_layer_without_an_operation_is_refused():
    with pytest.raises(TypeError, match=r"layer 'none': WithoutOperation has no quantized_op\(inputs, kernel\)"):
        WithoutOperation(3, kernel_quantizer=XnorWeights(), name="none")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (partial(Forgetful, 3), RuntimeError, "did not pass"),
        (partial(Careless, 3), RuntimeError, "did not pass"),
        (partial(Halfway, 3), ContractError, "Halfway: outputs in inference are off .* expected those of the quantized kernel"),
        (partial(OfTheWrongAxis, 3), ContractError, r"channel_axis=-1 counts 1 filters .* one for each of 3 channels"),
        (keras.layers.Dense, ContractError, "a quantized layer is a tfq.layers.QuantizedLayer; got Dense"),
    ],
)
def test_the_contract_finds_a_wrong_layer(make, error, message):
    if make is keras.layers.Dense:
        make = lambda **options: keras.layers.Dense(3)  # noqa: E731
    with pytest.raises(error, match=message):
        check_layer(make, (5, 6, 3))


def test_stock_layers():
    layer = QuantDepthwiseConv2D(3, depth_multiplier=2, name="dw", kernel_quantizer="xnor_weights", pad_values=1, padding="same")
    stock = layer.stock()
    assert type(stock) is keras.layers.DepthwiseConv2D
    assert (stock.name, stock.depth_multiplier, stock.padding) == ("dw", 2, "same")
    assert Scaled().stock() is Scaled.stock_class() is None
