"""uint8 images as the network takes them."""

from tfq.runtime.jit import cached


@cached
def decode(pixels, table, images):
    """uint8 pixels (n, size) to float32, by `table` (channels, 256)."""
    channels = table.shape[0]
    for n in range(pixels.shape[0]):
        for begin in range(0, pixels.shape[1], channels):
            for c in range(channels):
                images[n, begin + c] = table[c, pixels[n, begin + c]]
