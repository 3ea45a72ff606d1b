"""A float model becomes a quantized one whose quantizers see more than one value."""

import numpy as np
import pytest
from conftest import array
from quantizing import constant, fall, images, quantized_layers, values_seen

import tfq
from tfq import walk
from tfq.backend.keras import backend, keras, load_model
from tfq.convert import quantize_model
from tfq.quantizers import DoReFaInputs, DoReFaWeights, LSQInputs, LSQWeights, TernaryWeights, XnorInputs, XnorWeights

pytestmark = [pytest.mark.slow] if backend == "jax" else []  # which compiles each network anew

SIGNS = {"weights": XnorWeights(), "inputs": XnorInputs()}
SHAPE = (8, 8, 3)
layers = keras.layers


def conv(x, name, activation="relu", filters=8, norm=True):
    """A convolution, batch normalization and ReLU, as most networks have them."""
    x = layers.Conv2D(filters, 3, padding="same", name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x) if norm else x
    return layers.Activation(activation, name=f"{name}_act")(x) if activation else x


def head(inputs, x):
    return keras.Model(inputs, layers.Dense(4, name="head")(layers.GlobalAveragePooling2D(name="pool")(x)))


def chain(norm=True, count=3):
    inputs = x = keras.Input(SHAPE)
    for number in range(count):
        x = conv(x, f"conv{number}", norm=norm)
    return head(inputs, x)


def residual():
    inputs = keras.Input(SHAPE)
    x = conv(inputs, "stem")
    y = conv(conv(x, "a"), "b", activation=None)
    x = layers.ReLU(name="out")(layers.Add(name="sum")([x, y]))
    y = layers.DepthwiseConv2D(3, name="depthwise")(layers.ZeroPadding2D(name="pad")(conv(x, "c")))
    x = layers.Concatenate(name="both")([x, layers.SeparableConv2D(8, 3, padding="same", name="separable")(y)])
    return head(inputs, conv(x, "d"))


def batch(count=16):
    return images(SHAPE, count)


def names(rows):
    return [row.path for row in rows]


def test_a_relu_behind_a_normalization_makes_room_for_the_sign():
    model = chain()
    quantized, report = quantize_model(model, **SIGNS)
    assert names(report.quantized) == ["conv1", "conv2"]
    assert names(report.removed) == ["conv0_act", "conv1_act"]  # the pooling, and the head, take what conv2_act gives
    assert not report.added
    assert "conv0_act" not in [layer.name for layer in quantized.layers]
    assert values_seen(quantized, batch()[0]) == {"conv1": {-1.0, 1.0}, "conv2": {-1.0, 1.0}}


def test_without_it_the_sign_would_see_one_value():
    inputs = keras.Input(SHAPE)
    x = tfq.layers.QuantConv2D(4, 3, input_quantizer=XnorInputs(), name="constant")(conv(inputs, "conv0"))
    assert constant(head(inputs, x), batch()[0]) == ["constant"]


def test_a_relu_that_others_use_stays_and_signs_get_a_normalization():
    model = residual()
    quantized, report = quantize_model(model, **SIGNS)
    assert names(report.removed) == ["a_act", "c_act"]
    assert names(report.added) == ["a_input_bn", "c_input_bn", "separable_input_bn", "d_input_bn"]
    assert set(names(report.quantized)) == {"a", "b", "c", "depthwise", "separable", "d"}
    assert constant(quantized, batch()[0]) == []


def test_layers_in_a_row_are_those_that_no_float_path_leads_around():
    assert quantize_model(residual(), **SIGNS).report.in_a_row == ("d",)
    assert quantize_model(nested(times=2), **SIGNS).report.in_a_row == (*("inner/one", "inner/two") * 2, "last")
    assert quantize_model(chain(), weights=XnorWeights()).report.in_a_row == ()


def test_many_in_a_row_are_told_and_skipped():
    model = chain(count=18)
    report = quantize_model(model, **SIGNS).report
    assert str(report).splitlines()[-1].startswith("17 layers with quantized inputs in a row")
    assert "in a row" not in str(quantize_model(model, **SIGNS, skip=report.in_a_row[:9]).report)


