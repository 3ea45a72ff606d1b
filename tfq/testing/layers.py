"""The contract of a quantized layer: what training, summary and export rely on, tried on one of small size."""

import inspect
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfq.backend.keras import backend, is_legacy, keras, load_model, ops
from tfq.backend.settings import plain_settings
from tfq.convert.layers import converter_of
from tfq.layers import QuantizedLayer
from tfq.quantizers import DoReFaGradients, GradientQuantizer, XnorInputs, XnorWeights, straight_through
from tfq.quantizers.base import register
from tfq.summary import layer_costs
from tfq.testing.conversion import check_conversion
from tfq.testing.errors import ContractError
from tfq.testing.gradients import gradient

_BATCH = 2
_MODES = {False: "in inference", True: "in training"}
_CLOSE = 1e-4  # of sums of some hundred products in float32, over the largest


@plain_settings()
def check_layer(make: Callable[..., QuantizedLayer], input_shape: Sequence[int]) -> None:
    """Raise ContractError unless a quantized layer keeps its contract.

    Its configuration gives it again. Nothing but the quantized kernel, and quantized inputs, reach its operation, in training and
    in inference; its gradient passes through its quantizer. `channel_axis` counts the filters. Outputs and gradients are those of
    the layer of Keras on quantized operands, where there is one (unless `pad_values` is set). It is saved and loaded. Under mixed
    precision its latent kernel, and what its quantizer takes, stay float32. One step of `fit` moves the kernel. The summary knows
    its bits and multiply-accumulates. Where a converter of it is registered, `check_conversion` holds. Each of several kernels is
    tried.

    What depends on an option of the layer is seen only with that option: call this once for each that makes a branch.

    Args:
        make: returns a new layer, not built; it hands its keyword arguments (`name`, `dtype`, the quantizers) to the
            constructor. The class is registered by `tfq.layers.register_layer`.
        input_shape: of a small input, without the batch axis.

    Raises:
        ContractError: the message says what was expected.
        RuntimeError: the kernel does not pass through its quantizer.
    """
    layer = make()
    if not isinstance(layer, QuantizedLayer):
        raise ContractError(f"a quantized layer is a tfq.layers.QuantizedLayer; got {type(layer).__name__}")
    trial = _Trial(make, tuple(input_shape))
    trial.has_its_kernel()
    trial.comes_back_from_its_configuration()
    trial.uses_nothing_but_the_quantized_kernel()
    trial.quantizes_its_inputs()
    trial.quantizes_its_gradient()
    trial.says_where_its_filters_are()
    trial.computes_what_keras_computes_on_quantized_operands()
    trial.comes_back_from_a_file()
    trial.quantizes_in_float32()
    trial.learns()
    trial.is_in_the_summary()
    trial.is_the_same_in_a_graph()


