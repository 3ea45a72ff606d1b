"""Bop and CaseOptimizer against their formulas, in steps of `fit`, and through files."""

import copy

import numpy as np
import pytest
from conftest import array, tensor

from tfq.backend.keras import is_legacy, keras, ops
from tfq.larq.optimizers import Bop, CaseOptimizer
from tfq.layers import QuantDense

rules = keras.optimizers.legacy if is_legacy else keras.optimizers


def variable(values):
    if is_legacy:
        import tensorflow as tf

        return tf.Variable(np.asarray(values, "float32"))
    return keras.Variable(np.asarray(values, "float32"))


def apply(optimizer, gradients, variables):
    optimizer.apply_gradients(list(zip([tensor(g) for g in gradients], variables, strict=True)))


def oracle(w, m, g, threshold, gamma):
    m = m + gamma * (g - m)
    return np.where(-np.sign(w * m - threshold) * w >= 0, 1.0, -1.0), m


def test_bop_is_its_formula():
    rng = np.random.default_rng(0)
    w, m = rng.normal(size=(5, 7)).astype("float32"), np.zeros((5, 7), "float32")
    kernel, bop = variable(w), Bop(threshold=0.02, gamma=0.3)
    flips = 0
    for _ in range(6):
        g = rng.normal(size=w.shape).astype("float32")
        apply(bop, [g], [kernel])
        old = w
        w, m = oracle(w, m, g, np.float32(0.02), np.float32(0.3))
        flips += np.count_nonzero(w != np.where(old >= 0, 1, -1))
        np.testing.assert_array_equal(array(kernel), w)
    assert flips > 10


def test_at_the_threshold_it_gives_one():
    kernel = variable([1.0, -1.0, 1.0, -1.0])
    # m = g: w m is the threshold, the threshold, above it, above it
    apply(Bop(threshold=0.5, gamma=1.0), [[0.5, -0.5, 0.75, -0.75]], [kernel])
    np.testing.assert_array_equal(array(kernel), [1, 1, -1, 1])


def test_schedules_are_asked_at_each_step():
    decay = keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.0])  # gamma is 1 in the first step, then 0
    kernel = variable([1.0, 1.0])
    bop = Bop(threshold=0.5, gamma=decay)
    apply(bop, [[1.0, 0.0]], [kernel])
    np.testing.assert_array_equal(array(kernel), [-1, 1])
    apply(bop, [[-9.0, 9.0]], [kernel])  # the average stays 1 and 0
    np.testing.assert_array_equal(array(kernel), [-1, 1])
    copy = Bop.from_config(bop.get_config())
    assert type(copy.get_config()["gamma"]) is dict
    assert copy.get_config() == bop.get_config()


def network():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((6,)),
            QuantDense(5, kernel_quantizer="ste_sign", kernel_constraint="weight_clip", name="binary"),
            QuantDense(3, kernel_quantizer="ternary_weights", name="ternary"),
            keras.layers.Dense(1, name="float"),
        ]
    )


DATA = np.random.default_rng(1).normal(size=(32, 6)).astype("float32"), np.ones((32, 1), "float32")


@pytest.fixture(scope="module")
def trained():
    model, start = network(), network().get_weights()
    model.set_weights(start)
    bop = Bop(threshold=1e-4, gamma=0.5)
    model.compile(CaseOptimizer((Bop.is_binary_variable, bop), default_optimizer=rules.SGD(0.003, momentum=0.9)), "mse")
    model.fit(*DATA, epochs=2, batch_size=8, verbose=0)
    return model, start


def test_kernels_say_whether_they_are_binary(trained):
    model, _ = trained
    assert [Bop.is_binary_variable(v) for v in model.trainable_variables] == [True, False, False, False, False, False]
    assert [getattr(layer.kernel, "precision", None) for layer in model.layers] == [1, 2, None]


