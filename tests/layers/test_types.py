"""Dtypes: a layer's own one wins over the global policy, integers count as numbers, half precision trains, sums hold in any."""

from functools import partial

import numpy as np
import pytest
from conftest import array, compiled, layer_vjp, tensor, vjp

from tfq import sums
from tfq.backend.keras import backend, is_legacy, keras, ops
from tfq.layers import BatchNormalization, QuantActivation, QuantConv2D, QuantDense, QuantGradient
from tfq.quantizers import DoReFaGradients, DoReFaInputs, DoReFaWeights, TernaryWeights, XnorInputs, XnorWeights

HALF = {"float16": 2.0**-10, "bfloat16": 2.0**-7}  # and the spacing of their numbers at 1
RNG = np.random.default_rng(0)


def dtype_of(x):
    return keras.backend.standardize_dtype(x.dtype) if not is_legacy else x.dtype.name


@pytest.fixture
def policy():
    """Sets the global policy for one test."""
    before = keras.mixed_precision.global_policy() if is_legacy else keras.config.dtype_policy()
    yield set_policy
    set_policy(before)


def set_policy(policy):
    if is_legacy:
        keras.mixed_precision.set_global_policy(policy)
    else:
        keras.config.set_dtype_policy(policy)


# --- the layer's own dtype

NOISE = DoReFaGradients(6, seed=1)
ONES = {"kernel_initializer": "ones", "gradient_quantizer": NOISE}
OWN = {
    "dense": (lambda **dtype: QuantDense(2, **ONES, **dtype), (1, 3), 3),
    "dense, quantized": (lambda **dtype: QuantDense(2, **ONES, kernel_quantizer="xnor_weights", **dtype), (1, 3), 3),
    "convolution": (lambda **dtype: QuantConv2D(2, 1, **ONES, kernel_quantizer="ternary_weights", **dtype), (1, 2, 2, 3), 3),
    "K": (lambda **dtype: QuantConv2D(2, 1, **ONES, input_quantizer="xnor_inputs", kmap=True, **dtype), (1, 2, 2, 3), 3),
    "gradient": (lambda **dtype: QuantGradient(NOISE, **dtype), (1, 3), 1),
    "activation": (lambda **dtype: QuantActivation(lambda x: 1.0 * x, **dtype), (1, 3), 1),
    "normalization": (lambda **dtype: BatchNormalization(epsilon=1e-3, **dtype), (2, 2, 2, 3), None),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("of_all", "own", "computed", "value"),
    [
        ("mixed_float16", "float32", "float32", 50000.0),  # sums beyond the range of float16
        ("float32", "mixed_float16", "float16", 1.0),
        pytest.param("float32", "bfloat16", "bfloat16", 1.0, marks=pytest.mark.tensorflow_only),
        pytest.param("float32", "float64", "float64", 1 + 1e-10, marks=pytest.mark.tensorflow_only),
    ],
)
@pytest.mark.parametrize("layer", OWN)
def test_the_dtype_of_a_layer_wins_over_the_global_one(policy, layer, of_all, own, computed, value, training):
    make, shape, factor = OWN[layer]
    policy(of_all)
    outputs = make(dtype=own)(np.full(shape, value), training=training)
    assert dtype_of(outputs) == computed
    if factor is not None:
        np.testing.assert_allclose(array(outputs), factor * value, rtol=1e-13 if own == "float64" else 1e-6)


@pytest.mark.parametrize("quantizer", [lambda x: ops.where(x >= 0, 1.0, -1.0), XnorInputs()])
def test_a_quantizer_that_gives_another_dtype_does_not_change_that_of_the_layer(quantizer):
    for layer in (QuantActivation(quantizer, dtype="bfloat16"), QuantDense(2, input_quantizer=quantizer, dtype="bfloat16")):
        assert dtype_of(layer(np.ones((1, 3), "float32"))) == "bfloat16"


# --- integers