class _Trial:
    """The checks, each on layers of its own."""

    def __init__(self, make, input_shape):
        self.make = make
        self.input_shape = input_shape
        self.places = make().kernel_places()
        self.quantized = {"input_quantizer": XnorInputs(), **{place.quantizer: XnorWeights() for place in self.places}}
        self.inputs = np.random.default_rng(0).normal(size=(_BATCH, *input_shape)).astype("float32")

    def has_its_kernel(self):
        layer = self.make(**self.quantized)
        try:
            layer.build((None, *self.input_shape))
        except AttributeError as error:
            if error.name not in {place.weight for place in self.places}:
                raise
            text = f"its build makes no weight self.{error.name}"
            raise ContractError(f"{type(layer).__name__}: {text}; expected that, or another kernel_name") from error

    def comes_back_from_its_configuration(self):
        layer = self.make(**self.quantized, gradient_quantizer=DoReFaGradients(6, seed=1), name="configured")
        try:
            again = type(layer).from_config(layer.get_config())
        except TypeError as error:
            text = f"from_config(get_config()) gives {type(error).__name__}: {str(error).splitlines()[-1]}"
            raise ContractError(f"{type(layer).__name__}: {text}; expected all arguments of the constructor") from error
        _expect(again.get_config() == layer.get_config(), layer, f"from_config gives {again.get_config()}", layer.get_config())

    def uses_nothing_but_the_quantized_kernel(self):
        for number, place in enumerate(self.places):
            layer, plain = self.built(**{place.quantizer: lambda latent: 0.5 - latent}), self.built()
            ours, theirs = layer.kernels[number].latent, plain.kernels[number].latent
            _set(theirs, 0.5 - _array(ours))
            for weight, given in zip(plain.weights, layer.weights, strict=True):
                if weight is not theirs:
                    _set(weight, given)
            for training, when in _MODES.items():
                found, expected = (_called(each, self.inputs, training) for each in (layer, plain))
                _expect_close(
                    layer, f"outputs {when}", found, expected, f"those of the quantized {place.operand} as a latent one"
                )

    def quantizes_its_inputs(self):
        layer, plain = self.built(input_quantizer=XnorInputs()), self.built()
        signs = np.where(self.inputs >= 0, 1, -1).astype("float32")
        for training, when in _MODES.items():
            expected = _called(plain, signs, training)
            if _is_scaled(layer, expected, self.inputs):
                return  # by what is known of the inputs before they are quantized
            whose = "those of the quantized inputs"
            _expect_close(
                layer, f"outputs {when} with an input_quantizer", _called(layer, self.inputs, training), expected, whose
            )

    def quantizes_its_gradient(self):
        layer = self.built(gradient_quantizer=_NoGradient())
        upstream = np.ones(_array(layer(self.inputs)).shape, "float32")
        found = gradient(lambda x: _called(layer, x, True), self.inputs, upstream)
        text = f"its gradient_quantizer gives 0, and gradients of up to {np.abs(found).max():.2g} come back"
        _expect(not found.any(), layer, text, "that they pass through it")

    def says_where_its_filters_are(self):
        layer = self.built()
        self._moves_the_outputs_of_a_filter(layer, layer.kernels[-1])
        for number, place in enumerate(self.places):
            quantized = self.built(**{place.quantizer: XnorWeights()}).kernels[number]
            kernel = _array(quantized.latent)
            spanned = tuple(set(range(kernel.ndim)) - set(_counting(quantized)))
            scales = np.abs(kernel).mean(axis=spanned, keepdims=True)
            whose = "one scale a filter, in XnorWeights"
            _expect_close(layer, f"quantized {place.weight}", quantized.quantized, np.where(kernel >= 0, scales, -scales), whose)

    def _moves_the_outputs_of_a_filter(self, layer, last):
        """Of several kernels it is the last one whose filters are channels that come out."""
        kernel, counting = _array(last.latent), _counting(last)
        filters = math.prod(kernel.shape[axis] for axis in counting)
        before = _by_filter(layer, layer(self.inputs), filters)
        text = f"channel_axis={last.channel_axis} counts {filters} filters in a kernel {kernel.shape}"
        _expect(filters == before.shape[-1], layer, text, f"one for each of {before.shape[-1]} channels that come out")
        for index in {0, filters - 1}:
            changed = np.moveaxis(kernel.copy(), counting, range(len(counting)))
            place = np.unravel_index(index, changed.shape[: len(counting)])
            changed[place] = 1 - changed[place]
            _set(last.latent, np.moveaxis(changed, range(len(counting)), counting))
            moved = np.abs(_by_filter(layer, layer(self.inputs), filters) - before).max(axis=0)
            found = np.flatnonzero(moved > _CLOSE * np.abs(before).max()).tolist()
            _set(last.latent, kernel)
            _expect(found == [index], layer, f"filter {index} along channel_axis={last.channel_axis} changes {found}", [index])

    def computes_what_keras_computes_on_quantized_operands(self):
        layer = self.built(input_quantizer=XnorInputs(), **{place.quantizer: _doubled for place in self.places})
        stock = layer.stock()
        if stock is None or getattr(layer, "pad_values", 0):
            return
        kind = f"those of {type(stock).__name__} on quantized operands"
        quantized = np.where(self.inputs >= 0, 1, -1).astype("float32")
        stock.build((None, *self.input_shape))
        kernels = [kernel.latent for kernel in layer.kernels]
        factors = [2 if any(weight is kernel for kernel in kernels) else 1 for weight in layer.trainable_weights]
        stock.set_weights([factor * _array(weight) for factor, weight in zip(factors, layer.trainable_weights, strict=True)])
        _expect_close(layer, "outputs", layer(self.inputs), stock(quantized), kind)
        # Through W -> 2 W the gradient comes back twice as long.
        moves = [self._step(each, inputs) for each, inputs in ((layer, self.inputs), (stock, quantized))]
        for factor, ours, theirs in zip(factors, *moves, strict=True):
            _expect_close(layer, "gradients", ours, factor * theirs, kind)

    def _step(self, layer, inputs):
        model = self.model(layer)
        model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=backend == "tensorflow")  # the fastest for one step
        before = [_array(weight) for weight in layer.trainable_weights]
        model.train_on_batch(inputs, self.targets(layer))
        return [old - _array(weight) for old, weight in zip(before, layer.trainable_weights, strict=True)]

    def comes_back_from_a_file(self):
        layer = self.built(**self.quantized, name="saved")
        model = self.model(layer)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            model.save(path)
            try:
                again = load_model(path)
            except (TypeError, ValueError) as error:
                text = f"a saved model with it is not read: {error}"
                raise ContractError(f"{type(layer).__name__}: {text}; is it registered, tfq.layers.register_layer?") from error
        _expect_close(layer, "outputs", again(self.inputs), model(self.inputs), "those before it was saved", 1e-6)
        found = type(again.layers[-1])
        _expect(found is type(layer), layer, f"a file gives a {found.__name__}", type(layer).__name__)

    def quantizes_in_float32(self):
        seen = []
        recording = dict.fromkeys((place.quantizer for place in self.places), lambda w: (seen.append(str(w.dtype)), w)[1])
        layer = self.built(dtype="mixed_bfloat16", **recording)
        outputs = layer(ops.cast(self.inputs, "bfloat16"))
        dtypes = [*(str(kernel.latent.dtype) for kernel in layer.kernels), *seen]
        _expect(all("float32" in dtype for dtype in dtypes), layer, f"under mixed_bfloat16 the kernel is {dtypes}", "float32")
        _expect("bfloat16" in str(outputs.dtype), layer, f"under mixed_bfloat16 it gives {outputs.dtype}", "bfloat16")

    def learns(self):
        layer = self.built(**self.quantized, gradient_quantizer=DoReFaGradients(8, seed=1), name="trained")
        model = self.model(layer)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        before = [_array(kernel.latent) for kernel in layer.kernels]
        model.fit(self.inputs, self.targets(layer), batch_size=_BATCH, verbose=0)
        for kernel, old in zip(layer.kernels, before, strict=True):
            moved = _array(kernel.latent) - old
            is_right = np.isfinite(moved).all() and moved.any()
            text = f"a step of fit moves the {kernel.place.operand} by up to {np.abs(moved).max()}"
            _expect(is_right, layer, text, "a finite step, not 0")

    def is_in_the_summary(self):
        layer = self.built(**self.quantized)
        (cost,) = layer_costs(self.model(layer))
        found = f"the summary says {cost.input_bits} x {cost.weight_bits} bits, memory {cost.weight_memory_bits}"
        size = sum(math.prod(kernel.latent.shape) for kernel in layer.kernels)
        is_right = (cost.input_bits, cost.weight_bits, cost.weight_memory_bits.get(1)) == (1, 1, size)
        _expect(is_right, layer, found, f"1 bit for inputs and for the kernel, of {size} weights")
        stock = layer.stock()
        expected = cost.macs if stock is None else layer_costs(self.model(stock))[0].macs
        _expect(cost.macs == expected > 0, layer, f"the summary counts {cost.macs} MACs", expected or "some")

    def is_the_same_in_a_graph(self):
        layer = self.built(**self.quantized, name="converted")
        if converter_of(layer) is not None and len(self.input_shape) in (1, 3):
            check_conversion(layer, self.input_shape)

    def built(self, **options):
        """A layer with values in all of its weights, the same each time."""
        layer = self.make(**options)
        layer.build((None, *self.input_shape))
        rng = np.random.default_rng(1)
        for weight in layer.trainable_weights:
            _set(weight, rng.normal(size=tuple(weight.shape)).astype("float32"))
        return layer

    def model(self, layer):
        inputs = keras.Input(self.input_shape)
        return keras.Model(inputs, layer(inputs))

    def targets(self, layer):
        return np.random.default_rng(2).normal(size=_array(layer(self.inputs)).shape).astype("float32")


