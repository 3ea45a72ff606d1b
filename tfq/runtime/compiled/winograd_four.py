"""A 3x3 convolution of bytes by Winograd's F(4, 3) along the height: 18 products for the 36 of four windows, one below the other.

    y = A^T [ sum over channels and columns of taps of (G g) * (B^T d) ]

The 6 rows d that four rows of windows see become 6 rows of numbers, by additions alone and whatever the channels are. Of each
the products are those of a convolution of one row. The 6 sums of four windows stay in registers until they are four.

All of it is exact. Of levels up to n numbers are at most 8 n below zero and 5 n above, and a byte has so much added that they
are not negative. The sums begin with what that comes to. G has factors that make its numbers whole, so that four windows are 24,
12, 6 and 6 times too large: a product with the inverse of 3 in 32 bits and a shift divide them.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, section 4.3.
"""

from tfq.runtime.compiled import dot
from tfq.runtime.compiled.vector import INTS, fill_ints, ints, pointer
from tfq.runtime.jit import cgutils, intrinsic, ir, njit, types, wide
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import NUMBERS_OF_FOUR, ROWS_OF_FOUR, TAPS_BESIDE

_BYTES = ir.VectorType(ir.IntType(8), 4 * LANES)
# Windows side by side whose sums fill the registers: 24 of 32.
_WINDOWS = 4
# 3 times this is 1 in 32 bits.
_THIRD = 0xAAAAAAAB
# Shifts that divide the four results by 8, 4, 2 and 2.
SHIFTS = (3, 2, 1, 1)


