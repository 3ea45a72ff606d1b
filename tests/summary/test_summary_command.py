"""`tfq summary`."""

from tfq.backend.keras import keras
from tfq.cli import summary
from tfq.layers import QuantDense
from tfq.quantizers import XnorInputs, XnorWeights
from tfq.summary import summarize


def test_the_command_prints_the_table(tmp_path, capsys):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, QuantDense(4, input_quantizer=XnorInputs(), kernel_quantizer=XnorWeights())(inputs))
    model.save(tmp_path / "model.keras")
    assert summary.main([str(tmp_path / "model.keras")]) == 0
    assert capsys.readouterr().out == f"{summarize(model).table()}\n"


def test_a_run_that_is_none_is_one_line(tmp_path, capsys):
    assert summary.main([str(tmp_path / "none")]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(f"tfq summary: error: there is no run in {tmp_path / 'none'}")
    assert len(errors.splitlines()) == 1
