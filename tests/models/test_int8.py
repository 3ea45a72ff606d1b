"""tfmot's 8-bit training of the same networks: what is quantized, that it learns, goes on exactly, and converts to int8."""

import numpy as np
import pytest
from conftest import ROOT

import models
from models import int8
from tfq.backend.keras import keras
from tfq.training import checkpoint, transfer
from tfq.training.history import History

SLICE = ROOT / "tests" / "data" / "cifar10_slice.npz"
SMALL = {"depth": 8, "width": 1}  # every kind of layer of resnet20, two shortcuts included
SIZES = {"resnet20": 1_110_522, "nin": 674_910}
BATCH = 64


@pytest.fixture(scope="module")
def images():
    with np.load(SLICE) as arrays:
        return (arrays["x_train"] / np.float32(127.5) - 1, arrays["y_train"].astype("int32"))


@pytest.fixture
def deterministic():
    import tensorflow as tf
    from tensorflow.python.framework.config import disable_op_determinism  # TensorFlow has no public way back

    tf.config.experimental.enable_op_determinism()
    yield
    disable_op_determinism()


def compiled(model):
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="top1")],
    )
    return model


def small(seed=0):
    keras.utils.set_random_seed(seed)
    return compiled(int8.quantize(models.build("resnet20", **SMALL)))


def fit(model, images, first, last):
    return model.fit(*images, BATCH, initial_epoch=first, epochs=last, shuffle=False, verbose=0).history["loss"]


def count(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)


def inner_layers(model):
    """The layers of the float network, in the wrappers of tfmot or without."""
    layers = [getattr(layer, "layer", layer) for layer in model.layers]
    return {layer.name: type(layer) for layer in layers if not isinstance(layer, keras.layers.InputLayer)}


def output_quantizers(model, layer):
    return model.get_layer(f"quant_{layer}").quantize_config.get_output_quantizers(layer)


def by_name(weights):
    return {weight.name: weight.numpy() for weight in weights}


@pytest.mark.keras3_only
def test_keras_3_is_an_error_that_names_the_switch():
    with pytest.raises(ImportError, match="TF_USE_LEGACY_KERAS=1"):
        int8.quantize(models.build("resnet20", **SMALL))


@pytest.mark.legacy_only
@pytest.mark.parametrize("name", SIZES)
def test_is_the_float_network_layer_by_layer(name):
    network, quantized = models.build(name), models.build(name, method="int8")
    expected, found = inner_layers(network), inner_layers(quantized)
    assert {layer: found.get(layer) for layer in expected} == expected, "a layer of the float network is missing or another"
    assert {kind.__name__ for layer, kind in found.items() if layer not in expected} == {"QuantizeLayer"}  # of the images
    assert count(quantized.trainable_variables) == count(network.trainable_variables) == SIZES[name]


@pytest.mark.legacy_only
def test_a_relu_is_quantized_behind_a_batch_norm_whatever_stands_in_front():
    model = small()
    for batch_norm, relu in (("stage2_block1_bn1", "relu1"), ("stage2_block1_bn2", "relu2")):  # behind an addition, a convolution
        assert not output_quantizers(model, batch_norm)
        assert output_quantizers(model, f"stage2_block1_{relu}")


@pytest.mark.legacy_only
def test_a_batch_norm_in_front_of_a_convolution_is_quantized_itself():
    model = int8.quantize(models.build("nin", bn_first=True))
    assert output_quantizers(model, "conv2_bn")


@pytest.mark.legacy_only
def test_takes_the_weights_over_and_leaves_the_float_network_alone(images):
    network = compiled(models.build("resnet20", **SMALL))
    fit(network, images, 0, 1)
    before = network.predict(images[0][:8], verbose=0)
    quantized = int8.quantize(network)
    trained, taken = by_name(network.weights), by_name(quantized.weights)
    assert all(np.array_equal(value, taken[name]) for name, value in trained.items())
    fit(compiled(quantized), images, 0, 1)
    np.testing.assert_array_equal(network.predict(images[0][:8], verbose=0), before)


