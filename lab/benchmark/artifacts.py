"""The files and images that the inference benchmark measures."""

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from lab import trained
from lab.benchmark import openvino_model
from models.methods import METHODS
from models.networks import NETWORKS, network
from tfq import data, export
from tfq.backend.keras import keras
from tfq.backend.settings import plain_settings
from tfq.data import DataError
from tfq.export.run import RunError

# Flags of the benchmark that make a network.
_OPTIONS = tuple(option.name for entry in NETWORKS.values() for option in entry.options)
# What a user can come upon; each is one line.
ERRORS = (*trained.ERRORS, DataError, ImportError, ValueError)


@dataclass(frozen=True)
class Artifacts:
    """Files by engine, and test images (float32, prepared) with their labels as `.npy` files."""

    model: str
    method: str
    files: dict
    images: Path
    labels: Path


@plain_settings()
def make(options, directory, build):
    """Export the network of the options for each engine into a directory.

    Args:
        options: those of the benchmark.
        directory: where to write.
        build: the function that makes a network, `models.build`.

    Returns:
        `Artifacts`; with a line that says why, larq-compute-engine is left out where it cannot run the network in bits, and
        OpenVINO where it is not installed.
    """
    flags = _flags(options)
    also = _by_stem(options.also)
    dataset = data.of_flags(flags, log=lambda line: None)
    for run in filter(None, (options.run, options.float_run)):
        trained.check_data(run, dataset)
    quantized = _network(options.run, flags, dataset, build)
    float_flags = {**flags, "method": "float", "w_bits": None, "a_bits": None, "g_bits": None}
    plain = _network(options.float_run, float_flags, dataset, build)
    if options.float_run:
        _check_float_run(options.float_run, flags, quantized, plain)
    images, labels = data.Batches(dataset.x_test, dataset.y_test, options.images, dataset.mean, dataset.std)[0]
    np.save(directory / "images.npy", images)
    np.save(directory / "labels.npy", labels)
    files = _export(quantized, directory / "quantized", {"tfq": "tfq", "lce": "lce"}, images)
    files |= _export(
        plain, directory / "float", {"tflite_float32": "tflite", "tflite_int8": "tflite_int8", "keras": "keras"}, images
    )
    if "tflite_float32" in files:
        files |= openvino_model.export(plain, files["tflite_float32"], images[:256], directory / "float")
    files |= {f"tfq {stem}": path for stem, path in also.items()}
    has_own = METHODS[flags["method"]].has_bits_of_its_own
    method = flags["method"] + ("" if has_own else f"_a{flags['a_bits']}w{flags['w_bits']}")
    return Artifacts(flags["model"], method, files, directory / "images.npy", directory / "labels.npy")


def _by_stem(paths):
    """Packed networks by the names of their rows."""
    found = {}
    for path in paths:
        if path.stem in found:
            raise RunError(f"--also takes each name once, as a row is named by it; got {found[path.stem]} and {path}")
        found[path.stem] = path
    return found


def _flags(options):
    if options.run:
        found = trained.flags(options.run)
        if not found:
            raise RunError(f"there is no run in {options.run}: it has no flags.cfg")
        return {name: int(value) if name.endswith("_bits") else value for name, value in found.items()}
    given = {name: getattr(options, name, None) for name in ("model", "method", "w_bits", "a_bits", *_OPTIONS)}
    return {**{name: value for name, value in given.items() if value is not None}, "dataset": "digits"}


def _check_float_run(directory, flags, quantized, plain):
    """Raise unless the run is of the float network of the same architecture, on the same data."""
    of_run = trained.flags(directory)
    for name, wanted in (("method", "float"), ("dataset", flags["dataset"])):
        if of_run.get(name) != wanted:
            raise RunError(f"--float_run={directory} must have --{name}={wanted}; it has --{name}={of_run.get(name)}")
    for ours, theirs in zip_longest(_architecture(quantized), _architecture(plain)):
        if ours != theirs:
            raise RunError(
                f"--float_run={directory} is of another architecture than the quantized network: "
                f"{_described(theirs)} where that has {_described(ours)}"
            )


def _architecture(model):
    """(name, shape of the kernel, shape of the results) of each layer with a kernel."""
    layers = [layer for layer in model.layers if getattr(layer, "kernel", None) is not None]
    # By name: in what order Keras lists the layers hangs on the activations between them too.
    return sorted((layer.name, tuple(layer.kernel.shape), tuple(layer.output.shape[1:])) for layer in layers)


def _described(layer):
    if layer is None:
        return "no further layer"
    name, kernel, results = layer
    return f"layer {name!r} with kernel {kernel} and results {results}"


def _network(directory, flags, dataset, build):
    """The network of a run; without one, a new one, trained for an epoch so that its batch normalization is real."""
    if directory:
        return trained.network(directory)[0]
    bits = {name: flags.get(name) for name in ("w_bits", "a_bits", "g_bits")}
    sizes = {option.name: option.parsed(flags[option.name]) for option in network(flags["model"]).options if option.name in flags}
    model = build(flags["model"], flags["method"], **bits, **sizes, num_classes=dataset.num_classes)
    model.compile(keras.optimizers.Adam(0.003), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    print(f"{flags['method']}: trained here for an epoch; speed and size are real, its top-1 says nothing (give a run)")
    model.fit(
        data.feed(data.Batches(dataset.x_train[:2000], dataset.y_train[:2000], 64, dataset.mean, dataset.std)),
        shuffle=False,
        verbose=0,
    )
    return model


def _export(model, directory, formats, images):
    files = {}
    for engine, name in formats.items():
        try:
            (report,) = export.save(model, directory, (name,), images=images[:256])
        except export.Unsupported as error:
            print(f"{engine}: left out, {error}")
        else:
            files[engine] = report.path
    return files
