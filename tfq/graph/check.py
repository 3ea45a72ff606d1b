"""Whether the operations of a graph fit together, found out from shapes alone, before anything is allocated."""

import math

from tfq.graph import nodes as g

# Values of one tensor of one image: 2^28 are 1 GiB in float32. What a file asks for beyond that is not a network but an attack.
MAX_VALUES = 2**28


class GraphError(ValueError):
    """A graph that is none: the message names the operation and what is wrong with it."""


def infer(graph):
    """Shape of each operation's result, without the batch axis.

    Args:
        graph: `tfq.graph.nodes.Graph`.

    Returns:
        Dictionary from the names of the operations, and `INPUT`, to tuples: (height, width, channels) or (features,).

    Raises:
        GraphError: a name is used twice or before it is there, or operands do not fit.
    """
    shapes = {g.INPUT: _checked(g.INPUT, graph.input_shape)}
    if not graph.nodes:
        raise GraphError("the graph has no operations")
    for node in graph.nodes:
        if node.name in shapes:
            raise GraphError(f"the name {node.name!r} is used twice")
        for name in node.inputs:
            if name not in shapes:
                raise GraphError(f"{node.name!r} takes {name!r}, which does not come before it")
        shapes[node.name] = _checked(node.name, _RULES[type(node)](node, [shapes[name] for name in node.inputs]))
    _check_pixels(graph)
    return shapes


def _covered(kernel_size, dilations):
    """Height and width of what a dilated kernel covers."""
    return tuple((size - 1) * dilation + 1 for size, dilation in zip(kernel_size, dilations, strict=True))


def _checked(name, shape):
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise GraphError(f"{name!r} has shape {tuple(shape)}; expected (height, width, channels) or (features,)")
    if math.prod(shape) > MAX_VALUES:
        raise GraphError(f"{name!r} has shape {tuple(shape)}: more than {MAX_VALUES:,} values an image")
    return tuple(shape)


def _check_pixels(graph):
    if (graph.pixel_mean is None) != (graph.pixel_std is None):
        raise GraphError("of pixel_mean and pixel_std only one is given")
    if graph.pixel_mean is None:
        return
    for name, values in (("pixel_mean", graph.pixel_mean), ("pixel_std", graph.pixel_std)):
        if len(values) != graph.input_shape[-1]:
            raise GraphError(f"{name} has {len(values)} values for {graph.input_shape[-1]} channels")
    if not (graph.pixel_std > 0).all():
        raise GraphError(f"pixel_std must be above 0; got {graph.pixel_std.tolist()}")


def _one(node, shapes):
    if len(shapes) != 1:
        raise GraphError(f"{node.name!r} takes one tensor; got {len(shapes)}")
    return shapes[0]


def _image(node, shapes):
    shape = _one(node, shapes)
    if len(shape) != 3:
        raise GraphError(f"{node.name!r} takes (height, width, channels); got shape {shape}")
    return shape


def _same_shape(node, shapes):
    return _one(node, shapes)


def _spatial(node, shape, covered):
    """Height and width of the result of moving a window of size `covered`."""
    if node.padding == "same":
        size = [-(-length // stride) for length, stride in zip(shape[:2], node.strides, strict=True)]
        padded = [(out - 1) * stride + length for out, stride, length in zip(size, node.strides, covered, strict=True)]
        if math.prod(padded) * shape[-1] > MAX_VALUES:
            raise GraphError(f"{node.name!r} pads to {tuple(padded)}: more than {MAX_VALUES:,} values an image")
        return tuple(size)
    size = [(length - over) // stride + 1 for length, over, stride in zip(shape[:2], covered, node.strides, strict=True)]
    if min(size) < 1:
        raise GraphError(f"{node.name!r} moves a window of {covered} over {shape[:2]}, which is smaller")
    return tuple(size)


def _conv(node, shapes):
    shape = _image(node, shapes)
    if len(node.kernel.shape) != 4:
        raise GraphError(f"{node.name!r} needs a kernel (height, width, in, out); got shape {node.kernel.shape}")
    height, width, per_group, out = node.kernel.shape
    if shape[-1] != per_group * node.groups or out % node.groups:
        raise GraphError(f"{node.name!r}: a kernel {node.kernel.shape} in {node.groups} groups does not fit inputs {shape}")
    if node.pad_value and node.padding != "same":
        raise GraphError(f"{node.name!r}: pad_value={node.pad_value} needs padding 'same'; got {node.padding!r}")
    if node.kmap and (node.groups != 1 or node.quantizer is None):
        raise GraphError(f"{node.name!r}: kmap needs quantized inputs and one group")
    _check_kernel(node, out)
    return (*_spatial(node, shape, _covered((height, width), node.dilations)), out)


def _dense(node, shapes):
    shape = _one(node, shapes)
    if len(node.kernel.shape) != 2 or node.kernel.shape[0] != shape[-1]:
        raise GraphError(f"{node.name!r}: a kernel {node.kernel.shape} does not fit inputs {shape}; expected ({shape[-1]}, out)")
    _check_kernel(node, node.kernel.shape[1])
    return (*shape[:-1], node.kernel.shape[1])


def _check_kernel(node, out):
    if node.bias is not None and len(node.bias) != out:
        raise GraphError(f"{node.name!r} has {len(node.bias)} biases for {out} outputs")
    if hasattr(node.kernel, "scale") and len(node.kernel.scale) not in (1, out):
        raise GraphError(f"{node.name!r} has {len(node.kernel.scale)} scales for {out} filters; expected 1 or {out}")


def _scale_shift(node, shapes):
    shape = _one(node, shapes)
    if not len(node.scale) == len(node.shift) == shape[-1]:
        raise GraphError(f"{node.name!r} has {len(node.scale)} scales and {len(node.shift)} shifts for {shape[-1]} channels")
    return shape


def _zero_pad(node, shapes):
    height, width, channels = _image(node, shapes)
    top, bottom, left, right = node.widths
    return top + height + bottom, left + width + right, channels


def _pool(node, shapes):
    shape = _image(node, shapes)
    return (*_spatial(node, shape, node.pool_size), shape[-1])


def _global_pool(node, shapes):
    channels = _image(node, shapes)[-1]
    return (1, 1, channels) if node.keepdims else (channels,)


def _add(node, shapes):
    if len(shapes) < 2 or len(set(shapes)) != 1:
        raise GraphError(f"{node.name!r} adds two or more tensors of one shape; got {shapes[:4]}")
    return shapes[0]


def _concatenate(node, shapes):
    if not shapes or len({shape[:-1] for shape in shapes}) != 1:
        raise GraphError(f"{node.name!r} joins tensors that differ in the last axis only; got {shapes[:4]}")
    return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))


def _reshape(node, shapes):
    shape = _one(node, shapes)
    if math.prod(node.shape) != math.prod(shape):
        raise GraphError(f"{node.name!r} reshapes {shape} to {node.shape}, which holds another number of values")
    return node.shape


_RULES = {
    g.Conv2D: _conv,
    g.Dense: _dense,
    g.ScaleShift: _scale_shift,
    g.ReLU: _same_shape,
    g.HardTanh: _same_shape,
    g.Quantize: _same_shape,
    g.ZeroPad: _zero_pad,
    g.MaxPool: _pool,
    g.AveragePool: _pool,
    g.GlobalMaxPool: _global_pool,
    g.GlobalAveragePool: _global_pool,
    g.Add: _add,
    g.Concatenate: _concatenate,
    g.Reshape: _reshape,
}
