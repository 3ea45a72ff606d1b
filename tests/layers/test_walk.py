"""Layers of models and layers in a model are met wherever layers are gone through, each once."""

import json

import numpy as np
import pytest
from conftest import array

from models import scheme
from tfq import callbacks, export, walk
from tfq.backend.keras import is_legacy, keras
from tfq.cli import weights as command
from tfq.layers import BatchNormalization, QuantConv2D, QuantDense, QuantDepthwiseConv2D
from tfq.quantizers import DoReFaGradients, TernaryWeights, XnorInputs, XnorWeights
from tfq.training import batch_statistics, optimizers, structure, transfer, weights

L = keras.layers
# The tree of layers is Keras' own work; on JAX, which compiles each operation anew, one test sees that it is there.
once = pytest.mark.tensorflow_only
BINARY = {"input_quantizer": XnorInputs(), "kernel_quantizer": XnorWeights(), "use_bias": False}


@keras.saving.register_keras_serializable("tests")
class Block(L.Layer):
    """A layer of layers, in a list and an attribute; Keras counts their names up from model to model."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convs = [QuantConv2D(4, 1, **BINARY), L.Conv2D(4, 1)]
        self.norm = BatchNormalization()

    def build(self, input_shape):
        for layer in (*self.convs, self.norm):
            layer.build((None, 6, 6, 4))
        super().build(input_shape)

    def call(self, inputs, training=None):
        for conv in self.convs:
            inputs = conv(inputs)
        return self.norm(inputs, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape


def network(seed=0):
    """A backbone that is a model, a block of layers, a wrapper, and a layer that is called twice."""
    keras.utils.set_random_seed(seed)
    backbone = keras.Sequential(
        [keras.Input((8, 8, 3)), L.Conv2D(4, 3, name="first"), BatchNormalization(name="norm"), Block(name="block")],
        name="backbone",
    )
    images = keras.Input((8, 8, 3))
    shared = QuantConv2D(4, 3, padding="same", kernel_quantizer=TernaryWeights(), name="shared")
    x = shared(shared(backbone(images)))
    x = L.TimeDistributed(QuantDense(3, gradient_quantizer=DoReFaGradients(6, seed=1), name="inner"), name="outer")(
        L.Reshape((6, 24), name="rows")(x)
    )
    return keras.Model(images, L.Dense(2, name="head")(L.Flatten(name="flat")(x)))


PATHS = [
    *("backbone/first/kernel", "backbone/first/bias"),
    *(f"backbone/norm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")),
    *("backbone/block/convs/0/kernel", "backbone/block/convs/1/kernel", "backbone/block/convs/1/bias"),
    *(f"backbone/block/norm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")),
    *("shared/kernel", "shared/bias", "inner/kernel", "inner/bias", "inner/quantize_gradient/key", "head/kernel", "head/bias"),
]


def flat(model):
    return {f"{path}/{name}": array(weight) for path, named in walk.weights(model).items() for name, weight in named.items()}


@once
def test_every_weight_has_a_path():
    model = network()
    assert sorted(flat(model)) == sorted(PATHS)
    found = [id(weight) for named in walk.weights(model).values() for weight in named.values()]
    assert len(found) == len(set(found))
    assert set(found) == {id(weight) for weight in model.weights}
    layers = [layer for _, layer in walk.layers(model)]
    assert len(layers) == len({id(layer) for layer in layers})


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.parts = {"flat": L.Flatten(), "dense": QuantDense(4, **BINARY)}
        self.norm = BatchNormalization()
        self.head = QuantDense(3, kernel_quantizer=TernaryWeights())
        self.again = self.norm
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")

    def call(self, inputs, training=None):
        x = self.norm(self.parts["dense"](self.parts["flat"](inputs)), training=training)
        return self.scale * self.head(x)


def test_a_class_goes_by_its_attributes():
    model = Subclassed()
    assert sorted(path for path, _ in walk.layers(model)) == ["head", "norm", "parts/dense", "parts/flat"]
    model(np.ones((1, 2, 2, 1), "float32"))
    assert {path: list(named) for path, named in walk.weights(model).items()} == {
        "": ["scale"],
        "parts/dense": ["kernel"],
        "norm": ["gamma", "beta", "moving_mean", "moving_variance"],
        "head": ["kernel", "bias"],
    }


@once
def test_layers_of_keras_that_hold_several_of_the_same_kind():
    x = keras.Input((4, 3))
    y = L.Bidirectional(L.LSTM(2), name="both")(L.MultiHeadAttention(2, 2, name="attention")(x, x))
    model = keras.Model(x, y)
    assert sum(len(named) for named in walk.weights(model).values()) == len(model.weights) == 8 + 6
    assert "attention/query_dense" in walk.weights(model)


@once
@pytest.mark.parametrize("packed", [False, True])
def test_weights_of_inner_layers_are_taken_over(tmp_path, packed):
    donor, model = network(1), network(2)
    source = tmp_path / "donor.keras"
    donor.save(source)
    if packed:
        assert command.main([str(source), str(tmp_path / "donor.npz")]) == 0
        source = tmp_path / "donor.npz"
        with np.load(source) as file:
            assert sum(file[name].size for name in file.files if name != "about") == sum(w.size for w in flat(donor).values())
            assert json.loads(str(file["about"])) == {"epochs": None}
    assert transfer.initialize(model, source) == []
    for name, value in flat(donor).items():
        np.testing.assert_allclose(flat(model)[name], value, rtol=2**-11 if packed else 0, atol=6e-8 * packed, err_msg=name)


@once
def test_what_is_not_given_is_said(tmp_path):
    model = network()
    arrays = {path: {name: array(w) for name, w in named.items()} for path, named in walk.weights(model).items()}
    del arrays["backbone/norm"], arrays["shared"]["bias"], arrays["inner/quantize_gradient"]
    weights.write(tmp_path / "w.npz", arrays, {})
    assert transfer.initialize(model, tmp_path / "w.npz") == ["backbone/norm", "shared/bias"]
    with pytest.raises(transfer.TransferError, match="no weights before it is built"):
        transfer.initialize(Subclassed(), tmp_path / "w.npz")


def pair(quantized, classes=2):
    """A network with a model inside it, low-bit or of Keras' own layers."""
    ours, stock = (QuantDense, QuantConv2D, QuantDepthwiseConv2D), (L.Dense, L.Conv2D, L.DepthwiseConv2D)
    dense, conv, depthwise = ours if quantized else stock
    options = {"kernel_quantizer": XnorWeights()} if quantized else {}
    inner = keras.Sequential([keras.Input((4, 4, 2)), conv(3, 3, name="b", **options), BatchNormalization(name="n")], name="in")
    x = keras.Input((4, 4, 2))
    y = inner(depthwise(1, name="d", **options)(L.Conv2D(2, 1, name="a")(x)))
    return keras.Model(x, dense(classes, name="head", **options)(L.Flatten(name="flat")(y)))


