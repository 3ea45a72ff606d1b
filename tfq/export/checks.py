"""Whether this process can write the formats that are asked for, where it is to."""

from collections.abc import Sequence
from pathlib import Path

from tfq import walk
from tfq.backend.keras import backend, keras
from tfq.convert.from_keras import check_graph
from tfq.convert.layers import Unsupported
from tfq.export.errors import ExportError
from tfq.export.formats import FORMATS, unfit
from tfq.export.verify import FEWEST_IMAGES
from tfq.files import PathLike
from tfq.keras_graph import has_graph
from tfq.optional import require_installed

# Endings of the files of models that no format here has.
_OF_OTHERS = {".h5", ".hdf5", ".pb", ".pt", ".pth", ".safetensors"}


def check(formats: Sequence[str], directory: PathLike | None = None, images: int | None = None) -> None:
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
    for needed, names in unfit(formats, backend).items():
        raise ExportError(f"export to {', '.join(names)} needs the {' or '.join(needed)} backend, this run uses {backend}")
    for name in formats:
        require_installed(*FORMATS[name].needs)
    if images is not None and images < FEWEST_IMAGES:
        raise ExportError(f"export compares each file with the model on {FEWEST_IMAGES} images or more; got {images}")
    if directory is not None:
        _check_places(Path(directory), formats)


def check_model(model: keras.Model, formats: Sequence[str]) -> None:
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
            FORMATS[name].check(model)
        except Unsupported as error:
            reasons.append(f"{name}: {error}")
    if reasons:
        raise Unsupported(f"the model cannot be exported to {'; '.join(reasons)}")


def check_precision(model: keras.Model, formats: Sequence[str]) -> None:
    """Raise where a layer computes in less than float32, and a format is for float32 only."""
    others = [name for name in formats if FORMATS[name].float32_only]
    for path, layer in walk.layers(model) if others else ():
        casts = getattr(layer, "autocast", getattr(layer, "_autocast", True))  # of Keras 3, of tf_keras
        # A nested model computes in nothing but its layers.
        if layer.compute_dtype != "float32" and casts and not has_graph(layer):
            raise ExportError(
                f"export to {', '.join(others)} takes models that compute in float32; layer {path!r} computes in "
                f"{layer.compute_dtype}: build the model with dtype policy float32 and give it the same weights"
            )


def paths(path: PathLike, formats: Sequence[str]) -> list[Path]:
    """Where the file of each format goes: into the directory `path`; or, of one format whose ending it has, to `path` itself.

    Raises:
        ExportError: it has the ending of a file, but of another format, or there are several formats.
    """
    path = Path(path)
    ending, own = path.suffix.lower(), {Path(format.filename).suffix for format in FORMATS.values()} - {""}
    if path.is_dir() or ending not in own | _OF_OTHERS:
        return [path / FORMATS[name].filename for name in formats]
    if len(formats) > 1 or ending != Path(FORMATS[formats[0]].filename).suffix:
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
    for name, path in zip(formats, places, strict=True):
        if path.is_dir() and any(path.iterdir()) and not FORMATS[name].is_own(path):
            raise ExportError(f"{path} is a directory that no export made: move it, or export to another directory")
        if path.is_file() and FORMATS[name].marker is not None:
            raise ExportError(f"{path} is a file where an export to {name} is a directory: move it, or export to another one")
