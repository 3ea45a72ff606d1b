"""The contract of a quantizer: what layers, callbacks, summary and export rely on, tried on small tensors."""

import json
import tempfile
from pathlib import Path

import numpy as np

from tfq import quantizers
from tfq.backend.keras import keras, load_model, ops
from tfq.backend.settings import plain_settings
from tfq.layers import QuantActivation, QuantConv2D
from tfq.layers.state import arguments, state_of
from tfq.quantizers import Quantizer
from tfq.quantizers.base import filter_axes
from tfq.quantizers.grids import Levels
from tfq.testing.errors import ContractError
from tfq.testing.gradients import gradient

_ROUNDING = 1e-6  # of levels that are computed in float32, over the largest
_KERNEL, _INPUTS = (3, 3, 4, 6), (4, 5, 5, 3)


@plain_settings()
def check_quantizer(quantizer: Quantizer) -> None:
    """Raise ContractError unless a quantizer keeps its contract, `tfq.quantizers.Quantizer`.

    All: its configuration gives it again; a layer refuses it for another operand. Kernels and inputs: shape and dtype stay, and a
    half-precision operand is quantized in float32; the values lie on its grid, of at most 2^bits; no gradient passes outside of
    its window, and some inside; what it keeps belongs to the layer, stays float32 under mixed precision, and is saved. Kernels:
    `encode` gives the values of the forward pass, with scales that span the filters of each kind of kernel. Gradients: the
    forward pass is the identity, and the noise a function of the key.

    Args:
        quantizer: an object of a class that is registered with Keras, as `keras.saving.register_keras_serializable` does.

    Raises:
        ContractError: the message says what was expected.
    """
    if getattr(quantizer, "operand", None) not in _TRIALS:
        raise ContractError(f"a quantizer is a KernelQuantizer, InputQuantizer or GradientQuantizer; got {quantizer!r}")
    trial = _TRIALS[quantizer.operand](quantizer)
    trial.comes_back_from_its_configuration()
    trial.is_refused_for_other_operands()
    trial.run()


class _Trial:
    """What holds for all."""

    fits = ()

    def __init__(self, quantizer):
        self.quantizer = quantizer

    def comes_back_from_its_configuration(self):
        again = quantizers.get(json.loads(json.dumps(quantizers.serialize(self.quantizer))))
        self.expect(
            again == self.quantizer and hash(again) == hash(self.quantizer), f"its configuration gives {again!r}", "itself"
        )

    def is_refused_for_other_operands(self):
        gets = {
            "kernel": quantizers.get_for_kernel,
            "inputs": quantizers.get_for_inputs,
            "gradient": quantizers.get_for_gradients,
        }
        for operand, get in gets.items():
            try:
                get(self.quantizer)
            except ValueError:
                taken = False
            else:
                taken = True
            self.expect(taken == (operand in self.fits), f"taken for {operand}: {taken}", not taken)

    def expect(self, is_right, found, expected):
        if not is_right:
            raise ContractError(f"{self.quantizer!r}: {found}; expected {expected}")


