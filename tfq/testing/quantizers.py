"""The contract of a quantizer: what layers, callbacks, summary and export rely on, tried on small tensors."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfq import quantizers
from tfq.backend.keras import keras, keras_3, load_model, ops
from tfq.backend.settings import plain_settings
from tfq.convert.boundary import distance
from tfq.convert.kernels import KernelError, of_layer
from tfq.convert.layers import input_rule
from tfq.graph.kernels import values as packed_values
from tfq.graph.quantizers import quantize
from tfq.layers import QuantActivation, QuantConv2D
from tfq.layers.state import arguments, state_of
from tfq.quantizers import KernelQuantizer, Quantizer
from tfq.quantizers.grids import Levels, filter_axes
from tfq.testing.errors import ContractError
from tfq.testing.gradients import gradient

_ROUNDING = 1e-6  # of levels that are computed in float32, over the largest
_CLEAR = 1e-5  # of a boundary, where rounding decides
_KERNEL, _INPUTS = (3, 3, 4, 6), (4, 5, 5, 3)


@plain_settings()
def check_quantizer(quantizer: Quantizer) -> None:
    """Raise ContractError unless a quantizer keeps its contract, `tfq.quantizers.Quantizer`.

    All: its configuration gives it again; a layer refuses it for another operand. Kernels and inputs: shape and dtype stay, and a
    half-precision operand is quantized in float32; the values lie on its grid, of at most 2^bits; no gradient passes outside of
    its window, and some at both of its ends; what it keeps belongs to the layer, stays float32 under mixed precision, and is
    saved. Kernels: `encode` gives the values of the forward pass, with scales that span the filters of each kind of kernel, which
    a graph holds. Inputs: each image, and each element where it `is_elementwise`, is quantized by itself, to what a graph makes
    of it. Gradients: the forward pass is the identity, and the noise a function of the key.

    Args:
        quantizer: an object of a class that `tfq.quantizers.register_quantizer` has made known.

    Raises:
        ContractError: the message says what was expected.
    """
    trials: dict[Any, Any] = _TRIALS
    if getattr(quantizer, "operand", None) not in trials:
        raise ContractError(f"a quantizer is a KernelQuantizer, InputQuantizer or GradientQuantizer; got {quantizer!r}")
    trial = trials[quantizer.operand](quantizer)
    trial.comes_back_from_its_configuration()
    trial.is_refused_for_other_operands()
    trial.run()


class _Trial:
    """What holds for all."""

    fits: tuple[str, ...] = ()

    def __init__(self, quantizer):
        self.quantizer = quantizer
        self.kept = repr(vars(quantizer))

    def comes_back_from_its_configuration(self):
        try:
            again = quantizers.get(json.loads(json.dumps(quantizers.serialize(self.quantizer))))
        except (ValueError, TypeError) as error:
            raise ContractError(
                f"{type(self.quantizer).__name__} does not come back from its configuration: {error}; is its class registered by "
                "tfq.quantizers.register_quantizer, and does get_config give the arguments of its constructor?"
            ) from error
        self.expect(
            again == self.quantizer and hash(again) == hash(self.quantizer), f"its configuration gives {again!r}", "itself"
        )
        self.again = again

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

    shape: tuple[int, ...] = ()

    def __init__(self, quantizer):
        super().__init__(quantizer)
        # Three deviations lie on either side of most windows.
        self.x = (1.5 * np.random.default_rng(0).normal(size=self.shape)).astype("float32")
        self.given = self.state_for(self.x)

    def state_for(self, x, channel_axis=None):
        """What the quantizer is called with next to `x`, after a step of training that saw it."""
        state = state_of(self.quantizer, "state", x.shape, channel_axis)
        if state is not None:
            state.observe(ops.convert_to_tensor(x))
        return arguments(self.quantizer, state, channel_axis)

    def run(self):
        self.says_all_in_its_configuration()
        self.keeps_shape_and_dtype()
        self.lies_on_its_grid()
        self.passes_gradients_in_its_window()
        self.keeps_nothing_itself()
        self.keeps_for_each_layer_apart()

    def says_all_in_its_configuration(self):
        found, expected = (_array(each(ops.convert_to_tensor(self.x), **self.given)) for each in (self.again, self.quantizer))
        self.expect(
            np.array_equal(found, expected),
            "made again from its configuration it gives other values",
            "all arguments in get_config",
        )

    def keeps_shape_and_dtype(self):
        half = ops.cast(self.x, "bfloat16")
        for x in (ops.convert_to_tensor(self.x), half):
            dtype, expected = _dtype(x), f"{tuple(x.shape)}, {_dtype(x)}, as its operand"
            try:
                out = self.quantizer(x, **self.given)
            except Exception as error:
                text = f"of a {dtype} operand it fails: {type(error).__name__}: {_line(error)}"
                raise ContractError(f"{self.quantizer!r}: {text}; expected {expected}") from error
            is_same = (tuple(out.shape), _dtype(out)) == (tuple(x.shape), dtype)
            self.expect(is_same, f"of a {dtype} operand it gives {tuple(out.shape)}, {_dtype(out)}", expected)
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
        window = self.quantizer.window(**{name: value for name, value in self.given.items() if name != "channel_axis"})
        x = self.x.copy()
        if window is not None:
            low, high = window
            self.expect(low < high, f"its window is {window}", "a lower and a higher value")
            # Every other value lies in the window, or next to it.
            beyond = (high - low) / 4
            x.flat[::2] = np.linspace(low - beyond, high + beyond, len(x.flat[::2]))
        upstream = np.random.default_rng(1).uniform(0.5, 1, self.shape).astype("float32")
        found = gradient(lambda operand: self.quantizer(operand, **self.given), x, upstream)
        self.expect(
            np.isfinite(found).all() and found.any(), f"gradients of up to {np.abs(found).max()}", "finite ones, not all 0"
        )
        if window is None:
            return
        outside = (x < low) | (x > high)
        text = f"a gradient of up to {np.abs(found[outside]).max(initial=0):.2g} passes outside of its window {window}"
        self.expect(not found[outside].any(), text, "0 there")
        for end, inside in (("low", x - low), ("high", high - x)):
            near = (inside > 0) & (inside < (high - low) / 8)
            self.expect(found[near].any(), f"no gradient passes at the {end} end of its window {window}", "some, not 0")

    def keeps_nothing_itself(self):
        layer = self.layer("first")
        layer(self.layer_inputs, training=True)
        after = repr(vars(self.quantizer))
        self.expect(self.kept == after, f"training changes the object, to {after}", "what it learns in variables of the layer")

    def keeps_for_each_layer_apart(self):
        if type(self.quantizer).build in (Quantizer.build, KernelQuantizer.build):
            return
        first, second = (self.layer(name, dtype="mixed_bfloat16") for name in ("first", "second"))
        for layer, factor in ((first, 1), (second, 4)):
            layer.build(self.layer_inputs.shape)
            if self.quantizer.operand == "kernel":
                layer.kernel.assign(layer.kernel * factor)
        if self.state_in(first) is None:
            return
        of_both = {id(weight) for weight in self.state_in(first).weights} & {
            id(weight) for weight in self.state_in(second).weights
        }
        of_both |= {id(x) for x in self.variables_in(first)} & {id(x) for x in self.variables_in(second)}
        self.expect(not of_both, "two layers share a variable, of `build`", "one state a layer")
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

    def variables_in(self, layer):
        return self.state_in(layer).variables_by_name.values()

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
        self.is_the_same_in_a_graph()

    def state_for(self, x, channel_axis=-1):
        return super().state_for(x, channel_axis)

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
        pointwise, dense = self.quantized(self.x[:1, :1], -1)[0, 0], self.quantized(self.x[0, 0], -1)
        same = np.allclose(dense, pointwise, rtol=1e-5, atol=1e-7)
        self.expect(same, "a kernel (in, out) of a dense layer gives others than that of a 1x1 convolution", "the same filters")
        try:
            depthwise = self.quantized(self.x, (-2, -1))
        except ValueError:
            return  # it refuses kernels of one input channel
        flat = self.quantized(self.x.reshape(height, width, 1, channels * filters), -1).reshape(self.shape)
        self.expect(np.allclose(depthwise, flat, rtol=1e-5, atol=1e-7), "channel_axis=(-2, -1) gives others", "a filter for each")

    def quantized(self, x, channel_axis):
        return _array(self.quantizer(ops.convert_to_tensor(x), **self.state_for(x, channel_axis)))

    def is_the_same_in_a_graph(self):
        layer = self.layer("packed")
        layer.build(self.layer_inputs.shape)
        try:
            kernel = of_layer(layer)
        except KernelError:
            return  # which a graph does not have
        values, expected = packed_values(kernel), _array(layer.quantized_kernel)
        close = np.allclose(values, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
        self.expect(close, f"a graph's kernel is off by {np.abs(values - expected).max():.2g}", "the values of the forward pass")

    def layer(self, name, **options):
        return QuantConv2D(4, 3, kernel_quantizer=self.quantizer, kernel_constraint="weight_clip", name=name, **options)

    def state_in(self, layer):
        return layer._kernel_state


class _Inputs(_Operand):
    shape, layer_inputs = _INPUTS, np.random.default_rng(2).normal(size=_INPUTS).astype("float32")

    @property
    def fits(self):
        """Kernels too, unless it keeps what it learns of inputs."""
        return ("inputs", "kernel") if type(self.quantizer).build is Quantizer.build else ("inputs",)

    def run(self):
        super().run()
        self.takes_each_image_by_itself()
        self.takes_each_element_by_itself()
        self.is_the_same_in_a_graph()

    def takes_each_image_by_itself(self):
        together, alone = (_array(self.quantizer(ops.convert_to_tensor(x), **self.given)) for x in (self.x, self.x[:1]))
        same = np.allclose(alone, together[:1], rtol=1e-5, atol=1e-7)
        self.expect(same, "an image by itself is quantized to other values than in a batch", "the same: no scale spans the batch")

    def takes_each_element_by_itself(self):
        if not self.quantizer.is_elementwise:
            return
        of_all, of_some = (_array(self.quantizer(ops.convert_to_tensor(x), **self.given)) for x in (self.x, self.x[:, ::2, 1:]))
        text = "is_elementwise, but gives an element another value where others are left out"
        self.expect(np.array_equal(of_some, of_all[:, ::2, 1:]), text, "the same")

    def is_the_same_in_a_graph(self):
        try:
            rule = input_rule(self.quantizer, **self.given)
        except TypeError:
            return  # a graph does not have it
        values = _array(self.quantizer(ops.convert_to_tensor(self.x), **self.given))
        scaled = rule.brought(self.x)
        expected = rule.factor * quantize(rule.quantizer, scaled)
        clear = np.ones(self.shape, bool) if rule.quantizer is None else distance(scaled, rule.quantizer) > _CLEAR
        off = np.abs(values - expected)[clear].max()
        self.expect(
            off <= _ROUNDING * max(1.0, np.abs(expected).max()),
            f"it is off the nearest value of {self.quantizer.grid(**self.given)} by up to {off:.2g}",
            "that, which a graph computes",
        )

    def check_grid(self, values):
        # Of one image, since each may have scales of its own.
        count, most = max(len(np.unique(image)) for image in values), 2**self.quantizer.bits
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
        of_again = self.of(x, [1, 2], self.again)
        self.expect(np.array_equal(first, of_again), "made again from its configuration it gives another", "all in get_config")
        self.expect(np.array_equal(first, again), "one key gives two gradients", "a function of the key")
        if self.quantizer.is_off:
            self.expect(np.array_equal(first, x), "is_off, but changes the gradient", "the gradient as it is")
            return
        self.expect(not np.array_equal(first, other), "two keys give one gradient", "other noise")
        count = max(len(np.unique(sample)) for sample in first)
        self.expect(count <= 2**self.quantizer.bits, f"a sample has {count} values", f"at most 2^{self.quantizer.bits}")

    def of(self, x, key, quantizer=None):
        key, quantizer = ops.convert_to_tensor(key, dtype="int32"), quantizer or self.quantizer
        return gradient(lambda operand: quantizer(operand, key), x, x)


_TRIALS = {"kernel": _Kernel, "inputs": _Inputs, "gradient": _Gradient}


def _dtype(x):
    return keras_3.backend.standardize_dtype(x.dtype)


def _line(error):
    return " ".join(str(error).split())


def _array(x):
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")))
