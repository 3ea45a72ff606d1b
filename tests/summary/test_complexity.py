"""The counters: by hand on small models, and the seed's published totals on its two networks."""

import pytest
from running import slow_on

import models
from tfq import callbacks, layers, quantizers
from tfq.backend.keras import is_legacy, keras
from tfq.summary import layer_costs, seed_macs, summarize

L = keras.layers
XNOR = {"input_quantizer": quantizers.XnorInputs(), "kernel_quantizer": quantizers.XnorWeights()}


def only_cost(layer, shape):
    return layer_costs(keras.Sequential([keras.Input(shape), layer]))[0]


# --- the seed's rule


@slow_on("tf_keras", "jax")
@pytest.mark.parametrize(
    ("name", "method", "relu", "options", "mmac"),
    [
        ("resnet20", "float", False, {}, 159.95),
        ("resnet20", "xnor", False, {}, 1.35),
        ("resnet20", "dorefa", False, {"w_bits": 2, "a_bits": 2}, 1.35),
        ("nin", "float", True, {}, 149.66),
        ("nin", "ternary", True, {}, 17.11),
        ("nin", "xnor", True, {"bn_first": True}, 17.26),
    ],
)
def test_networks_have_the_seeds_totals(name, method, relu, options, mmac):
    model = models.build(name, method=method, **options)
    assert round(seed_macs(model, relu=relu) / 1e6, 2) == mmac


def test_seed_rule_by_hand():
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(4, 3, padding="same")(x)  # 64 * 4 * (27 + 1)
    y = keras.layers.ReLU()(keras.layers.BatchNormalization()(y))  # 2 * 256; 256
    y = layers.QuantConv2D(4, 3, padding="same", **XNOR)(y)  # 64 * 4 * (36 + 1)
    y = keras.layers.MaxPooling2D(3, 2, padding="same")(y)  # 256: what goes in, not the 64 that come out
    y = keras.layers.Add()([y, y])  # not counted
    y = keras.layers.GlobalAveragePooling2D()(y)  # 64
    model = keras.Model(x, keras.layers.Dense(10, use_bias=False)(y))  # 40
    assert seed_macs(model) == 7168 + 512 + 256 + 64 + 40
    assert seed_macs(model, relu=True) == 7168 + 512 + 256 + 256 + 64 + 40
    assert seed_macs(model, quantized=True) == 7168 + 512 + 9472 + 256 + 64 + 40


# --- layers


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (lambda: keras.layers.Conv2D(6, 3, strides=2, padding="same"), (9, 9, 4), 5 * 5 * 6 * 3 * 3 * 4),
        (lambda: keras.layers.Conv2D(6, (3, 5)), (9, 9, 4), 7 * 5 * 6 * 3 * 5 * 4),
        (lambda: keras.layers.Conv2D(6, 3, groups=2), (9, 9, 4), 7 * 7 * 6 * 3 * 3 * 2),
        (lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2), (9, 9, 4), 7 * 7 * 4 * 2 * 3 * 3),
        (lambda: keras.layers.Conv2DTranspose(6, 2, strides=2), (4, 4, 3), 4 * 4 * 2 * 2 * 6 * 3),
        (lambda: keras.layers.Conv1D(6, 3), (9, 4), 7 * 6 * 3 * 4),
        (lambda: keras.layers.Dense(7), (5, 4), 5 * 7 * 4),
        (lambda: layers.QuantDense(7), (4,), 7 * 4),
        (lambda: keras.layers.BatchNormalization(), (4, 4, 3), 0),
    ],
)
def test_multiply_accumulates(layer, shape, macs):
    assert only_cost(layer(), shape).macs == macs


def test_channels_first():
    assert only_cost(keras.layers.Conv2D(6, 3, data_format="channels_first"), (4, 9, 9)).macs == 7 * 7 * 6 * 3 * 3 * 4


@pytest.mark.parametrize(
    ("activation", "ops"), [(None, 0), ("linear", 0), ("relu", 5), (keras.activations.tanh, 5), (lambda x: x * x, 5)]
)
def test_activation_of_a_layer(activation, ops):
    assert only_cost(keras.layers.Dense(5, activation=activation), (3,)).activation_ops == ops