@once
@pytest.mark.parametrize("ending", ["model.keras", "only.weights.h5", "model.h5", *(["only.h5"] if is_legacy else [])])
def test_a_float_network_starts_its_quantized_twin(tmp_path, ending):
    donor, model = pair(quantized=False), pair(quantized=True)
    path = tmp_path / ending
    donor.save_weights(path) if ending.startswith("only") else donor.save(path)
    assert transfer.initialize(model, path) == []
    for name, value in flat(donor).items():
        np.testing.assert_array_equal(flat(model)[name], value, err_msg=name)
    if ending == "only.weights.h5":
        with pytest.raises(ValueError, match=r"tfq\.training\.transfer\.initialize\(model, file\)"):
            model.load_weights(path)
        with pytest.raises(transfer.TransferError, match="without their network"):
            transfer.read(path)


@once
def test_weights_alone_of_the_same_and_of_another_network(tmp_path):
    donor, model = pair(quantized=True), pair(quantized=True)
    donor.save_weights(tmp_path / "same.weights.h5")
    assert not structure.is_weights_alone(tmp_path / "same.keras")
    assert transfer.initialize(model, tmp_path / "same.weights.h5") == []
    np.testing.assert_array_equal(flat(model)["in/b/kernel"], flat(donor)["in/b/kernel"])
    with pytest.raises(transfer.TransferError, match="neither of this network nor of one with Keras' own layers") as caught:
        transfer.initialize(network(), tmp_path / "same.weights.h5")
    assert str(caught.value).endswith("has to be saved as .keras")
    assert "\n" not in str(caught.value)  # Keras' own text has several lines