# Not random, since JAX compiles that for each shape; no integer, which a cast to one would leave alone.
CONSTANT = keras.initializers.Constant(0.3)


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_quantizer": "xnor_weights"},
        {"input_quantizer": "xnor_inputs", "kernel_quantizer": "ternary_weights"},
        {"input_quantizer": DoReFaInputs(2)},
        {"input_quantizer": lambda x: 0.5 * x},
        {"gradient_quantizer": NOISE},
    ],
    ids=range(5),
)
def test_integers_are_the_numbers_they_are(dtype, options):
    x = RNG.integers(0, 5, (2, 4, 4, 3)).astype(dtype)
    for make, inputs in [(partial(QuantConv2D, 2, 3), x), (partial(QuantDense, 2), x[0, 0])]:
        layer = make(kernel_initializer=CONSTANT, **options)
        expected = layer(inputs.astype("float32"), training=True)
        np.testing.assert_array_equal(array(layer(inputs, training=True)), array(expected))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
@pytest.mark.parametrize("of_layer", ["float32", "mixed_bfloat16"])
def test_dense_takes_integers_as_that_of_keras(dtype, of_layer):
    x = RNG.integers(0, 5, (4, 3)).astype(dtype)
    ours, theirs = (cls(2, kernel_initializer=CONSTANT, dtype=of_layer) for cls in (QuantDense, keras.layers.Dense))
    ours.kernel_quantizer = lambda kernel: kernel  # so that the product is ours
    assert dtype_of(ours(x)) == dtype_of(theirs(x))
    np.testing.assert_array_equal(array(ours(x)), array(theirs(x)))


def test_activations_take_integers():
    x = np.array([[-2, 0, 1, 3]])
    np.testing.assert_array_equal(array(QuantActivation(XnorInputs())(x)), [[-1, 1, 1, 1]])
    np.testing.assert_array_equal(array(QuantActivation(lambda x: 0.25 * x)(x)), [[-0.5, 0, 0.25, 0.75]])


# --- half precision

OF_KERNELS = [
    XnorWeights(center=True, clip=True),
    TernaryWeights(),
    DoReFaWeights(1),
    DoReFaWeights(16, differentiate_max=True),
]


@pytest.mark.tensorflow_only  # JAX compiles each of these operations
@pytest.mark.parametrize("half", HALF)
@pytest.mark.parametrize("quantizer", OF_KERNELS, ids=repr)
def test_half_precision_kernels_are_quantized_in_float32(quantizer, half):
    w = array(tensor(RNG.normal(0, 0.1, (3, 3, 4, 5)), half)).astype("float32")
    found = quantizer(tensor(w, half))
    assert dtype_of(found) == half
    np.testing.assert_array_equal(array(found), array(tensor(array(quantizer(tensor(w))), half)))


@pytest.mark.tensorflow_only  # likewise; there the network below has to do
@pytest.mark.parametrize(
    ("dtype", "kernel_quantizer", "input_quantizer"),
    [
        ("float16", XnorWeights(), XnorInputs()),
        ("bfloat16", TernaryWeights(), DoReFaInputs(2)),
        ("mixed_float16", DoReFaWeights(8), DoReFaInputs(2)),
        ("mixed_bfloat16", DoReFaWeights(1), None),
    ],
)
def test_layers_train_in_half_precision(dtype, kernel_quantizer, input_quantizer):
    # Numbers that half precision holds, away from the steps of the quantizers.
    x = RNG.choice([-0.75, -0.25, 0.25, 0.75], (2, 4, 4, 3)).astype("float32")
    options = {"kernel_quantizer": kernel_quantizer, "input_quantizer": input_quantizer, "name": "layer"}
    made = []
    for policy in (dtype, "float32"):
        layer = QuantConv2D(2, 3, padding="same", gradient_quantizer=DoReFaGradients(8, seed=1), dtype=policy, **options)
        layer.build(x.shape)
        made.append(layer)
    made[1].set_weights(made[0].get_weights())
    upstream = RNG.choice([-1, -0.5, 0.5, 1], (2, 4, 4, 2))
    (output, gradients), (expected, expected_gradients) = (layer_vjp(layer, x, upstream) for layer in made)
    for a, b in zip([output, *gradients], [expected, *expected_gradients], strict=True):
        # Sums of up to 32 terms of half precision, whose gradients have a level of their own each.
        np.testing.assert_allclose(a, b, atol=16 * HALF[dtype.removeprefix("mixed_")] * max(1, np.abs(b).max()))
    assert np.abs(gradients[1]).max() > 0


