"""Quantized weights out as arrays and codes, into a file and back: the same outputs to the last bit."""

import zipfile

import h5py
import numpy as np
import pytest
from conftest import array, tensor
from every_quantizer import ALL

import tfq
from tfq import layers, quantizers
from tfq.backend.keras import backend, keras, ops
from tfq.convert.from_keras import from_keras
from tfq.layers.base import QuantizedLayer
from tfq.quantized_weights import arrays, assign, codes, save, stored
from tfq.quantizers import (
    BitNetInputs,
    DoReFaWeights,
    KernelQuantizer,
    LSQInputs,
    LSQWeights,
    Quantizer,
    Stored,
    TernaryWeights,
    XnorInputs,
    XnorWeights,
)
from tfq.quantizers.grids import Levels
from tfq.summary import summarize

L = keras.layers
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(24, 12)).astype("float32")
IMAGES = RNG.normal(size=(8, 8, 8, 3)).astype("float32")
# Those of inputs serve for kernels too where they keep nothing; BitNet's have a scale a row, which no codes have.
OF_KERNELS = [
    q
    for q in ALL
    if q.operand == "kernel" or (q.operand == "inputs" and type(q).build is Quantizer.build and not isinstance(q, BitNetInputs))
]


@keras.saving.register_keras_serializable(package="test_quantized_weights")
def doubled_signs(x):
    return 2.0 * ops.where(x >= 0, 1.0, -1.0)


def started(model, x):
    """After a step that sets statistics and steps; with few compilers, since the networks are many layers deep."""
    model(x, training=True)
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=False)
    return model


def every_quantizer():
    """A dense layer of each quantizer of kernels."""
    x = keras.Input((12,))
    outputs = []
    for number, quantizer in enumerate([*OF_KERNELS, doubled_signs]):
        outputs.append(layers.QuantDense(4, kernel_quantizer=quantizer, name=f"dense_{number}", input_quantizer=LSQInputs(4))(x))
    return keras.Model(x, L.BatchNormalization()(L.Concatenate()(outputs)))


def every_layer():
    """Each layer, and two kernels in one, with quantizers that do not give their own values again, in a nested model."""
    bits = {"kernel_quantizer": TernaryWeights(), "input_quantizer": XnorInputs()}
    two = {"depthwise_quantizer": LSQWeights(4), "pointwise_quantizer": DoReFaWeights(3)}
    x = keras.Input((8, 8, 3))
    y = layers.QuantConv2D(4, 3, padding="same", pad_values=1, kmap=True, **bits)(x)
    y = layers.QuantDepthwiseConv2D(3, padding="same", kernel_quantizer=LSQWeights(3))(y)
    y = layers.QuantSeparableConv2D(4, 3, padding="same", **two)(y)
    y = layers.QuantConv2DTranspose(4, 3, padding="same", **bits)(y)
    y = layers.QuantConv3D(4, (3, 1, 1), kernel_quantizer=DoReFaWeights(5))(L.Reshape((8, 8, 4, 1))(y))
    y = L.Reshape((6 * 8, 16))(y)
    y = layers.QuantConv1D(6, 3, **bits)(y)
    y = layers.QuantDepthwiseConv1D(3, kernel_quantizer=XnorWeights())(y)
    y = layers.QuantSeparableConv1D(4, 3, **two)(y)
    y = layers.QuantConv1DTranspose(4, 3, **bits)(y)
    y = layers.QuantEinsumDense("abc,cd->abd", (None, 5), **bits)(y)
    inner = keras.Model(x, L.GlobalAveragePooling1D()(y), name="inner")
    z = keras.Input((8, 8, 3))
    return keras.Model(z, layers.QuantDense(3, kernel_quantizer=DoReFaWeights(4))(inner(z)))


# JAX compiles the many networks of one layer for seconds.
SLOW = [pytest.mark.slow] if backend == "jax" else []


@pytest.fixture(scope="module", params=[pytest.param(every_quantizer, marks=SLOW), every_layer], ids=lambda make: make.__name__)
def saved(request, tmp_path_factory):
    """A trained model, its inputs, the file of its quantized weights, and the model that comes out of it."""
    keras.utils.set_random_seed(0)
    x = NUMBERS if request.param is every_quantizer else IMAGES
    model = started(request.param(), x)
    path = tmp_path_factory.mktemp("saved") / "quantized.keras"
    weights, outputs = model.get_weights(), model.predict(x, verbose=0)
    save(model, path)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(model.predict(x, verbose=0), outputs)
    return model, x, path, keras.models.load_model(path)