@njit
def four_memory(step, worker):
    """Where the numbers of a thread are, and how far those of a row lie from the next one's."""
    pitch = -(-(step.width + TAPS_BESIDE - 1) * step.step_x // LANES) * LANES
    return step.transformed + max(worker, 0) * step.strip // ROWS_OF_FOUR * NUMBERS_OF_FOUR * pitch, pitch


@njit
def transform_rows(step, mi, top, bottom, target, pitch):
    """B^T d of the rows that some rows of windows see, (rows / 4, 6, pitch) from `target` on."""
    once = fill_ints(step.highest)
    third = once + once + once
    fifth = third + once + once
    eighth = fifth + third
    for row in range(top, bottom, ROWS_OF_FOUR):
        source = step.start + row * step.step_y
        for i in range(0, pitch, LANES):
            _numbers(mi, source + i, step.step_y, target + i, pitch, third, fifth, eighth)
        target += NUMBERS_OF_FOUR * pitch


@njit
def four_sums(step, ci, mi, source, pitch, rows, vector, beside, out):
    """Sums of some rows of windows with the filters of a vector; `beside` is the distance from one window's to the next one's."""
    width = step.width
    weights = step.weights + vector * step.words * NUMBERS_OF_FOUR * TAPS_BESIDE * LANES
    surplus = step.surplus + vector * NUMBERS_OF_FOUR * LANES
    for row in range(0, rows, ROWS_OF_FOUR):
        for begin in range(0, width, _WINDOWS):
            # The last windows of a row may be some of those before: they have the same sums again.
            x = min(begin, width - _WINDOWS)
            _four_rows(
                ci, mi, source + x * step.step_x, pitch, step.step_x, step.words, weights, surplus,
                out + (row * width + x) * beside, width * beside, beside,
            )  # fmt: skip
        source += NUMBERS_OF_FOUR * pitch


@njit
def transform_fours(step, mi, top, bottom, worker):
    """`transform_rows` to the memory of a thread."""
    transformed, pitch = four_memory(step, worker)
    transform_rows(step, mi, top, bottom, transformed, pitch)


@njit
def sums_of_fours(step, ci, mi, rows, vector, count, out, worker):
    """`four_sums` of `count` vectors of filters, as (rows, width, vectors, 16)."""
    transformed, pitch = four_memory(step, worker)
    for i in range(count):
        four_sums(step, ci, mi, transformed, pitch, rows, vector + i, count * LANES, out + i * LANES)


def _index(value):
    return ir.Constant(ir.IntType(64), value)


@intrinsic
def _numbers(typingctx, mi, source, step_y, target, pitch, third, fifth, eighth):
    """B^T times six vectors of 64 bytes that lie `step_y` apart, to six that lie `pitch` apart; with 3, 5 and 8 n added."""

    def codegen(context, builder, signature, args):
        kind = signature.args[0]
        memory, source, step_y, target, pitch = args[:5]
        third, fifth, eighth = (builder.bitcast(vector, _BYTES) for vector in args[5:])

        def at(begin, step, number):
            index = builder.add(begin, builder.mul(step, _index(number)))
            return pointer(context, builder, kind, memory, index, _BYTES)

        d = [builder.load(at(source, step_y, number), align=4) for number in range(NUMBERS_OF_FOUR)]
        added = fifth, eighth, fifth, third, third, fifth
        numbers = [builder.add(*pair) for pair in zip(six_numbers(builder, d), added, strict=True)]
        for number, values in enumerate(numbers):
            builder.store(values, at(target, pitch, number), align=4)
        return context.get_dummy_value()

    return types.void(mi, *[types.intp] * 4, ints, ints, ints), codegen


@intrinsic
def _four_rows(typingctx, ci, mi, source, pitch, pixel, words, weights, surplus, out, below, beside):
    """Sums of 4 x 4 windows with 16 filters, to memory at `out`.

    Args:
        typingctx: numba's.
        ci: constants as int32.
        mi: memory as uint32.
        source: the numbers of the first pixel that the windows see.
        pitch: from one number to the next.
        pixel: from one pixel to the next.
        words: of a pixel.
        weights: (words, 6, 3, 16).
        surplus: what the sums begin with, (6, 16).
        out: where the sums go.
        below: from a window's to those of the one below.
        beside: to those of the one beside.
    """
    signature = types.void(ci, mi, *[types.intp] * 9)
    return signature, _emit_four_rows


def _emit_four_rows(context, builder, signature, args):
    if not wide():  # there are too few registers, and no step of a program asks for it
        return context.get_dummy_value()
    ci, mi, source, pitch, pixel, words, weights, surplus, out, below, beside = args
    ci_type, mi_type = signature.args[:2]
    products = dot.products()

    def of_constants(index):
        return builder.load(pointer(context, builder, ci_type, ci, index, INTS), align=4)

    sums = [[cgutils.alloca_once(builder, INTS) for _ in range(_WINDOWS)] for _ in range(NUMBERS_OF_FOUR)]
    for number, windows in enumerate(sums):
        begin = of_constants(builder.add(surplus, _index(number * LANES)))
        for window in windows:
            builder.store(begin, window)
    pixels = [builder.mul(pixel, _index(number)) for number in range(_WINDOWS + TAPS_BESIDE - 1)]
    with cgutils.for_range(builder, words) as word:
        at_weights = builder.add(weights, builder.mul(word.index, _index(NUMBERS_OF_FOUR * TAPS_BESIDE * LANES)))
        row = builder.add(source, word.index)
        for number, windows in enumerate(sums):
            first = number * TAPS_BESIDE
            taps = [
                products.weights(builder, of_constants(builder.add(at_weights, _index((first + tap) * LANES))))
                for tap in range(TAPS_BESIDE)
            ]
            for place, offset in enumerate(pixels):
                value = builder.load(pointer(context, builder, mi_type, mi, builder.add(row, offset), ir.IntType(32)))
                inputs = products.inputs(builder, value)
                for tap, tap_weights in enumerate(taps):
                    if 0 <= place - tap < _WINDOWS:
                        total = windows[place - tap]
                        builder.store(products.add(builder, builder.load(total), inputs, tap_weights), total)
            row = builder.add(row, pitch)
    for x in range(_WINDOWS):
        m = [builder.load(windows[x]) for windows in sums]
        to = builder.add(out, builder.mul(beside, _index(x)))
        for value, shift in zip(four_results(builder, m), SHIFTS, strict=True):
            builder.store(divided(builder, value, _THIRD, shift), pointer(context, builder, mi_type, mi, to, INTS), align=4)
            to = builder.add(to, below)
    return context.get_dummy_value()


def six_numbers(builder, d):
    """B^T times six vectors of integers of any size."""

    def twice(x):
        return builder.add(x, x)

    evens, odds = builder.sub(d[4], d[2]), builder.sub(d[3], d[1])
    two_odds = twice(odds)
    of_evens, of_odds = builder.sub(d[4], twice(twice(d[2]))), builder.sub(d[3], twice(twice(d[1])))
    return [
        builder.add(twice(twice(builder.sub(d[0], d[2]))), evens),
        builder.add(of_evens, of_odds),
        builder.sub(of_evens, of_odds),
        builder.add(evens, two_odds),
        builder.sub(evens, two_odds),
        builder.sub(builder.sub(d[5], d[3]), twice(two_odds)),
    ]


def four_results(builder, m):
    """A^T times six vectors, the first and the last of which are 6 times too large: 24, 12, 6 and 6 times the results."""
    both, differ = builder.add(m[1], m[2]), builder.sub(m[1], m[2])
    both_2, differ_2 = builder.add(m[3], m[4]), builder.sub(m[3], m[4])

    def times(vector, count):
        return builder.shl(vector, ir.Constant(INTS, [count] * LANES))

    return (
        builder.add(builder.sub(m[0], times(both, 2)), both_2),
        builder.sub(differ_2, times(differ, 1)),
        builder.sub(both_2, both),
        builder.add(builder.sub(times(differ_2, 1), differ), m[5]),
    )


def divided(builder, value, inverse, shift):
    """value / (divisor 2^shift), exact, where `inverse` is that of the odd divisor in 32 bits."""
    product = builder.mul(value, ir.Constant(INTS, [inverse] * LANES))
    return builder.ashr(product, ir.Constant(INTS, [shift] * LANES))