def test_kmap_adds_the_box_filter_and_two_products():
    cost = only_cost(layers.QuantConv2D(6, 3, kmap=True, **XNOR), (9, 9, 4))
    assert cost.other_ops == 9 * 9 * 4 + 7 * 7 * 9 + 7 * 7 * 6


@pytest.mark.parametrize(
    ("options", "bits"),
    [
        ({}, (32, 32)),
        (XNOR, (1, 1)),
        ({"kernel_quantizer": quantizers.TernaryWeights()}, (32, 2)),
        ({"input_quantizer": quantizers.DoReFaInputs(4), "kernel_quantizer": quantizers.DoReFaWeights(3)}, (4, 3)),
        ({"input_quantizer": quantizers.DoReFaInputs(32), "kernel_quantizer": quantizers.DoReFaWeights(32)}, (32, 32)),
        ({"kernel_quantizer": abs}, (32, 32)),
    ],
)
def test_bits(options, bits):
    cost = only_cost(layers.QuantConv2D(6, 3, **options), (9, 9, 4))
    assert (cost.input_bits, cost.weight_bits) == bits
    assert cost.is_quantized == (bits[1] < 32)


def test_bits_of_a_quantizer_layer_reach_the_next_convolution_through_max_pooling_alone():
    x = keras.Input((8, 8, 3))
    kernel = {"kernel_quantizer": quantizers.TernaryWeights()}
    y = layers.QuantActivation(quantizers.DoReFaInputs(2))(x)
    y = layers.QuantConv2D(4, 3, name="direct", **kernel)(keras.layers.MaxPooling2D()(y))
    y = layers.QuantActivation(quantizers.DoReFaInputs(2))(y)
    y = layers.QuantConv2D(4, 1, name="averaged", **kernel)(keras.layers.AveragePooling2D(2)(y))
    costs = {cost.name: cost for cost in layer_costs(keras.Model(x, y))}
    assert (costs["direct"].input_bits, costs["averaged"].input_bits) == (2, 32)


SIGNS = quantizers.XnorInputs()


def sequential(*inner):
    return keras.Sequential([keras.Input((8, 8, 4)), *inner])


def input_bits_behind(*front):
    """Bits of the inputs of the last layer, a convolution, behind a float one and `front`."""
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 1), *front, layers.QuantConv2D(4, 1, name="last", **KERNEL)])
    (cost,) = [cost for cost in layer_costs(model) if cost.name.split("/")[-1] == "last"]
    return cost.input_bits