def frames():
    """A convolution of each image of a film, and what follows them."""
    inputs = keras.Input((4, *SHAPE))
    x = inputs
    for name in ("one", "two"):
        x = layers.TimeDistributed(layers.Conv2D(8, 3, padding="same"), name=name)(x)
        x = layers.TimeDistributed(layers.BatchNormalization(), name=f"{name}_bn")(x)
        x = layers.TimeDistributed(layers.ReLU(), name=f"{name}_relu")(x)
    x = layers.TimeDistributed(layers.Flatten(), name="flat")(x)
    x = layers.Bidirectional(layers.LSTM(4), name="both_ways")(x)
    return keras.Model(inputs, layers.Dense(4, name="head")(x))


def test_layers_in_time_distributed_are_converted():
    model = frames()
    quantized, report = quantize_model(model, **SIGNS)
    assert [(row.path, row.before, row.after) for row in report.quantized] == [
        ("two", "TimeDistributed(Conv2D)", "TimeDistributed(QuantConv2D)")
    ]
    assert names(report.removed) == ["one_relu"]
    reason = next(row.reason for row in report.left if row.path == "both_ways")
    assert reason.startswith("computes in its own call, with LSTMCell 'forward_layer/cell', LSTMCell 'backward_layer/cell'")
    x = np.random.default_rng(0).normal(size=(4, 4, *SHAPE)).astype("float32")
    assert constant(quantized, x) == []
    np.testing.assert_array_equal(
        array(quantized.get_layer("two").layer.latent_kernel), array(model.get_layer("two").layer.kernel)
    )


def test_the_loss_falls_and_the_values_stay_apart_at_inference():
    model, _ = quantize_model(chain(norm=False), **SIGNS, constraint="weight_clip")
    first, last = fall(model, *batch(64), keras.optimizers.Adam(1e-2))
    assert last < 0.7 * first
    assert constant(model, batch()[0], training=False) == []


def test_without_normalization_each_sign_gets_one():
    quantized, report = quantize_model(chain(norm=False), **SIGNS)
    assert names(report.added) == ["conv1_input_bn", "conv2_input_bn"]
    assert not report.removed
    assert constant(quantized, batch()[0]) == []


@pytest.mark.parametrize(
    ("inputs", "norm", "added"),
    [
        (DoReFaInputs(2), True, []),  # what lies behind a batch normalization has the right size
        (DoReFaInputs(2), False, ["conv1_input_bn", "conv2_input_bn"]),
        (LSQInputs(2), False, []),  # learns its step
        (None, False, []),
        (DoReFaInputs(32), False, []),  # off
    ],
)
def test_levels_need_values_of_their_size(inputs, norm, added):
    quantized, report = quantize_model(chain(norm=norm), weights=TernaryWeights(), inputs=inputs)
    assert names(report.added) == added
    assert not report.removed
    if inputs is not None:
        assert constant(quantized, batch()[0]) == []


@pytest.mark.parametrize("function", ["tanh", "elu", "gelu", "sigmoid", "softplus"])
def test_activations_that_keep_signs_stay_and_others_get_a_normalization(function):
    inputs = keras.Input(SHAPE)
    model = head(inputs, conv(conv(inputs, "one", activation=function), "two"))
    quantized, report = quantize_model(model, **SIGNS)
    assert names(report.added) == ([] if function in ("tanh", "elu", "gelu") else ["two_input_bn"])
    assert constant(quantized, batch()[0]) == []


def test_weights_become_latent_weights_and_the_model_stays():
    model = residual()
    before = [array(weight) for weight in model.weights]
    quantized, _ = quantize_model(model, **SIGNS)
    given, taken = walk.weights(model), walk.weights(quantized)
    for path, named in given.items():
        for name, weight in named.items():
            np.testing.assert_array_equal(array(weight), array(taken[path][name]), err_msg=f"{path}/{name}")
    for weight, kept in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(array(weight), kept)
    assert not {id(layer) for layer in model.layers} & {id(layer) for layer in quantized.layers}


