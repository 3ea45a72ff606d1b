"""`python -m lab.equality --run_dir=RUN`: whether the packed runtime computes what the Keras model computes.

Layer by layer, fed Keras' own tensors: integer accumulators equal exactly, and a sign or level of the next layer differs only
where Keras' value lies within 1e-5 standard deviations of its channel of the boundary. End to end, each engine on its own: an
image has a flip where a sign or level of the runtime's run is not that of Keras' run; without one, logits agree within 1e-4 of
the largest absolute logit of the image; top-1 is the same on 99.5 % of the images, and where it is not, there is a flip, which
starts at a value that close to the boundary. LCE and TFLite float32 are held to the same, but their signs and levels cannot be
read: a value of Keras within 1e-5 of a boundary stands for a flip. Ends with status 1 and a line for each violation.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from lab import trained
from lab.equality import layers as by_layer
from lab.equality import network as by_network
from lab.equality import parts, table
from lab.equality.keras_values import Reference
from tfq import data, export
from tfq.arguments import integer, output_file
from tfq.backend.rounding import exact_products
from tfq.backend.settings import plain_settings
from tfq.convert.from_keras import from_keras
from tfq.export.run import RunError
from tfq.export.sample import Sample
from tfq.graph import file
from tfq.quiet import quiet
from tfq.terminal import one_line

# What a user can come upon; each is one line.
ERRORS = (*trained.ERRORS, data.DataError, export.Unsupported, ImportError, ValueError, OSError)


def main(arguments):
    """Compare, print tables, write the figures where `--json` says; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        report = compare(options)
    except ERRORS as error:
        return _fail([one_line(error)])
    print(table.text(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return _fail(report["violations"]) if report["violations"] else 0


@plain_settings()
@exact_products()
def compare(options):
    """The figures of a run, as `--json` writes them.

    Args:
        options: those of the command line.
    """
    model, mean, std = trained.network(options.run_dir)
    flags = trained.flags(options.run_dir)
    if "dataset" not in flags:
        raise RunError(f"the run in {options.run_dir} does not say its data set: equality needs its flags.cfg")
    dataset = data.of_flags({**flags, "data_dir": options.data_dir or flags.get("data_dir")}, log=lambda line: None)
    trained.check_data(options.run_dir, dataset)
    mean, std = (dataset.mean, dataset.std) if mean is None else (mean, std)
    sample, labels = Sample(None, mean, std), dataset.y_test[: options.images]

    def images(part):
        return sample.prepared(dataset.x_test[part])

    with tempfile.TemporaryDirectory() as directory:
        graph = _packed(model, options, Path(directory))
        others, left_out = _others(model, options, Path(directory))
        reference = Reference(model, graph)
        few = images(slice(0, min(options.layer_images, len(labels))))
        deviation = by_layer.deviations(reference, graph, few)
        layers, sites = by_layer.check(reference, graph, few, deviation)
        engines = by_network.check(reference, graph, images, labels, deviation, others)
    network = {name: flags.get(name) for name in ("model", "method", "w_bits", "a_bits", "kmap", "depth", "width", "epochs")}
    found = by_layer.violations(layers, sites) + [line for row in engines for line in by_network.violations(row)]
    return {
        **{name: value for name, value in network.items() if value is not None},
        **{"layer_images": len(few), "layers": layers, "activations": sites, "engines": engines},
        **{"left_out": left_out, "violations": found},
    }


def _packed(model, options, directory):
    """The network of a `.tfq` file: the one that is to be judged, or a new one of the model."""
    graph = from_keras(model)
    if options.tfq is None:
        file.write(graph, directory / "model.tfq")
        return file.read(directory / "model.tfq")
    given = file.read(options.tfq)
    _check_same(_described(graph), _described(given), options)
    return given


def _check_same(ours, theirs, options):
    """Raise where a packed file is of another network than the run; weights of the same one may be others."""
    for layer in sorted(ours ^ theirs):
        where = "the file" if layer in theirs else "the run"
        raise RunError(f"--tfq={options.tfq} is of another network than --run_dir={options.run_dir}: {where} alone has {layer}")


def _described(graph):
    """What its input, its convolutions and its products are, in words."""
    return {f"an input of shape {graph.input_shape}"} | {
        f"layer {node.name!r} with a kernel of shape {tuple(node.kernel.shape)}, {getattr(node.kernel, 'coding', 'float')}, "
        f"and {f'inputs by {node.quantizer}' if node.quantizer else 'float inputs'}"
        for node in parts.products(graph)
    }


def _others(model, options, directory):
    """Engines whose signs and levels cannot be read, and what is left out and why."""
    found, left_out = [], {}
    for name, format, count in (("tflite_float32", "tflite", options.tflite_images), ("lce", "lce", options.lce_images)):
        if not count:
            continue
        try:
            with quiet(passing=(export.Unsupported, ImportError)):
                path = directory / export.FORMATS[format].filename
                export.FORMATS[format].save(model, path, Sample())
                found.append((name, export.FORMATS[format].load(path), count))
        except (export.Unsupported, ImportError) as error:
            left_out[name] = str(error)
    return found, left_out


def _fail(lines):
    for line in lines:
        print(f"python -m lab.equality: {line}", file=sys.stderr)
    return 1


def _parser():
    parser = argparse.ArgumentParser(prog="python -m lab.equality", description=__doc__.split("\n\n", 1)[1])
    parser.add_argument(
        "--run_dir",
        metavar="RUN",
        type=Path,
        required=True,
        help="run of train.py, whose best checkpoint is taken; or JSON file of a sweep, whose packed network is",
    )
    parser.add_argument("--images", type=integer(), default=10000, help="test images, end to end (default 10000)")
    parser.add_argument("--layer_images", type=integer(), default=300, help="of them, layer by layer (default 300)")
    parser.add_argument("--tflite_images", type=integer(0), default=10000, help="of them, on TFLite; 0 for none (default 10000)")
    parser.add_argument("--lce_images", type=integer(0), default=1000, help="of them, on LCE; 0 for none (default 1000)")
    parser.add_argument("--tfq", metavar="PATH", type=Path, help="packed file to judge (default: exported anew)")
    parser.add_argument("--data_dir", help="where the data set is (default: as the run has it)")
    parser.add_argument("--json", metavar="PATH", type=output_file, help="write the figures here")
    return parser