KERNEL = {"kernel_quantizer": quantizers.XnorWeights()}


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("front", "bits"),
    [
        (lambda: [L.Activation(SIGNS)], 1),
        (lambda: [L.Conv2D(4, 1, activation=SIGNS)], 1),
        (lambda: [L.SeparableConv2D(4, 1, activation=quantizers.DoReFaInputs(3))], 3),
        (lambda: [L.TimeDistributed(L.Dense(4, activation=SIGNS))], 1),
        (lambda: [L.Activation(SIGNS), L.Activation("linear")], 1),
        (lambda: [L.Activation(SIGNS), L.Activation("relu")], 32),
        (lambda: [L.Activation(SIGNS), L.Conv2D(4, 1)], 32),
        (lambda: [sequential(L.Conv2D(4, 1), layers.QuantActivation(SIGNS))], 1),  # out of a model
        (lambda: [sequential(sequential(L.Activation(SIGNS)), L.Dropout(0.1))], 1),
        (lambda: [sequential(L.Activation(SIGNS), L.Conv2D(4, 1))], 32),
        *[
            (lambda layer=layer: [layers.QuantActivation(SIGNS), layer()], 1)
            for layer in (
                *(lambda: L.Reshape((4, 8, 8)), lambda: L.Permute((2, 1, 3)), L.MaxPooling2D, L.ZeroPadding2D),
                *(
                    lambda: L.Dropout(0.1),
                    lambda: L.SpatialDropout2D(0.1),
                    lambda: L.GaussianNoise(0.1),
                    L.Cropping2D,
                    L.Identity,
                ),
                *(lambda: L.GaussianDropout(0.1), lambda: L.AlphaDropout(0.1), L.ActivityRegularization, L.UpSampling2D),
                *(lambda: layers.QuantGradient(quantizers.DoReFaGradients(4)), lambda: L.UpSampling2D(interpolation="nearest")),
                lambda: L.RandomFlip(),
            )
        ],
        (lambda: [layers.QuantActivation(SIGNS), L.AveragePooling2D(2)], 32),
        (lambda: [layers.QuantActivation(SIGNS), L.UpSampling2D(interpolation="bilinear")], 32),
        (lambda: [layers.QuantActivation(SIGNS), L.BatchNormalization()], 32),
        (lambda: [layers.QuantActivation(SIGNS), layers.QuantActivation(quantizers.DoReFaInputs(32))], 1),
        (lambda: [layers.QuantActivation(SIGNS), layers.QuantActivation(abs)], 32),  # whatever that gives
        (lambda: [L.Activation(SIGNS), L.GlobalMaxPooling2D(), L.Reshape((1, 1, 4))], 1),
    ],
)
def test_bits_reach_the_next_convolution(front, bits):
    assert input_bits_behind(*front()) == bits


@pytest.mark.tensorflow_only
def test_bits_go_into_models_and_through_several_inputs():
    x = keras.Input((8, 8, 4))
    inner = sequential(L.Identity(), layers.QuantConv2D(4, 1, name="last", **KERNEL))
    signs, levels = layers.QuantActivation(SIGNS)(x), layers.QuantActivation(quantizers.DoReFaInputs(2))(x)
    y = L.Concatenate()([signs, levels])
    highest = layers.QuantConv2D(4, 1, name="highest", **KERNEL)(L.Maximum()([signs, levels]))
    wide = layers.QuantConv2D(4, 1, name="wide", **KERNEL)
    dropped = layers.QuantConv2D(4, 1, name="dropped", **KERNEL)(L.Dropout(0.5)(signs, training=True))
    model = keras.Model(x, [inner(signs), inner(levels), wide(y), dropped, highest])
    bits = sorted((cost.name.split("/")[-1], cost.input_bits) for cost in layer_costs(model) if cost.has_macs)
    assert bits == [("dropped", 32), ("highest", 2), ("last", 1), ("last", 2), ("wide", 2)]


@pytest.mark.tensorflow_only
@pytest.mark.keras3_only  # in tf_keras an operation is a lambda, of which nothing is known
def test_bits_go_through_operations_that_select():
    x = keras.Input((8, 8, 4))
    y = layers.QuantActivation(SIGNS)(x)
    ops = keras.ops
    for operation in (lambda t: t[:, 1:], lambda t: ops.flip(ops.swapaxes(t, 1, 2), 1), lambda t: ops.split(t, 2, -1)[0]):
        y = operation(y)
    model = keras.Model(x, [layers.QuantConv2D(4, 1, **KERNEL)(each) for each in (ops.max_pool(y, 2), ops.abs(y) - y)])
    assert sorted(cost.input_bits for cost in layer_costs(model) if cost.has_macs) == [1, 32]


def test_gradient_key_is_no_parameter():
    layer = layers.QuantDense(7, gradient_quantizer=quantizers.DoReFaGradients(6, seed=1))
    assert only_cost(layer, (4,)).params == 4 * 7 + 7


# --- models


def test_memory_by_bit_width():
    model = keras.Sequential([keras.Input((9, 9, 3)), layers.QuantConv2D(5, 3, **XNOR), keras.layers.BatchNormalization()])
    summary = summarize(model)
    # 135 binary weights take 17 bytes; 5 biases and 4 * 5 values of the batch normalization stay in float.
    assert summary.memory_bytes == {1: 17, 32: 100}
    assert (summary.params, summary.trainable_params) == (160, 150)
    assert summary.compression == pytest.approx(32 * 160 / (135 + 32 * 25))
    assert summary.params_by_bits == {1: 135, 32: 25}
    assert summary.macs == {(1, 1): 7 * 7 * 5 * 27}


