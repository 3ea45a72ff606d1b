"""The summary beside larq's own, of a model of larq's layers."""

import pytest

from tfq.backend.keras import keras
from tfq.summary import summarize

pytestmark = pytest.mark.legacy_only
L = keras.layers


@pytest.fixture(scope="module")
def both():
    larq = pytest.importorskip("larq")
    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
    depthwise = {"input_quantizer": "ste_sign", "depthwise_quantizer": "ste_sign", "depthwise_constraint": "weight_clip"}
    inner = keras.Sequential([keras.Input((7, 7, 8)), larq.layers.QuantConv2D(6, 3, **signs)])
    model = keras.Sequential(
        [
            keras.Input((9, 9, 4)),
            larq.layers.QuantConv2D(8, 3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip", use_bias=False),
            inner,
            larq.layers.QuantDepthwiseConv2D(3, **depthwise),
            L.MaxPooling2D(2, strides=1),
            L.Conv2D(4, 1),
            larq.layers.QuantConv2D(4, 1, **{**signs, "kernel_quantizer": "ste_tern"}),
            L.Flatten(),
            larq.layers.QuantDense(5, **signs),
            L.Dense(3),
        ]
    )
    return summarize(model), larq.models.ModelProfile(model)


def test_what_both_count_is_the_same(both):
    ours, theirs = both
    assert ours.total_macs == theirs.op_count("mac")
    assert ours.params == theirs.weight_count()
    assert ours.trainable_params == theirs.weight_count(trainable=True)
    assert ours.params_by_bits == {bits: theirs.weight_count(bits) for bits in theirs.unique_param_bidtwidths}
    assert sum(bits * count for bits, count in ours.params_by_bits.items()) == theirs.memory
    assert ours.compression == pytest.approx(theirs.fp_equivalent_memory / theirs.memory)


def test_the_precision_of_larq_is_the_wider_one_of_a_pair(both):
    ours, theirs = both
    assert set(ours.macs) == {(32, 1), (1, 1), (32, 32), (1, 2)}
    for bits in theirs.unique_op_precisions:
        assert sum(count for pair, count in ours.macs.items() if max(pair) == bits) == theirs.op_count("mac", bits)


def test_layer_by_layer(both):
    ours, theirs = both
    profiles = {profile.name: profile for profile in theirs.layer_profiles}
    for cost in ours.layers:
        if "/" not in cost.name:
            profile = profiles[cost.name]
            assert cost.macs == profile.op_count("mac")
            assert (cost.params, sum(cost.weight_memory_bits.values())) == (profile.weight_count(), profile.memory)
            assert cost.output_shape == tuple(profile.output_shape[1:])


def test_larq_folds_batch_normalization_and_quantizes_between_separable_kernels():
    """Two differences: it counts 2 of the 4 values of batch normalization, and takes the sums between two kernels for 1 bit."""
    larq = pytest.importorskip("larq")
    bits = {"input_quantizer": "ste_sign", "depthwise_quantizer": "ste_sign", "pointwise_quantizer": "ste_sign"}
    model = keras.Sequential([keras.Input((9, 9, 4)), larq.layers.QuantSeparableConv2D(6, 3, **bits), L.BatchNormalization()])
    ours, theirs = summarize(model), larq.models.ModelProfile(model)
    assert (ours.params, theirs.weight_count()) == (model.count_params(), model.count_params() - 2 * 6)
    assert theirs.op_count("mac", 1) == ours.total_macs == 7 * 7 * (9 * 4 + 4 * 6)
    assert ours.macs == {(1, 1): 7 * 7 * 9 * 4, (32, 1): 7 * 7 * 4 * 6}
