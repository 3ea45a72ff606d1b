"""A user's own module: quantizers, layers, an operation and a format, each written with the public names of tfq alone."""

from dataclasses import dataclass

import numpy as np

from tfq import onnx
from tfq.backend.keras import keras, ops  # those in use: Keras 3, or tf_keras
from tfq.c import register_c
from tfq.convert import register_from_keras, register_to_keras
from tfq.export import Format, reading, register_format
from tfq.graph import GraphError, Node, check, nodes, register_operation
from tfq.layers import QuantizedLayer, register_layer
from tfq.quantizers import InputQuantizer, KernelQuantizer, filter_axes, grids, register_quantizer, straight_through


@register_quantizer
class PowerOfTwoSigns(KernelQuantizer):
    """W~ = 2^round(log2 mean |W|) sign(W), the mean over a filter; the gradient is the identity."""

    bits = 1

    def __call__(self, x, channel_axis=-1):
        w = ops.cast(x, "float32")
        mean = ops.mean(ops.abs(w), axis=filter_axes(len(w.shape), channel_axis), keepdims=True)
        exponent = ops.round(ops.log2(ops.maximum(mean, 1e-30)))
        return ops.cast(straight_through(w, ops.exp2(exponent) * ops.where(w >= 0, 1.0, -1.0)), x.dtype)

    def grid(self):
        return grids.Sign()


@register_quantizer
class PACT(InputQuantizer):
    """q = a round(n clip(x / a, 0, 1)) / n, n = 2^bits - 1, with a learned ceiling a (Choi et al. 2018, arXiv:1805.06085)."""

    def __init__(self, bits=2):
        self.bits = bits

    def build(self, add_weight, shape):
        return {"ceiling": add_weight("ceiling", initializer="ones")}

    def __call__(self, x, ceiling):
        full, n = ops.cast(x, "float32"), 2**self.bits - 1
        clipped = ops.minimum(ops.relu(full), ceiling)
        return ops.cast(straight_through(clipped, ceiling * ops.round(n * (clipped / ceiling)) / n), x.dtype)

    def window(self, ceiling):
        return 0.0, float(ceiling)

    def grid(self, ceiling=None):
        return None if ceiling is None else grids.Levels(self.bits, 0.0, float(ceiling))

    def get_config(self):
        return {"bits": self.bits}


@register_layer
class QuantPointwise(QuantizedLayer, keras.layers.Layer):
    """A 1x1 convolution whose kernel is a matrix."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.filters), initializer="glorot_uniform")
        super().build(input_shape)

    def quantized_op(self, inputs, kernel):
        return ops.matmul(inputs, kernel)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@register_from_keras(QuantPointwise)
def pointwise(call):
    return call.product(nodes.Conv2D, (1, 1, *call.layer.kernel.shape))


@register_layer
class CentredPReLU(keras.layers.Layer):
    """y = x - c where that is above 0, else b (x - c), with b and c a channel (part of ReActNet's RPReLU, arXiv:2003.03488)."""

    def build(self, input_shape):
        self.center = self.add_weight(name="center", shape=(input_shape[-1],), initializer="zeros")
        self.slope = self.add_weight(name="slope", shape=(input_shape[-1],), initializer="ones")
        super().build(input_shape)

    def call(self, inputs):
        moved = inputs - self.center
        return ops.where(moved > 0, moved, self.slope * moved)

    def compute_output_shape(self, input_shape):
        return input_shape


@register_operation
@dataclass(frozen=True)
class MovedPReLU(Node):
    """The same as an operation of a graph."""

    center: np.ndarray
    slope: np.ndarray

    def infer(self, shapes):
        shape = check.one(self, shapes)
        if not len(self.center) == len(self.slope) == shape[-1]:
            raise GraphError(f"{self.name!r} is for {len(self.center)} channels; got {shape[-1]}")
        return shape

    def compute(self, x):
        moved = x - self.center
        return np.where(moved > 0, moved, self.slope * moved)


@register_from_keras(CentredPReLU)
def moved_prelu(call):
    center, slope = call.layer.get_weights()
    return [(MovedPReLU, {"center": center, "slope": slope})]


@register_to_keras(MovedPReLU)
def rprelu(node, name):
    return CentredPReLU(name=name), [node.center, node.slope]


_MOVED_PRELU = """
static void moved_prelu(int pixels, int channels, const float *center, const float *slope, const float *x, float *y)
{
    for (int i = 0; i < pixels * channels; i++)
        y[i] = (x[i] - center[i % channels]) * (x[i] > center[i % channels] ? 1.0f : slope[i % channels]);
}
"""


@register_c(MovedPReLU)
def moved_prelu_in_c(source, node):
    source.define("moved_prelu", _MOVED_PRELU)
    channels, x, y = len(node.center), source.tensor(node.inputs[0]), source.tensor(node.name)
    center, slope = source.constants.array(node.center, "f4"), source.constants.array(node.slope, "f4")
    source.call(node.name, "moved_prelu", source.size(node.name) // channels, channels, center, slope, x, y)


@onnx.emits(MovedPReLU)
def moved_prelu_in_onnx(writer, node, x):
    center, slope = (writer.constant(values[:, None, None]) for values in (node.center, node.slope))
    return writer.add("PRelu", writer.add("Sub", x, center), slope)


@register_format
class Arrays(Format):
    """The weights and the architecture in one .npz file."""

    name = "arrays"
    filename = "arrays.npz"
    holds_labels = True

    def save(self, model, path, sample):
        with open(path, "wb") as file:
            np.savez(file, *model.get_weights(), architecture=model.to_json(), labels=sample.labels)

    def load(self, path):
        with reading(path, "file of arrays"), np.load(path) as arrays:
            model = keras.models.model_from_json(str(arrays["architecture"]))
            model.set_weights([arrays[f"arr_{number}"] for number in range(len(arrays) - 2)])
        return lambda images: model.predict(images, verbose=0)
