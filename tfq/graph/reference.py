"""Runs a graph in NumPy, slowly and readably: what a `.tfq` file means, and the judge of whatever else runs one.

Each operation says how it is computed, in float64 (`Node.compute`); here they are run one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tfq.graph import shapes
from tfq.graph.check import INPUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfq.graph.nodes import Graph


def run(graph: Graph, images: np.ndarray) -> np.ndarray:
    """The results of a graph.

    Args:
        graph: `tfq.graph.nodes.Graph`.
        images: (n, height, width, channels) or (n, features); uint8 pixels become (x / 255 - mean) / std.

    Returns:
        float64 (n, ...).

    Raises:
        ValueError: uint8 pixels for a graph without mean and deviation.
    """
    return tensors(graph, images)[graph.nodes[-1].name]


def tensors(graph: Graph, images: np.ndarray) -> dict[str, np.ndarray]:
    """The result of each operation by its name, and the images as they go in, float64."""
    values = {INPUT: prepared(graph, images)}
    for node in graph.nodes:
        values[node.name] = node.compute(*(values[name] for name in node.inputs))
    return values


def prepared(graph: Graph, images: np.ndarray) -> np.ndarray:
    """Images as they go in, float64; raises as `run`."""
    if images.dtype == np.uint8:
        if graph.pixel_mean is None:
            raise ValueError("expected float images: the network holds no mean and deviation for uint8 pixels; got uint8")
        images = (images / 255 - graph.pixel_mean) / graph.pixel_std
    return images.astype(np.float64)


def padded(x: np.ndarray, sizes: tuple, strides: tuple, dilations: tuple, padding: str, value: float) -> np.ndarray:
    """Images with the margin that windows of `sizes` need, filled with `value`."""
    axes = zip(x.shape[1:3], sizes, strides, dilations, strict=True)
    margins = [shapes.window(*axis, padding)[1:] for axis in axes]
    return np.pad(x, [(0, 0), *margins, (0, 0)], constant_values=value)


def taps(x: np.ndarray, sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Iterator[np.ndarray]:
    """What each tap of a window sees, row by row: (n, height, width, channels)."""
    height, width = (shapes.window(*axis, "valid").out for axis in zip(x.shape[1:3], sizes, strides, dilations, strict=True))
    for i in range(sizes[0]):
        for j in range(sizes[1]):
            top, left = i * dilations[0], j * dilations[1]
            rows = slice(top, top + (height - 1) * strides[0] + 1, strides[0])
            columns = slice(left, left + (width - 1) * strides[1] + 1, strides[1])
            yield x[:, rows, columns]


def correlate(x: np.ndarray, kernel: np.ndarray, strides: Sequence[int], dilations: Sequence[int], groups: int = 1) -> np.ndarray:
    """sum over the taps (i, j) and channels c of x[:, i, j, c] kernel[i, j, c, filter], without padding.

    Args:
        x: (n, height, width, channels).
        kernel: (height, width, channels / groups, filters).
        strides: of the windows.
        dilations: of the taps.
        groups: parts of the channels, each seen by a part of the filters.
    """
    sizes, of_group, of_filters = kernel.shape[:2], kernel.shape[2], kernel.shape[3] // groups
    total: Any = 0.0
    for seen, weights in zip(taps(x, sizes, strides, dilations), kernel.reshape(-1, *kernel.shape[2:]), strict=True):
        parts = [
            seen[..., group * of_group : (group + 1) * of_group] @ weights[:, group * of_filters : (group + 1) * of_filters]
            for group in range(groups)
        ]
        total = total + np.concatenate(parts, axis=-1)
    return total


def pool(x: np.ndarray, sizes: Sequence[int], strides: Sequence[int], padding: str, reduce: Callable) -> np.ndarray:
    """`reduce` over the windows; it leaves out NaN, which is what lies outside of the image."""
    how = (sizes, strides, (1, 1))
    return reduce(list(taps(padded(x, *how, padding, np.nan), *how)), axis=0)  # type: ignore[arg-type]
