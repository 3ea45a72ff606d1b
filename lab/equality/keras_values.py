"""What the Keras model computes: its tensors by their names in the packed graph, and its quantized numbers as integers."""

import numpy as np

from tfq.backend.keras import keras, ops
from tfq.convert.boundary import highest
from tfq.graph import nodes as g
from tfq.graph import reference
from tfq.keras_graph import has_graph, layer_of, nodes, outputs_of
from tfq.quantizers import DoReFaWeights


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
        levels = ops.convert_to_numpy(self.layers[name].input_quantizer(ops.convert_to_tensor(values)))
        return np.rint(levels * np.float32(highest(quantizer))).astype(np.int32)

    def accumulators(self, node, inputs):
        """Accumulators of the operation `node` in float64, of Keras' quantized inputs and kernel as integers."""
        layer, inputs = self.layers[node.name], inputs.astype(np.float64)
        kernel = integer_kernel(layer)
        if isinstance(node, g.Dense):
            return inputs @ kernel
        strides, dilations = layer.strides, layer.dilation_rate
        outside = layer.pad_values * node.quantizer.highest
        inputs = reference.padded(inputs, kernel.shape[:2], strides, dilations, layer.padding, outside)
        return reference.correlate(inputs, kernel, strides, dilations, layer.groups)

    def _tensor(self, name):
        if name == g.INPUT:
            return self.model.inputs[0]
        layer = name.removesuffix("/activation")
        if layer not in self._tensors or (layer == name and f"{name}/activation" in self._names):
            raise ValueError(f"equality cannot read {name!r}: it is inside a layer of the Keras model")
        return self._tensors[layer]


def integer_kernel(layer):
    """The quantized kernel of a layer as integers in float64: signs, signs and 0, or 2 q - n of n + 1 levels."""
    values = ops.convert_to_numpy(layer.quantized_kernel).astype(np.float64)
    quantizer = layer.kernel_quantizer
    if isinstance(quantizer, DoReFaWeights) and quantizer.bits > 1:
        return np.rint(values * (2**quantizer.bits - 1))
    return np.sign(values)