@pytest.mark.legacy_only
def test_starts_from_another_run_of_int8(tmp_path):
    def network(seed):
        keras.backend.clear_session()  # each run is a process of its own, where names are counted from the start
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((6, 6, 3))
        x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
        return compiled(int8.quantize(keras.Model(inputs, keras.layers.Dense(3, name="head")(keras.layers.Flatten()(x)))))

    donor, model = network(1), network(2)
    checkpoint.save(donor, tmp_path / "best.h5", History())
    with int8.reading():
        assert transfer.initialize(model, tmp_path) == []
    for expected, found in zip(donor.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.legacy_only
def test_learns_real_images(images):
    model = small()
    before = by_name(model.weights)
    losses = fit(model, images, 0, 5)
    # Five passes over 384 images; a model that always answers with the shares of the classes stays at ln 10 = 2.30.
    assert losses[-1] < 2.1
    assert losses[-1] < losses[0] - 0.15
    after = by_name(model.weights)
    unchanged = [
        variable.name for variable in model.trainable_variables if np.array_equal(before[variable.name], after[variable.name])
    ]
    assert not unchanged, "no gradient arrives there"
    followed = [name for name in after if "moving_" in name or "output_m" in name]
    assert followed
    assert not [name for name in followed if np.array_equal(before[name], after[name])], "statistics that do not follow"


@pytest.mark.legacy_only
def test_checkpoint_goes_on_bit_for_bit(images, deterministic, tmp_path):
    model = small()
    fit(model, images, 0, 1)
    path = tmp_path / "last.h5"
    checkpoint.save(model, path, History())
    fit(model, images, 1, 2)

    with int8.reading():
        saved, _ = checkpoint.load(path)
    resumed = small(seed=1)
    checkpoint.restore(resumed, saved)
    fit(resumed, images, 1, 2)

    for expected, found in zip(model.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy(), err_msg=expected.name)
    for expected, found in zip(model.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy(), err_msg=expected.name)


@pytest.mark.legacy_only
def test_without_the_scope_a_checkpoint_is_a_clear_error(tmp_path):
    path = tmp_path / "last.h5"
    checkpoint.save(small(), path, History())
    with pytest.raises(checkpoint.CheckpointError, match="QuantizeLayer"):
        checkpoint.load(path)


def converted(model, samples=None):
    """An interpreter of the TFLite int8 file, and (op, type of its output) of each step."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if samples is not None:
        converter.representative_dataset = lambda: ([image[np.newaxis]] for image in samples)
    # The reference kernels: a delegate would hide the steps behind one of its own.
    kernels = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_content=converter.convert(), experimental_op_resolver_type=kernels)
    types = {tensor["index"]: np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
    return interpreter, [(step["op_name"], types[step["outputs"][0]]) for step in interpreter._get_ops_details()]


def tflite_logits(interpreter, x):
    (entry,), (exit_,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(entry["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(exit_["index"])


@pytest.mark.legacy_only
def test_converts_to_int8_and_computes_what_was_trained(images):
    model = small()
    fit(model, images, 0, 3)
    interpreter, steps = converted(model)
    assert ("CONV_2D", "int8") in steps
    # TFLite has the four batch normalizations that no convolution can take up as multiply and add, in float: their ranges
    # in between are not trained, and only a representative data set gives them.
    floats = sorted(op for op, kind in steps if kind == "float32" and op != "DEQUANTIZE")
    assert floats == ["ADD"] * 4 + ["MUL"] * 4
    logits = model.predict(images[0][:128], verbose=0)
    error = tflite_logits(interpreter, images[0][:128]) - logits
    # Both round to the same 8-bit grids; a value near the middle of two steps may go either way. Measured: 2 % of the spread.
    assert np.std(error) < 0.06 * np.std(logits)

    _, steps = converted(model, samples=images[0][:32])
    assert {op for op, kind in steps if kind != "int8"} == {"DEQUANTIZE"}  # of the logits


@pytest.mark.legacy_only
@pytest.mark.slow
def test_nin_converts_to_int8_throughout(images):
    model = compiled(int8.quantize(models.build("nin")))
    fit(model, images, 0, 1)
    _, steps = converted(model)
    assert {op for op, kind in steps if kind != "int8"} == {"DEQUANTIZE"}
