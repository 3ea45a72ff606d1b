"""What an export knows beside the model: real images, and how they were prepared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tfq.backend.keras import keras
from tfq.export.errors import ExportError
from tfq.graph.codec import MAX_NAME

# Of each channel of the pixels scaled to [0, 1].
Statistics: TypeAlias = Sequence[float] | np.ndarray
# As many as TensorFlow's guide to post-training quantization takes at least.
_REPRESENTATIVE = 200


@dataclass(frozen=True)
class Sample:
    """Images as the model expects them, and what makes such images of uint8 ones.

    Args:
        images: float32 batch, or None.
        pixel_mean: per channel, of pixels scaled to [0, 1]: (C,); None where uint8 images are not taken.
        pixel_std: likewise.
        labels: names of the classes, texts.

    Raises:
        ExportError: pixel statistics or labels are none.
    """

    images: np.ndarray | None = None
    pixel_mean: Statistics | None = None
    pixel_std: Statistics | None = None
    labels: Sequence[str] = ()

    def __post_init__(self):
        if (self.pixel_mean is None) != (self.pixel_std is None):
            raise ExportError("of pixel_mean and pixel_std only one is given; an export needs both, or neither")
        if self.pixel_mean is not None and self.pixel_std is not None:
            _check_statistics("pixel_mean", self.pixel_mean)
            _check_statistics("pixel_std", self.pixel_std)
            if np.min(self.pixel_mean) < 0 or np.max(self.pixel_mean) > 1:
                raise ExportError(f"pixel_mean must be of pixels scaled to [0, 1]; got {np.asarray(self.pixel_mean).tolist()}")
            if np.min(self.pixel_std) <= 0 or np.max(self.pixel_std) > 1:
                raise ExportError(
                    f"pixel_std must be above 0 and of pixels scaled to [0, 1]; got {np.asarray(self.pixel_std).tolist()}"
                )
        _check_labels(self.labels)

    def check(self, model: keras.Model) -> None:
        """Raise ExportError unless there are as many pixel statistics and labels as the model has channels and classes."""
        channels, classes = model.inputs[0].shape[-1], model.outputs[0].shape[-1]
        for name in ("pixel_mean", "pixel_std") if self.takes_uint8 else ():
            if len(getattr(self, name)) != channels:
                raise ExportError(f"{name} must have one value for each of {channels} channels; got {len(getattr(self, name))}")
        if self.labels and len(self.labels) != classes:
            raise ExportError(f"labels must name each of the {classes} classes; got {len(self.labels)} labels")

    @property
    def takes_uint8(self) -> bool:
        """Whether uint8 images can be prepared."""
        return self.pixel_mean is not None

    def scale_and_shift(self) -> tuple[np.ndarray, np.ndarray]:
        """uint8 * scale + shift is the image as the model expects it, (x / 255 - mean) / std: two float32 arrays (C,)."""
        mean, std = np.asarray(self.pixel_mean, np.float64), np.asarray(self.pixel_std, np.float64)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def prepared(self, images: np.ndarray) -> np.ndarray:
        """uint8 images as the model expects them; float32 ones as they are."""
        if images.dtype != np.uint8:
            return images
        if not self.takes_uint8:
            raise ExportError("uint8 images need pixel_mean and pixel_std, with which the training images were prepared")
        scale, shift = self.scale_and_shift()
        return images * scale + shift

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """The uint8 images that come nearest to prepared ones."""
        scale, shift = self.scale_and_shift()
        return np.clip(np.rint((images - shift) / scale), 0, 255).astype(np.uint8)

    def representative(self) -> Iterator[list[np.ndarray]]:
        """Yields single images for a converter that measures ranges."""
        if self.images is None:
            raise ExportError("int8 needs images to measure the ranges of the activations on")
        for image in self.images[:_REPRESENTATIVE]:
            yield [image[None]]


def _check_statistics(name, values):
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ExportError(f"{name} must be finite numbers, one a channel; got {array.tolist()!r}")


def _check_labels(labels):
    if not isinstance(labels, tuple | list):
        raise ExportError(f"labels must be a list of texts; got {labels!r}")
    for label in labels:
        if not isinstance(label, str) or not 0 < len(label) <= MAX_NAME or not label.isprintable():
            shown = repr(label) if len(repr(label)) < 60 else f"{repr(label)[:56]}..."
            raise ExportError(f"each label must be a line of 1 to {MAX_NAME} characters; got {shown}")
