"""Kernels in a float32 TensorFlow Lite file as 8-bit numbers and a scale a filter, where these give them exactly.

A DEQUANTIZE makes them float32 again. TensorFlow Lite computes it once, with XNNPACK and with its own operators, so that products
run as before. (Its convolution that takes 8-bit kernels itself would round the inputs to 8 bits too.)
"""

import math

import numpy as np

from tfq.optional import require

# Largest error of a level, over the largest of its kernel: what float32 rounds when levels are computed and scaled.
_ROUNDING = 1e-6
_MOST = 127
# A scale, a zero point and a share of the operator, in bytes a filter and a kernel.
_COST_OF_FILTER, _COST = 16, 512
# Of DEQUANTIZE with one scale a filter.
_VERSION = 5


def codes(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """8-bit integers and float32 scales (filters,) whose product is a kernel, or None where no such are.

    One bit and ternary are 1, 0 and -1 times their scale, to the last bit; levels of k bits, the odd numbers up to 2^k - 1 over
    that number, are found up to 7 bits. A batch normalization that is folded into the kernel, a scale a filter, does no harm.

    Args:
        kernel: float32, filters first.
    """
    flat = kernel.reshape(len(kernel), -1).astype(np.float64)
    largest = np.abs(flat).max(axis=1, keepdims=True)
    largest[largest == 0] = 1
    integers, scales, left = np.zeros(flat.shape, np.int8), np.zeros(len(flat)), np.arange(len(flat))
    # The largest of a filter need not be on the highest level.
    for steps in range(1, _MOST + 1):
        found = np.rint(flat[left] / largest[left] * steps)
        fits = (np.abs(found * largest[left] / steps - flat[left]) <= _ROUNDING * largest[left]).all(axis=1)
        integers[left[fits]], scales[left[fits]] = found[fits], largest[left[fits], 0] / steps
        left = left[~fits]
    return None if len(left) else (integers.reshape(kernel.shape), scales.astype(np.float32))


def is_smaller(kernel: np.ndarray) -> bool:
    """Whether a kernel, filters first, takes less in 8 bits, with its scales."""
    return 3 * kernel.size > _COST_OF_FILTER * len(kernel) + _COST


def packed(content: bytes) -> bytes:
    """The file with those kernels of convolutions and dense layers in 8 bits that are exact and smaller so.

    Args:
        content: bytes of a file.
    """
    tools = require("tensorflow.lite.tools.flatbuffer_utils")
    schema = require("tensorflow.lite.python.schema_py_generated")
    model = tools.convert_bytearray_to_object(bytearray(content))
    graph = model.subgraphs[0]
    added = [
        operator for buffer, tensors in _kernels(model, schema).items() for operator in _replace(model, schema, buffer, tensors)
    ]
    if not added:
        return content
    graph.operators = [*added, *graph.operators]
    return bytes(tools.convert_object_to_bytearray(model))


def _kernels(model, schema):
    """Indices of the tensors of each buffer of float32 that only convolutions and dense layers take, as their kernel."""
    graph, builtin = model.subgraphs[0], schema.BuiltinOperator
    products = (builtin.CONV_2D, builtin.FULLY_CONNECTED)
    found, others = {}, set()
    for operator in graph.operators:
        is_product = model.operatorCodes[operator.opcodeIndex].builtinCode in products
        for place, index in enumerate(operator.inputs):
            tensor = graph.tensors[index]
            if is_product and place == 1 and tensor.type == schema.TensorType.FLOAT32:
                found.setdefault(tensor.buffer, set()).add(index)
            else:
                others.add(tensor.buffer)
    return {buffer: sorted(found[buffer]) for buffer in found if buffer not in others and model.buffers[buffer].data is not None}


def _replace(model, schema, buffer, tensors):
    """Store a buffer in 8 bits; returns the operators that make its tensors of it, none where it stays as it is."""
    graph = model.subgraphs[0]
    shape = [int(length) for length in graph.tensors[tensors[0]].shape]
    kernel = np.frombuffer(bytes(model.buffers[buffer].data), np.float32)
    found = None
    if kernel.size == math.prod(shape) and is_smaller(kernel.reshape(shape)):
        found = codes(kernel.reshape(shape))
    if found is None:
        return []
    integers, scales = found
    model.buffers[buffer].data = np.frombuffer(integers.tobytes(), np.uint8)
    source = schema.TensorT()
    source.shape, source.type, source.buffer = shape, schema.TensorType.INT8, buffer
    source.name = graph.tensors[tensors[0]].name
    source.quantization = schema.QuantizationParametersT()
    source.quantization.scale, source.quantization.zeroPoint = scales, np.zeros(len(scales), np.int64)
    source.quantization.quantizedDimension = 0
    graph.tensors.append(source)
    for index in tensors:
        graph.tensors[index].buffer = 0  # which is empty
    return [_dequantize(model, schema, len(graph.tensors) - 1, index) for index in tensors]


def _dequantize(model, schema, source, target):
    operator = schema.OperatorT()
    operator.opcodeIndex = _opcode(model, schema)
    operator.inputs, operator.outputs = [source], [target]
    operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    operator.builtinOptions = schema.DequantizeOptionsT()
    return operator


def _opcode(model, schema):
    wanted = schema.BuiltinOperator.DEQUANTIZE
    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == wanted and code.version >= _VERSION:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = wanted
    code.version = _VERSION
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