def test_frozen_layer_is_not_trainable():
    layer = keras.layers.Dense(7)
    layer.trainable = False
    summary = summarize(keras.Sequential([keras.Input((4,)), layer]))
    assert (summary.params, summary.trainable_params) == (35, 0)


@slow_on("tf_keras", "jax")
def test_network_agrees_with_keras():
    model = models.build("resnet20", method="xnor")
    summary = summarize(model)
    assert (summary.params, summary.trainable_params) == (model.count_params(), 1_110_522)
    assert summary.total_macs == 159_042_048


def test_nested_and_shared_layers():
    shared = keras.layers.Dense(4, use_bias=False, name="shared")
    inner = keras.Sequential([keras.Input((4,)), shared], name="inner")
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Add(name="sum")([inner(x), shared(shared(x))]))
    summary = summarize(model)
    assert sorted(cost.name for cost in summary.layers) == ["inner/shared", "shared", "shared", "sum"]
    assert (summary.total_macs, summary.params) == (3 * 16, 16)


def test_operators_are_counted_as_layers_are():
    x = keras.Input((4, 4, 2))
    summary = summarize(keras.Model(x, keras.layers.ReLU()(x) + x))
    assert summary.other_ops == 32 + (0 if is_legacy else 32)  # tf_keras' `+` is a lambda, of which nothing is known


def test_layer_of_unknown_cost_is_named():
    x = keras.Input((6, 3))
    table = summarize(keras.Model(x, keras.layers.LSTM(4, name="memory")(x))).table()
    assert table.endswith("not counted    memory: it multiplies matrices in a way that is not known here")
    assert "MACs           0, without what is not counted" in table


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("layer", [lambda: L.ConvLSTM1D(4, 3, name="it"), lambda: L.Dot((3, 3), name="it")])
def test_what_is_not_counted_is_said_in_the_totals(layer):
    layer = layer()
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, layer([x, x] if isinstance(layer, L.Dot) else x))
    summary = summarize(model)
    assert summary.uncounted == ("it",)
    assert str(summary) == summary.table()
    assert "MACs           0, without what is not counted" in str(summary)
    lines = []
    callback = callbacks.Complexity(log=lines.append)
    callback.set_model(model)
    callback.on_train_begin()
    assert lines[1] == "==> Computational complexity:   0.00 MMac, 0.00 of them in float, without it"


@pytest.mark.tensorflow_only
def test_a_model_without_a_graph_is_trained_all_the_same():
    lines = []
    callback = callbacks.Complexity(log=lines.append)
    model = keras.Sequential([L.Dense(3)])
    callback.set_model(model)
    callback.on_train_begin()
    (line,) = lines
    assert line.startswith("==> Computational complexity:   not counted: the cost of a model follows from its weights")


def test_table_has_a_row_a_layer_and_the_totals():
    model = models.build("resnet20", method="xnor", depth=8)
    lines = summarize(model).table().splitlines()
    assert len(lines) == len(model.layers) - 1 + 3 + 6  # all but the input; header and two rules; totals
    row = next(line for line in lines if line.startswith("stage1_block1_shortcut"))
    assert row.split() == [
        *("stage1_block1_shortcut", "QuantConv2D", "32x32x64", "1", "1", "1,024", "0"),
        *("0.12", "KiB", "32.0x", "1.05", "M", "1.05", "M"),
    ]
    assert len({len(line) for line in lines[: len(model.layers) + 2]}) == 1


# --- errors


@pytest.mark.parametrize("model", [type("Subclassed", (keras.Model,), {}), lambda: keras.Sequential([keras.layers.Dense(3)])])
def test_model_that_is_not_built_is_refused(model):
    with pytest.raises(ValueError, match=r"expected a built model, by keras.Input or by a first call; got S"):
        summarize(model())
