"""LSQ: values and closed-form gradients in float64, the step that a layer keeps, and a network on its way to a file."""

import numpy as np
import pytest
from conftest import array, gradient, layer_vjp, tensor, vjp
from running import slow_on

from tfq import walk
from tfq.backend.keras import is_legacy, keras, ops
from tfq.convert.from_keras import Unsupported, from_keras
from tfq.convert.to_keras import to_keras
from tfq.export import verify
from tfq.layers import BatchNormalization, QuantActivation, QuantConv2D, QuantDense
from tfq.quantizers import LSQInputs, LSQWeights
from tfq.training import optimizers, transfer

RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 3, 4, 5)).astype("float32")
# Away from the boundaries, where float32 and float64 may differ; the ends of the clip, and beyond.
X = np.concatenate([(RNG.integers(-6, 12, 90) + RNG.uniform(-0.4, 0.4, 90)) * 0.3, [-np.inf, np.inf, 0]])
X = X.reshape(3, 31).astype("float32")


def expected(x, step, low, high, upstream, count):
    """Equations 1 to 5, element by element: values, gradient for x, gradient for the step."""
    x, upstream = x.astype("float64"), upstream.astype("float64")
    values, by_x, by_step = np.zeros(x.shape), np.zeros(x.shape), 0.0
    for place, v in np.ndenumerate(x / step):
        clipped = min(max(v, low), high)
        values[place] = step * np.rint(clipped)
        by_x[place] = upstream[place] if low < v < high else 0
        by_step += upstream[place] * (low if v <= low else high if v >= high else np.rint(v) - v)
    return values, by_x, by_step / np.sqrt(count * high)


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_weights(bits):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    check(LSQWeights(bits), X, np.float32(0.3), low, high, count=X.size)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_inputs(bits):
    check(LSQInputs(bits), X, np.float32(0.3), 0, 2**bits - 1, count=X.shape[1])


def check(quantizer, x, step, low, high, count):
    upstream = RNG.normal(size=x.shape).astype("float32")

    def call(x, change):
        return quantizer(x, step_start=tensor(step / 2), step_change=change)

    value, gradients = vjp(call, [tensor(x), tensor(step / 2)], tensor(upstream))
    values, by_x, by_step = expected(x, step, low, high, upstream, count)
    np.testing.assert_allclose(array(value), values, rtol=1e-6)
    np.testing.assert_array_equal(array(gradients[0]), by_x.astype("float32"))
    np.testing.assert_allclose(array(gradients[1]), by_step, rtol=1e-4)
    assert array(gradients[1]).shape == ()


def test_the_step_of_a_kernel_follows_it_until_the_training_starts():
    layer = QuantConv2D(5, 3, kernel_quantizer=LSQWeights(3))
    layer.build((None, 6, 6, 4))
    for factor in (1, 10):  # weights of another run may come in meanwhile
        layer.kernel.assign(factor * W)
        step = 2 * np.abs(factor * W).mean() / np.sqrt(3)
        np.testing.assert_allclose(array(layer.quantized_kernel), np.clip(np.rint(factor * W / step), -4, 3) * step, rtol=1e-5)
    layer(np.zeros((1, 6, 6, 4), "float32"), training=True)
    layer.kernel.assign(W)
    np.testing.assert_allclose(array(layer.quantized_kernel), np.clip(np.rint(W / step), -4, 3) * step, rtol=1e-5)


def test_the_step_of_inputs_starts_with_the_first_batch_of_the_training():
    layer = QuantActivation(LSQInputs(2))
    x = np.abs(RNG.normal(size=(4, 5, 5, 3))).astype("float32")
    step = 2 * np.sqrt(2 / np.pi) / np.sqrt(3)  # of a standard normal x
    np.testing.assert_allclose(array(layer(x)), np.clip(np.rint(x / step), 0, 3) * step, rtol=1e-5)
    step = 2 * np.abs(x).mean() / np.sqrt(3)
    np.testing.assert_allclose(array(layer(x, training=True)), np.clip(np.rint(x / step), 0, 3) * step, rtol=1e-5)
    np.testing.assert_allclose(array(layer(100 * x, training=True)).max(), 3 * step, rtol=1e-5)
    np.testing.assert_allclose(layer.input_quantizer.window(**layer.input_arguments), (0, 3 * step), rtol=1e-5)


def test_a_kernel_of_zeros_stays_zero():
    layer = QuantDense(2, kernel_quantizer=LSQWeights(2), kernel_initializer="zeros")
    layer.build((None, 3))
    outputs, gradients = layer_vjp(layer, np.ones((1, 3)), np.ones((1, 2)))
    assert not outputs.any()
    assert all(np.isfinite(each).all() for each in gradients)


@pytest.mark.parametrize("quantizer", [LSQInputs(2), LSQWeights(2)], ids=repr)
def test_without_a_layer_there_is_no_step(quantizer):
    with pytest.raises(ValueError, match=r"LSQ.*\(bits=2\) keeps a step for each layer: give it to a layer of tfq as its "):
        quantizer(tensor(X))


def test_one_bit_has_no_step_for_weights():
    with pytest.raises(ValueError, match="LSQWeights: bits must be an integer from 2 to 16, or 32 "):
        LSQWeights(1)


# --- a network


