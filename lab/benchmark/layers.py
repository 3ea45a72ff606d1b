"""`python -m lab.benchmark layers`: a training step of each quantized layer of resnet20, beside Keras' float layer.

A step is forward and backward, of inputs and kernel, on TensorFlow in graph mode without XLA, as `fit` trains on processors.
Methods of a layer take turns with its float layer in one process that measures nothing else: what others leave in memory
costs one more than the other. A ratio is that of medians. Layers of one form are measured once. The sum is over all quantized
layers of the network. A depthwise convolution stands beside them.

Other libraries are measured in an environment of their own (`--python`), each beside the float layer of its own process.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import models
from lab.benchmark import needs
from tfq import files, layers
from tfq.arguments import integer, output_file
from tfq.terminal import progress, table

LIBRARIES = ("tfq", "larq", "hgq2", "qkeras")
KEYS = ("library", "layer", "count", "method", "ms", "float_ms", "ratio")
DEPTHWISE = {"height": 32, "channels": 64, "filters": None, "kernel_size": 3, "strides": 1, "count": 0}
# The most that the sum over resnet20 may be of the float one, a single layer of it, and the depthwise one with sign inputs.
MOST = {"ternary": 1.05, "xnor": 1.15, "dorefa_a2w2": 1.25}
MOST_OF_A_LAYER, MOST_OF_DEPTHWISE = 1.5, 1.4


def main(arguments) -> int:
    """Measure, print tables, and write the rows where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark layers", description=__doc__.splitlines()[0])
    parser.add_argument("--library", choices=LIBRARIES, default="tfq", help="whose layers (default tfq)")
    parser.add_argument("--python", metavar="PATH", default=sys.executable, help="the Python that has it (default: this one)")
    parser.add_argument("--turns", type=integer(), default=15, help="steps of each (default 15)")
    parser.add_argument("--batch_size", type=integer(), default=128, help="images a step (default 128)")
    parser.add_argument("--width", type=integer(), default=4, help="of the resnet20 (default 4)")
    help_json = f"write the rows {{{', '.join(KEYS)}}} here; those of other libraries in the file stay"
    parser.add_argument("--json", metavar="PATH", type=output_file, help=help_json)
    options = parser.parse_args(arguments)
    needs.tensorflow(parser)
    try:
        rows = _measure(options)
    except RuntimeError as error:
        parser.exit(1, f"{parser.prog}: error: {error}\n")
    _print(rows)
    if options.library == "tfq":
        _print_goals(rows)
    if options.json:
        kept = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else []
        kept = [row for row in kept if row["library"] != options.library]
        files.write_text(options.json, json.dumps(kept + rows, indent=2) + "\n")
    return 0


def forms(width: int) -> list[dict[str, Any]]:
    """The forms of the quantized layers of resnet20, each with how many layers have it, and the depthwise one."""
    model = models.build("resnet20", "xnor", width=width)
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.QuantConv2D)]
    found = Counter(
        (layer.input.shape[1], layer.input.shape[-1], layer.filters, layer.kernel_size[0], layer.strides[0])
        for layer in convolutions
    )
    names = ("height", "channels", "filters", "kernel_size", "strides")
    return [{**dict(zip(names, form, strict=True)), "count": count} for form, count in found.items()] + [DEPTHWISE]


def label(form: dict[str, Any]) -> str:
    """Such as "3x3, 64 to 16, 32x32"."""
    size, height = form["kernel_size"], form["height"]
    to = "depthwise" if form["filters"] is None else f"to {form['filters']}"
    stride = "" if form["strides"] == 1 else f", stride {form['strides']}"
    return f"{size}x{size}, {form['channels']} {to}, {height}x{height}{stride}"


def _measure(options):
    asked = forms(options.width)
    rows = []
    with progress("measuring", len(asked)) as done:
        for form in asked:
            medians = _medians(options, form)
            of_float = medians.pop("float")
            for method, taken in medians.items():
                values = (options.library, label(form), form["count"], method, taken, of_float, taken / of_float)
                rows.append(dict(zip(KEYS, values, strict=True)))
            done(1)
    return rows


def _medians(options, form):
    """The median milliseconds of each method for a form, from the process that measures them.

    Raises:
        RuntimeError: it failed.
    """
    settings = {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": str(int(options.library == "larq"))}
    question = {"library": options.library, "layer": form, "turns": options.turns, "batch_size": options.batch_size}
    process = subprocess.run(
        [options.python, "-m", "lab.benchmark.layer_steps.worker"],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **settings},
        cwd=Path(__file__).parents[2],
        text=True,
        input=json.dumps(question) + "\n",
        stdout=subprocess.PIPE,
    )
    if process.returncode:
        raise RuntimeError(f"the process of {options.library} ended with status {process.returncode}")
    return json.loads(process.stdout)


def _print(rows):
    cells = [(row["layer"], str(row["count"]), row["method"], f"{row['ms']:.2f}", f"{row['ratio']:.2f}") for row in rows]
    print(table(("layer", "count", "method", "ms", "of float"), cells, align="lrlrr"))
    for method in dict.fromkeys(row["method"] for row in rows):
        print(f"{method}, sum over resnet20: {total([row for row in rows if row['method'] == method]):.3f}")


def _print_goals(rows):
    for method, most in MOST.items():
        _print_goal(f"{method}, sum over resnet20", total([row for row in rows if row["method"] == method]), most)
    worst = max((row for row in rows if row["count"]), key=lambda row: row["ratio"])
    _print_goal(f"the slowest layer: {worst['method']}, {worst['layer']}", worst["ratio"], MOST_OF_A_LAYER)
    (depthwise,) = (row for row in rows if not row["count"] and row["method"] == "xnor")
    _print_goal(f"xnor, {depthwise['layer']}", depthwise["ratio"], MOST_OF_DEPTHWISE)


def _print_goal(what, ratio, most):
    print(f"{what}: {ratio:.3f}, at most {most}: {'met' if ratio <= most else 'MISSED'}")


def total(rows: list[dict[str, Any]]) -> float:
    """The ratio of the sums over all layers of resnet20, of the rows of one method."""
    return sum(row["count"] * row["ms"] for row in rows) / sum(row["count"] * row["float_ms"] for row in rows)
