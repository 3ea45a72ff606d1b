"""What the Keras model computes: its tensors by their names in the packed graph, and its quantized numbers as integers."""

import numpy as np

from tfq.backend.keras import keras, ops
from tfq.convert import kernels
from tfq.convert.boundary import highest
from tfq.convert.layers import input_rule
from tfq.graph import nodes as g
from tfq.graph import shapes
from tfq.keras_graph import has_graph, layer_of, nodes, outputs_of
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
        self.layers, self._tensors = {}, {}
        for node in nodes(model):
            layer = layer_of(node)
            if has_graph(layer) or layer.name in self.layers:
                raise ValueError(
                    f"equality compares models whose layers are called once, none a model itself; got {layer.name!r}"
                )
            self.layers[layer.name] = layer
            self._tensors[layer.name] = outputs_of(node)[0]

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
        layer = self.layers[name]
        levels = ops.convert_to_numpy(layer.input_quantizer(ops.convert_to_tensor(values), **layer.input_arguments))
        factor = input_rule(layer.input_quantizer, **layer.input_arguments).factor
        return np.rint(levels * np.float32(highest(quantizer) / factor)).astype(np.int32)

    def accumulators(self, node, inputs):
        """Accumulators of the operation `node` in float64, of Keras' quantized inputs and kernel as integers."""
        kernel = integer_kernel(self.layers[node.name])
        if isinstance(node, g.Dense):
            return inputs.astype(np.float64) @ kernel
        pad = self.layers[node.name].pad_values * highest(node.quantizer)
        return _convolve(self.layers[node.name], inputs.astype(np.float64), kernel, pad)

    def _tensor(self, name):
        if name == g.INPUT:
            return self.model.inputs[0]
        layer = name.removesuffix("/activation")
        if layer not in self._tensors or (layer == name and f"{name}/activation" in self._names):
            raise ValueError(f"equality cannot read {name!r}: it is inside a layer of the Keras model")
        return self._tensors[layer]


def integer_kernel(layer):
    """The quantized kernel of a layer as integers in float64: signs, signs and 0, 2 q - n of n + 1 levels, or steps."""
    found = kernels.codes(layer)
    if found is None:
        return np.sign(ops.convert_to_numpy(layer.quantized_kernel).astype(np.float64))
    whole = found.codes.astype(np.float64)
    return 2 * whole - (2**found.grid.bits - 1) if isinstance(found.grid, Levels) else whole * (found.scale != 0)


def _convolve(layer, x, kernel, pad):
    """Convolution of integers in float64, tap by tap."""
    sizes, strides, dilations = kernel.shape[:2], layer.strides, layer.dilation_rate
    vertical, horizontal = (
        shapes.window(*axis, layer.padding) for axis in zip(x.shape[1:3], sizes, strides, dilations, strict=True)
    )
    margins = [(0, 0), vertical[1:], horizontal[1:], (0, 0)]
    x = np.pad(x, margins, constant_values=pad)
    of_inputs, of_filters = kernel.shape[2], kernel.shape[3] // layer.groups
    result = np.zeros((len(x), vertical.out, horizontal.out, kernel.shape[3]))
    for i in range(sizes[0]):
        for j in range(sizes[1]):
            rows = slice(i * dilations[0], i * dilations[0] + (vertical.out - 1) * strides[0] + 1, strides[0])
            columns = slice(j * dilations[1], j * dilations[1] + (horizontal.out - 1) * strides[1] + 1, strides[1])
            seen = x[:, rows, columns]
            for group in range(layer.groups):
                part = slice(group * of_filters, (group + 1) * of_filters)
                result[..., part] += seen[..., group * of_inputs : (group + 1) * of_inputs] @ kernel[i, j, :, part]
    return result
