"""The two networks: their sizes, what is quantized in them, and what stands in front of a quantizer."""

import functools

import numpy as np
import pytest
from running import sampled, slow_on

import models
from models import methods, networks
from tfq import layers, quantizers
from tfq.backend.keras import keras, ops
from tfq.training import transfer

METHODS = {
    "float": {},
    "float_a1": {},
    "xnor": {},
    "ternary": {},
    "ternary_a1": {},
    "dorefa": {"w_bits": 2, "a_bits": 4, "g_bits": 6},
    "lsq": {"w_bits": 2, "a_bits": 4},
    "ewgs": {"w_bits": 2, "a_bits": 4, "ewgs_delta": 0.25},
}


@functools.cache
def network(name, method, **options):
    return models.build(name, method, **METHODS[method], **options)


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def of(model, *classes):
    return [layer for layer in model.layers if isinstance(layer, classes)]


def weighted(model):
    return of(model, keras.layers.Conv2D, keras.layers.Dense)


SIZES = {"resnet20": 1_110_522, "nin": 674_910}
# The networks are built by the same code on every backend; these stand for all.
OTHERS = ("tf_keras", "jax")


@pytest.mark.parametrize("method", sampled(METHODS, {"xnor"}, *OTHERS))
@pytest.mark.parametrize("name", SIZES)
def test_size(name, method):
    model = network(name, method)
    learned = {"lsq": 2, "ewgs": 4}.get(method, 0)  # a step of kernel and inputs; two bounds
    assert trainable(model) == SIZES[name] + learned * len(of(model, layers.QuantConv2D))
    assert tuple(model.output_shape) == (None, 10)


def test_the_resnet20_of_the_literature():
    model = network("resnet20", "float", width=1)
    # He et al., table 6: 0.27 M. 1x1 convolutions on two shortcuts and batch normalizations counted.
    assert 270_000 < trainable(model) < 275_000
    assert {layer.filters for layer in of(model, keras.layers.Conv2D)} == {16, 32, 64}


@pytest.mark.parametrize("depth", sampled([8, 14, 26], {8}, *OTHERS))
def test_depth_counts_the_convolutions_of_the_longest_path(depth):
    model = network("resnet20", "float", depth=depth, width=1)
    assert len([layer for layer in of(model, keras.layers.Conv2D) if layer.kernel_size == (3, 3)]) + 1 == depth


@pytest.mark.parametrize("options", [{"depth": 21}, {"depth": 2}, {"width": 0}])
def test_impossible_sizes_are_refused(options):
    ((option, value),) = options.items()
    with pytest.raises(ValueError, match=rf"resnet20: {option} must be .*got {option}={value}"):
        models.build("resnet20", **options)


@pytest.mark.parametrize("name", models.NETWORKS)
@pytest.mark.parametrize("method", sampled(METHODS, {"xnor"}, *OTHERS))
def test_the_first_and_the_last_layer_stay_in_float(name, method):
    first, *middle, last = weighted(network(name, method))
    for layer in (first, last):
        assert type(layer) in (keras.layers.Conv2D, keras.layers.Dense)
    if method == "float":
        assert not of(network(name, method), layers.QuantConv2D)
        return
    assert len(middle) == {"resnet20": 21, "nin": 7}[name]
    expected = {
        "float_a1": (None, quantizers.XnorInputs(), None),
        "xnor": (quantizers.XnorWeights(), quantizers.XnorInputs(), None),
        "ternary": (quantizers.TernaryWeights(), None, None),
        "ternary_a1": (quantizers.TernaryWeights(), quantizers.XnorInputs(), None),
        "dorefa": (quantizers.DoReFaWeights(2), quantizers.DoReFaInputs(4), quantizers.DoReFaGradients(6)),
        "lsq": (quantizers.LSQWeights(2), quantizers.LSQInputs(4), None),
        "ewgs": (quantizers.EWGSWeights(2, 0.25), quantizers.EWGSInputs(4, 0.25), None),
    }[method]
    for layer in middle:  # the 1x1 shortcuts of resnet20 are among them
        assert type(layer) is layers.QuantConv2D
        assert (layer.kernel_quantizer, layer.input_quantizer, layer.gradient_quantizer) == expected
        assert not layer.kmap


