"""What a step makes of each window before it is convolved."""

import numpy as np

from tfq.runtime.compiled.vector import fill_ints, load_apart, load_ints, store_ints, total_ints
from tfq.runtime.jit import njit
from tfq.runtime.lanes import LANES


@njit
def _load_pixels(mi, at, step):
    """The first words of 16 pixels, `step` apart."""
    return load_ints(mi, at) if step == 1 else load_apart(mi, at, step)


@njit
def pack_windows(step, mi):
    """See `PackWindows`."""
    source, step_y, apart, width, words, target = step.source, step.step_y, step.step_x, step.width, step.words, step.target
    kernel_height, kernel_width, tap_y, tap_x = step.kernel_height, step.kernel_width, step.tap_y, step.tap_x
    bits = step.channels
    for y in range(step.height):
        for x in range(0, width, LANES):
            to = target + y * words * width + x
            word, filled = fill_ints(np.int32(0)), 0
            for i in range(kernel_height):
                for j in range(kernel_width):
                    pixel = _load_pixels(mi, source + y * step_y + x * apart + i * tap_y + j * tap_x, apart)
                    word = word | pixel << fill_ints(np.int32(filled))
                    filled += bits
                    if filled >= 32:
                        store_ints(mi, to, word)
                        to += width
                        filled -= 32
                        word = fill_ints(np.int32(0))
                        if filled > 0:
                            word = pixel >> fill_ints(np.int32(bits - filled))
            if filled > 0:
                store_ints(mi, to, word)


@njit
def sum_windows(step, ci, mi):
    """See `SumWindows`."""
    _sum_pixels(ci, mi, step.source, step.words, step.chunks, step.masks, step.sums, step.pixels)
    first, step_y, apart, width, target = step.first, step.step_y, step.step_x, step.width, step.target
    kernel_height, kernel_width, tap_y, tap_x = step.kernel_height, step.kernel_width, step.tap_y, step.tap_x
    for y in range(step.height):
        for x in range(0, width, LANES):
            result = fill_ints(np.int32(0))
            for i in range(kernel_height):
                for j in range(kernel_width):
                    at = first + y * step_y + x * apart + i * tap_y + j * tap_x
                    result = result + _load_pixels(mi, at, apart)
            # What the last vector of a row writes too much, the next row overwrites.
            store_ints(mi, target + y * width + x, result)


@njit
def _sum_pixels(ci, mi, source, words, chunks, masks, sums, pixels):
    """The sum of the bytes of each pixel."""
    pairs, low = fill_ints(np.int32(0x00FF00FF)), fill_ints(np.int32(0xFFFF))
    byte, half = fill_ints(np.int32(8)), fill_ints(np.int32(16))
    for pixel in range(pixels):
        result = fill_ints(np.int32(0))
        for i in range(0, chunks * LANES, LANES):
            values = load_ints(mi, source + pixel * words + i) & load_ints(ci, masks + i)
            values = (values & pairs) + ((values >> byte) & pairs)
            result = result + (values & low) + (values >> half)
        mi[sums + pixel] = total_ints(result)
