"""Runs a graph of the runtime plainly in NumPy, and packs kernels for it: the judge of the engine."""

import numpy as np

from tfq.graph import nodes as g
from tfq.graph.kernels import pack  # noqa: F401
from tfq.graph.kernels import values as kernel_values


def random_values(rng, shape, coding, bits=1):
    """Whole numbers that `pack` takes."""
    if coding == "integer":
        return rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape)
    if coding == "levels":
        return 2 * rng.integers(0, 2**bits, shape) - (2**bits - 1)
    return rng.choice([-1, 1] if coding == "binary" else [-1, 0, 1], shape)


def quantize(x, quantizer):
    if quantizer is None:
        return x
    if isinstance(quantizer, g.Sign):
        return np.where(x >= 0, 1.0, -1.0)
    n = 2**quantizer.bits - 1
    # The product is rounded to float32 first, as every engine does it.
    return np.rint(np.float32(n) * np.clip(x, 0, 1).astype(np.float32)).astype(np.float64) / n


def padded(x, sizes, strides, dilations, padding, value):
    widths = [(0, 0)]
    for length, size, stride, dilation in zip(x.shape[1:3], sizes, strides, dilations, strict=True):
        reach = (size - 1) * dilation + 1
        total = max(0, (-(-length // stride) - 1) * stride + reach - length) if padding == "same" else 0
        widths.append((total // 2, total - total // 2))
    return np.pad(x, [*widths, (0, 0)], constant_values=value)


def taps(x, sizes, strides, dilations):
    """What each tap of the kernel sees: (batch, height, width, channels, taps)."""
    out = [(x.shape[1 + i] - (sizes[i] - 1) * dilations[i] - 1) // strides[i] + 1 for i in (0, 1)]
    seen = []
    for i in range(sizes[0]):
        for j in range(sizes[1]):
            top, left = i * dilations[0], j * dilations[1]
            rows = slice(top, top + (out[0] - 1) * strides[0] + 1, strides[0])
            columns = slice(left, left + (out[1] - 1) * strides[1] + 1, strides[1])
            seen.append(x[:, rows, columns])
    return np.stack(seen, axis=-1)


def correlate(x, kernel, strides, dilations, groups=1):
    height, width, channels, filters = kernel.shape
    seen = taps(x, (height, width), strides, dilations)
    by_tap = kernel.reshape(height * width, channels, filters)
    of_group = filters // groups
    results = []
    for group in range(groups):
        part = seen[..., group * channels : (group + 1) * channels, :]
        weights = by_tap[..., group * of_group : (group + 1) * of_group]
        results.append(np.einsum("nhwct,tcf->nhwf", part, weights))
    return np.concatenate(results, axis=-1)


def convolve(node, x):
    sizes = node.kernel.shape[:2]
    how = (sizes, node.strides, node.dilations, node.padding)
    quantized = padded(quantize(x, node.quantizer), *how, node.pad_value)
    y = correlate(quantized, kernel_values(node.kernel), node.strides, node.dilations, node.groups)
    if node.kmap:
        magnitude = padded(np.abs(x).mean(axis=-1, keepdims=True), *how, abs(node.pad_value))
        box = np.full((*sizes, 1, 1), 1 / (sizes[0] * sizes[1]))
        y = y * correlate(magnitude, box, node.strides, node.dilations)
    return y if node.bias is None else y + node.bias


def pool(node, x, reduce):
    how = (node.pool_size, node.strides, (1, 1))
    return reduce(taps(padded(x, *how, node.padding, np.nan), *how), axis=-1)


def run(graph, images):
    """Results of the graph, float64."""
    if images.dtype == np.uint8:
        images = (images / 255 - graph.pixel_mean) / graph.pixel_std
    values = {g.INPUT: images.astype(np.float64)}
    for node in graph.nodes:
        values[node.name] = apply(node, *(values[name] for name in node.inputs))
    return values[graph.nodes[-1].name]


def apply(node, x, *others):
    match node:
        case g.Conv2D():
            return convolve(node, x)
        case g.Dense():
            y = quantize(x, node.quantizer) @ kernel_values(node.kernel)
            return y if node.bias is None else y + node.bias
        case g.ScaleShift():
            return x * node.scale + node.shift
        case g.ReLU():
            return np.clip(x, 0, node.max_value)
        case g.HardTanh():
            return np.clip(x, -1, 1)
        case g.Quantize():
            return quantize(x, node.quantizer)
        case g.ZeroPad():
            top, bottom, left, right = node.widths
            return np.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)])
        case g.MaxPool():
            return pool(node, x, np.nanmax)
        case g.AveragePool():
            return pool(node, x, np.nanmean)
        case g.GlobalMaxPool():
            return x.max(axis=(1, 2), keepdims=node.keepdims)
        case g.GlobalAveragePool():
            return x.mean(axis=(1, 2), keepdims=node.keepdims)
        case g.Add():
            return sum(others, x)
        case g.Concatenate():
            return np.concatenate([x, *others], axis=-1)
        case g.Reshape():
            return x.reshape(len(x), *node.shape)
    raise TypeError(type(node))
