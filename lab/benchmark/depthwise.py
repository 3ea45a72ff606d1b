"""`python -m lab.benchmark depthwise`: a depthwise convolution in one step, and in one step a channel, as grouped ones have it.

Both are the same layer on the same engine, one thread, one image, called in turns; a turn gives one ratio. A call begins and ends
with float32 images, and all that is computed for the layer counts: quantizing its inputs, their margin, bias and batch
normalization. Both must give the same results to the last bit.
"""

import argparse
import json
import time
from typing import NamedTuple
from unittest import mock

import numpy as np

from tfq.arguments import integer, output_file
from tfq.graph import nodes as g
from tfq.graph.kernels import pack
from tfq.runtime.engine import Engine
from tfq.runtime.plan import paths
from tfq.terminal import progress, table

KEYS = (
    *("height", "channels", "filters_a_channel", "stride", "inputs", "one_step_ms", "step_a_channel_ms"),
    *("ratio", "low", "high"),
)


class Layer(NamedTuple):
    """A depthwise convolution of 3 x 3 with "same" padding, on a square image: `height` is its width too."""

    height: int
    channels: int
    filters_a_channel: int = 1
    stride: int = 1


LAYERS = (*(Layer(32, 64), Layer(32, 128), Layer(16, 64), Layer(16, 128)), *(Layer(32, 64, stride=2), Layer(16, 64, 2)))
# Inputs by their names, each with the coding and the bits of a kernel that goes with them.
_INPUTS = {
    "signs": (g.Sign(), "binary", 1),
    "2 bits": (g.Levels(2), "levels", 2),
    "float32": (None, "ternary", 2),
}


def main(arguments) -> int:
    """Measure, print a table, and write the rows where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark depthwise", description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=integer(), default=100, help="calls of each (default 100)")
    parser.add_argument("--json", metavar="PATH", type=output_file, help=f"write the rows {{{', '.join(KEYS)}}} here")
    options = parser.parse_args(arguments)
    rows = []
    with progress("measuring", len(LAYERS) * len(_INPUTS)) as done:
        for layer in LAYERS:
            for inputs in _INPUTS:
                rows.append(measure(layer, inputs, options.turns))
                done(1)
    _print(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(layer: Layer, inputs: str, turns: int) -> dict[str, object]:
    """The row of a layer on inputs of a kind.

    Raises:
        RuntimeError: the two do not give the same.
    """
    engines = both_ways(_graph(layer, *_INPUTS[inputs]))
    images = np.random.default_rng(0).normal(size=(1, *engines[0].graph.input_shape)).astype(np.float32)
    if not np.array_equal(*(engine.predict(images) for engine in engines)):
        raise RuntimeError(f"{layer} on {inputs}: one step and one a channel give different results")
    taken = np.array([_turn(engines, number % 2, images) for number in range(turns)])
    low, ratio, high = np.percentile(taken[:, 1] / taken[:, 0], [25, 50, 75])
    values = (*layer, inputs, *np.median(taken, axis=0), ratio, low, high)
    return dict(zip(KEYS, (value.item() if isinstance(value, np.generic) else value for value in values), strict=True))


def both_ways(graph: g.Graph) -> tuple[Engine, Engine]:
    """The engine of a graph as it is, and one whose depthwise convolutions take one step a channel."""
    with mock.patch.object(paths, "MOST_FILTERS_A_CHANNEL", 0):
        apart = Engine(graph)
    return Engine(graph), apart


def _graph(layer, quantizer, coding, bits):
    rng = np.random.default_rng(0)
    filters = layer.channels * layer.filters_a_channel
    shape = (3, 3, 1, filters)
    whole = rng.integers(-1, 2, shape) if coding == "ternary" else 2 * rng.integers(0, 2**bits, shape) - (2**bits - 1)
    kernel = pack(whole, coding, bits, rng.uniform(0.1, 1, filters))
    scale, shift, bias = rng.normal(size=(3, filters)).astype(np.float32)
    how = {"strides": (layer.stride,) * 2, "groups": layer.channels, "quantizer": quantizer}
    nodes = (g.Conv2D("depthwise", (g.INPUT,), kernel, bias, **how), g.ScaleShift("norm", ("depthwise",), scale, shift))
    return g.Graph((layer.height, layer.height, layer.channels), nodes)


def _turn(engines, first, images):
    """Milliseconds of a call of each engine; `first` is called first."""
    taken = [0.0, 0.0]
    for which in (first, 1 - first):
        begin = time.perf_counter()
        engines[which].predict(images)
        taken[which] = 1e3 * (time.perf_counter() - begin)
    return taken


def _print(rows):
    cells = [
        (
            f"{row['channels']} x {row['filters_a_channel']}, {row['height']}x{row['height']}, stride {row['stride']}",
            *(row["inputs"], f"{row['one_step_ms']:.3f}", f"{row['step_a_channel_ms']:.3f}"),
            *(f"{row['ratio']:.1f}", f"{row['low']:.1f} ... {row['high']:.1f}"),
        )
        for row in rows
    ]
    columns = ("channels x filters, image", "inputs", "one step ms", "a step a channel ms", "ratio", "quartiles")
    print(table(columns, cells, align="llrrrr"))