class _Operand(_Trial):
    """What holds for kernels and inputs."""

    shape = ()

    def __init__(self, quantizer):
        super().__init__(quantizer)
        # Three deviations lie on either side of most windows.
        self.x = (1.5 * np.random.default_rng(0).normal(size=self.shape)).astype("float32")
        self.state = state_of(quantizer, "state", self.shape)
        if self.state is not None:
            self.state.observe(ops.convert_to_tensor(self.x))
        self.given = arguments(quantizer, self.state)

    def run(self):
        self.keeps_shape_and_dtype()
        self.lies_on_its_grid()
        self.passes_gradients_in_its_window()
        self.keeps_nothing_itself()
        self.keeps_for_each_layer_apart()

    def keeps_shape_and_dtype(self):
        half = ops.cast(self.x, "bfloat16")
        for x in (ops.convert_to_tensor(self.x), half):
            out = self.quantizer(x, **self.given)
            is_same = (tuple(out.shape), out.dtype) == (tuple(x.shape), x.dtype)
            self.expect(is_same, f"gives {tuple(out.shape)}, {out.dtype}", f"{tuple(x.shape)}, {x.dtype}, as its operand")
        expected = _array(ops.cast(self.quantizer(ops.cast(half, "float32"), **self.given), "bfloat16"))
        close = np.allclose(_array(out), expected, rtol=1e-2, atol=0)
        self.expect(close, "a bfloat16 operand gives other values", "those of float32, rounded")

    def lies_on_its_grid(self):
        values = _array(self.quantizer(ops.convert_to_tensor(self.x), **self.given))
        if self.quantizer.is_off:
            self.expect(np.array_equal(values, self.x), "is_off, but changes its operand", "the operand as it is")
        else:
            self.check_grid(values)

    def passes_gradients_in_its_window(self):
        upstream = np.random.default_rng(1).uniform(0.5, 1, self.shape).astype("float32")
        found = gradient(lambda x: self.quantizer(x, **self.given), self.x, upstream)
        self.expect(
            np.isfinite(found).all() and found.any(), f"gradients of up to {np.abs(found).max()}", "finite ones, not all 0"
        )
        window = self.quantizer.window(**{name: value for name, value in self.given.items() if name != "channel_axis"})
        if window is not None:
            outside = (self.x < window[0]) | (self.x > window[1])
            text = f"a gradient of up to {np.abs(found[outside]).max(initial=0):.2g} passes outside of its window {window}"
            self.expect(outside.any() and not found[outside].any(), text, "0 there")

    def keeps_nothing_itself(self):
        before = repr(vars(self.quantizer))
        layer = self.layer("first")
        layer(self.layer_inputs, training=True)
        after = repr(vars(self.quantizer))
        self.expect(before == after, f"training changes the object, to {after}", "what it learns in variables of the layer")

    def keeps_for_each_layer_apart(self):
        if self.state is None:
            return
        first, second = (self.layer(name, dtype="mixed_bfloat16") for name in ("first", "second"))
        for layer, factor in ((first, 1), (second, 4)):
            layer.build(self.layer_inputs.shape)
            if self.quantizer.operand == "kernel":
                layer.kernel.assign(layer.kernel * factor)
        before = [_array(weight) for weight in self.state_in(second).weights]
        first(self.layer_inputs, training=True)
        now = [_array(weight) for weight in self.state_in(second).weights]
        self.expect(
            all(map(np.array_equal, before, now)), "training of one layer changes the state of another", "one state a layer"
        )
        second(4 * self.layer_inputs, training=True)
        for weight in self.state_in(first).weights:
            self.expect("float32" in str(weight.dtype), f"under mixed_bfloat16 its {weight.name} is {weight.dtype}", "float32")
        self.is_saved()

    def is_saved(self):
        inputs = keras.Input(self.layer_inputs.shape[1:])
        layer = self.layer("saved")
        model = keras.Model(inputs, layer(inputs))
        layer(self.layer_inputs, training=True)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            model.save(path)
            again = load_model(path)
        states = [self.state_in(each).weights for each in (layer, again.layers[-1])]
        is_same = all(np.array_equal(_array(a), _array(b)) for a, b in zip(*states, strict=True))
        self.expect(is_same, "what it keeps is another after it was saved", "the same")