def test_with_quantizers_that_are_off_it_is_the_same_model():
    model, x = residual(), batch()[0]
    same, report = quantize_model(model, weights=DoReFaWeights(32), inputs=DoReFaInputs(32), quantize_ends=True)
    assert len(report.quantized) == 8
    np.testing.assert_allclose(array(same(x)), array(model(x)), rtol=0, atol=1e-6)


def nested(times=1):
    inner_inputs = keras.Input((8, 8, 8))
    inner = keras.Model(inner_inputs, conv(conv(inner_inputs, "one"), "two", activation=None), name="inner")
    inputs = keras.Input(SHAPE)
    x = conv(inputs, "stem")
    for number in range(times):
        x = layers.ReLU(name=f"relu{number}")(inner(x))
    return head(inputs, conv(x, "last"))


def test_models_in_a_model_are_entered():
    model = nested()
    quantized, report = quantize_model(model, **SIGNS)
    assert names(report.quantized) == ["inner/one", "inner/two", "last"]
    assert names(report.removed) == ["stem_act", "inner/one_act", "relu0"]
    assert not report.added
    assert [type(layer).__name__ for layer in quantized.layers] == [
        type(layer).__name__.replace("Conv2D", "QuantConv2D") if layer.name == "last" else type(layer).__name__
        for layer in model.layers
        if layer.name not in ("stem_act", "relu0")
    ]
    assert constant(quantized, batch()[0]) == []


def test_a_model_that_is_called_twice_stays_one():
    model = nested(times=2)
    quantized, report = quantize_model(model, **SIGNS)
    assert names(report.removed) == ["stem_act", "inner/one_act", "relu0", "relu1"]
    assert len(quantized.weights) == len(model.weights)
    assert constant(quantized, batch()[0]) == []


def test_what_goes_for_one_call_of_a_shared_layer_goes_for_both():
    shared = layers.Conv2D(8, 3, padding="same", name="shared")
    inputs = keras.Input(SHAPE)
    x = conv(inputs, "stem", activation=None)
    x = layers.Add()([layers.BatchNormalization(name="norm")(shared(x)), shared(layers.ReLU(name="relu")(shared(x)))])
    quantized, report = quantize_model(head(inputs, x), **SIGNS)
    assert names(report.quantized) == ["shared"]
    assert names(report.added) == ["shared_input_bn"]
    assert constant(quantized, batch()[0]) == []


def test_several_inputs_and_outputs_keep_their_structure():
    left, right = keras.Input(SHAPE, name="left"), keras.Input((6,), name="right")
    x = layers.GlobalAveragePooling2D()(conv(conv(left, "c0"), "c1"))
    y = layers.Dense(8, activation="relu", name="d1")(layers.Dense(8, activation="relu", name="d0")(right))
    both = layers.Dense(8, activation="relu", name="both")(layers.Concatenate()([x, y]))
    outputs = {"one": layers.Dense(4, name="one")(both), "two": layers.Dense(3, name="two")(both)}
    model = keras.Model({"left": left, "right": right}, outputs)
    quantized, report = quantize_model(model, **SIGNS)
    assert names(report.quantized) == ["c1", "d1", "both"]
    assert {row.path: row.reason.split(":")[0] for row in report.left if row.before in ("Conv2D", "Dense")} == {
        "c0": "is the first",
        "d0": "is the first",
        "one": "is the last",
        "two": "is the last",
    }
    given = {"left": batch()[0], "right": np.random.default_rng(0).normal(size=(16, 6)).astype("float32")}
    made = quantized(given)
    assert {name: tuple(value.shape) for name, value in made.items()} == {"one": (16, 4), "two": (16, 3)}
    assert constant(quantized, given) == []


def sequential():
    return keras.Sequential(
        [
            keras.Input((16, 4)),
            layers.Conv1D(8, 3, padding="same", name="first"),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(name="relu"),
            layers.Conv1D(8, 3, padding="same", activation="relu", name="second"),
            layers.EinsumDense("abc,cd->abd", (16, 8), activation="relu", name="einsum"),
            layers.Flatten(name="flat"),
            layers.Dense(8, name="third"),
            layers.Dense(3, name="last"),
        ],
        name="small",
    )