@slow_on(*OTHERS)
def test_latent_binary_weights_are_clipped_and_no_others():
    for method in METHODS:
        for layer in of(network("resnet20", method), layers.QuantConv2D):
            assert (layer.kernel_constraint is not None) == (method == "xnor")


def producers(layer):
    """The layers whose outputs `layer` takes."""
    tensor = layer.input
    history = getattr(tensor, "_keras_history", None)
    return [history[0]] if history else []


@pytest.mark.parametrize("name", models.NETWORKS)
@pytest.mark.parametrize("method", sampled(["float_a1", "xnor", "ternary_a1", "dorefa"], {"xnor"}, *OTHERS))
@pytest.mark.parametrize("bn_first", sampled([True, False], {True}, *OTHERS))
def test_no_relu_stands_in_front_of_a_quantizer_that_replaces_it(name, method, bn_first):
    options = {"bn_first": bn_first} if name == "nin" else {}
    for layer in of(network(name, method, **options), layers.QuantConv2D):
        (before,) = producers(layer)
        while isinstance(before, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
            (before,) = producers(before)
        # In nin with batch normalization first the ReLU closes the block before; the normalization stands between.
        assert isinstance(before, keras.layers.BatchNormalization), f"{layer.name} follows {before.name}"


@slow_on(*OTHERS)
@pytest.mark.parametrize("method", ["float", "ternary"])
def test_float_inputs_pass_a_relu(method):
    for layer in of(network("resnet20", method), keras.layers.Conv2D)[1:]:
        assert isinstance(producers(layer)[0], keras.layers.ReLU)


@slow_on(*OTHERS)
@pytest.mark.parametrize(("method", "first"), [("xnor", True), ("ternary_a1", True), ("dorefa", False), ("ternary", False)])
def test_nin_normalizes_in_front_of_binary_inputs_by_default(method, first):
    model = network("nin", method)
    convolution = model.get_layer("conv5")
    assert isinstance(producers(convolution)[0], keras.layers.BatchNormalization) == (first or method == "dorefa")
    assert (producers(model.get_layer("conv5_bn"))[0] is convolution) == (not first)


def test_nin_averages_in_a_way_that_is_the_same_on_every_backend():
    assert type(network("nin", "float").get_layer("pool2")) is layers.AveragePooling2D


@slow_on(*OTHERS)
@pytest.mark.parametrize("name", models.NETWORKS)
def test_kmap_reaches_each_quantized_convolution(name):
    quantized = of(network(name, "xnor", kmap=True), layers.QuantConv2D)
    assert quantized
    assert all(layer.kmap for layer in quantized)


@slow_on(*OTHERS)
@pytest.mark.parametrize("name", models.NETWORKS)
def test_batch_normalization_is_the_fused_one_with_a_short_memory(name):
    for layer in of(network(name, "xnor"), keras.layers.BatchNormalization):
        assert type(layer) is layers.BatchNormalization
        assert layer.momentum == 0.9
    for layer in of(network(name, "xnor", bn_momentum=0.99), keras.layers.BatchNormalization):
        assert layer.momentum == 0.99
    with pytest.raises(ValueError, match="bn_momentum must be from 0 to below 1; got bn_momentum=1"):
        network(name, "xnor", bn_momentum=1)


@pytest.mark.keras3_only
@pytest.mark.parametrize(
    "method", sampled([method for method in METHODS if "latent" in methods.METHODS[method].flags], {"dorefa"}, "jax")
)
def test_without_latent_weights_a_step_ends_on_the_levels(method):
    model = models.build("resnet20", method, **METHODS[method], depth=8, width=1, input_shape=(8, 8, 1), latent=False)
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(np.random.default_rng(0).normal(size=(8, 8, 8, 1)).astype("float32"), np.arange(8), verbose=0)
    for layer in of(model, layers.QuantConv2D):
        values = np.unique(ops.convert_to_numpy(layer.kernel)[..., 0].round(6))
        assert len(values) <= 2 ** min(layer.kernel_quantizer.bits, 8)


@pytest.mark.parametrize("method", sampled(METHODS, {"dorefa", "lsq"}, *OTHERS))
@pytest.mark.parametrize("name", models.NETWORKS)
def test_every_trainable_weight_gets_a_gradient(name, method):
    keras.utils.set_random_seed(0)
    options = {"depth": 8, "width": 1} if name == "resnet20" else {}
    model = models.build(name, method, **METHODS[method], **options, input_shape=(8, 8, 1), num_classes=4)
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [np.array(w) for w in model.get_weights()]
    x = np.random.default_rng(0).normal(size=(8, 8, 8, 1)).astype("float32")
    model.fit(x, np.arange(8) % 4, batch_size=4, verbose=0)
    after = model.get_weights()
    assert all(np.isfinite(w).all() for w in after)
    unmoved = [w.shape for w, old in zip(after, before, strict=True) if np.array_equal(w, old)]
    # A bias in front of a batch normalization has none but rounding: it may stay.
    assert not [shape for shape in unmoved if len(shape) > 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "vgg"}, "network 'vgg' is unknown; known are resnet20, nin"),
        ({"method": "binary"}, "method='binary' is unknown; known are float, float_a1, xnor"),
        ({"method": "dorefa"}, "method='dorefa' needs w_bits"),
        ({"method": "dorefa", "w_bits": 2}, "method='dorefa' needs a_bits"),
        ({"method": "dorefa", "w_bits": 17, "a_bits": 2}, "w_bits=17 does not fit method='dorefa': it must be 1 to 16, or 32"),
        ({"method": "xnor", "w_bits": 2}, "w_bits=2 does not fit method='xnor': it must be 1"),
        ({"method": "float", "g_bits": 6}, "g_bits=6 does not fit method='float': it must be 32"),
        ({"bn_first": True}, "network 'resnet20' has no option 'bn_first'; it has width, depth"),
        ({"name": "nin", "depth": 8}, "network 'nin' has no option 'depth'; it has bn_first"),
        ({"depth": 8.0}, "resnet20: depth must be an integer; got depth=8.0"),
        ({"width": True}, "resnet20: width must be an integer; got width=True"),
        ({"latent": False}, "latent=False is for method xnor or ternary or ternary_a1 or dorefa; got method='float'"),
        ({"method": "lsq", "w_bits": 1, "a_bits": 1}, "w_bits=1 does not fit method='lsq': it must be 2 to 16, or 32"),
        ({"method": "lsq", "w_bits": 2, "a_bits": 2, "ewgs_delta": 0.1}, "ewgs_delta=0.1 is for method 'ewgs'; got method='lsq'"),
        ({"method": "ewgs", "w_bits": 2, "a_bits": 2, "ewgs_delta": -1}, r"EWGS\w+: delta must be .*got delta=-1"),
        ({"method": "ternary", "kmap": True}, "kmap=True scales the inputs of method 'xnor'; got method='ternary'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.build(**{"name": "resnet20"} | arguments)


@slow_on(*OTHERS)
def test_the_second_stage_starts_from_the_weights_of_the_first(tmp_path):
    """Bulat et al. 2019, arXiv:1904.05868: binary activations of float weights first."""
    first, second = (models.build("resnet20", method, depth=8, width=1) for method in ("float_a1", "xnor"))
    generator = np.random.default_rng(0)
    first.set_weights([generator.uniform(-0.9, 0.9, weight.shape).astype("float32") for weight in first.get_weights()])
    first.save(tmp_path / "first.keras")
    assert transfer.initialize(second, tmp_path / "first.keras", log=pytest.fail) == []
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    images = generator.normal(0, 1, (2, 32, 32, 3)).astype("float32")
    name = "stage1_block1_conv1"
    before, kernel = (ops.convert_to_numpy(x) for x in (first.get_layer(name).kernel, second.get_layer(name).quantized_kernel))
    alpha = np.abs(before).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(kernel, np.where(before >= 0, 1, -1) * alpha, rtol=1e-6)
    assert not np.allclose(*(ops.convert_to_numpy(model(images)) for model in (first, second)))


def test_bits_of_the_methods():
    assert methods.method("ternary").resolve() == (2, 32, 32)
    assert methods.method("ternary").resolve(a_bits=1) == methods.method("ternary_a1").resolve() == (2, 1, 32)
    assert methods.method("xnor").resolve() == (1, 1, 32)
    assert methods.method("dorefa").resolve(32, 32, 32) == (32, 32, 32)


def test_each_method_names_the_formats_that_it_can_be_exported_to():
    every = ("savedmodel", "keras", "tflite", "tflite_int8", "lce", "onnx", "qonnx", "tfq", "c")
    of = {name: method.formats for name, method in methods.METHODS.items()}
    assert of["float"] == of["xnor"] == every
    assert (
        of["float_a1"]
        == of["ternary_a1"]
        == of["dorefa"]
        == of["lsq"]
        == of["ewgs"]
        == tuple(name for name in every if name != "lce")
    )
    assert of["int8"] == ("savedmodel", "tflite")


def test_a_network_from_outside_is_built_like_one_of_ours(monkeypatch):
    monkeypatch.setattr(networks, "NETWORKS", dict(networks.NETWORKS))

    def mine(scheme, input_shape, num_classes, size=2):
        x = inputs = keras.Input(input_shape)
        for number in range(size):
            x = scheme.conv(scheme.activation(x, name=f"relu{number}"), 4, 1, name=f"conv{number}")
        return keras.Model(inputs, keras.layers.Dense(num_classes)(keras.layers.GlobalAveragePooling2D()(x)))

    size = models.Option("size", int, "Layers.", "must be 1 or more", lambda size: size >= 1)
    models.register_network(models.Network("mine", mine, (size,)))
    model = models.build("mine", "dorefa", w_bits=2, a_bits=3, input_shape=(4, 4, 3), num_classes=5, size=3)
    assert [layer.kernel_quantizer.bits for layer in of(model, layers.QuantConv2D)] == [2, 2, 2]
    with pytest.raises(ValueError, match="mine: size must be 1 or more; got size=0"):
        models.build("mine", size=0)
    with pytest.raises(ValueError, match="there is a network 'nin' already"):
        models.register_network(models.Network("nin", mine))
    for option in (models.Option("kmap", bool, ""), models.Option("depth", float, "")):
        with pytest.raises(ValueError, match=f"network 'other': there is another flag --{option.name} already"):
            models.register_network(models.Network("other", mine, (option,)))


NOT_NETWORKS = {
    "no_network": (lambda: 3, "takes a models.Network; got 3"),
    "no_name": (lambda: models.Network("", print), "must be letters, digits, _, . and -; got ''"),
    "no_function": (lambda: models.Network("other", 7), "network 'other': build must be a function, .*; got 7"),
    "no_module": (lambda: models.Network("other", "mine"), "network 'other': build must be a function, .*; got 'mine'"),
    "no_option": (lambda: models.Network("other", print, ("size",)), "options must be models.Option; got 'size'"),
    "of_text": (lambda: models.Network("other", print, (models.Option("kind", str, ""),)), "--kind must be of kind int"),
    "a_flag": (lambda: models.Network("other", print, (models.Option("epochs", int, ""),)), "'epochs' cannot be an option"),
}


@pytest.mark.parametrize("name", NOT_NETWORKS)
def test_what_is_no_network_is_refused(name, monkeypatch):
    monkeypatch.setattr(networks, "NETWORKS", dict(networks.NETWORKS))
    make, message = NOT_NETWORKS[name]
    with pytest.raises((TypeError, ValueError), match=message):
        models.register_network(make())
