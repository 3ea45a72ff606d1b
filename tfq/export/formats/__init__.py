"""The formats, and whether this process can write them."""

from pathlib import Path

from tfq import walk
from tfq.backend.keras import backend
from tfq.choices import ANY_BACKEND_EXPORTS
from tfq.convert.from_keras import check_graph
from tfq.convert.layers import Unsupported
from tfq.export.errors import ExportError
from tfq.export.formats import keras_file, lce, packed, savedmodel, tflite, tflite_int8
from tfq.export.verify import FEWEST_IMAGES
from tfq.keras_graph import has_graph
from tfq.optional import require_installed

# A format is a module with FILENAME, write(model, path, sample), load(path) -> function from images to logits, and sizes(path) ->
# rows of `table.by_layer`; with LOSSY if its file rounds more than float32 does, NEEDS if it takes packages of its own,
# HOLDS_LABELS if it has a place of its own for the names of the classes, load_uint8(path) -> function from uint8 images where it
# takes such, in_float(model) -> names of the low-bit layers that are float32 in it, and check(model), which raises Unsupported
# for what can be seen before anything is written.
FORMATS = {
    "savedmodel": savedmodel,
    "keras": keras_file,
    "tflite": tflite,
    "tflite_int8": tflite_int8,
    "lce": lce,
    "tfq": packed,
}

# Endings of the files of models that no format here has.
_OF_OTHERS = {".h5", ".hdf5", ".onnx", ".pb", ".pt", ".pth", ".safetensors"}


def check(formats, directory=None, images=None):
    """Raise unless this process can export to `formats`; costs nothing, so call it before the training.

    Args:
        formats: names of formats, keys of `FORMATS`.
        directory: where the files will go, if that is known; or the one file, as `paths` takes it.
        images: how many images there will be to compare on, likewise.

    Raises:
        ExportError: an unknown format, one that needs a backend other than the one in use, fewer than 16 images, or something
            that no export made where a file will go.
        ImportError: a package that a format needs is not installed.
    """
    _check_names(formats)
    of_tensorflow = [name for name in formats if name not in ANY_BACKEND_EXPORTS]
    if of_tensorflow and backend != "tensorflow":
        raise ExportError(f"export to {', '.join(of_tensorflow)} needs the tensorflow backend, this run uses {backend}")
    if of_tensorflow:
        require_installed("tensorflow")
    for name in formats:
        require_installed(*getattr(FORMATS[name], "NEEDS", ()))
    if images is not None and images < FEWEST_IMAGES:
        raise ExportError(f"export compares each file with the model on {FEWEST_IMAGES} images or more; got {images}")
    if directory is not None:
        _check_places(Path(directory), formats)


def check_model(model, formats):
    """Raise unless each format has a form for all layers of a model; costs little, so call it before the training.

    What only the converters of TensorFlow and larq-compute-engine know is not seen here, nor are weights.

    Args:
        model: built Keras model, trained or not.
        formats: names of formats, keys of `FORMATS`.

    Raises:
        ExportError: a layer computes in less than float32.
        Unsupported: the message names every layer that has no form in a format, and why.
    """
    check_graph(model)
    check_precision(model, formats)
    reasons = []
    for name in formats:
        try:
            getattr(FORMATS[name], "check", _takes_all)(model)
        except Unsupported as error:
            reasons.append(f"{name}: {error}")
    if reasons:
        raise Unsupported(f"the model cannot be exported to {'; '.join(reasons)}")


def _takes_all(model):
    """Of a format without layers that it refuses, or whose converter alone knows them."""


def check_precision(model, formats):
    """Raise where a layer computes in less than float32, which the formats for other programs do not have."""
    others = [name for name in formats if name != "keras"]
    for path, layer in walk.layers(model) if others else ():
        casts = getattr(layer, "autocast", getattr(layer, "_autocast", True))  # of Keras 3, of tf_keras
        # A nested model computes in nothing but its layers.
        if layer.compute_dtype != "float32" and casts and not has_graph(layer):
            raise ExportError(
                f"export to {', '.join(others)} takes models that compute in float32; layer {path!r} computes in "
                f"{layer.compute_dtype}: build the model with dtype policy float32 and give it the same weights"
            )


def paths(path, formats):
    """Where the file of each format goes: into the directory `path`; or, of one format whose ending it has, to `path` itself.

    Raises:
        ExportError: it has the ending of a file, but of another format, or there are several formats.
    """
    path = Path(path)
    ending, own = path.suffix.lower(), {Path(module.FILENAME).suffix for module in FORMATS.values()} - {""}
    if path.is_dir() or ending not in own | _OF_OTHERS:
        return [path / FORMATS[name].FILENAME for name in formats]
    if len(formats) > 1 or ending != Path(FORMATS[formats[0]].FILENAME).suffix:
        raise ExportError(f"{path} is the name of one {path.suffix} file, for formats {', '.join(formats)}: give a directory")
    return [path]


def _check_names(formats):
    if not isinstance(formats, list | tuple) or not formats or len(set(map(str, formats))) < len(formats):
        raise ExportError(f'formats must be a list of names, each once, such as ["tfq", "tflite"]; got {formats!r}')
    for name in formats:
        if not isinstance(name, str) or name not in FORMATS:
            raise ExportError(f"export format {name!r} is unknown; known are {', '.join(FORMATS)}")


def _check_places(directory, formats):
    """Raise where something that no export made would have to give way."""
    places = paths(directory, formats)
    if places != [directory] and directory.exists() and not directory.is_dir():
        raise ExportError(f"exports go into a directory; {directory} is a file")
    for path in places:
        if path.is_dir() and any(path.iterdir()) and not (path / "saved_model.pb").exists():
            raise ExportError(f"{path} is a directory that no export made: move it, or export to another directory")
