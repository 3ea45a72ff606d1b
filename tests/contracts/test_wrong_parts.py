"""What a user may plausibly get wrong in a part of their own, and what the contract suites say of it."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from tfq import export
from tfq.backend.keras import keras, ops
from tfq.graph import Node, check, operations, register_operation
from tfq.layers import QuantConv2D, QuantizedLayer, register_layer
from tfq.quantizers import (
    DoReFaGradients,
    InputQuantizer,
    KernelQuantizer,
    XnorInputs,
    XnorWeights,
    filter_axes,
    grids,
    register_quantizer,
    straight_through,
)
from tfq.testing import ContractError, check_format, check_layer, check_operation, check_quantizer

# --- quantizers


def signs(x):
    return ops.where(x >= 0, 1.0, -1.0)


class Signs(InputQuantizer):
    """Right in itself."""

    bits = 1

    def __call__(self, x):
        return ops.cast(XnorInputs()(x), x.dtype)

    def window(self):
        return -1.0, 1.0

    def grid(self):
        return grids.Sign()


@register_quantizer
class TooWide(Signs):
    def window(self):
        return -2.0, 2.0


@register_quantizer
class HalfWindow(Signs):
    def window(self):
        return 0.0, 1.0


@register_quantizer
class Thresholded(Signs):
    """Signs of x - 0.3: no graph knows of the threshold."""

    def __call__(self, x):
        return super().__call__(x - 0.3)

    def window(self):
        return -0.7, 1.3


@register_quantizer
class Floor(InputQuantizer):
    """Rounds down, on the levels of one that rounds."""

    bits = 2

    def __call__(self, x):
        clipped = ops.clip(ops.cast(x, "float32"), 0.0, 1.0)
        return ops.cast(straight_through(clipped, ops.floor(3.0 * clipped) / 3.0), x.dtype)

    def grid(self):
        return grids.Levels(2, 0.0, 1.0)


@register_quantizer
class OfTheBatch(InputQuantizer):
    """Its scale is that of the whole batch."""

    bits = 1

    def __call__(self, x):
        return ops.mean(ops.abs(x)) * XnorInputs()(x)


@register_quantizer
class ForgetsItsArgument(Signs):
    """`get_config` is left out."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def __call__(self, x):
        return self.scale * super().__call__(x)

    def grid(self):
        return None


class Unregistered(Signs):
    pass


Unregistered.__module__ = "__main__"  # as in a program, where Keras finds no class by its module


@register_quantizer
class OfFourAxes(KernelQuantizer):
    """Takes every kernel for one of a convolution."""

    bits = 1

    def __call__(self, x, channel_axis=-1):
        axes = (0, 1, 2) if channel_axis == -1 else filter_axes(4, channel_axis)
        w = ops.cast(x, "float32")
        axes = axes[: len(w.shape)]
        return ops.cast(straight_through(w, ops.mean(ops.abs(w), axis=axes, keepdims=True) * signs(w)), x.dtype)


@register_quantizer
class LastOfSeveral(KernelQuantizer):
    """In a depthwise kernel it counts one of two axes."""

    bits = 1

    def __call__(self, x, channel_axis=-1):
        axis = channel_axis if isinstance(channel_axis, int) else channel_axis[-1]
        return XnorWeights()(x, channel_axis=axis)

    def grid(self):
        return grids.Sign()


class Learned(InputQuantizer):
    bits = 1

    def build(self, add_weight, shape):
        return {"scale": add_weight("scale", initializer="ones")}

    def __call__(self, x, scale):
        return ops.cast(scale * signs(x) + 0.0 * ops.cast(x, "float32"), x.dtype)


@register_quantizer
class WithoutGradient(Learned):
    """The sign has none, and nothing stands in for it."""


@register_quantizer
class InItsOwnPrecision(Learned):
    """A half-precision operand meets a float32 scale."""

    def __call__(self, x, scale):
        return straight_through(x, scale * signs(x))


