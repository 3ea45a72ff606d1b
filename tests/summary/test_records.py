"""The summary as a function, a dictionary and comma-separated values."""

import csv
import importlib
import io
import json
import types

import pytest

import tfq
from tfq.backend.keras import keras
from tfq.layers import QuantConv2D
from tfq.quantizers import DoReFaInputs, DoReFaWeights


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3, name="first", use_bias=False)(inputs)
    x = QuantConv2D(8, 3, name="second", input_quantizer=DoReFaInputs(3), kernel_quantizer=DoReFaWeights(2))(x)
    return keras.Model(inputs, keras.layers.Flatten(name="flat")(x), name="small")


MACS = {"32x32": 4 * 4 * 4 * 27, "3x2": 2 * 2 * 8 * 36}


def test_the_package_is_the_function(model, capsys):
    summary = tfq.summary(model)
    assert capsys.readouterr().out == f"{summary.table()}\n"
    lines = []
    assert tfq.summary(model, print_fn=lines.append) == summary == tfq.summary.summarize(model)
    assert lines == [summary.table()]
    assert isinstance(tfq.summary, types.ModuleType)
    assert importlib.import_module("tfq.summary") is tfq.summary
    assert repr(summary) == f"<Summary of 'small': {model.count_params()} parameters, {sum(MACS.values()):,} MACs>"


def test_the_dictionary_is_json(model):
    found = json.loads(json.dumps(tfq.summary.summarize(model).to_dict()))
    assert found["macs_by_bits"] == MACS
    assert found["bit_ops"] == 32 * 32 * MACS["32x32"] + 3 * 2 * MACS["3x2"]
    assert found["params_by_bits"] == {"2": 288, "32": 108 + 8}
    assert found["memory_bytes_by_bits"] == {"2": 72, "32": 464}
    assert found["compression"] == pytest.approx(32 * 404 / (2 * 288 + 32 * 116))
    first, second, flat = found["layers"]
    assert (second["input_bits"], second["kernel_bits"], second["output_shape"]) == (3, {"kernel": 2}, [2, 2, 8])
    assert (first["compression"], second["macs_by_bits"], second["other_ops"]) == (1.0, {"3x2": MACS["3x2"]}, 32)
    assert (flat["input_bits"], flat["kernel_bits"], flat["left_out"]) == (None, {}, None)


def test_the_csv_has_a_row_a_layer_and_the_totals(model, tmp_path):
    text = tfq.summary.summarize(model).to_csv(tmp_path / "summary.csv")
    assert (tmp_path / "summary.csv").read_text() == text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["first", "second", "flat", "total"]
    for column in ("params", "params_2_bit", "params_32_bit", "macs_3x2", "macs_32x32", "bit_ops", "other_ops"):
        *parts, total = (int(row[column]) for row in rows)
        assert sum(parts) == total > 0
    assert (rows[1]["input_bits"], rows[1]["kernel_bits"], rows[1]["output_shape"]) == ("3", "2", "2x2x8")
    assert rows[2]["input_bits"] == ""
