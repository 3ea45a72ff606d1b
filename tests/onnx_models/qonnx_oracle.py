"""QONNX read by its own words: what `Quant` and `BipolarQuant` do, in NumPy, and what stands in a file."""

import numpy as np
import onnx

from tfq.graph import kernels


def quants(model):
    """Each (node, attributes, parameters) of the types of QONNX."""
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    names = {"Quant": ("scale", "zeropt", "bitwidth"), "BipolarQuant": ("scale",)}
    for node in model.graph.node:
        if node.op_type in names:
            how = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
            parameters = zip(names[node.op_type], node.input[1:], strict=True)
            yield node, how, {name: float(constants[source]) for name, source in parameters}


def quant(x, bits, signed, narrow):
    """Of scale 1 and zero point 0."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    low, high = (low + narrow, high) if signed else (low, high - narrow)
    return np.rint(np.clip(x, low, high))


def constants_after_quant(model):
    """What the types of QONNX make of constants, by the names of these; they must be as they were."""
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    found = {}
    for node, how, parameters in quants(model):
        values = constants.get(node.input[0])
        if values is None:
            continue
        if node.op_type == "BipolarQuant":
            made = np.where(values >= 0, 1, -1)
        else:
            made = quant(values, int(parameters["bitwidth"]), how["signed"], how["narrow"])
        np.testing.assert_array_equal(made, values)
        found[node.input[0]] = made
    return found


def levels_of(kernel):
    """The whole numbers that occur in a kernel."""
    return np.unique(kernels.integers(kernel))


def one_quant(x, bits, signed, narrow):
    """A model of one `Quant`."""
    tensor = [onnx.helper.make_tensor_value_info(name, 1, [1, len(x)]) for name in "xy"]
    values = {"scale": 1.0, "zero": 0.0, "bits": float(bits)}
    constants = [onnx.numpy_helper.from_array(np.array(value, np.float32), name) for name, value in values.items()]
    how = {"signed": signed, "narrow": narrow, "rounding_mode": "ROUND", "domain": "qonnx.custom_op.general"}
    node = onnx.helper.make_node("Quant", ["x", *values], ["y"], **how)
    graph = onnx.helper.make_graph([node], "one", tensor[:1], tensor[1:], constants)
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("qonnx.custom_op.general", 1)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
