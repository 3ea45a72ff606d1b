"""The published quantizers in two small networks: trained, saved, counted, and packed or refused by name."""

import numpy as np
import pytest
from conftest import array
from running import slow_on

from tfq import export_model, runtime, walk
from tfq.backend.keras import keras, load_model
from tfq.callbacks import QuantizerProgress
from tfq.convert.from_keras import Unsupported, from_keras
from tfq.convert.to_keras import to_keras
from tfq.export import verify
from tfq.layers import QuantActivation, QuantConv2D, QuantDense, QuantDepthwiseConv2D, RPReLU
from tfq.quantizers import (
    BitNetInputs,
    BitNetWeights,
    ClippedGradient,
    DoReFaWeights,
    EWGSInputs,
    EWGSWeights,
    IRNetInputs,
    IRNetWeights,
    KerasTernaryWeights,
    PACTInputs,
    ReCUWeights,
    ReSTEInputs,
    ReSTEWeights,
    RSignInputs,
    TTQWeights,
    XnorInputs,
    XnorWeights,
)
from tfq.summary import layer_costs

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.normal(size=(32, 6, 6, 3)).astype("float32"), RNG.integers(0, 4, 32)

# Name, quantizers of kernel and inputs, bits of both, coding of the packed kernel.
PACKED = [
    ("pact", KerasTernaryWeights(), PACTInputs(2, alpha=2.0), (2, 2), "ternary"),
    ("react", XnorWeights(gradient=ClippedGradient()), RSignInputs(), (1, 1), "binary"),
    ("irnet", IRNetWeights(), IRNetInputs(), (1, 1), "binary"),
    ("recu", ReCUWeights(), XnorInputs(), (1, 1), "binary"),
    ("ewgs", EWGSWeights(2), EWGSInputs(2), (2, 2), "levels"),
    ("ewgs_signs", EWGSWeights(1), EWGSInputs(1), (1, 1), "binary"),
    ("reste", ReSTEWeights(), ReSTEInputs(), (1, 1), "binary"),
    ("bitnet", BitNetWeights(), None, (2, 32), "ternary"),
]


def fitted(model):
    """Two steps, one an epoch."""
    model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES, LABELS, batch_size=32, epochs=2, verbose=0, callbacks=[QuantizerProgress()])
    return model


def block(x, name, kernel, inputs):
    """With what pads, shifts and counts the filters otherwise; each block adds to its inputs."""
    pad = {"pad_values": 1} if inputs is not None and inputs.bits == 1 else {}
    y = QuantConv2D(6, 3, padding="same", kernel_quantizer=kernel, input_quantizer=inputs, name=name, use_bias=False, **pad)(x)
    return keras.layers.Add(name=f"{name}_sum")([x, keras.layers.BatchNormalization(name=f"{name}_norm")(y)])


@pytest.fixture(scope="module")
def packed():
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 3))
    y = keras.layers.Conv2D(6, 3, padding="same", name="first")(x)
    for name, kernel, inputs, *_ in PACKED:
        y = block(y, name, kernel, inputs)
    y = QuantDepthwiseConv2D(3, kernel_quantizer=ReCUWeights(), name="depthwise")(QuantActivation(RSignInputs(), name="rsign")(y))
    y = QuantActivation(EWGSInputs(3), name="levels")(keras.layers.BatchNormalization()(y))
    y = QuantActivation(PACTInputs(3, alpha=2.0), name="clip")(y)
    y = QuantDense(4, kernel_quantizer=IRNetWeights(), name="head")(keras.layers.Flatten()(y))
    return fitted(keras.Model(x, y))


def states(model):
    """What the quantizers keep."""
    return {
        (path, name): array(weight)
        for path, named in walk.weights(model).items()
        for name, weight in named.items()
        if path.endswith("_state") or path == "rprelu"
    }


def test_what_they_keep_moves_and_is_saved(packed, tmp_path):
    found = states(packed)
    starts = {"alpha": (1, 2), "threshold": (0,), "lower_change": (0,), "upper_change": (0,)}
    trained = [(place, value, start) for place, value in found.items() for start in starts.get(place[1], ())]
    assert len({place for place, *_ in trained}) == 2 + 2 + 2 + 2 * (2 + 2) + 2
    assert [place for place, value, start in trained if (value == start).all()] == []
    assert {float(value) for (_, name), value in found.items() if name == "progress"} == {0.5}  # of the second epoch
    packed.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert states(again).keys() == found.keys()
    for place, value in states(again).items():
        np.testing.assert_array_equal(value, found[place])
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), packed.predict(IMAGES, verbose=0))