class _Kernel(_Operand):
    fits, shape = ("kernel",), _KERNEL
    layer_inputs = np.random.default_rng(2).normal(size=(2, 4, 4, 3)).astype("float32")

    def run(self):
        super().run()
        self.scales_the_filters_of_each_kind_of_kernel()

    def check_grid(self, values):
        if self.quantizer.grid() is None:
            return
        found = self.quantizer.encode(ops.convert_to_tensor(self.x), **self.given)
        self.expect(np.issubdtype(found.codes.dtype, np.integer), f"encode gives codes of {found.codes.dtype}", "integers")
        count = len(np.unique(found.codes))
        self.expect(count <= 2**self.quantizer.bits, f"its kernel has {count} codes", f"at most 2^{self.quantizer.bits}")
        deviation = np.abs(found.values() - values).max()
        allowed = _ROUNDING * np.abs(values).max() if isinstance(found.grid, Levels) else 0
        self.expect(deviation <= allowed, f"encode is off the forward pass by {deviation:.2g}", f"{allowed:.2g} at most")
        self.expect(found.scale.dtype == np.float32, f"encode gives scales of {found.scale.dtype}", "float32")
        spanned = [found.scale.shape[axis] for axis in filter_axes(values.ndim, -1)]
        self.expect(set(spanned) == {1}, f"encode gives scales of shape {found.scale.shape}", "one a filter, or one for all")

    def scales_the_filters_of_each_kind_of_kernel(self):
        expected = self.quantized(self.x, -1)
        transposed = self.quantized(np.swapaxes(self.x, -1, -2), -2)
        same = np.allclose(np.swapaxes(transposed, -1, -2), expected, rtol=1e-5, atol=1e-7)
        self.expect(same, "channel_axis=-2 quantizes a transposed kernel differently", "the same filters")
        height, width, channels, filters = self.shape
        try:
            depthwise = self.quantized(self.x, (-2, -1))
        except ValueError:
            return  # it refuses kernels of one input channel
        flat = self.quantized(self.x.reshape(height, width, 1, channels * filters), -1).reshape(self.shape)
        self.expect(np.allclose(depthwise, flat, rtol=1e-5, atol=1e-7), "channel_axis=(-2, -1) gives others", "a filter for each")

    def quantized(self, x, channel_axis):
        return _array(self.quantizer(ops.convert_to_tensor(x), **{**self.given, "channel_axis": channel_axis}))

    def layer(self, name, **options):
        return QuantConv2D(4, 3, kernel_quantizer=self.quantizer, name=name, **options)

    def state_in(self, layer):
        return layer._kernel_state


class _Inputs(_Operand):
    shape, layer_inputs = _INPUTS, np.random.default_rng(2).normal(size=_INPUTS).astype("float32")

    @property
    def fits(self):
        """Kernels too, unless it keeps what it learns of inputs."""
        return ("inputs", "kernel") if type(self.quantizer).build is Quantizer.build else ("inputs",)

    def check_grid(self, values):
        count, most = len(np.unique(values)), 2**self.quantizer.bits
        self.expect(count <= most, f"it gives {count} values", f"at most {most}, of {self.quantizer.bits} bits")
        grid = self.quantizer.grid(**self.given)
        if isinstance(grid, Levels):
            off = np.abs(grid.values(grid.codes(values)) - values).max()
            inside = _ROUNDING * max(abs(grid.low), abs(grid.high))
            is_within = grid.codes(values).min() >= 0 and grid.codes(values).max() < most
            self.expect(off <= inside and is_within, f"its values are off {grid} by {off:.2g}", f"{inside:.2g} at most")
        elif grid is not None:
            self.expect(set(np.unique(values)) <= {-1.0, 0.0, 1.0}, f"it gives {np.unique(values)}", f"values of {grid}")

    def layer(self, name, **options):
        return QuantActivation(self.quantizer, name=name, **options)

    def state_in(self, layer):
        return layer._input_state


class _Gradient(_Trial):
    fits = ("gradient",)

    def run(self):
        x = np.random.default_rng(0).normal(size=_INPUTS).astype("float32")
        value = self.quantizer(ops.convert_to_tensor(x), ops.convert_to_tensor([1, 2], dtype="int32"))
        self.expect(np.array_equal(_array(value), x), "it changes what goes forward", "the identity")
        first, again, other = (self.of(x, key) for key in ([1, 2], [1, 2], [1, 3]))
        self.expect(np.array_equal(first, again), "one key gives two gradients", "a function of the key")
        if self.quantizer.is_off:
            self.expect(np.array_equal(first, x), "is_off, but changes the gradient", "the gradient as it is")
            return
        self.expect(not np.array_equal(first, other), "two keys give one gradient", "other noise")
        count = max(len(np.unique(sample)) for sample in first)
        self.expect(count <= 2**self.quantizer.bits, f"a sample has {count} values", f"at most 2^{self.quantizer.bits}")

    def of(self, x, key):
        key = ops.convert_to_tensor(key, dtype="int32")
        return gradient(lambda operand: self.quantizer(operand, key), x, x)


_TRIALS = {"kernel": _Kernel, "inputs": _Inputs, "gradient": _Gradient}


def _array(x):
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")))
