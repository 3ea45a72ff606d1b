"""uint8 images as the network takes them."""

from tfq.runtime.jit import njit


@njit
def decode(pixels, table, mf, source):
    """uint8 pixels (size) to float32 at `source`, by `table` (channels, 256)."""
    channels = table.shape[0]
    for begin in range(0, pixels.shape[0], channels):
        for c in range(channels):
            mf[source + begin + c] = table[c, pixels[begin + c]]