@register_quantizer
class OneForAll(Learned):
    """Every layer gets the variable of the first."""

    _made: dict = {}  # noqa: RUF012, what makes it wrong

    def build(self, add_weight, shape):
        if not self._made:
            self._made.update(super().build(add_weight, shape))
        return self._made

    def __call__(self, x, scale):
        return ops.cast(straight_through(ops.cast(x, "float32"), scale * signs(x)), x.dtype)


@register_quantizer
class CountsItself(Signs):
    """Makes what it keeps in the first call."""

    def __call__(self, x):
        self.step = getattr(self, "step", 0) or 1
        return super().__call__(x)


@register_quantizer
class EncodesBeforeItScales(XnorWeights):
    """`encode` forgets the scale."""

    def encode(self, kernel, channel_axis=-1):
        return grids.encode(signs(ops.convert_to_tensor(kernel)), grids.Sign(), channel_axis)


@register_quantizer
class ForgetsItsBits(DoReFaGradients):
    def get_config(self):
        return {"bits": 4, "seed": self.seed}


QUANTIZERS = [
    (TooWide(), r"no gradient passes at the low end of its window \(-2.0, 2.0\)"),
    (HalfWindow(), r"a gradient of up to .* passes outside of its window \(0.0, 1.0\); expected 0 there"),
    (Thresholded(), r"it is off the nearest value of Sign\(\) by up to 2; expected that, which a graph computes"),
    (Floor(), r"it is off the nearest value of Levels\(bits=2, low=0.0, high=1.0\) by up to 0.33"),
    (OfTheBatch(), "an image by itself is quantized to other values than in a batch"),
    (ForgetsItsArgument(2.0), "made again from its configuration it gives other values; expected all arguments in get_config"),
    (ForgetsItsBits(8, seed=1), "its configuration gives ForgetsItsBits|made again from its configuration"),
    (Unregistered(), "does not come back from its configuration: .* registered by tfq.quantizers.register_quantizer"),
    (OfFourAxes(), r"a kernel \(in, out\) of a dense layer gives others|channel_axis="),
    (LastOfSeveral(), r"channel_axis=\(-2, -1\) gives others"),
    (WithoutGradient(), "gradients of up to 0.0; expected finite ones, not all 0"),
    (InItsOwnPrecision(), r"of a bfloat16 operand it (gives .*float32|fails: .*); expected .*bfloat16, as its operand"),
    (OneForAll(), "two layers share a variable, of `build`; expected one state a layer"),
    (CountsItself(), "training changes the object, to {'step': 1}; expected what it learns in variables of the layer"),
    (EncodesBeforeItScales(), "encode is off the forward pass by"),
]


@pytest.mark.parametrize(("quantizer", "said"), QUANTIZERS, ids=lambda value: "" if type(value) is str else type(value).__name__)
def test_a_wrong_quantizer_is_found(quantizer, said):
    with pytest.raises(ContractError, match=said):
        check_quantizer(quantizer)


# --- layers


