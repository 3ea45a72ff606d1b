"""tfq's layers in other people's models and loops: each way of running a step of training gives the same weights."""

import numpy as np
import pytest
from conftest import array, tensor
from running import sampled, slow_on

from tfq import layers
from tfq.backend.keras import backend, is_legacy, keras, ops
from tfq.quantizers import DoReFaGradients, DoReFaInputs, DoReFaWeights, LSQInputs, LSQWeights, XnorInputs, XnorWeights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 6, 6, 2)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")
RATE = 0.1


def functional():
    """With all that a layer may keep: the key of gradient noise, steps, moving statistics."""
    x = keras.Input(X.shape[1:])
    noise = DoReFaGradients(8, seed=1)  # drawn with the name of the layer
    y = layers.QuantConv2D(4, 3, kernel_quantizer=DoReFaWeights(3), gradient_quantizer=noise, name="first")(x)
    y = layers.BatchNormalization()(y)
    y = layers.QuantDepthwiseConv2D(2, input_quantizer=XnorInputs(), kernel_quantizer=XnorWeights())(y)
    y = layers.QuantActivation(DoReFaInputs(4))(keras.layers.Flatten()(y))
    return keras.Model(x, layers.QuantDense(3, kernel_quantizer=LSQWeights(4), input_quantizer=LSQInputs(4))(y))


def sequential():
    return keras.Sequential([keras.Input(X.shape[1:]), *functional().layers[1:]])


def nested():
    x, inner = keras.Input(X.shape[1:]), functional()
    return keras.Model(x, inner(x))


@keras.saving.register_keras_serializable("test_models")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.inner = functional()

    def call(self, inputs, training=None):
        return self.inner(inputs, training=training)


MODELS = [functional, sequential, nested, Subclassed]


def made(make=functional):
    keras.utils.set_random_seed(0)
    model = make()
    model(X)
    return model


def values(model):
    return [array(weight) for weight in model.weights]


def compiled(model, **options):
    model.compile(keras.optimizers.SGD(RATE), "mse", **options)
    return model


@pytest.fixture(scope="module")
def stepped():
    """The weights before a step of `train_on_batch`, and behind it."""
    model = compiled(made())
    before = values(model)
    model.train_on_batch(X, Y)
    return before, values(model)


def expect(model, stepped):
    before, expected = stepped
    found = values(model)
    assert np.any(before[0] != found[0])
    assert any(np.any(a != b) for a, b in zip(before[-6:], found[-6:], strict=True))  # of the last layer
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # compiled sums have another order


@pytest.mark.parametrize("make", sampled(MODELS[1:], {Subclassed}, "jax"))
def test_a_step_is_the_same_in_each_kind_of_model(make, stepped):
    model = compiled(made(make))
    model.train_on_batch(X, Y)
    expect(model, stepped)


@slow_on("jax")  # where each operation is compiled by itself
def test_a_step_is_the_same_eagerly(stepped):
    model = compiled(made(), run_eagerly=True)
    model.fit(X, Y, batch_size=len(X), shuffle=False, verbose=0)
    expect(model, stepped)


def dense():
    """XLA takes long for convolutions, and has other noise. Sums of levels would end on boundaries, where rounding decides."""
    x = keras.Input(X.shape[1:])
    y = layers.QuantDense(8, kernel_quantizer=LSQWeights(4))(keras.layers.Flatten()(x))
    return keras.Model(x, layers.QuantDense(3, kernel_quantizer=XnorWeights(), input_quantizer=XnorInputs())(y))


@pytest.mark.skipif(backend == "torch", reason="Keras compiles by torch.compile, which needs a compiler of C++")
def test_a_step_is_the_same_compiled():
    before, (plain, jitted) = values(made(dense)), (compiled(made(dense), jit_compile=on) for on in (False, True))
    for model in (plain, jitted):
        model.fit(X, Y, batch_size=len(X), shuffle=False, verbose=0)
    expect(jitted, (before, values(plain)))


def loss_of(outputs):
    return ops.mean(ops.square(outputs - tensor(Y)))


