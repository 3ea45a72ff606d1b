"""A float model of Keras as a quantized one."""

from typing import NamedTuple

from tfq import quantizers
from tfq.backend.keras import keras
from tfq.convert.quantize.conversion import Conversion
from tfq.convert.quantize.report import Change, Report
from tfq.convert.quantize.skip import Skip
from tfq.convert.rebuild import check_graph
from tfq.quantizers.base import QuantizerLike

__all__ = ["Change", "Quantized", "Report", "Skip", "quantize_model"]


class Quantized(NamedTuple):
    """A quantized model, and what is different in it."""

    model: keras.Model
    report: Report


def quantize_model(
    model: keras.Model,
    weights: QuantizerLike,
    inputs: QuantizerLike = None,
    skip: Skip = (),
    quantize_ends: bool = False,
    constraint: object = None,
) -> Quantized:
    """A quantized model that has the weights of a float one as its latent weights.

        model, report = tfq.convert.quantize_model(model, weights=XnorWeights(), inputs=XnorInputs(), skip="stem_*")

    Convolutions and dense layers become those of tfq. `model` stays as it is. A sign behind a ReLU would see +1 alone. A ReLU
    that stands between a batch normalization and signs is left out: the order of XNOR-Net (arXiv:1603.05279, section 3.2). In
    front of other signs whose inputs may lie on one side, and of fixed levels whose inputs may be of any size, stands a new batch
    normalization. The new model is not compiled. Its training fills the statistics of the new normalizations.

    Args:
        model: functional or built Sequential model of Keras; models in it are converted too. Several inputs and outputs are fine.
        weights: quantizer of the kernels, such as `XnorWeights()`; None leaves them in float.
        inputs: quantizer of the inputs of the same layers, such as `XnorInputs()`; None leaves them in float.
        skip: layers that stay in float: their names, with wildcards, those in other models as `outer/inner`; or a function that
            is true of them.
        quantize_ends: quantize the first and the last layers with a kernel too, which papers keep in float: those that the fewest
            calls lie between and an input or output.
        constraint: of the latent kernels, such as `"weight_clip"`; None leaves each layer its own.

    Returns:
        The model, and the `Report` on each layer: a pair.

    Raises:
        TypeError: `model` is no model of Keras; `skip` is neither names nor a function.
        ValueError: `model` computes in its own `call`, or is not built; no quantizer is given, or one of another operand; a name
            in `skip` is that of no layer; no layer is left to quantize.
    """
    check_graph(model, "quantize_model")
    kernels, values = quantizers.get_for_kernel(weights), quantizers.get_for_inputs(inputs)
    if kernels is None and values is None:
        raise ValueError("quantize_model needs weights or inputs, such as weights=XnorWeights(); got None for both")
    conversion = Conversion(model, kernels, values, skip, quantize_ends, constraint)
    return Quantized(conversion.model(), conversion.report())
