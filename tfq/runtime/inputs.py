"""What engines are given, checked before anything is computed."""

import numpy as np

from tfq.graph import nodes as g


def checked_threads(threads: int) -> int:
    """A number of threads as an integer of Python; raise ValueError unless it is a positive integer."""
    if isinstance(threads, bool) or not isinstance(threads, int | np.integer) or threads < 1:
        raise ValueError(f"threads must be a positive integer; got threads={threads!r}")
    return int(threads)


def checked_images(graph: g.Graph, images: np.ndarray) -> np.ndarray:
    """A batch of images as an array; raise ValueError unless it has the shape and a type that the network takes."""
    images = np.asarray(images)
    shape = tuple(graph.input_shape)
    if images.shape[1:] != shape or images.ndim != len(shape) + 1:
        wanted = ", ".join(str(length) for length in shape)
        raise ValueError(f"expected images of shape (n, {wanted}); got {images.shape}")
    takes_pixels = graph.pixel_mean is not None
    if images.dtype == np.uint8 and not takes_pixels:
        raise ValueError("expected float32 images: the network holds no mean and deviation for uint8 pixels; got uint8")
    if images.dtype not in (np.uint8, np.float32):
        wanted = "uint8 or float32" if takes_pixels else "float32"
        raise ValueError(f"expected {wanted} images; got {images.dtype}")
    return images


def checked_output(shape: tuple[int, ...], out: np.ndarray) -> np.ndarray:
    """Memory for results; raise ValueError unless it is float32 of that shape, contiguous and writeable."""
    if isinstance(out, np.ndarray) and out.dtype == np.float32 and out.shape == shape and out.flags.carray:
        return out
    got = type(out).__name__
    if isinstance(out, np.ndarray):
        got = f"{out.dtype} {out.shape}" + ("" if out.flags.carray else ", which is not contiguous or may not be written")
    raise ValueError(f"expected out to be float32 {shape}, contiguous and writeable; got {got}")
