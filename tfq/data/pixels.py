"""Images of the user as the uint8 (N, H, W, C) that all else takes, where that loses nothing."""

from collections.abc import Mapping

import numpy as np

from tfq.data.errors import DataError
from tfq.terminal import Log

_CHUNK = 1024  # images whose float64 copy is in memory at a time
_TOLERANCE = 1e-3  # of the distance of two levels: what float32 loses in x / 255 is 1e-5 of it
_MOST_CHANNELS = 4  # of an ordinary image; where that many stand in front of a longer last axis, they come first


def as_uint8(source: object, images: Mapping[str, np.ndarray], log: Log) -> list[np.ndarray]:
    """Arrays of images on one scale as uint8 (N, H, W, C).

    Taken as they are: whole numbers from 0 to 255. Taken as 8 bits: booleans, black and white; floats from 0 to 1 that are
    k / 255; 16 bits that are 257 k. Grey images (N, H, W) get one channel. What would have to be rounded is refused.

    Args:
        source: what the arrays are from, for messages.
        images: names and arrays.
        log: takes a line for each array that was not uint8.

    Returns:
        The arrays, in their order.

    Raises:
        DataError: they are no such images; the message says what is wrong and how such are made of them.
    """
    shaped = {name: _with_channels(source, name, array) for name, array in images.items()}
    for name, array in shaped.items():
        if array.dtype.kind not in "buif":
            raise DataError(f"{source}: {name} must be images of numbers; got {array.dtype}")
    scales = {kind: _scale(kind, [x for x in shaped.values() if x.dtype.kind == kind]) for kind in "buif"}
    _check_one_scale(source, shaped, scales)
    return [_converted(source, name, array, scales[array.dtype.kind], log) for name, array in shaped.items()]


def _with_channels(source, name, array):
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or not array.size:
        raise DataError(f"{source}: {name} must be images (N, H, W, C), or grey ones (N, H, W), at least one; got {array.shape}")
    if array.shape[1] <= _MOST_CHANNELS < array.shape[3] and array.shape[1] < array.shape[2]:
        raise DataError(
            f"{source}: {name} must be images (N, H, W, C); got {array.shape}, whose channels seem to come first: "
            f"give {name}.transpose(0, 2, 3, 1)"
        )
    return array


def _scale(kind, arrays):
    """What makes levels 0 to 255 of the values of all arrays of a kind."""
    highest = max((float(array.max()) for array in arrays), default=0.0)
    if kind == "b":
        return 255.0
    if kind == "f":
        return 255.0 if highest <= 1 else 1.0
    return 1.0 if highest <= 255 else 1 / 257


def _check_one_scale(source, arrays, scales):
    """Raise where 1 is white in one array and almost black in the other: black and white as two types."""
    bright = [name for name, array in arrays.items() if scales[array.dtype.kind] > 1 and array.max() == 1]
    dark = [name for name, array in arrays.items() if array.dtype.kind in "ui" and array.max() == 1]
    if bright and dark:
        said = " and ".join(f"{name} is {arrays[name].dtype}" for name in (bright[0], dark[0]))
        raise DataError(
            f"{source}: {said}, both from 0 to 1, which would be 255 in the one and 1 in the other: give both one type"
        )


def _converted(source, name, array, scale, log):
    if array.dtype == np.uint8:
        return array
    tolerance = _TOLERANCE
    if array.dtype.kind == "f" and scale > 1:
        tolerance = max(tolerance, 255 * float(np.finfo(array.dtype).eps))  # a quarter of a level in float16
    result = np.empty(array.shape, np.uint8)
    for first in range(0, len(array), _CHUNK):
        values = array[first : first + _CHUNK].astype(np.float64) * scale
        levels = np.rint(values)
        # Not so of NaN either.
        if not (np.abs(values - levels) <= tolerance).all() or levels.min() < 0 or levels.max() > 255:
            raise DataError(_refusal(source, name, array))
        result[first : first + _CHUNK] = levels
    how = "as they are" if scale == 1 else "times 255" if scale > 1 else "divided by 257"
    log(f"{source}: {name} is {array.dtype}, from {_number(array.min())} to {_number(array.max())}; taken as 8 bits, {how}")
    return result


def _refusal(source, name, array):
    text = f"{source}: {name} must be images of 8 bits; got {array.dtype}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return f"{text} with values that are not finite"
    low, high = array.min(), array.max()
    text += f" from {_number(low)} to {_number(high)}, which are not 256 levels from 0 that training and test images share"
    if array.dtype.kind == "f":
        how = "" if low >= 0 and high <= 1 else "bring both to [0, 1] by the same two numbers, then "
        return f"{text}: {how}give np.rint(x * 255).astype(np.uint8)"
    if low >= 0 and 255 < high <= 65535:
        bits = int(high).bit_length()  # of a camera's 12 bits, say, 16 would leave 4
        return f"{text}: give (x >> {bits - 8}).astype(np.uint8) of both, which keeps the upper 8 of {bits} bits"
    return f"{text}: bring both to 0 to 255 by the same two numbers, as np.uint8"


def _number(value):
    return f"{float(value):g}"