def quantized_layers(model):
    return [layer for _, layer in tfq.walk.layers(model) if isinstance(layer, QuantizedLayer)]


def test_a_reloaded_model_gives_the_same_outputs_to_the_last_bit(saved):
    model, x, _, again = saved
    outputs = model.predict(x, verbose=0)
    assert np.isfinite(outputs).all()
    assert len(np.unique(outputs)) > outputs.size / 2
    np.testing.assert_array_equal(again.predict(x, verbose=0), outputs)
    targets = np.zeros_like(outputs)
    assert again.evaluate(x, targets, verbose=0) == model.evaluate(x, targets, verbose=0)


def test_it_holds_quantized_weights_alone(saved):
    model, _, path, again = saved
    with zipfile.ZipFile(path) as archive:
        archive.extract("model.weights.h5", path.parent)
    held = []
    with h5py.File(path.parent / "model.weights.h5") as file:
        file.visititems(lambda _, item: held.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    quantized = arrays(again)
    for name, kernel in kernels(model).items():
        latent = array(kernel.latent)
        if not np.array_equal(latent, quantized[name]):
            assert not any(np.array_equal(latent, each) for each in held), name
        assert any(np.array_equal(quantized[name], each) for each in held), name
        assert isinstance(kernels(again)[name].quantizer, Stored)


def kernels(model):
    found = {}
    for path, layer in tfq.walk.layers(model):
        if isinstance(layer, QuantizedLayer):
            found |= {f"{path}/{kernel.name}": kernel for kernel in layer.kernels}
    return {name: kernel for name, kernel in found.items() if not getattr(kernel.quantizer, "is_off", False)}


def test_arrays_are_the_kernels_of_the_forward_pass(saved):
    model, _, _, again = saved
    found, of_again = arrays(model), arrays(again)
    assert list(found) == list(kernels(model)) == list(of_again)
    for name, kernel in kernels(model).items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], array(kernel.quantized), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(of_again[name], found[name])


def test_codes_give_the_arrays(saved):
    model, _, _, again = saved
    values, of_again = arrays(model), codes(again)
    for name, found in codes(model).items():
        tolerance = 1e-6 * np.abs(values[name]).max() if isinstance(found.grid, Levels) else 0
        np.testing.assert_allclose(found.values(), values[name], rtol=0, atol=tolerance)
        np.testing.assert_array_equal(of_again[name].codes, found.codes)
        np.testing.assert_array_equal(of_again[name].scale, found.scale)
        assert len(np.unique(found.codes)) <= 2 ** getattr(kernels(model)[name].quantizer, "bits", 2)


def test_its_precision_is_still_known(saved):
    model, _, _, again = saved
    ours, theirs = summarize(again), summarize(model)
    assert (ours.macs, ours.params_by_bits, ours.bit_ops) == (theirs.macs, theirs.params_by_bits, theirs.bit_ops)


def test_scaled_quantizers_do_not_give_their_own_values_again():
    """Why the values are stored, and not quantized once more."""
    latent = tensor(np.random.default_rng(1).normal(size=(3, 3, 8, 16)))
    for quantizer in (TernaryWeights(), TernaryWeights(per_filter=True), DoReFaWeights(5), XnorWeights()):
        once = quantizer(latent)
        again, kept = array(quantizer(once)), array(Stored(quantizer)(once))
        assert not np.array_equal(again, array(once)), quantizer
        np.testing.assert_array_equal(kept, array(once))


@keras.saving.register_keras_serializable(package="test_quantized_weights")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.first = layers.QuantConv2D(4, 3, kernel_quantizer=TernaryWeights())
        self.flat = L.Flatten()
        self.head = layers.QuantDense(3, kernel_quantizer=LSQWeights(2))

    def call(self, inputs, training=None):
        return self.head(self.flat(self.first(inputs, training=training)), training=training)