def test_a_sequential_model_stays_one(tmp_path):
    quantized, _ = quantize_model(sequential(), **SIGNS)
    assert type(quantized) is keras.Sequential
    assert quantized.name == "small"
    assert [layer.name for layer in quantized.layers] == [
        *("first", "bn", "second", "einsum_input_bn", "einsum", "flat", "third_input_bn", "third", "last")
    ]
    x = np.random.default_rng(0).normal(size=(8, 16, 4)).astype("float32")
    assert constant(quantized, x) == []
    quantized.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(load_model(tmp_path / "model.keras")(x)), array(quantized(x)))


@pytest.mark.parametrize(
    ("skip", "quantized"),
    [
        ((), ["conv1", "conv2"]),
        ("conv1", ["conv2"]),
        (["conv[12]"], None),
        (["*2"], ["conv1"]),
        (lambda layer: layer.name == "conv2", ["conv1"]),
    ],
)
def test_layers_are_skipped_by_name_or_function(skip, quantized):
    if quantized is None:
        with pytest.raises(ValueError, match=r"finds no layer to quantize:(.|\n)*conv1 .*skip names it"):
            quantize_model(chain(), **SIGNS, skip=skip)
    else:
        assert names(quantize_model(chain(), **SIGNS, skip=skip).report.quantized) == quantized


def test_a_skipped_layer_keeps_its_relu():
    _, report = quantize_model(chain(), **SIGNS, skip="conv1")
    assert names(report.removed) == ["conv1_act"]


def test_a_model_in_the_model_is_skipped_by_its_name():
    assert names(quantize_model(nested(), **SIGNS, skip="inner").report.quantized) == ["last"]


def test_the_ends_are_quantized_on_demand():
    quantized, report = quantize_model(chain(), **SIGNS, quantize_ends=True)
    assert names(report.quantized) == ["conv0", "conv1", "conv2", "head"]
    assert names(report.added) == ["conv0_input_bn", "head_input_bn"]
    assert constant(quantized, batch()[0]) == []


def test_quantizers_and_constraint_arrive_at_the_layers():
    quantized, _ = quantize_model(residual(), weights=LSQWeights(2), inputs=DoReFaInputs(3), constraint="weight_clip")
    for path, layer in quantized_layers(quantized).items():
        assert layer.input_quantizer == DoReFaInputs(3), path
        for kernel in layer.kernels:
            assert kernel.quantizer == LSQWeights(2), path
            assert type(getattr(layer, kernel.place.constraint)).__name__ == "WeightClip", path
    assert type(quantized.get_layer("stem").kernel_constraint).__name__ == "NoneType"


@keras.saving.register_keras_serializable(package="test_quantize_model")
class Scaled(layers.Conv2D):
    """A convolution with a call of its own."""

    def call(self, inputs):
        return 2 * super().call(inputs)


def test_what_is_left_alone_is_told_why():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 8, name="table")(tokens)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.Dense(8, name="dense")(layers.LSTM(8, return_sequences=True, name="lstm")(x))
    x = tfq.layers.QuantDense(8, kernel_quantizer=XnorWeights(), name="quantized")(x)
    x = Scaled(4, 1, name="scaled")(layers.Reshape((6, 8, 1), name="reshape")(x))
    model = keras.Model(tokens, layers.Dense(2, name="last")(layers.Flatten(name="flat")(x)))
    _, report = quantize_model(model, **SIGNS)
    assert {row.path: row.reason for row in report.left} == {
        "table": "has no quantized class",
        "attention": "computes in its own call, with "
        + ", ".join(f"EinsumDense '{part}_dense'" for part in ("query", "key", "value", "output")),
        "lstm": "computes in its own call, with LSTMCell 'cell'",
        "quantized": "is quantized",
        "reshape": "has no kernel",
        "scaled": "is a Conv2D with a call of its own",
        "flat": "has no kernel",
        "last": "is the last: quantize_ends=False",
    }
    assert names(report.quantized) == ["dense"]
    table = report.table().splitlines()
    assert len(table) == 1 + len(report.rows) - 2 + 1
    assert table[-1] == "and 2 without a kernel, as they were"
    assert str(report) == report.table()