class Product(QuantizedLayer, keras.layers.Layer):
    """Right in itself."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units), initializer="glorot_uniform")
        super().build(input_shape)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    def quantized_op(self, inputs, kernel):
        return ops.matmul(inputs, kernel)


@register_layer
class LatentInInference(Product):
    """Its own `call` takes the latent kernel where nothing is trained."""

    def call(self, inputs, training=None):
        return ops.matmul(inputs, self.quantized_kernel if training else self.kernel + 0.0 * self.quantized_kernel)


@register_layer
class LatentInTraining(Product):
    def call(self, inputs, training=None):
        return ops.matmul(inputs, self.kernel + 0.0 * self.quantized_kernel if training else self.quantized_kernel)


@register_layer
class FloatInputs(Product):
    """Its own `call` knows of the kernel alone."""

    def call(self, inputs, training=None):
        return self.quantized_op(inputs, ops.cast(self.quantized_kernel, inputs.dtype))


@register_layer
class FloatGradients(Product):
    def call(self, inputs, training=None):
        return self._on_quantized_operands(inputs, training)


@register_layer
class ForgetsItsUnits(Product):
    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)

    def get_config(self):
        return QuantizedLayer.get_config(self)


@register_layer
class OtherwiseNamed(Product):
    """Its kernel is not where `kernel_name` says."""

    def build(self, input_shape):
        self.weight = self.add_weight(name="weight", shape=(input_shape[-1], self.units), initializer="glorot_uniform")
        QuantizedLayer.build(self, input_shape)


@register_layer
class FiltersFirst(Product):
    """(out, in), and it does not say so."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(self.units, input_shape[-1]), initializer="glorot_uniform")
        QuantizedLayer.build(self, input_shape)

    def quantized_op(self, inputs, kernel):
        return ops.matmul(inputs, ops.transpose(kernel))


LAYERS = [
    (
        LatentInInference,
        ContractError,
        "outputs in inference are off .* expected those of the quantized kernel",
    ),
    (LatentInTraining, ContractError, "outputs in training are off .* expected those of the quantized kernel"),
    (FloatInputs, ContractError, "FloatInputs: outputs in inference with an input_quantizer are off .* of the quantized inputs"),
    (FloatGradients, ContractError, "its gradient_quantizer gives 0, and gradients of up to .* come back"),
    (
        partial(ForgetsItsUnits, 4),
        ContractError,
        r"from_config\(.* gives TypeError: .*'units'; expected all arguments",
    ),
    (OtherwiseNamed, ContractError, "its build makes no weight self.kernel; expected that, or another kernel_name"),
    (FiltersFirst, ContractError, "channel_axis=-1 counts 5 filters .* expected one for each of 4 channels"),
]


