"""What a model costs: multiply-accumulates per pair of bit widths, bit operations, parameters and memory per bit width.

`tfq.summary(model)` prints it, as `model.summary()` of Keras does, and returns it. Counts one sample, at inference. Memory is
that of the values alone: the scales of quantized kernels (one a filter at most) fold into the biases or the batch normalization
that follow, and are not counted.
"""

import sys
import types
from collections.abc import Callable

from tfq.backend.keras import keras
from tfq.summary.calls import calls_of
from tfq.summary.cost import LayerCost, cost_of
from tfq.summary.products import Product
from tfq.summary.totals import Summary

__all__ = ["LayerCost", "Product", "Summary", "layer_costs", "seed_macs", "summarize", "summary"]


def summary(model: keras.Model, print_fn: Callable[[str], object] = print) -> Summary:
    """Print what a model costs, layer by layer and in total; `tfq.summary(model)` is this function.

    Args:
        model: as in `layer_costs`.
        print_fn: takes the table, as in `model.summary()` of Keras.

    Returns:
        `Summary`.

    Raises:
        ValueError: the model is not built.
    """
    found = summarize(model)
    print_fn(found.table())
    return found


def summarize(model: keras.Model) -> Summary:
    """What a model costs, layer by layer and in total.

    Args:
        model: as in `layer_costs`.

    Returns:
        `Summary`.

    Raises:
        ValueError: the model is not built.
    """
    return Summary(model.name, tuple(layer_costs(model)))


def layer_costs(model: keras.Model) -> list[LayerCost]:
    """Cost of each layer call of a model, in the order of computation.

    Args:
        model: built Keras model. Models nested in it are entered, and layers and models of one's own, which have no graph: each
            layer in them counts once, at the shape for which it was built.

    Returns:
        List of `LayerCost`; its `left_out` says what is not counted of a layer.

    Raises:
        ValueError: the model is not built.
    """
    seen: set[int] = set()
    costs = []
    for call in calls_of(model):
        weights = [weight for weight in getattr(call.layer, "weights", []) if id(weight) not in seen]
        costs.append(cost_of(call, weights))
        seen |= {id(weight) for weight in weights}
    return costs


def seed_macs(model: keras.Model, quantized: bool = False, relu: bool = False) -> int:
    """Operations under the rule of the pytorch-quantize reports, which call them MMac.

    Convolution and dense layers count their multiply-accumulates, and 1 per output for a bias; batch normalization 2 per
    element; pooling, the global one too, 1 per input element.

    Args:
        model: as in `layer_costs`.
        quantized: count the layers with a quantized kernel too; the reports leave them out.
        relu: count 1 per element of each activation. The reports do where it is a module (their nin), not where it is a
            function (their resnet20).

    Returns:
        Number of operations for one sample.
    """
    return sum(_seed_rule(cost, relu) for cost in layer_costs(model) if quantized or not cost.is_quantized)


def _seed_rule(cost, relu):
    activations = cost.activation_ops if relu else 0
    if cost.has_macs:
        return cost.macs + cost.bias_ops + activations
    return activations + (cost.other_ops if cost.kind in ("normalization", "pooling") else 0)


class CallablePackage(types.ModuleType):
    """What this package is an object of, since larq's users expect a function of its name."""

    def __call__(self, model: keras.Model, print_fn: Callable[[str], object] = print) -> Summary:
        """As `summary`."""
        return summary(model, print_fn)


sys.modules[__name__].__class__ = CallablePackage