def test_a_subclassed_model_whose_steps_have_not_started(tmp_path):
    """Its class makes the layers of the model that is read, with quantizers for latent kernels."""
    keras.utils.set_random_seed(5)  # of weights whose mean rounds
    model = Subclassed()
    outputs = model.predict(IMAGES, verbose=0)
    save(model, tmp_path / "quantized.keras")
    again = keras.models.load_model(tmp_path / "quantized.keras")
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), outputs)
    assert list(arrays(again)) == ["first/kernel", "head/kernel"]
    assert isinstance(again.first.kernel_quantizer, Stored)
    for name, found in codes(model).items():
        np.testing.assert_array_equal(codes(again)[name].codes, found.codes)
        np.testing.assert_allclose(codes(again)[name].scale, found.scale, rtol=1e-6)
    assert array(model.head.kernels[0].state.variables_by_name["step_start"]) == 0  # as it was


def test_files_of_weights_alone_say_which_kernels_they_hold(tmp_path):
    model, other = dense(TernaryWeights()), dense(TernaryWeights())
    model.save_weights(tmp_path / "latent.weights.h5")
    with stored(model):
        model.save_weights(tmp_path / "quantized.weights.h5")
    other.load_weights(tmp_path / "quantized.weights.h5")
    assert other.layers[-1].kernel_quantizer == Stored(TernaryWeights())
    np.testing.assert_array_equal(other.predict(NUMBERS, verbose=0), model.predict(NUMBERS, verbose=0))
    other.load_weights(tmp_path / "latent.weights.h5")
    assert other.layers[-1].kernel_quantizer == TernaryWeights()
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_mixed_precision(tmp_path):
    x = keras.Input((12,))
    y = layers.QuantDense(6, kernel_quantizer=TernaryWeights(), dtype="mixed_bfloat16")(x)
    model = keras.Model(x, y)
    save(model, tmp_path / "quantized.keras")
    again = keras.models.load_model(tmp_path / "quantized.keras")
    np.testing.assert_array_equal(again.predict(NUMBERS, verbose=0), model.predict(NUMBERS, verbose=0))
    assert "float32" in str(again.layers[-1].kernel.dtype)


# --- a layer, a context, and the way in


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_training_does_not_move_the_stored_kernels(tmp_path):
    model = keras.Sequential([keras.Input((12,)), layers.QuantDense(4, kernel_quantizer=DoReFaWeights(5))])
    model.compile("sgd", "mse")  # as Keras compiles by default
    save(model, tmp_path / "quantized.keras")
    again = keras.models.load_model(tmp_path / "quantized.keras")
    np.testing.assert_array_equal(again.predict(NUMBERS, verbose=0), model.predict(NUMBERS, verbose=0))
    kernel, bias = again.get_weights()
    again.fit(NUMBERS, np.ones((len(NUMBERS), 4), "float32"), verbose=0)
    np.testing.assert_array_equal(again.get_weights()[0], kernel)
    assert (again.get_weights()[1] != bias).all()


def dense(quantizer, name="dense"):
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input((12,)), layers.QuantDense(4, kernel_quantizer=quantizer, use_bias=False, name=name)])


def test_of_a_layer():
    layer = dense(XnorWeights()).layers[-1]
    latent = array(layer.kernel)
    np.testing.assert_array_equal(arrays(layer)["kernel"], array(layer.quantized_kernel))
    found = codes(layer)["kernel"]
    np.testing.assert_array_equal(found.codes, np.where(latent >= 0, 1, -1))
    np.testing.assert_allclose(found.scale, np.abs(latent).mean(axis=0, keepdims=True), rtol=1e-6)


def test_stored_for_a_while():
    model = dense(TernaryWeights())
    latent, values = model.get_weights(), arrays(model)
    with stored(model):
        np.testing.assert_array_equal(model.get_weights()[0], values["dense/kernel"])
        assert isinstance(model.layers[-1].kernel_quantizer, Stored)
    np.testing.assert_array_equal(model.get_weights()[0], latent[0])
    assert model.layers[-1].kernel_quantizer == TernaryWeights()
    with pytest.raises(KeyError), stored(model):
        raise KeyError
    np.testing.assert_array_equal(model.get_weights()[0], latent[0])