@pytest.mark.parametrize(("make", "error", "said"), LAYERS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_layer_is_found(make, error, said):
    with pytest.raises(error, match=said):
        check_layer(make, (5,))


@register_layer
class StridedInFloat(QuantConv2D):
    """Wrong where an option makes a branch: it is to be tried with that."""

    def quantized_op(self, inputs, kernel):
        return super().quantized_op(inputs, kernel if self.strides == (1, 1) else ops.cast(self.kernel, inputs.dtype))


def test_a_branch_is_found_with_its_option():
    with pytest.raises(ContractError, match="StridedInFloat: outputs in inference are off"):
        check_layer(partial(StridedInFloat, 2, 3, strides=2), (5, 5, 2))


# --- formats


class Weights(export.Format):
    """Right in itself: a directory of two files."""

    name = "weights"
    filename = "weights"
    marker = "model.json"
    holds_labels = True

    def save(self, model, path, sample):
        path.mkdir()
        np.savez(path / "weights.npz", *model.get_weights())
        (path / self.marker).write_text(model.to_json())

    def load(self, path):
        with export.reading(path, "directory of weights"):
            model = keras.models.model_from_json((path / self.marker).read_text())
            with np.load(path / "weights.npz") as arrays:
                model.set_weights([arrays[f"arr_{number}"] for number in range(len(arrays))])
        return lambda images: model.predict(images, verbose=0)


class HalfOfIt(Weights):
    """Writes the first half of the layers."""

    def save(self, model, path, sample):
        super().save(model, path, sample)
        weights = model.get_weights()
        half = len(weights) // 2
        np.savez(path / "weights.npz", *weights[:half], *[np.zeros_like(weight) for weight in weights[half:]])


class HalfWritten(Weights):
    """Its file is cut off."""

    def save(self, model, path, sample):
        super().save(model, path, sample)
        file = path / "weights.npz"
        file.write_bytes(file.read_bytes()[:1000])


class Trusting(Weights):
    """Whatever is wrong with the weights, it goes on without."""

    def load(self, path):
        try:
            return super().load(path)
        except ValueError:
            if not path.exists():
                raise
        with export.reading(path, "directory of weights"):
            model = keras.models.model_from_json((path / self.marker).read_text())
        return lambda images: model.predict(images, verbose=0)


class Rounds(Weights):
    """Rounds the weights of the model itself, instead of a copy."""

    def save(self, model, path, sample):
        model.set_weights([np.round(weight, 6) for weight in model.get_weights()])
        super().save(model, path, sample)


class Elsewhere(Weights):
    """Writes beside its path."""

    def save(self, model, path, sample):
        super().save(model, path.with_name("other"), sample)


FORMATS = [
    (HalfOfIt, "cannot be exported: the exported weights does not compute what the model computes"),
    (HalfWritten, "cannot be exported: .* is no directory of weights that can be read: "),
    (Trusting, r"weights.npz is cut off, and it is loaded without a word"),
    (Rounds, "`save` changes the model"),
    (Elsewhere, "cannot be exported: export format 'weights' wrote no directory with model.json in it where it was to"),
]


@pytest.mark.parametrize(("cls", "said"), FORMATS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_format_is_found(cls, said):
    with pytest.raises(ContractError, match=f"^weights: .*{said}"):
        check_format(cls)


# --- operations

once = (pytest.mark.keras3_only, pytest.mark.tensorflow_only)  # nothing of an operation depends on Keras


class Halves(Node):
    """Every second row: of 5 there are 3."""

    def infer(self, shapes):
        height, width, channels = check.image(self, shapes)
        return -(-height // 2), width, channels

    def compute(self, x):
        return x[:, ::2]


class RoundsDown(Halves):
    def infer(self, shapes):
        height, width, channels = check.image(self, shapes)
        return height // 2, width, channels


class OfAnyAxes(Halves):
    def compute(self, x):
        return x[:, ::2, :, :]

    def infer(self, shapes):
        shape = check.one(self, shapes)
        return (-(-shape[0] // 2), *shape[1:])


class OfThreeChannels(Halves):
    def compute(self, x):
        return super().compute(x) * np.array([1.0, 2.0, 3.0])


class InSingle(Halves):
    def compute(self, x):
        return super().compute(x).astype(np.float32)


class Unpacks(Halves):
    def infer(self, shapes):
        ((height, width, channels),) = shapes if len(shapes) == 1 else [check.image(self, shapes)]
        return -(-height // 2), width, channels


OPERATIONS = [
    (RoundsDown, r"of inputs \(5, 6, 3\) `infer` gives \(2, 6, 3\), and `compute` gives \(3, 6, 3\)"),
    (OfAnyAxes, r"of inputs \(3,\) `infer` gives \(2,\), and `compute` fails: IndexError: .*; raise GraphError in `infer`"),
    (OfThreeChannels, r"of inputs \(4, 6, 4\) `infer` gives \(2, 6, 4\), and `compute` fails: ValueError.*; raise GraphError in"),
    (InSingle, "`compute` must give float64; it gives float32"),
    (Unpacks, r"`infer` of \(3,\) must give a shape or raise GraphError; got ValueError: not enough values"),
]


@pytest.mark.parametrize(
    ("cls", "said"), [pytest.param(*row, marks=once) for row in OPERATIONS], ids=lambda value: getattr(value, "__name__", "")
)
def test_a_wrong_operation_is_found(cls, said, monkeypatch):
    monkeypatch.setattr(operations, "_OPERATIONS", dict(operations._OPERATIONS))
    for kind in (Halves, cls):
        kind = register_operation(dataclass(frozen=True)(type(kind.__name__, (kind,), {})))
    check_operation(operations.registered()["Halves"].node("x", ("input",)), (4, 6, 3))
    with pytest.raises(ContractError, match=rf"operation {cls.__name__} \('x'\): {said}"):
        check_operation(kind("x", ("input",)), (4, 6, 3))