@once
def test_weights_alone_of_a_network_with_another_head(tmp_path):
    donor, path = pair(quantized=False, classes=3), tmp_path / "only.weights.h5"
    donor.save_weights(path)
    model = pair(quantized=True)
    with pytest.raises(transfer.TransferError, match=r"not of head; --init_skip=head starts without$"):
        transfer.initialize(model, path)
    assert transfer.initialize(model, path, skip=["head"]) == ["head"]
    for name, value in flat(donor).items():
        if not name.startswith("head"):
            np.testing.assert_array_equal(flat(model)[name], value, err_msg=name)
    assert np.isfinite(flat(model)["head/kernel"]).all()
    (tmp_path / "damaged.weights.h5").write_bytes(path.read_bytes()[:100])
    with pytest.raises(transfer.TransferError, match=r"quantized ones: .*file"):
        transfer.initialize(model, tmp_path / "damaged.weights.h5")
    own = Subclassed()
    own(np.ones((1, 2, 2, 1), "float32"))
    with pytest.raises(
        transfer.TransferError, match=r"Subclassed, a class of one's own, cannot be copied.*save that as \.keras$"
    ):
        transfer.initialize(own, path)


@once
def test_decay_spares_and_takes_inner_kernels():
    model = network()
    spared = {id(weight) for weight in optimizers._spared(model)}
    own = {f"{path}/{name}": id(weight) for path, named in walk.weights(model).items() for name, weight in named.items()}
    decayed = {name for name, weight in own.items() if name.endswith("kernel") and weight not in spared}
    assert decayed == {"backbone/first/kernel", "backbone/block/convs/1/kernel", "shared/kernel", "inner/kernel", "head/kernel"}
    assert {own[f"backbone/{name}"] for name in ("block/convs/0/kernel", "norm/gamma", "first/bias")} <= spared
    with pytest.raises(ValueError, match="build the model first"):
        optimizers.build("sgd", 0.1, 0.1, Subclassed())


@once
def test_batch_normalization_inside_has_fresh_statistics_and_momentum():
    model = network()
    images = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
    backbone = model.get_layer("backbone")
    with batch_statistics.fresh(model, [images]):
        mean = array(backbone.get_layer("norm").moving_mean)
        inner = array(backbone.get_layer("block").norm.moving_mean)
    np.testing.assert_allclose(mean, array(backbone.get_layer("first")(images)).mean((0, 1, 2)), atol=1e-4)
    assert not np.allclose(inner, 0)
    x = keras.Input((4,))
    shared = BatchNormalization()
    twice = keras.Model(x, shared(shared(x) + 3))
    values = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    with batch_statistics.fresh(twice, [values, values + 2]):
        # The first call sees means of 0 and 2, and makes them 0; the second sees 3.
        np.testing.assert_allclose(array(shared.moving_mean), (2 * values.mean(0) + 2 + 3 + 3) / 4, atol=1e-4)
    assert "call" not in vars(shared)
    scheme.set_bn_momentum(model, 0.5)
    assert [layer.momentum for _, layer in walk.layers(model) if isinstance(layer, L.BatchNormalization)] == [0.5, 0.5]


@once
@pytest.mark.keras3_only  # tf_keras has no constraint of a variable, and layers that cannot change their policy
def test_latent_weights_and_policies_of_inner_layers():
    model = network()
    scheme.drop_latent_weights(model)
    assert model.get_layer("backbone").get_layer("block").convs[0].kernel.constraint.func == XnorWeights()
    training = callbacks.Bfloat16Training(mixed=True)
    training.set_model(
        keras.Model(model.inputs, keras.Sequential([keras.Input((2,)), L.Dense(2), L.Dense(1, name="last")])(model.output))
    )
    training.on_epoch_begin(0)
    kinds = {
        path: layer.compute_dtype for path, layer in walk.layers(training.model) if layer.weights and not hasattr(layer, "layers")
    }
    training.on_epoch_end(0)
    assert [path for path, kind in kinds.items() if kind == "float32"] == [path for path in kinds if path.endswith("/last")]
    assert len(kinds) > 6
    assert {layer.compute_dtype for _, layer in walk.layers(training.model)} == {"float32"}
    lines = []
    training = callbacks.Bfloat16Training(mixed=True, log=lines.append)
    training.set_model(Subclassed())
    training.on_train_begin()
    assert "pass float32 on" in "".join(lines)


@pytest.mark.tensorflow_only
def test_an_inner_layer_of_half_precision_is_not_exported(tmp_path):
    inner = keras.Sequential([keras.Input((4, 4, 1)), L.Conv2D(2, 3, dtype="mixed_float16", name="half")], name="in")
    x = keras.Input((4, 4, 1))
    model = keras.Model(x, L.Dense(2)(L.Flatten()(inner(x))))
    images = np.zeros((16, 4, 4, 1), "float32")
    with pytest.raises(export.ExportError, match="layer 'in/half' computes in float16"):
        export.save(model, tmp_path, ("tfq",), images=images)