def test_the_summary_tells_their_bits(packed):
    bits = {cost.name: (cost.weight_bits, cost.input_bits) for cost in layer_costs(packed) if cost.has_macs}
    assert {name: bits[name] for name, *_ in PACKED} == {name: expected for name, _, _, expected, _ in PACKED}
    assert (bits["depthwise"], bits["head"]) == ((1, 1), (1, 3))


@slow_on("jax")
def test_they_run_packed(packed, tmp_path):
    (report,) = export_model(packed, tmp_path, ["tfq"], images=IMAGES)
    assert report.path.exists()
    engine = runtime.load(report.path)
    verify.compare("runtime", packed, engine.predict, IMAGES)


@slow_on("jax")
def test_their_kernels_are_packed_by_their_codes_and_come_back(packed):
    graph = from_keras(packed)
    found = {node.name: getattr(node.kernel, "coding", None) for node in graph.nodes if hasattr(node, "kernel")}
    assert found == {
        "first": None,
        **{name: coding for name, *_, coding in PACKED},
        "depthwise": "binary",
        "head": "binary",
    }
    again = to_keras(graph)
    verify.compare("graph", packed, lambda x: again.predict(x, verbose=0), IMAGES)


@pytest.mark.slow
@pytest.mark.tensorflow_only
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("inputs", [EWGSInputs(8), PACTInputs(8, alpha=3.0)], ids=repr)
def test_tflite_takes_levels_of_8_bits_over(inputs, tmp_path):
    """Without that it measures ranges of its own: half of the logits of EWGS were off then."""
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 3))
    y = keras.layers.Conv2D(6, 3, padding="same", name="first")(x)
    for name in ("one", "two"):
        y = block(y, name, DoReFaWeights(4), inputs)
    model = fitted(keras.Model(x, keras.layers.Dense(4)(keras.layers.Flatten()(y))))
    (report,) = export_model(model, tmp_path, ["tflite_int8"], images=IMAGES)
    assert report.agreement.median_difference < 0.05


# --- what no graph holds


def refused():
    x = keras.Input((6, 6, 3))
    y = QuantConv2D(6, 3, kernel_quantizer=TTQWeights(), name="ttq")(x)
    y = RPReLU(name="rprelu")(keras.layers.BatchNormalization()(y))
    y = QuantConv2D(6, 3, kernel_quantizer=BitNetWeights(), input_quantizer=BitNetInputs(), name="bitnet")(y)
    return keras.Model(x, QuantDense(4, kernel_quantizer=TTQWeights(0.2), name="head")(keras.layers.Flatten()(y)))


def test_what_no_graph_holds_is_trained_saved_counted_and_refused_by_name(tmp_path):
    keras.utils.set_random_seed(0)
    model = fitted(refused())
    found = states(model)
    assert len(found) == 2 + 2 + 3
    starts = {"positive": 1, "negative": 1, "gamma": 0, "beta": 0.25, "zeta": 0}
    assert [place for place, value in found.items() if (value == starts[place[1]]).all()] == []
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    bits = {cost.name: (cost.weight_bits, cost.input_bits) for cost in layer_costs(model) if cost.has_macs}
    assert bits == {"ttq": (2, 32), "bitnet": (2, 8), "head": (2, 32)}
    with pytest.raises(Unsupported) as error:
        from_keras(model)
    for said in (
        "layer 'ttq' (QuantConv2D) cannot be packed: its kernel lies on UnevenTernary(positive=",
        "layer 'rprelu' is a RPReLU, which has no packed form",
        "layer 'bitnet' (QuantConv2D) cannot be packed: its inputs are quantized by BitNetInputs",
    ):
        assert said in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"input_quantizer": RSignInputs(), "kmap": True},
            r"RSignInputs\(axis=-1\) scales or shifts its inputs: kmap must be False",
        ),
        ({"input_quantizer": PACTInputs(2), "pad_values": 1}, r"PACTInputs\(.*ends on levels up to .*: pad_values must be 0"),
        ({"input_quantizer": EWGSInputs(2), "kmap": True}, r"EWGSInputs\(.*scales or shifts its inputs: kmap must be False"),
        ({"input_quantizer": RSignInputs(axis=1)}, r"RSignInputs\(axis=1\); supported are thresholds of the last axis"),
    ],
)
def test_options_without_a_packed_form_are_refused(options, said):
    layer = QuantConv2D(2, 3, padding="same", name="conv", **options)
    model = keras.Sequential([keras.Input((6, 6, 3)), layer])
    layer.set_weights([RNG.normal(size=weight.shape) for weight in layer.get_weights()])
    with pytest.raises(Unsupported, match=rf"layer 'conv' .*{said}"):
        from_keras(model)
