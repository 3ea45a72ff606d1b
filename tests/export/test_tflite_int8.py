"""8-bit DoReFa as TFLite int8: inputs on the trained grid, kernels on the nearest step, and what that costs is reported."""

import numpy as np
import pytest
from exporting import cifar10_slice
from running import slow_on

from tfq import export
from tfq.backend.keras import keras, ops
from tfq.export import accuracy
from tfq.layers import BatchNormalization, QuantConv2D
from tfq.quantizers import DoReFaInputs, DoReFaWeights

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
tensorflow_only = pytest.mark.tensorflow_only


@pytest.fixture(scope="module")
def data():
    return cifar10_slice()


def a8w8(data):
    """Two quantized convolutions that read one tensor, and one behind them; filters of each size once."""
    keras.utils.set_random_seed(0)
    quantized = {"padding": "same", "input_quantizer": DoReFaInputs(8), "kernel_quantizer": DoReFaWeights(8)}
    x = keras.Input((32, 32, 3))
    y = BatchNormalization()(keras.layers.Conv2D(8, 3, strides=4)(x))
    left = QuantConv2D(12, 3, **quantized, use_bias=False, name="left")(y)
    right = QuantConv2D(20, 1, **quantized, name="right")(BatchNormalization()(QuantConv2D(12, 1, **quantized)(y)))
    y = keras.layers.Concatenate()([left, right])
    model = keras.Model(x, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(y)))
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data[0][:256], data[1][:256], batch_size=32, epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def model(data):
    return a8w8(data)


@pytest.fixture(scope="module")
def report(model, data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("int8")
    images, targets = data[0][:128], data[1][:128]
    return export.export_model(model, directory, ["tflite_int8", "keras"], images=images, targets=targets)[0]


def interpreter(report):
    import tensorflow as tf

    # The plain operators: their tensors can be listed and read.
    plain = tf.lite.experimental.OpResolverType.BUILTIN_REF
    result = tf.lite.Interpreter(str(report.path), experimental_op_resolver_type=plain)
    result.allocate_tensors()
    return result


def convolutions(found):
    """(details of the inputs, details of the kernel) of each convolution."""
    tensors = {details["index"]: details for details in found.get_tensor_details()}
    names = ("CONV_2D", "FULLY_CONNECTED")
    pairs = [[tensors[i] for i in op["inputs"][:2]] for op in found._get_ops_details() if op["op_name"] in names]
    return {tuple(kernel["shape"]): (inputs, kernel) for inputs, kernel in pairs}


@tensorflow_only
def test_inputs_of_all_quantized_convolutions_keep_their_grid(report):
    """255 steps of [0, 1] with zero at -128, whatever range the images have there."""
    found = convolutions(interpreter(report))
    assert set(found) == {(8, 3, 3, 3), (12, 3, 3, 8), (12, 1, 1, 8), (20, 1, 1, 12), (10, 32)}
    for shape, (inputs, _) in found.items():
        scale, zero = inputs["quantization"]
        is_quantized = shape not in {(8, 3, 3, 3), (10, 32)}
        assert (scale == pytest.approx(1 / 255, rel=1e-6) and zero == -128) == is_quantized, shape


@tensorflow_only
def test_kernels_are_on_the_nearest_step_of_their_filter(model, report):
    found = interpreter(report)
    by_shape = convolutions(found)
    for name, shape in (("left", (12, 3, 3, 8)), ("right", (20, 1, 1, 12))):
        kernel = by_shape[shape][1]
        scales = kernel["quantization_parameters"]["scales"][:, None]
        expected = np.moveaxis(ops.convert_to_numpy(model.get_layer(name).quantized_kernel), -1, 0).reshape(shape[0], -1)
        np.testing.assert_allclose(scales[:, 0], np.abs(expected).max(axis=1) / 127, rtol=1e-5)
        steps = found.get_tensor(kernel["index"]).reshape(shape[0], -1)
        deviation = np.abs(steps * scales - expected) / scales
        assert deviation.max() <= 0.5 + 1e-3
        assert deviation.max() > 0.25  # the levels (2 q - 255) / 255 are not on these steps: this is what is lost


@tensorflow_only
def test_report_says_what_is_lost_on_labelled_images(model, report, data):
    images, targets = data[0][:128], data[1][:128]
    predict = export.FORMATS["tflite_int8"].load(report.path)
    own = np.mean(predict(images).argmax(axis=1) == targets)
    theirs = np.mean(model.predict(images, verbose=0).argmax(axis=1) == targets)
    assert report.accuracy == accuracy.Accuracy(128, pytest.approx(own), pytest.approx(theirs))
    assert f"top-1 {own:.2%} of 128 labelled images, the model {theirs:.2%}" in str(report)


@tensorflow_only
@slow_on("tf_keras")
def test_without_labels_the_report_says_on_how_many_images_the_class_is_the_same(model, data, tmp_path):
    (report,) = export.export_model(model, tmp_path, ["tflite_int8"], images=data[0][:64])
    assert report.accuracy is None
    assert f"same top-1 on {report.agreement.top1_agreement:.1%}" in str(report)
    assert "labelled" not in str(report)


@slow_on("tf_keras", "jax")
def test_formats_that_do_not_round_report_no_loss(model, data, tmp_path):
    (report,) = export.export_model(model, tmp_path, ["keras"], images=data[0][:16], targets=data[1][:16])
    assert report.accuracy is None


@slow_on("tf_keras", "jax")
@pytest.mark.parametrize("targets", [np.zeros(15, int), np.zeros((16, 10), int), np.zeros(16)])
def test_labels_that_do_not_fit_the_images_are_refused(targets, model, data, tmp_path):
    with pytest.raises(ValueError, match="targets must be one integer class for each of 16 images, from 0 to 9; got"):
        export.export_model(model, tmp_path, ["keras"], images=data[0][:16], targets=targets)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("own", "said"), [(0.6, "20.00 points lost"), (0.8, "0.00 points lost"), (1.0, "20.00 points gained")])
def test_points_lost(own, said):
    assert str(accuracy.Accuracy(10, own, 0.8)).endswith(f"labelled images, the model 80.00%: {said}")


def test_a_tie_of_the_model_is_no_loss():
    """Whichever of the two classes a file chooses."""
    expected = np.array([[2.0, 2, 0], [0, 1, 0]], "float32")
    found = accuracy.measure(expected, lambda images: images, expected[:, [1, 0, 2]] + [0, 1e-6, 0], np.array([0, 1]))
    assert (found.top1, found.model_top1) == (0.5, 1)


@pytest.mark.parametrize(
    ("right", "images", "classes", "is_chance"),
    [
        (26, 256, 10, True),
        (36, 256, 10, True),
        (38, 256, 10, False),
        (100, 200, 2, True),
        (120, 200, 2, False),
        (16, 16, 2, False),
    ],
)
def test_chance_knows_the_number_of_images(right, images, classes, is_chance):
    assert accuracy.is_chance(right, images, classes) == is_chance
