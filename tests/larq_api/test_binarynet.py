"""larq's examples, imports changed, compute what larq does: the same losses and gradients from the same weights and batches.

larq runs on tf_keras alone. What it gives there is in `by_larq.npz`, which `by_larq.py` makes; where larq is installed, the slow
test makes it again and compares every gradient. At a quarter of BinaryNet's width, and where no value before a sign is within
1e-4 of 0 in the first step: a nearer one may change its sign by rounding.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from by_larq import flat, places
from conftest import array
from larq_examples import NETWORKS, SEEDS, STEPS, assign, batches, before_signs, by_tape, initial
from running import sampled

import tfq.larq as lq
from tfq.backend.keras import backend, keras

HERE = Path(__file__).resolve().parent
BOUND = 1e-5


@pytest.fixture(scope="module")
def by_larq():
    with np.load(HERE / "by_larq.npz") as file:
        return dict(file)


def by_jax(model):
    """As `by_tape`, compiled once for all steps."""
    import jax

    @jax.jit
    @jax.value_and_grad
    def loss(weights, others, x, y):
        return keras.ops.mean(
            keras.losses.categorical_crossentropy(y, model.stateless_call(weights, others, x, training=True)[0])
        )

    def of_batch(x, y):
        weights, others = (
            [v.value for v in variables] for variables in (model.trainable_variables, model.non_trainable_variables)
        )
        value, gradients = loss(weights, others, x, y)
        return float(value), [np.asarray(gradient) for gradient in gradients]

    return of_batch


def by_torch(model):
    """As `by_tape`."""

    def of_batch(x, y):
        model.zero_grad()
        loss = keras.ops.mean(keras.losses.categorical_crossentropy(keras.ops.convert_to_tensor(y), model(x, training=True)))
        loss.backward()
        return float(array(loss.detach())), [array(variable.value.grad) for variable in model.trainable_weights]

    return of_batch


def loss_and_gradients(model):
    if backend == "jax":
        return by_jax(model)
    return by_torch(model) if backend == "torch" else lambda x, y: by_tape(model, keras, x, y)


def weights_of_steps(held, first):
    """larq's weights in each step; of kernels the signs are larq's, and on their size depends nothing that is compared."""
    kernels = flat([weight for weight in first if weight.ndim > 1])
    flips = np.split(held["flips"].astype("int64"), np.cumsum(held["flip_counts"])[:-1])
    for step, others in enumerate(held["others"]):
        if step:
            kernels[np.cumsum(flips[step - 1])] *= -1
        left = {True: kernels, False: others}
        weights = []
        for weight in first:
            part, left[weight.ndim > 1] = np.split(left[weight.ndim > 1], [weight.size])
            weights.append(part.reshape(weight.shape))
        yield weights


def compare(name, held, is_whole):
    """The largest difference in each step: of the loss, and of gradients relative to the largest of each weight."""
    model = NETWORKS[name](lq, keras)
    variables = model.trainable_weights
    sizes = [int(np.prod(variable.shape)) for variable in variables]
    chosen = places(sizes, is_whole)
    owner = np.repeat(np.arange(len(sizes)), sizes)[chosen]
    x, y = batches(model.input_shape[1:], SEEDS[name])
    of_batch, worst = loss_and_gradients(model), []
    for step, weights in enumerate(weights_of_steps(held, initial(variables, SEEDS[name]))):
        assign(variables, weights)
        if not step:
            assert min(np.abs(array(values)).min() for values in before_signs(model, keras, x[0])) > 1e-4
        loss, gradients = of_batch(x[step], y[step])
        far = np.abs(flat(gradients)[chosen] - held["gradients"][step]) / held["largest"][step][owner]
        worst.append(max(far.max(), abs(loss / held["losses"][step] - 1)))
    return worst


def check(worst):
    assert worst[0] <= BOUND
    assert len(worst) == STEPS
    assert sum(difference <= BOUND for difference in worst) > STEPS / 2, worst


@pytest.mark.parametrize("name", sampled(NETWORKS, {"mnist"}, "tf_keras", "jax"))
def test_steps_are_those_of_larq(name, by_larq):
    held = {key.removeprefix(f"{name}/"): value for key, value in by_larq.items() if key.startswith(f"{name}/")}
    assert held["nearest"] > 1e-4
    assert held["flip_counts"].min() > 10  # the weights change
    check(compare(name, held, is_whole=False))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("larq") is None, reason="needs larq")
def test_every_gradient_is_that_of_larq(tmp_path, by_larq):
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    subprocess.run([sys.executable, HERE / "by_larq.py", tmp_path / "whole.npz", "--whole"], env=environment, check=True)
    with np.load(tmp_path / "whole.npz") as file:
        for name in NETWORKS:
            held = {key.removeprefix(f"{name}/"): file[key] for key in file if key.startswith(f"{name}/")}
            check(compare(name, held, is_whole=True))
            np.testing.assert_array_equal(held["flip_counts"], by_larq[f"{name}/flip_counts"])  # the file is larq's still
            np.testing.assert_allclose(held["losses"], by_larq[f"{name}/losses"], rtol=BOUND)
