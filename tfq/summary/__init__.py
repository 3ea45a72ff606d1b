"""What a model costs: multiply-accumulates per pair of bit widths, parameters, and memory per bit width.

Counts one sample, at inference. Memory is that of the values alone: the scales of quantized kernels (one a filter at most)
fold into the biases or the batch normalization that follow, and are not counted.
"""

from collections import Counter

from tfq.backend.keras import keras
from tfq.keras_graph import calls
from tfq.summary.cost import LayerCost, cost_of
from tfq.summary.table import Summary

__all__ = ["LayerCost", "Summary", "layer_costs", "seed_macs", "summarize"]


def layer_costs(model: keras.Model) -> list[LayerCost]:
    """Cost of each layer call of a model, in the order of computation.

    Args:
        model: functional or built Sequential Keras model; models nested in it are entered.

    Returns:
        List of `LayerCost`.

    Raises:
        ValueError: the model has no graph of layers (a subclassed one, or not built), or a shape is unknown.
    """
    seen, costs = set(), []
    for call in calls(model):
        costs.append(cost_of(call, first=id(call.layer) not in seen))
        seen.add(id(call.layer))
    return costs


def summarize(model: keras.Model) -> Summary:
    """Totals of a model, and its costs layer by layer.

    Args:
        model: as in `layer_costs`.

    Returns:
        `Summary`.
    """
    costs = layer_costs(model)
    macs, memory_bits = Counter(), Counter()
    for cost in costs:
        if cost.macs:
            macs[cost.input_bits, cost.weight_bits] += cost.macs
        memory_bits.update(cost.weight_memory_bits)
    return Summary(
        layers=tuple(costs),
        macs=dict(macs),
        other_ops=sum(cost.bias_ops + cost.activation_ops + cost.other_ops for cost in costs),
        params=sum(cost.params for cost in costs),
        trainable_params=sum(cost.trainable_params for cost in costs),
        memory_bytes={bits: -(-total // 8) for bits, total in memory_bits.items()},
    )


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