@pytest.mark.parametrize("out", [arrays, codes])
@pytest.mark.parametrize("quantizer", [TernaryWeights(), XnorWeights(), XnorInputs()])
def test_weights_of_one_model_go_into_another(out, quantizer):
    model, other = dense(quantizer), dense(quantizer)
    other.layers[-1].kernel.assign(-2 * model.layers[-1].kernel)
    other.predict(NUMBERS, verbose=0)  # compiled with the quantizer
    assign(other, out(model))
    np.testing.assert_array_equal(other.predict(NUMBERS, verbose=0), model.predict(NUMBERS, verbose=0))
    np.testing.assert_array_equal(arrays(other)["dense/kernel"], arrays(model)["dense/kernel"])
    assert other.layers[-1].kernel_quantizer == Stored(quantizer)
    assign(other, out(model))  # once more


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"other/kernel": np.ones((12, 4))}, "there is no quantized kernel 'other/kernel'; there are dense/kernel"),
        ({"dense/kernel": np.ones((4, 12))}, r"kernel 'dense/kernel' has the shape \(12, 4\); got \(4, 12\)"),
        ({"dense/kernel": np.linspace(1, 2, 48).reshape(12, 4)}, "kernel 'dense/kernel': its values are off Sign"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changed(values, message):
    model = dense(XnorWeights())
    before = model.get_weights()[0]
    with pytest.raises(ValueError, match=message):
        assign(model, values)
    np.testing.assert_array_equal(model.get_weights()[0], before)
    assert model.layers[-1].kernel_quantizer == XnorWeights()


def test_a_step_is_not_in_the_arrays():
    """LSQ keeps it in the layer, from which the codes are read off."""
    model = dense(LSQWeights(3))
    with pytest.raises(ValueError, match="its values are off Integers"):
        assign(model, {"dense/kernel": np.full((12, 4), 0.37) * np.arange(4)})


def test_a_function_off_every_known_grid_has_arrays_and_no_codes():
    model = dense(keras.activations.tanh)
    assert list(arrays(model)) == ["dense/kernel"]
    with pytest.raises(ValueError, match="kernel 'dense/kernel': its values are off Ternary"):
        codes(model)


@pytest.mark.parametrize("function", [arrays, codes, lambda model: save(model, "x.keras"), lambda model: assign(model, {})])
def test_models_without_quantized_kernels_are_refused(function):
    for quantizer in (None, DoReFaWeights(32)):
        with pytest.raises(ValueError, match=r"Sequential '.*' has no layer of tfq with a quantized kernel"):
            function(dense(quantizer))
    with pytest.raises(ValueError, match="layer 'it' is not built: its kernel comes with the first call"):
        function(layers.QuantDense(3, kernel_quantizer=XnorWeights(), name="it"))


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"in a file that ends in .keras; got '.*model.h5'"):
        save(dense(XnorWeights()), tmp_path / "model.h5")


# --- the quantizer


@pytest.mark.parametrize("quantizer", [q for q in OF_KERNELS if isinstance(q, KernelQuantizer)], ids=repr)
def test_stored_says_what_the_quantizer_says(quantizer):
    found = quantizers.get(quantizers.serialize(Stored(quantizer)))
    assert found == Stored(quantizer)
    assert (found.bits, found.is_off, found.grid(), found.window()) == (quantizer.bits, quantizer.is_off, quantizer.grid(), None)


def test_a_packed_graph_of_stored_kernels_is_the_same():
    x = keras.Input((8, 8, 3))
    y = layers.QuantConv2D(4, 3, kernel_quantizer=TernaryWeights(), input_quantizer=XnorInputs())(x)
    y = layers.QuantConv2D(4, 3, kernel_quantizer=LSQWeights(3))(y)
    model = keras.Model(x, layers.QuantDense(3, kernel_quantizer=DoReFaWeights(3))(L.Flatten()(y)))
    expected = from_keras(model)
    with stored(model):
        graph = from_keras(model)
    kernels = [[node.kernel for node in each.nodes if hasattr(node, "kernel")] for each in (expected, graph)]
    assert len(kernels[0]) == 3
    for ours, theirs in zip(*kernels, strict=True):
        np.testing.assert_array_equal(ours.planes, theirs.planes)
        np.testing.assert_array_equal(ours.scale, theirs.scale)