def test_a_network_trains_in_half_precision(policy):
    policy("float16")
    layers = [
        QuantConv2D(
            4, 3, kernel_quantizer=TernaryWeights(), kernel_initializer=CONSTANT, gradient_quantizer=DoReFaGradients(8, seed=1)
        ),
        BatchNormalization(),
        QuantActivation(DoReFaInputs(2)),
        keras.layers.Flatten(),
        QuantDense(2, kernel_quantizer="xnor_weights", input_quantizer="xnor_inputs", kernel_initializer=CONSTANT),
    ]
    model = keras.Sequential([keras.Input((4, 4, 3)), *layers])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = [array(w).copy() for w in model.weights]
    model.fit(RNG.normal(size=(8, 4, 4, 3)).astype("float32"), np.ones((8, 2), "float32"), verbose=0)
    for weight, old in zip(model.weights, before, strict=True):
        assert np.isfinite(array(weight)).all()
        assert len(weight.shape) < 2 or not np.array_equal(array(weight), old)


# --- sums


def paths():
    """The ways in which a backend may run a function."""
    if backend != "jax":
        yield "eager", lambda function: function
    if backend == "tensorflow":
        import tensorflow as tf

        yield "graph", tf.function
        yield "XLA", lambda function: tf.function(function, jit_compile=True)
    if backend == "jax":
        import jax

        yield "XLA", jax.jit


PATHS = dict(paths())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("quantizer", "shape"),
    [
        (TernaryWeights(), (1024, 1024)),
        (DoReFaWeights(1), (1024, 1024)),
        (TernaryWeights(), (2**18, 2)),
        (TernaryWeights(per_filter=True), (2**18, 2)),
        (XnorWeights(), (2**18, 2)),
    ],
)
def test_scales_do_not_depend_on_the_number_of_weights(quantizer, shape, path):
    # One after another, a million times 0.1 is 100,958 in float32.
    w = np.full(shape, 0.1, "float32")
    np.testing.assert_allclose(array(PATHS[path](quantizer)(tensor(w)))[:2], w[:2], rtol=5e-5)


@pytest.mark.parametrize("path", [path for path in PATHS if path != "graph"])  # which sums as the eager one does
def test_centring_does_not_depend_on_the_number_of_weights(path):
    quantizer = PATHS[path](XnorWeights(center=True))
    w = np.full((2**18, 2), 0.1, "float32")
    assert np.abs(array(quantizer(tensor(w)))).max() < 5e-6
    w[::2] *= -1  # with as many of either sign, the same gradient for all of them is none once it is centred
    (found,) = vjp(quantizer, [tensor(w)], tensor(np.full(w.shape, 10.0)))[1]
    assert np.abs(array(found)).max() < 6e-5


@pytest.mark.parametrize("quantizer", [TernaryWeights(), DoReFaWeights(1), XnorWeights()])
@pytest.mark.parametrize("half", HALF)
def test_scales_do_not_depend_on_the_range_of_half_precision(quantizer, half):
    w = np.full((66000, 1), 0.5)
    np.testing.assert_array_equal(array(quantizer(tensor(w, half)))[::1000], w[::1000])
    w = np.full((66000, 1), 500.0)
    np.testing.assert_array_equal(array(quantizer(tensor(w, half))), array(tensor(w, half)))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((3, 3, 5, 7), (0, 1, 2)), ((90, 100, 3), (0, 1)), ((3, 20011), (0, 1))],
)
def test_sums_in_parts_are_sums(shape, axes):
    x = RNG.integers(-8, 8, shape)  # whose sums are exact
    found = array(sums.total(tensor(x), axes))
    np.testing.assert_array_equal(found, x.sum(axis=axes, keepdims=True))
    np.testing.assert_allclose(array(sums.mean(tensor(x), axes)), x.mean(axis=axes, keepdims=True), rtol=1e-6, atol=1e-7)


@pytest.mark.tensorflow_only  # XLA may sum in another order
@pytest.mark.parametrize("quantizer", [XnorWeights(), TernaryWeights(), DoReFaWeights(1)])
def test_a_compiled_scale_is_the_eager_one_to_the_bit(quantizer):
    w = tensor(np.random.default_rng(1).normal(size=(3, 3, 20, 7)))
    np.testing.assert_array_equal(array(compiled(quantizer)(w)), array(quantizer(w)))
