"""The contract of a quantized layer: what training, summary and export rely on, tried on one of small size."""

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfq.backend.keras import backend, is_legacy, keras, load_model, ops
from tfq.backend.settings import plain_settings
from tfq.layers import QuantizedLayer
from tfq.quantizers import DoReFaGradients, XnorInputs, XnorWeights
from tfq.summary import layer_costs
from tfq.testing.errors import ContractError

_BATCH = 2
_CLOSE = 1e-4  # of sums of some hundred products in float32, over the largest


@plain_settings()
def check_layer(make: Callable[..., QuantizedLayer], input_shape: Sequence[int]) -> None:
    """Raise ContractError unless a quantized layer keeps its contract.

    Its configuration gives it again. Nothing but the quantized kernel reaches its operation. `channel_axis` counts the filters.
    Outputs and gradients are those of the layer of Keras on quantized operands, where there is one (unless `pad_values` is set).
    It is saved and loaded. Under mixed precision its latent kernel, and what its quantizer takes, stay float32. One step of `fit`
    moves the kernel. The summary knows its bits and multiply-accumulates.

    Args:
        make: returns a new layer, not built; it hands its keyword arguments (`name`, `dtype`, the three quantizers) to the
            constructor. The class is registered with Keras, as `keras.saving.register_keras_serializable` does.
        input_shape: of a small input, without the batch axis.

    Raises:
        ContractError: the message says what was expected.
        RuntimeError: the kernel does not pass through its quantizer.
    """
    layer = make(kernel_quantizer=XnorWeights())
    if not isinstance(layer, QuantizedLayer):
        raise ContractError(f"a quantized layer is a tfq.layers.QuantizedLayer; got {type(layer).__name__}")
    trial = _Trial(make, tuple(input_shape))
    trial.comes_back_from_its_configuration()
    trial.uses_nothing_but_the_quantized_kernel()
    trial.says_where_its_filters_are()
    trial.computes_what_keras_computes_on_quantized_operands()
    trial.comes_back_from_a_file()
    trial.quantizes_in_float32()
    trial.learns()
    trial.is_in_the_summary()