def test_each_variable_has_its_optimizer(trained):
    model, start = trained
    assert model.optimizer.var_opt_mapping == [0, 1, 1, 1, 1, 1]
    now = model.get_weights()
    assert set(np.unique(now[0])) == {-1, 1}
    assert all(np.any(a != b) for a, b in zip(now, start, strict=True))
    assert np.unique(now[2]).size > 2
    states = model.optimizer.weights if is_legacy else model.optimizer.variables
    momenta = [np.shape(array(v)) for v in states if len(np.shape(array(v)))]
    assert sorted(momenta) == sorted(np.shape(w) for w in start)
    assert all(int(array(optimizer.iterations)) == 8 for optimizer in model.optimizer.optimizers)


def test_the_default_optimizer_does_what_it_does_alone(trained):
    """Of the float layer behind the same two, in one step."""
    alone, case = network(), network()
    alone.compile(rules.SGD(0.003, momentum=0.9), "mse")
    case.compile(CaseOptimizer((Bop.is_binary_variable, Bop()), default_optimizer=rules.SGD(0.003, momentum=0.9)), "mse")
    for model in (alone, case):
        model.set_weights(trained[1])
        model.fit(*DATA, batch_size=32, shuffle=False, verbose=0)
    for a, b in zip(alone.get_weights()[1:], case.get_weights()[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.keras3_only  # tf_keras saves no state of its legacy optimizers in this format
def test_a_saved_one_goes_on(trained, tmp_path):
    model, _ = trained
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, CaseOptimizer)
    for a, b in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(array(a), array(b))
    read = CaseOptimizer.from_config(model.optimizer.get_config())
    with pytest.raises(ValueError, match="saved for 6 variables, it was given 5"):
        read.build(model.trainable_variables[1:])


def test_its_configuration(trained):
    config = keras.optimizers.serialize(trained[0].optimizer)
    read = keras.optimizers.deserialize(copy.deepcopy(config))  # Keras writes into what it is given
    assert keras.optimizers.serialize(read) == config


@pytest.mark.parametrize(
    ("pairs", "default", "error", "message"),
    [
        ([], None, ValueError, "got neither"),
        ([(False, Bop())], None, TypeError, "pair 0 must begin with a function of a variable; got False"),
        ([(Bop.is_binary_variable, "adam")], None, TypeError, "pair 0 must end with .*; got 'adam'"),
        ([(Bop.is_binary_variable, Bop())], 3, TypeError, "default_optimizer must be .*; got 3"),
    ],
)
def test_wrong_arguments(pairs, default, error, message):
    with pytest.raises(error, match=message):
        CaseOptimizer(*pairs, default_optimizer=default)


@pytest.mark.parametrize(
    ("predicates", "message"),
    [
        ([lambda v: True, lambda v: True], r"is taken by the predicates of pairs \[0, 1\]"),
        ([lambda v: True, lambda v: False], "the predicate of pair 1, .*, takes no variable"),
    ],
)
def test_predicates_that_do_not_fit(predicates, message):
    optimizer = CaseOptimizer(*((predicate, Bop()) for predicate in predicates))
    with pytest.raises(ValueError, match=message):
        apply(optimizer, [[1.0]], [variable([1.0])])


def test_without_a_default_the_others_stay():
    first, second = variable([1.0]), variable([0.5])
    optimizer = CaseOptimizer((lambda v: float(array(v)[0]) == 1.0, Bop(threshold=0.0, gamma=1.0)))
    with pytest.warns(UserWarning, match="is not trained"):
        apply(optimizer, [[1.0], [1.0]], [first, second])
    assert (float(array(first)[0]), float(array(second)[0])) == (-1.0, 0.5)


def test_one_saved_before_its_first_step_has_no_predicates():
    optimizer = CaseOptimizer.from_config(CaseOptimizer((Bop.is_binary_variable, Bop())).get_config())
    with pytest.raises(ValueError, match="predicates are not saved"):
        apply(optimizer, [[1.0]], [variable([1.0])])


@pytest.mark.keras3_only
def test_the_rate_is_that_of_the_default():
    optimizer = CaseOptimizer((Bop.is_binary_variable, Bop()), default_optimizer=rules.SGD(0.25))
    optimizer.learning_rate = 0.5
    assert float(ops.convert_to_numpy(optimizer.learning_rate)) == 0.5
    assert float(ops.convert_to_numpy(optimizer.default.learning_rate)) == 0.5
