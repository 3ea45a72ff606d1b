"""What the operators of a TensorFlow Lite file hold."""

import math
from pathlib import Path

from tfq.files import PathLike
from tfq.optional import require

_BINARY = "LceBconv2d"
_WORD = 32
# The operators that a layer is named by, where TensorFlow has fused several.
_PRODUCTS = ("convolution", "MatMul")


def sizes(path: PathLike) -> list[tuple[str, str, int, int]]:
    """(name, operator, bytes, bytes in float32) of each operator with constants; a constant that two share counts once.

    Names are those of the layers, or of the operators where the file holds no names. A word of a binary convolution counts as 32
    weights. A kernel in 8 bits that is made float32 once counts to the operator that takes it, as "CONV_2D int8".
    """
    tools = require("tensorflow.lite.tools.flatbuffer_utils")
    model = tools.convert_bytearray_to_object(bytearray(Path(path).read_bytes()))
    kinds = _kinds(model)
    seen, rows = set(), []
    for graph in model.subgraphs:
        stored = _stored(model, graph, kinds)
        for operator in graph.operators:
            kind = kinds[operator.opcodeIndex]
            own = full = 0
            if operator.outputs[0] in stored:
                continue
            is_made = any(index in stored for index in operator.inputs)
            for index in operator.inputs:
                tensor = graph.tensors[stored.get(index, index)]
                data = model.buffers[tensor.buffer].data
                if index < 0 or data is None or tensor.buffer in seen:
                    continue
                seen.add(tensor.buffer)
                packed = _WORD if kind == _BINARY and len(tensor.shape) == 4 else 1
                own, full = own + len(data), full + 4 * packed * math.prod(int(length) for length in tensor.shape)
            if own:
                name = _name(graph.tensors[operator.outputs[0]].name, kind)
                rows.append((name, f"{kind} int8" if is_made else kind, own, full))
    return rows


def _stored(model, graph, kinds):
    """The constant of which each tensor is made by DEQUANTIZE."""
    return {
        operator.outputs[0]: operator.inputs[0]
        for operator in graph.operators
        if kinds[operator.opcodeIndex] == "DEQUANTIZE"
        and model.buffers[graph.tensors[operator.inputs[0]].buffer].data is not None
    }


def _kinds(model):
    """Names of the operators of a file, by their index."""
    builtin = require("tensorflow.lite.python.schema_py_generated").BuiltinOperator
    names = {code: name for name, code in vars(builtin).items() if isinstance(code, int)}
    return [code.customCode.decode() if code.customCode else names[code.builtinCode] for code in model.operatorCodes]


def _name(text, kind):
    """The layer in "model/layer/operation;model/layer/operation"."""
    parts = [part.split("/") for part in (text or b"").decode().split(";")]
    parts = sorted((part for part in parts if len(part) > 2), key=lambda part: not part[-1].startswith(_PRODUCTS))
    return "/".join(parts[0][1:-1]) if parts else kind
