"""What the Keras model computes: its tensors by their names in the packed graph, and its quantized numbers as integers."""

import numpy as np

from tfq.backend.keras import keras, ops
from tfq.convert.layers import input_rule
from tfq.graph import nodes as g
from tfq.graph import reference
from tfq.keras_graph import has_graph, inputs_of, layer_of, nodes, outputs_of
from tfq.layers.kernels import kernels_of
from tfq.quantizers.grids import Levels


class Reference:
    """A Keras model that gives the tensors of the packed graph that are asked for, of one run over the images.

    Args:
        model: functional Keras model without models nested in it, each layer called once.
        graph: what `tfq.export` made of it.

    Raises:
        ValueError: the model has another form.
    """

    def __init__(self, model, graph):
        self.model = model
        self._names = {node.name for node in graph.nodes}
        self.layers, self._tensors, self._inputs = {}, {}, {}
        for node in nodes(model):
            layer = layer_of(node)
            if has_graph(layer) or layer.name in self.layers:
                raise ValueError(
                    f"equality compares models whose layers are called once, none a model itself; got {layer.name!r}"
                )
            self.layers[layer.name] = layer
            self._tensors[layer.name], self._inputs[layer.name] = outputs_of(node)[0], inputs_of(node)

    def giving(self, names):
        """A function from images to the tensors of these names, NumPy, and the model's output last."""
        names = list(dict.fromkeys(names))
        model = keras.Model(self.model.inputs, [*(self._tensor(name) for name in names), self.model.outputs[0]])

        def run(images):
            *values, logits = model.predict_on_batch(images) if names else [model.predict_on_batch(images)]
            return dict(zip(names, values, strict=True)), logits

        return run

    def quantized(self, name, quantizer, values):
        """Inputs of the layer `name`, quantized by Keras, as integers: -1 and 1, or 0 ... 2^bits - 1."""
        layer, rule = self.layers[name], self._rule(name)
        inputs = values if rule.is_plain else ((values - np.float64(rule.shift)) / rule.scale).astype(np.float32)
        levels = ops.convert_to_numpy(layer.input_quantizer(ops.convert_to_tensor(inputs), **layer.input_arguments))
        return np.rint(levels * np.float32(quantizer.highest / rule.factor)).astype(np.int32)

    def settled(self, node, values):
        """Inputs of a node that the graph scales or shifts in front of it, on their levels, of which rounding makes no others."""
        if node.quantizer is None or self._rule(node.name).is_plain:
            return values
        return self.quantized(node.name, node.quantizer, values).astype(np.float32) / np.float32(node.quantizer.highest)

    def accumulators(self, node, inputs):
        """Accumulators of the operation `node` in float64, of Keras' quantized inputs and kernel as integers."""
        layer, inputs = self.layers[node.name], inputs.astype(np.float64)
        kernel = integer_kernel(layer).reshape(node.kernel.shape)  # a depthwise one has its channels in groups there
        if isinstance(node, g.Dense):
            return inputs @ kernel
        strides, dilations = tuple(layer.strides), tuple(layer.dilation_rate)
        if isinstance(node, g.Conv1D):  # a sequence is an image of one row
            inputs, kernel, strides, dilations = inputs[:, None], kernel[None], (1, *strides), (1, *dilations)
        outside = layer.pad_values * node.quantizer.highest
        inputs = reference.padded(inputs, kernel.shape[:2], strides, dilations, layer.padding, outside)
        sums = reference.correlate(inputs, kernel, strides, dilations, node.groups)
        return sums[:, 0] if isinstance(node, g.Conv1D) else sums

    def _rule(self, name):
        """How the graph takes the inputs of a layer."""
        layer = self.layers[name]
        return input_rule(layer.input_quantizer, **layer.input_arguments)

    def _tensor(self, name):
        if name == g.INPUT:
            return self.model.inputs[0]
        scaled = name.removesuffix("/inputs")
        if scaled != name and scaled in self._inputs:
            return self._rule(scaled).brought(self._inputs[scaled][0])
        layer = name.removesuffix("/activation")
        if layer not in self._tensors or (layer == name and f"{name}/activation" in self._names):
            raise ValueError(f"equality cannot read {name!r}: it is inside a layer of the Keras model")
        return self._tensors[layer]


def integer_kernel(layer):
    """The quantized kernel of a layer as integers in float64: signs, signs and 0, 2 q - n of n + 1 levels, or steps."""
    (kernel,) = kernels_of(layer)
    found = kernel.codes
    if found is None:
        return np.sign(ops.convert_to_numpy(layer.quantized_kernel).astype(np.float64))
    whole = found.codes.astype(np.float64)
    return 2 * whole - (2**found.grid.bits - 1) if isinstance(found.grid, Levels) else whole * (found.scale != 0)
