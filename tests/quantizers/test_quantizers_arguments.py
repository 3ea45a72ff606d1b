"""Invalid arguments of the published quantizers: one clear error each, which names the class, what came and what was expected."""

import numpy as np
import pytest

from tfq import quantizers
from tfq.callbacks import QuantizerProgress
from tfq.layers import QuantActivation, QuantDense, RPReLU
from tfq.quantizers import (
    BitNetInputs,
    BitNetWeights,
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
)

BITS = "bits must be an integer from 1 to 16, or 32"
REFUSED = [
    *[(PACTInputs, {"bits": bits}, rf"PACTInputs: {BITS}.*got bits={bits!r}") for bits in (0, 17, 33, -1, 2.0, "2", True)],
    *[(kind, {"bits": bits}, rf"{kind.__name__}: {BITS}") for kind in (EWGSWeights, EWGSInputs) for bits in (0, 33, 2.5)],
    (PACTInputs, {"bits": 2, "alpha": 0}, "PACTInputs: alpha must be a number of at least 1e-06; got alpha=0"),
    (PACTInputs, {"bits": 2, "alpha": "ten"}, "PACTInputs: alpha must be a number of at least 1e-06; got alpha='ten'"),
    (PACTInputs, {"bits": 2, "l2": -1}, "PACTInputs: l2 must be a number of at least 0; got l2=-1"),
    (TTQWeights, {"threshold": 1.5}, "TTQWeights: threshold must be a number from 0 to 1; got threshold=1.5"),
    (TTQWeights, {"threshold": -0.1}, "TTQWeights: threshold must be a number from 0 to 1; got threshold=-0.1"),
    (TTQWeights, {"threshold": True}, "TTQWeights: threshold must be a number from 0 to 1; got threshold=True"),
    (TTQWeights, {"threshold": np.nan}, "TTQWeights: threshold must be a number from 0 to 1; got threshold=nan"),
    *[
        (kind, {"delta": -1, "bits": 2}, f"{kind.__name__}: delta must be a number of at least 0")
        for kind in (EWGSWeights, EWGSInputs)
    ],
    *[(RSignInputs, {"axis": axis}, "RSignInputs: axis must be an integer; got axis=") for axis in (None, 1.0, "last", True)],
    *[(RPReLU, {"axis": axis}, "RPReLU: axis must be an integer; got axis=") for axis in (None, 1.5, False)],
    (ReCUWeights, {"tau_min": 0.4}, "ReCUWeights: tau_min must be a number from 0.5 to 0.9999; got tau_min=0.4"),
    (ReCUWeights, {"tau_max": 1}, "ReCUWeights: tau_max must be a number from 0.85 to 0.9999; got tau_max=1"),
    (ReCUWeights, {"tau_min": 0.9, "tau_max": 0.8}, "ReCUWeights: tau_max must be a number from 0.9 to 0.9999; got tau_max=0.8"),
    *[(kind, {"o_end": 0.5}, f"{kind.__name__}: o_end must be a number of at least 1") for kind in (ReSTEWeights, ReSTEInputs)],
    *[(kind, {"m": 0}, f"{kind.__name__}: m must be a number of at least 1e-06") for kind in (ReSTEWeights, ReSTEInputs)],
    *[(kind, {"t": 0.05}, f"{kind.__name__}: t must be a number of at least 0.1") for kind in (ReSTEWeights, ReSTEInputs)],
    (QuantizerProgress, {"epochs": 0}, "QuantizerProgress: epochs must be 1 or more, or None"),
]


@pytest.mark.parametrize(("kind", "arguments", "said"), REFUSED, ids=[f"{kind.__name__}-{given}" for kind, given, _ in REFUSED])
def test_a_wrong_argument(kind, arguments, said):
    with pytest.raises(ValueError, match=said):
        kind(**arguments)


INPUTS = [PACTInputs(2), RSignInputs(), IRNetInputs(), EWGSInputs(2), ReSTEInputs(), BitNetInputs()]
WEIGHTS = [TTQWeights(), IRNetWeights(), ReCUWeights(), EWGSWeights(2), ReSTEWeights(), BitNetWeights(), KerasTernaryWeights()]


@pytest.mark.parametrize("quantizer", WEIGHTS, ids=repr)
def test_a_quantizer_of_kernels_is_none_for_inputs(quantizer):
    with pytest.raises(ValueError, match=rf"input_quantizer must quantize inputs.*; got {type(quantizer).__name__}"):
        QuantActivation(quantizer)


@pytest.mark.parametrize("quantizer", [each for each in INPUTS if not isinstance(each, BitNetInputs)], ids=repr)
def test_a_quantizer_of_inputs_that_keeps_something_is_none_for_kernels(quantizer):
    with pytest.raises(ValueError, match=rf"kernel_quantizer must quantize kernels.*; got {type(quantizer).__name__}"):
        QuantDense(3, kernel_quantizer=quantizer)


@pytest.mark.parametrize("quantizer", [*INPUTS, *WEIGHTS], ids=repr)
def test_names(quantizer):
    name = next(name for name, kind in quantizers._BY_NAME.items() if kind is type(quantizer))
    if hasattr(quantizer, "delta") or isinstance(quantizer, PACTInputs):
        with pytest.raises(
            ValueError, match=rf"quantizer '{name}' needs its number of bits: give an object such as .*\(bits=2\)"
        ):
            quantizers.get(name)
    else:
        assert quantizers.get(name) == quantizer == quantizers.get(type(quantizer).__name__)
