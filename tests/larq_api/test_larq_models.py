"""larq's names of the summary."""

from tfq import larq
from tfq.backend.keras import keras


def test_summary():
    layer = larq.layers.QuantDense(3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip", use_bias=False)
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2)])
    lines = []
    larq.models.summary(model, print_fn=lines.append)
    profile = larq.models.ModelProfile(model)
    assert profile.params_by_bits == {1: 12, 32: 8}
    assert layer.name in "\n".join(lines)