def custom_step(model):
    """One step of gradient descent, as the users of each backend write it."""
    if backend == "tensorflow":
        import tensorflow as tf

        optimizer = keras.optimizers.SGD(RATE)
        with tf.GradientTape() as tape:
            loss = loss_of(model(X, training=True))
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_weights), model.trainable_weights, strict=True))
    elif backend == "jax":
        import jax

        optimizer = keras.optimizers.SGD(RATE)
        optimizer.build(model.trainable_variables)

        def loss(trainable, state, x):
            outputs, state = model.stateless_call(trainable, state, x, training=True)
            return loss_of(outputs), state

        trainable, state, kept = (
            [variable.value for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        )
        (_, state), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(trainable, state, X)
        trainable, _ = optimizer.stateless_apply(kept, gradients, trainable)
        for variable, value in zip(model.trainable_variables + model.non_trainable_variables, [*trainable, *state], strict=True):
            variable.assign(value)
    else:
        import torch

        optimizer = torch.optim.SGD([variable.value for variable in model.trainable_variables], RATE)
        loss_of(model(tensor(X), training=True)).backward()
        optimizer.step()


@pytest.mark.parametrize("make", sampled([functional, Subclassed], {functional}, "jax"))
def test_a_custom_loop_takes_the_same_step(make, stepped):
    model = made(make)
    custom_step(model)
    expect(model, stepped)


@pytest.mark.parametrize("make", sampled([functional, nested], {nested}, "jax"))
def test_a_cloned_model_has_layers_of_its_own_and_the_same_quantizers(make):
    model = made(make)
    clone = keras.models.clone_model(model)
    assert not {id(weight) for weight in model.weights} & {id(weight) for weight in clone.weights}
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(X, verbose=0), model.predict(X, verbose=0))
    assert clone.layers[-1].get_config() == model.layers[-1].get_config()


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("make", [functional, Subclassed])
def test_a_saved_model_serves_what_the_model_predicts(make, tmp_path):
    import tensorflow as tf

    model = made(make)
    expected = model.predict(X, verbose=0)
    options = {} if is_legacy else {"verbose": False}
    model.export(str(tmp_path / "served"), **options)
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(served.serve(X), expected, rtol=1e-5, atol=1e-6)


# --- wrappers


def steps_of(x):
    return keras.Model(x, keras.layers.TimeDistributed(layers.QuantDense(3, kernel_quantizer=XnorWeights()))(x))


@pytest.mark.parametrize("length", [4, None])
def test_a_layer_for_each_step_of_time(length):
    x = RNG.normal(size=(2, 4, 5)).astype("float32")
    model = steps_of(keras.Input((length, 5)))
    inner = model.layers[-1].layer
    expected = x @ array(inner.quantized_kernel) + array(inner.bias)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


class Forgetful(layers.QuantizedLayer, keras.layers.Dense):
    """It leaves the operation to Keras, which takes the latent kernel."""

    def call(self, inputs, training=None):
        return keras.layers.Dense.call(self, inputs)


class Careless(layers.QuantDense):
    """It is given the quantized kernel, and takes the latent one."""

    def quantized_op(self, inputs, kernel):
        return ops.matmul(inputs, ops.convert_to_tensor(self.kernel))


@pytest.mark.parametrize("cls", [Forgetful, Careless])
def test_a_forgotten_quantizer_is_said_within_a_wrapper(cls):
    wrapper = keras.layers.TimeDistributed(cls(3, kernel_quantizer=XnorWeights(), name="inner"))
    with pytest.raises(RuntimeError, match=r"layer 'inner' .* did not pass through kernel_quantizer"):
        wrapper(tensor(np.ones((2, 4, 5))))


@pytest.mark.parametrize("cls", [Forgetful, Careless])
def test_a_call_past_keras_is_watched_too(cls):
    layer = cls(3, kernel_quantizer=XnorWeights(), name="inner")
    layer.build((2, 5))
    with pytest.raises(RuntimeError, match=r"layer 'inner' .* did not pass through kernel_quantizer"):
        layer.call(tensor(np.ones((2, 5))))
