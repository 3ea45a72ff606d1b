"""`tfq weights MODEL OUT.keras`."""

import numpy as np
import pytest

from tfq.backend.keras import keras
from tfq.cli import weights
from tfq.layers import QuantDense
from tfq.quantized_weights import arrays
from tfq.quantizers import Stored


def test_the_command_saves_quantized_weights(tmp_path, capsys):
    model = keras.Sequential([keras.Input((6,)), QuantDense(4, kernel_quantizer="ternary_weights", name="dense")])
    model.save(tmp_path / "best.keras")
    out = tmp_path / "out" / "quantized.keras"
    assert weights.main([str(tmp_path), str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: ")
    again = keras.models.load_model(out)
    assert isinstance(again.layers[-1].kernel_quantizer, Stored)
    np.testing.assert_array_equal(again.get_weights()[0], arrays(model)["dense/kernel"])


def test_a_network_without_quantized_weights_is_one_line(tmp_path, capsys):
    keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)]).save(tmp_path / "best.keras")
    assert weights.main([str(tmp_path), str(tmp_path / "out.keras")]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("tfq weights: error: Sequential ")
    assert len(errors.splitlines()) == 1


def test_another_ending_is_refused(capsys):
    with pytest.raises(SystemExit):
        weights.main(["runs/a", "out.h5"])
    assert "out.h5 must end with .npz or .keras" in capsys.readouterr().err