class _Trial:
    """The checks, each on layers of its own."""

    def __init__(self, make, input_shape):
        self.make = make
        self.input_shape = input_shape
        self.inputs = np.random.default_rng(0).normal(size=(_BATCH, *input_shape)).astype("float32")

    def comes_back_from_its_configuration(self):
        layer = self.make(**_quantized(), gradient_quantizer=DoReFaGradients(6, seed=1), name="configured")
        again = type(layer).from_config(layer.get_config())
        _expect(again.get_config() == layer.get_config(), layer, f"from_config gives {again.get_config()}", layer.get_config())

    def uses_nothing_but_the_quantized_kernel(self):
        layer = self.built(kernel_quantizer=lambda latent: 0.5 - latent)
        plain = self.built()
        _set(plain.latent_kernel, 0.5 - _array(layer.latent_kernel))
        _set_others(plain, layer)
        _expect_close(layer, "outputs", layer(self.inputs), plain(self.inputs), "those of the quantized kernel as a latent one")

    def says_where_its_filters_are(self):
        layer = self.built()
        kernel = _array(layer.latent_kernel)
        counting = [axis % kernel.ndim for axis in np.atleast_1d(layer.channel_axis)]
        filters = math.prod(kernel.shape[axis] for axis in counting)
        before = _channels_last(layer, layer(self.inputs))
        text = f"channel_axis={layer.channel_axis} counts {filters} filters in a kernel {kernel.shape}"
        _expect(filters == before.shape[-1], layer, text, f"one for each of {before.shape[-1]} channels that come out")
        for index in {0, filters - 1}:
            changed = np.moveaxis(kernel.copy(), counting, range(len(counting)))
            place = np.unravel_index(index, changed.shape[: len(counting)])
            changed[place] = 1 - changed[place]
            _set(layer.latent_kernel, np.moveaxis(changed, range(len(counting)), counting))
            moved = np.abs(_channels_last(layer, layer(self.inputs)) - before).reshape(-1, filters).max(axis=0)
            found = np.flatnonzero(moved > _CLOSE * np.abs(before).max()).tolist()
            _set(layer.latent_kernel, kernel)
            _expect(found == [index], layer, f"filter {index} along channel_axis={layer.channel_axis} changes {found}", [index])
        scales = np.abs(kernel).mean(axis=tuple(set(range(kernel.ndim)) - set(counting)), keepdims=True)
        quantized = self.built(kernel_quantizer=XnorWeights())
        _set(quantized.latent_kernel, kernel)
        expected = np.where(kernel >= 0, scales, -scales)
        _expect_close(layer, "quantized_kernel", quantized.quantized_kernel, expected, "one scale a filter, in XnorWeights")

    def computes_what_keras_computes_on_quantized_operands(self):
        layer = self.built(input_quantizer=XnorInputs(), kernel_quantizer=_doubled)
        stock = layer.stock()
        if stock is None or getattr(layer, "pad_values", 0):
            return
        kind = f"those of {type(stock).__name__} on quantized operands"
        quantized = np.where(self.inputs >= 0, 1, -1).astype("float32")
        stock.build((None, *self.input_shape))
        weights = [_array(weight) for weight in layer.weights]
        weights[0] = 2 * weights[0]
        stock.set_weights(weights)
        _expect_close(layer, "outputs", layer(self.inputs), stock(quantized), kind)
        # Through W -> 2 W the gradient comes back twice as long.
        moves = [self._step(each, inputs) for each, inputs in ((layer, self.inputs), (stock, quantized))]
        for factor, ours, theirs in zip((2, 1), *moves, strict=False):
            _expect_close(layer, "gradients", ours, factor * theirs, kind)

    def _step(self, layer, inputs):
        model = self.model(layer)
        model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=backend == "tensorflow")  # the fastest for one step
        before = [_array(weight) for weight in layer.trainable_weights]
        model.train_on_batch(inputs, self.targets(layer))
        return [old - _array(weight) for old, weight in zip(before, layer.trainable_weights, strict=True)]

    def comes_back_from_a_file(self):
        layer = self.built(**_quantized(), name="saved")
        model = self.model(layer)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            model.save(path)
            again = load_model(path)
        _expect_close(layer, "outputs", again(self.inputs), model(self.inputs), "those before it was saved", 1e-6)
        found = type(again.layers[-1])
        _expect(found is type(layer), layer, f"a file gives a {found.__name__}", type(layer).__name__)

    def quantizes_in_float32(self):
        seen = []
        layer = self.built(dtype="mixed_bfloat16", kernel_quantizer=lambda latent: (seen.append(str(latent.dtype)), latent)[1])
        outputs = layer(ops.cast(self.inputs, "bfloat16"))
        dtypes = [str(layer.latent_kernel.dtype), *seen]
        _expect(all("float32" in dtype for dtype in dtypes), layer, f"under mixed_bfloat16 the kernel is {dtypes}", "float32")
        _expect("bfloat16" in str(outputs.dtype), layer, f"under mixed_bfloat16 it gives {outputs.dtype}", "bfloat16")

    def learns(self):
        layer = self.built(**_quantized(), gradient_quantizer=DoReFaGradients(8, seed=1), name="trained")
        model = self.model(layer)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        before = _array(layer.latent_kernel)
        model.fit(self.inputs, self.targets(layer), batch_size=_BATCH, verbose=0)
        moved = _array(layer.latent_kernel) - before
        is_right = np.isfinite(moved).all() and moved.any()
        _expect(is_right, layer, f"a step of fit moves the kernel by up to {np.abs(moved).max()}", "a finite step, not 0")

    def is_in_the_summary(self):
        layer = self.built(**_quantized())
        (cost,) = layer_costs(self.model(layer))
        found = f"the summary says {cost.input_bits} x {cost.weight_bits} bits, memory {cost.weight_memory_bits}"
        shape = tuple(layer.latent_kernel.shape)
        is_right = (cost.input_bits, cost.weight_bits, cost.weight_memory_bits.get(1)) == (1, 1, math.prod(shape))
        _expect(is_right, layer, found, f"1 bit for inputs and for the kernel, of shape {shape}")
        stock = layer.stock()
        expected = cost.macs if stock is None else layer_costs(self.model(stock))[0].macs
        _expect(cost.macs == expected > 0, layer, f"the summary counts {cost.macs} MACs", expected or "some")

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
        shape = tuple(layer.compute_output_shape((_BATCH, *self.input_shape)))
        return np.random.default_rng(2).normal(size=shape).astype("float32")


def _quantized():
    return {"input_quantizer": XnorInputs(), "kernel_quantizer": XnorWeights()}


def _doubled(latent):
    return 2 * latent


def _array(x):
    return np.asarray(ops.convert_to_numpy(x if is_legacy else ops.cast(x, "float32")), "float32")


def _set(weight, values):
    weight.assign(values)


def _set_others(layer, source):
    """Copy the weights that are not the kernel."""
    for weight, given in zip(layer.weights, source.weights, strict=True):
        if weight is not layer.latent_kernel:
            weight.assign(given)


def _channels_last(layer, outputs):
    outputs = _array(outputs)
    return np.moveaxis(outputs, 1, -1) if getattr(layer, "data_format", None) == "channels_first" else outputs


def _expect(condition, layer, found, expected):
    if not condition:
        raise ContractError(f"{type(layer).__name__}: {found}; expected {expected}")


def _expect_close(layer, what, found, expected, whose, tolerance=_CLOSE):
    found, expected = _array(found), _array(expected)
    distance = np.abs(found - expected).max() / np.abs(expected).max() if found.shape == expected.shape else np.inf
    _expect(distance <= tolerance, layer, f"{what} are off by {distance:.1e} of the largest", f"{whose}, to {tolerance:.0e}")
