"""`tfq summary`."""

import json

import pytest

from tfq.backend.keras import keras
from tfq.cli import summary
from tfq.layers import QuantDense
from tfq.quantizers import XnorInputs, XnorWeights
from tfq.summary import summarize


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    inputs = keras.Input((8,))
    model = keras.Model(inputs, QuantDense(4, input_quantizer=XnorInputs(), kernel_quantizer=XnorWeights())(inputs))
    model.save(path)
    return path, summarize(model)


def test_the_command_prints_the_table(saved, capsys):
    path, expected = saved
    assert summary.main([str(path)]) == 0
    assert capsys.readouterr().out == f"{expected.table()}\n"


def test_the_command_prints_csv_and_json(saved, capsys):
    path, expected = saved
    assert summary.main([str(path), "--csv"]) == 0
    assert capsys.readouterr().out == expected.to_csv()
    assert summary.main([str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(expected.to_dict()))


def test_a_run_that_is_none_is_one_line(tmp_path, capsys):
    assert summary.main([str(tmp_path / "none")]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(f"tfq summary: error: there is no run in {tmp_path / 'none'}")
    assert len(errors.splitlines()) == 1
