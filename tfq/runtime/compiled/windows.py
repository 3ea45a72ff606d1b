"""What a step makes of each window before it is convolved."""

import numpy as np

from tfq.runtime.compiled import dot
from tfq.runtime.compiled.vector import INTS, fill_ints, load_apart, load_ints, pointer, store_ints
from tfq.runtime.jit import cgutils, intrinsic, ir, njit, types
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
    """The sum of the bytes of each pixel, of 16 at a time."""
    for pixel in range(0, pixels, LANES):
        _sum_sixteen(ci, mi, source + pixel * words, words, chunks, masks, sums + pixel)


@intrinsic
def _sum_sixteen(typingctx, ci, mi, source, words, chunks, masks, target):
    """The sums of the bytes of 16 pixels, those under `masks`."""

    def codegen(context, builder, signature, args):
        ci, mi, source, words, chunks, masks, target = args
        products = dot.products()
        ones = products.weights(builder, ir.Constant(INTS, [0x01010101] * LANES))

        def at(kind, array, index):
            return pointer(context, builder, signature.args[kind], array, index, INTS)

        places = [builder.add(source, builder.mul(words, ir.Constant(ir.IntType(64), pixel))) for pixel in range(LANES)]
        sums = [cgutils.alloca_once(builder, INTS) for _ in places]
        for total in sums:
            builder.store(ir.Constant(INTS, None), total)
        with cgutils.for_range(builder, chunks) as chunk:
            offset = builder.mul(chunk.index, ir.Constant(ir.IntType(64), LANES))
            mask = builder.load(at(0, ci, builder.add(masks, offset)), align=4)
            for place, total in zip(places, sums, strict=True):
                values = builder.and_(builder.load(at(1, mi, builder.add(place, offset)), align=4), mask)
                builder.store(products.add(builder, builder.load(total), products.vector(builder, values), ones), total)
        builder.store(_totals(builder, [builder.load(total) for total in sums]), at(1, mi, target), align=4)
        return context.get_dummy_value()

    return types.void(ci, mi, *[types.intp] * 5), codegen


def _totals(builder, vectors):
    """The sum of the lanes of each of 16 vectors: lanes that are neighbours are added until one is left of each vector."""
    evens, odds = (ir.Constant(INTS, list(range(first, 2 * LANES, 2))) for first in (0, 1))
    while len(vectors) > 1:
        vectors = [
            builder.add(builder.shuffle_vector(*pair, evens), builder.shuffle_vector(*pair, odds))
            for pair in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    return vectors[0]
