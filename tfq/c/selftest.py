"""The self-test of a file: a few inputs, and what the network makes of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tfq.c import arithmetic, render
from tfq.c.constants import Constants
from tfq.c.source import Source
from tfq.graph import nodes as g

# Inputs that are held, and those they are picked from.
_HELD = 3
_TRIED = 8
# What the results of a held input may move by where the network's inputs move by _SHIFT; both relative. The file allows ten times
# that, since a machine rounds in every layer, and the shift is in the first alone. A flipped sign was seen to move 7 to 9 %.
_STEADY = 1e-4
_SHIFT = 1e-6
# The same of what is rounded to fixed point: what float32 may be off there.
_ROUNDED = 2e-7


def selftest(graph: g.Graph, source: Source, common: dict, inputs: np.ndarray | None) -> str:
    """The C of it.

    The sums of floats end in other bits on another machine, and a value next to a threshold falls to its other side. So the
    inputs are some whose results stay where they are under a small shift. Where none is found, it is the steadiest one.

    Args:
        graph: the network.
        source: its C.
        common: what all templates of the file know.
        inputs: candidates, as the network takes them; None for random ones.
    """
    images = _random(graph) if inputs is None else inputs[:_TRIED]
    if graph.pixel_mean is None:
        images = images.astype(np.float32)
    expected = arithmetic.run(graph, source, images)
    apart = _apart(graph, source, images, expected)
    held = np.argsort(apart, kind="stable")[: max(1, min(_HELD, int(np.sum(apart < _STEADY))))]
    arrays = Constants(f"{common['name']}_test")
    return render.template("selftest.c").substitute(
        common,
        inputs=arrays.array(images[held], "f4" if graph.pixel_mean is None else "u1").text,
        expected=arrays.array(expected[held], "f4").text,
        count=len(held),
        tolerance=f"{max(10 * _STEADY, 2 * float(apart[held[-1]])):.1e}",
        constants="\n\n".join(arrays.definitions),
    )


def _apart(graph, source, images, expected):
    """How far the results of each input move, of its largest."""
    sizes = np.abs(expected.reshape(len(images), -1)).max(axis=1)
    farthest = np.zeros(len(images))
    for sign in (1, -1):
        factor, rounded = 1 + sign * _SHIFT, sign * _ROUNDED
        if graph.pixel_mean is None:
            moved = arithmetic.run(graph, source, images * np.float32(factor), rounded)
        else:
            shifted = replace(graph, pixel_mean=graph.pixel_mean * np.float32(factor))
            moved = arithmetic.run(shifted, source, images, rounded)
        difference = np.abs(moved - expected).reshape(len(images), -1).max(axis=1)
        farthest = np.maximum(farthest, difference / np.maximum(sizes, np.finfo(np.float32).tiny))
    return farthest


def _random(graph) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape: Sequence[int] = (_TRIED, *graph.input_shape)
    if graph.pixel_mean is None:
        return rng.standard_normal(shape).astype(np.float32)
    return rng.integers(0, 256, shape, np.uint8)