def network(weights=None, inputs=None):
    """One object for all layers."""
    x = keras.Input((6, 6, 3), name="images")
    y = QuantConv2D(6, 3, kernel_quantizer=weights, name="first")(x)
    y = BatchNormalization(name="norm")(y)
    y = QuantConv2D(6, 3, kernel_quantizer=weights, input_quantizer=inputs, name="second")(y)
    y = QuantActivation(inputs, name="activation")(y)
    y = keras.layers.Flatten(name="flat")(y)
    return keras.Model(x, QuantDense(4, kernel_quantizer=weights, name="head")(y))


IMAGES, LABELS = RNG.normal(size=(32, 6, 6, 3)).astype("float32"), RNG.integers(0, 4, 32)


def fitted(model, optimizer="sgd"):
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES, LABELS, batch_size=16, verbose=0)
    return model


def steps(model):
    return {
        (path, name): float(array(w))
        for path, named in walk.weights(model).items()
        for name, w in named.items()
        if "step" in name
    }


@slow_on("jax")
def test_from_a_float_run_to_a_file_and_back(tmp_path):
    keras.utils.set_random_seed(0)
    network().save_weights(tmp_path / "float.weights.h5")
    model = network(LSQWeights(2), LSQInputs(2))
    assert transfer.initialize(model, tmp_path / "float.weights.h5") == []
    means = {path: np.abs(array(model.get_layer(path).kernel)).mean() for path in ("first", "second", "head")}
    fitted(model)
    found = steps(model)
    assert len(found) == 2 * (3 + 2)
    for path, mean in means.items():  # of the weights that came in
        assert found[f"{path}/kernel_state", "step_start"] == pytest.approx(2 * mean, rel=1e-4)
    assert {place for place, value in found.items() if value == 0} == set()  # each has started, and moved

    expected = model.predict(IMAGES, verbose=0)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    again = network(LSQWeights(2), LSQInputs(2))
    again.load_weights(tmp_path / "model.weights.h5")
    for other in (keras.models.load_model(tmp_path / "model.keras"), again):
        assert steps(other) == found
        np.testing.assert_array_equal(other.predict(IMAGES, verbose=0), expected)
    again = network(LSQWeights(2), LSQInputs(2))
    transfer.initialize(again, tmp_path / "model.keras")
    assert steps(again) == found

    graph = from_keras(model)
    assert [(node.kernel.coding, node.kernel.bits) for node in graph.nodes if hasattr(node, "kernel")] == 3 * [("integer", 2)]
    unpacked = to_keras(graph)
    verify.compare("graph", model, lambda x: unpacked.predict(x, verbose=0), IMAGES)
    assert unpacked.get_layer("second").kernel_quantizer == LSQWeights(2)


def test_decay_spares_the_steps():
    model = network(LSQWeights(2), LSQInputs(2))
    spared = {id(weight) for weight in optimizers._spared(model)}
    changes = [weight for weight in model.trainable_weights if "step" in weight.name]
    assert len(changes) == 3 + 2
    assert all(id(weight) in spared for weight in changes)
    assert id(model.get_layer("head").kernel) not in spared


@pytest.mark.parametrize(("policy", "bits"), [("mixed_float16", 8), ("mixed_bfloat16", 7)])
def test_mixed_precision(policy, bits):
    make = keras.mixed_precision.Policy if is_legacy else keras.dtype_policies.get
    layer = QuantConv2D(4, 3, kernel_quantizer=LSQWeights(4), input_quantizer=LSQInputs(bits), dtype=make(policy))
    layer(IMAGES, training=True)
    kept = walk.weights(layer)
    dtypes = {str(weight.dtype) for path in ("kernel_state", "input_state") for weight in kept[path].values()}
    assert len(dtypes) == 1
    assert "float32" in dtypes.pop()
    x = ops.cast(IMAGES, policy.removeprefix("mixed_"))
    step = array(kept["input_state"]["step_start"])
    quantized = array(layer.input_quantizer(x, **layer.input_arguments))
    exact = np.clip(np.rint(array(ops.cast(x, "float32")) / step), 0, 2**bits - 1) * step
    np.testing.assert_allclose(quantized, exact, rtol=2**-7)


class Network(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = QuantConv2D(4, 3, kernel_quantizer=LSQWeights(2), input_quantizer=LSQInputs(2))
        self.flat, self.head = keras.layers.Flatten(), QuantDense(4, kernel_quantizer=LSQWeights(2))

    def call(self, inputs, training=None):
        return self.head(self.flat(self.conv(inputs, training=training)), training=training)


def test_layers_that_keras_builds_in_the_first_batch():
    found = steps(fitted(Network()))
    assert len(found) == 6
    assert all(found.values())


@pytest.mark.parametrize("options", [{"pad_values": 1}, {"kmap": True}])
def test_options_without_a_packed_form_are_refused(options):
    layer = QuantConv2D(2, 3, padding="same", input_quantizer=LSQInputs(2), name="conv", **options)
    with pytest.raises(Unsupported, match=r"layer 'conv' .* LSQInputs\(bits=2\) ends on levels up to .*: pad_values must be 0"):
        from_keras(keras.Sequential([keras.Input((6, 6, 3)), layer]))


def test_weights_and_inputs_pass_no_gradient_where_they_are_clipped():
    for quantizer, x in ((LSQWeights(2), [-5.0, 5.0]), (LSQInputs(2), [-5.0, 5.0])):
        found = gradient(lambda x, q=quantizer: q(x, step_start=tensor(1.0), step_change=tensor(0.0)), [x])
        assert not found.any()
