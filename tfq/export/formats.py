"""The formats, and whether this process can write them."""

from pathlib import Path

from tfq.compat import backend, require_installed
from tfq.export import keras_file, lce, packed, savedmodel, tflite, tflite_int8
from tfq.export.errors import ExportError
from tfq.export.verify import FEWEST_IMAGES
from tfq.training.choices import ANY_BACKEND_EXPORTS

# A format is a module with FILENAME, write(model, path, sample), load(path) -> function from images to logits, and sizes(path) ->
# rows of `table.by_layer`; with LOSSY if its file rounds more than float32 does, NEEDS if it takes packages of its own,
# HOLDS_LABELS if it has a place of its own for the names of the classes, and load_uint8(path) -> function from uint8 images where
# it takes such.
FORMATS = {
    "savedmodel": savedmodel,
    "keras": keras_file,
    "tflite": tflite,
    "tflite_int8": tflite_int8,
    "lce": lce,
    "tfq": packed,
}


def check(formats, directory=None, images=None):
    """Raise unless this process can export to `formats`; costs nothing, so call it before the training.

    Args:
        formats: names of formats, keys of `FORMATS`.
        directory: where the files will go, if that is known.
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


def _check_names(formats):
    if not isinstance(formats, list | tuple) or not formats or len(set(map(str, formats))) < len(formats):
        raise ExportError(f'formats must be a list of names, each once, such as ["tfq", "tflite"]; got {formats!r}')
    for name in formats:
        if not isinstance(name, str) or name not in FORMATS:
            raise ExportError(f"export format {name!r} is unknown; known are {', '.join(FORMATS)}")


def _check_places(directory, formats):
    """Raise where something that no export made would have to give way."""
    if directory.exists() and not directory.is_dir():
        raise ExportError(f"exports go into a directory; {directory} is a file")
    for path in (directory / FORMATS[name].FILENAME for name in formats):
        if path.is_dir() and any(path.iterdir()) and not (path / "saved_model.pb").exists():
            raise ExportError(f"{path} is a directory that no export made: move it, or export to another directory")
