"""FlipRatio by itself and as a metric of layers: in `model.metrics`, in the logs of `fit`, in no file."""

import numpy as np
import pytest
from conftest import tensor

from tfq import larq
from tfq.backend.keras import backend, keras, ops
from tfq.larq.context import get_training_metrics, metrics_scope
from tfq.larq.metrics import FlipRatio
from tfq.layers import QuantDense
from tfq.quantizers import DoReFaWeights, LSQWeights, TernaryWeights

X = np.random.default_rng(0).normal(size=(24, 5)).astype("float32")
Y = np.ones((24, 1), "float32")


def test_it_counts_what_changes():
    metric = FlipRatio()
    results = []
    for values in ([1, 1, 1, 1], [1, -1, 1, 1], [1, -1, 1, 1], [-1, 1, -1, -1]):
        metric.update_state(tensor(values))
        results.append(float(ops.convert_to_numpy(metric.result())))
    np.testing.assert_allclose(results, [0, 1 / 4, 1 / 8, 5 / 12], rtol=1e-6)
    metric.reset_state()
    for values in ([1, 1, 1, 1], [1, 1, 1, -1]):
        metric.update_state(tensor(values))
    assert float(ops.convert_to_numpy(metric.result())) == 0.25
    with pytest.raises(ValueError, match=r"values of shape \(4,\) were expected; got \(2,\)"):
        metric.update_state(tensor([1, 1]))


def test_its_configuration():
    metric = FlipRatio.from_config(FlipRatio(values_dtype="int16", name="flips", dtype="float16").get_config())
    assert (metric.name, metric.values_dtype, str(metric.dtype)) == ("flips", "int16", "float16")


class Levels(keras.callbacks.Callback):
    """The levels of a kernel before each step, as its metric sees them, and what the logs of the batches say."""

    def __init__(self, levels):
        super().__init__()
        self.levels, self.seen, self.logs = levels, [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(self.levels(self.model.layers[0].get_weights()[0]))

    def on_train_batch_end(self, batch, logs=None):
        self.logs.append(logs)


def dorefa(kernel):
    t = np.tanh(kernel)
    return np.rint(3 * (t / (2 * np.abs(t).max()) + 0.5))


def ternary(kernel):
    return np.where(np.abs(kernel) > 0.7 * np.abs(kernel).mean(), np.sign(kernel), 0)


@pytest.mark.parametrize(
    ("quantizer", "levels"),
    [("ste_sign", lambda kernel: kernel >= 0), (TernaryWeights(), ternary), (DoReFaWeights(2), dorefa)],
)
def test_a_layer_logs_its_levels(quantizer, levels, tmp_path):
    keras.utils.set_random_seed(1)
    layer = QuantDense(1, kernel_quantizer=quantizer, metrics=["flip_ratio"], name="quantized")
    model = keras.Sequential([keras.Input((5,)), layer])
    model.compile(keras.optimizers.SGD(0.2), "mse")
    assert [metric.name for metric in model.metrics].count("flip_ratio/quantized") == 1
    spy = Levels(levels)
    history = model.fit(X, Y, epochs=2, batch_size=4, shuffle=False, callbacks=[spy], verbose=0).history
    changes = [np.mean(a != b) for a, b in zip(spy.seen[1:], spy.seen, strict=False)]
    expected = [np.mean(changes[:5]), np.mean(changes[6:])]  # the first batch of an epoch counts none
    assert max(expected) > 0
    np.testing.assert_allclose(history["flip_ratio/quantized"], expected, rtol=1e-5)
    in_batches = [logs["flip_ratio/quantized"] for logs in spy.logs]
    assert np.isnan(in_batches).all() if backend == "jax" else np.isfinite(in_batches).all()
    # what it keeps is in no file, and it comes back with the model
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == len(model.weights) == len(model.get_weights()) == 2
    assert "flip_ratio/quantized" in [metric.name for metric in loaded.metrics]
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_two_kernels_have_two():
    layer = larq.layers.QuantSeparableConv1D(
        2, 3, depthwise_quantizer="ste_sign", pointwise_quantizer="ste_sign", metrics=["flip_ratio"], name="both"
    )
    layer.build((None, 8, 3))
    assert [metric.name for metric in layer.metrics] == ["flip_ratio/both/depthwise", "flip_ratio/both/pointwise"]


def test_who_asks_for_it():
    def asked(layer):
        layer.build((None, 5))
        return len(layer.metrics), layer.get_config().get("metrics")

    by_quantizer = larq.quantizers.SteSign(metrics=["flip_ratio"])
    assert asked(QuantDense(2, kernel_quantizer="ste_sign")) == (0, None)
    assert asked(QuantDense(2, kernel_quantizer=by_quantizer)) == (1, ["flip_ratio"])
    assert asked(QuantDense(2, metrics=["flip_ratio"])) == (0, ["flip_ratio"])  # there is no quantized kernel
    with metrics_scope(["flip_ratio"]):
        assert get_training_metrics() == {"flip_ratio"}
        assert asked(QuantDense(2, kernel_quantizer="ste_sign")) == (1, ["flip_ratio"])
    assert get_training_metrics() == set()
    get_training_metrics().add("flip_ratio")
    try:
        assert asked(QuantDense(2, kernel_quantizer="ste_sign")) == (1, ["flip_ratio"])
    finally:
        get_training_metrics().clear()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QuantDense(2, kernel_quantizer="ste_sign", metrics=["flips"]), "unknown metric 'flips'"),
        (lambda: QuantDense(2, kernel_quantizer="ste_sign", metrics="flip_ratio"), "must be a list of names; got"),
        (lambda: QuantDense(2, kernel_quantizer=LSQWeights(2), metrics=["flip_ratio"]).build((None, 5)), "flip_ratio: levels of"),
        (lambda: metrics_scope(["flip_ratio", "flips"]).__enter__(), "unknown metric 'flips'"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
    assert get_training_metrics() == set()