class Subclassed(keras.Model):
    """A model that computes in its own call."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 2), "float32"))
    return model


def no_kernel():
    inputs = keras.Input((3,))
    return keras.Model(inputs, layers.ReLU()(inputs))


@pytest.mark.parametrize(
    ("model", "arguments", "error", "message"),
    [
        (subclassed, SIGNS, ValueError, "functional or a Sequential model; got the Subclassed .*computes in its own `call`"),
        (lambda: keras.Sequential([layers.Dense(2)]), SIGNS, ValueError, r"built model; .*begin with keras.Input\(shape\)"),
        (lambda: layers.Dense(2), SIGNS, TypeError, "takes a model of .*keras; got Dense"),
        (chain, {"weights": None}, ValueError, "needs weights or inputs.*got None for both"),
        (chain, {"weights": "no_such"}, ValueError, "no_such"),
        (chain, {"weights": XnorWeights(), "inputs": XnorWeights()}, ValueError, "must quantize inputs"),
        (chain, {**SIGNS, "skip": ["conv9"]}, ValueError, "skip='conv9' names no layer; there are .*conv0, conv0_bn"),
        (chain, {**SIGNS, "skip": 3}, TypeError, "names of layers, or a function of a layer; got skip=3"),
        (no_kernel, SIGNS, ValueError, "finds no layer to quantize"),
    ],
)
def test_what_cannot_be_converted_is_refused(model, arguments, error, message):
    with pytest.raises(error, match=message):
        quantize_model(model(), **arguments)


def test_a_subclassed_model_within_is_left_alone():
    inputs = keras.Input((2,))
    x = layers.Dense(4, name="b")(layers.Dense(2, name="a")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="c")(SubclassedLayer(name="own")(x)))
    _, report = quantize_model(model, **SIGNS)
    assert [row.reason for row in report.left if row.path == "own"] == ["computes in its own call, with Dense 'dense'"]


@keras.saving.register_keras_serializable(package="test_quantize_model")
class SubclassedLayer(layers.Layer):
    """A layer that holds one."""

    def build(self, shape):
        self.dense = layers.Dense(4)
        self.dense.build(shape)
        super().build(shape)

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.keras3_only  # op by op tf_keras takes nine seconds, and JAX a minute: the slow tests train it there
@pytest.mark.tensorflow_only
def test_mobilenet_v2():
    model = keras.applications.MobileNetV2(
        weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=4, classifier_activation=None
    )
    quantized, report = quantize_model(model, **SIGNS)
    assert len(report.quantized) == 51  # 17 blocks of three, but for the first, of two, and the last convolution
    assert len(report.removed) == 34  # all but the one in front of the pooling
    assert not report.added
    x, _ = images((32, 32, 3), 4)
    assert constant(quantized, x) == []


@keras.saving.register_keras_serializable(package="test_quantize_model")
class Trained(keras.Model):
    """A functional model with a training step of its own."""

    def train_step(self, data):
        return super().train_step(data)


def test_a_training_step_of_ones_own_stays():
    model = chain()
    model = Trained(model.inputs, model.outputs)
    assert type(quantize_model(model, **SIGNS).model) is Trained


def test_operations_of_keras_stay():
    inputs = keras.Input(SHAPE)
    x = conv(inputs, "stem", activation=None)
    y = conv(x, "one", activation=None) * 0.5 + x
    quantized, report = quantize_model(head(inputs, conv(y + 3, "two")), **SIGNS)
    assert names(report.quantized) == ["one", "two"]
    assert names(report.added) == ["two_input_bn"]
    assert constant(quantized, batch()[0]) == []


def test_a_conversion_keeps_what_is_frozen():
    model = chain()
    model.get_layer("conv1").trainable = False
    quantized, _ = quantize_model(model, **SIGNS)
    assert not quantized.get_layer("conv1").trainable
    assert quantized.get_layer("conv2").trainable
    assert tuple(quantized.output.shape) == tuple(model.output.shape)
