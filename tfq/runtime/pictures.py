"""Image files as the pixels that a network takes."""

import contextlib
import importlib
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfq import optional
from tfq.files import PathLike
from tfq.terminal import one_line

# Kinds of pixels of 8 bits a channel; of wider ones PIL would cut off what is brighter than 255.
_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
_GREY = {"1", "L", "LA", "La"}
_TRANSPARENT = {"LA", "La", "PA", "RGBA", "RGBa"}
_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)  # of EXIF, and its values for a picture that lies on its side
_MODE_OF_CHANNELS = {1: "L", 3: "RGB"}


class PictureError(ValueError):
    """A file that gives no image for the network; one line."""


class Look(NamedTuple):
    """What a file says of its picture: (height, width) when it is upright, whether it is grey, and whether it is transparent."""

    size: tuple[int, int]
    is_grey: bool
    is_transparent: bool


def look(path: PathLike) -> Look:
    """The `Look` of an image file, which is not decoded.

    Raises:
        PictureError: it cannot be read, or has pixels of more than 8 bits a channel.
    """
    with _opened(path) as image:
        is_turned = image.getexif().get(_ORIENTATION) in _LYING
        is_transparent = image.mode in _TRANSPARENT or "transparency" in image.info
        return Look(image.size if is_turned else image.size[::-1], image.mode in _GREY, is_transparent)


def image_endings() -> set[str]:
    """Endings of the names of files that PIL reads, such as `.png`."""
    pil = _pil("PIL.Image")
    pil.init()
    return {ending for ending, name in pil.registered_extensions().items() if name in pil.OPEN}


class Reader:
    """Reads image files as uint8 (height, width, channels), grey or RGB as the network takes them.

    Args:
        shape: (height, width, channels) that the network takes.
        resize: whether to scale images of another size to it, the whole image and without keeping its proportions.

    Raises:
        PictureError: no file holds images of that shape.
        ImportError: PIL is not installed.
    """

    def __init__(self, shape: tuple[int, ...], resize: bool = False) -> None:
        if len(shape) != 3 or shape[2] not in _MODE_OF_CHANNELS:
            raise PictureError(f"the network takes inputs of shape {tuple(shape)}; image files give (height, width, 1 or 3)")
        self._resampling = _pil("PIL.Image").Resampling.BILINEAR
        self._upright = _pil("PIL.ImageOps").exif_transpose
        self.shape = tuple(shape)
        self._size = (shape[1], shape[0])
        self._mode = _MODE_OF_CHANNELS[shape[2]]
        self._resize = resize

    @staticmethod
    def find(folder: Path) -> list[Path]:
        """The files of a folder that have the ending of an image, by name; what is in folders of its own is left out.

        A file that is named itself is taken whatever its ending.

        Raises:
            OSError: there is nothing of that name, or it cannot be read.
        """
        if folder.is_file():
            return [folder]
        endings = image_endings()
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in endings and path.is_file())

    def read(self, path: PathLike) -> np.ndarray:
        """The pixels of a file.

        Raises:
            PictureError: it cannot be read, has another size and none is asked for, or pixels of more than 8 bits a channel.
        """
        with _opened(path) as image:
            # Cameras store the picture as it fell on the sensor, and beside it how to turn it.
            image = self._upright(image)
            if image.size != self._size and not self._resize:
                raise PictureError(f"is {_by(image.size)} pixels, the network takes {_by(self._size)} (--resize scales it)")
            image = image.convert(self._mode)
            if image.size != self._size:
                image = image.resize(self._size, self._resampling)
            pixels = np.asarray(image, np.uint8)
        return pixels.reshape(*pixels.shape[:2], -1)


@contextlib.contextmanager
def _opened(path):
    """The picture of a file; whatever goes wrong with it is a `PictureError`."""
    pil = _pil("PIL.Image")
    try:
        with warnings.catch_warnings():
            # So large that it may be an attack.
            warnings.simplefilter("error", pil.DecompressionBombWarning)
            with pil.open(path) as image:
                if image.mode not in _MODES:
                    raise PictureError(f"its pixels are of kind {image.mode}; expected 8 bits a channel")
                yield image
    except PictureError:
        raise
    except Exception as error:  # a damaged file can raise almost anything in a decoder
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PictureError(f"cannot be read: {one_line(reason)}") from error


def _by(size):
    return f"{size[0]} x {size[1]}"


def _pil(module):
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(optional.missing("PIL", "reading image files", extra="runtime")) from error