@register
class _NoGradient(GradientQuantizer):
    """Nothing comes back through it."""

    def __call__(self, x, key):
        return straight_through(0.0 * x, x)


def _called(layer, inputs, training):
    """The outputs in training or in inference, of a layer that may know no difference."""
    return layer(inputs, **({"training": training} if "training" in inspect.signature(layer.call).parameters else {}))


def _is_scaled(layer, outputs, inputs):
    return not np.array_equal(_array(layer.scale_outputs(outputs, ops.convert_to_tensor(inputs))), _array(outputs))


def _doubled(latent):
    return 2 * latent


def _array(x):
    return np.asarray(ops.convert_to_numpy(x if is_legacy else ops.cast(x, "float32")), "float32")


def _set(weight, values):
    weight.assign(values)


def _counting(kernel):
    """The axes of a kernel that count its filters."""
    return [axis % len(kernel.latent.shape) for axis in np.atleast_1d(kernel.channel_axis)]


def _by_filter(layer, outputs, filters):
    """Outputs as (.., filters): the channels, or as many of the last axes as have one value for each filter."""
    outputs = _array(outputs)
    if getattr(layer, "data_format", None) == "channels_first":
        outputs = np.moveaxis(outputs, 1, -1)
    sizes = [math.prod(outputs.shape[-count:]) for count in range(1, outputs.ndim)]
    return outputs.reshape(-1, filters if filters in sizes else sizes[0])


def _expect(condition, layer, found, expected):
    if not condition:
        raise ContractError(f"{type(layer).__name__}: {found}; expected {expected}")


def _expect_close(layer, what, found, expected, whose, tolerance=_CLOSE):
    found, expected = _array(found), _array(expected)
    distance = np.abs(found - expected).max() / np.abs(expected).max() if found.shape == expected.shape else np.inf
    _expect(distance <= tolerance, layer, f"{what} are off by {distance:.1e} of the largest", f"{whose}, to {tolerance:.0e}")
