"""A 3x3 convolution of levels by Winograd's F(4x4, 3x3): 36 products for the 144 of sixteen windows, of 16 bits.

    Y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A

Products of 16 bits take twice as long as those of bytes, so that half of the time is left. All of it is exact: of 8 bits each,
numbers of inputs are at most 68 times the highest level, and those of weights 49 times the largest. The sums may overflow: what
is left in 32 bits are the results, 576 times at most, and these fit 26 bits. A product with the inverse of 9 and a shift divide.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, section 4.3.
"""

from tfq.runtime.compiled import dot
from tfq.runtime.compiled.vector import INTS, pointer, splat
from tfq.runtime.compiled.winograd_four import SHIFTS, divided, four_results, six_numbers
from tfq.runtime.jit import cgutils, intrinsic, ir, njit, types, wide
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import NUMBERS_OF_FOUR, ROWS_OF_FOUR, TAPS_BESIDE

_HALVES = ir.VectorType(ir.IntType(16), 2 * LANES)
_BYTES = ir.VectorType(ir.IntType(8), 2 * LANES)
# Tiles and vectors of filters whose sums fill the registers, 24 of 32: two of each need the fewest loads.
_TILES = {1: 4, 2: 2}
# 9 times this is 1 in 32 bits.
_NINTH = 0x38E38E39


@njit
def square_memory(step, worker):
    """Where a thread has rows of numbers, numbers and sums, and how far one lies from the next: of rows, and of numbers."""
    tiles = step.strip * step.width // (ROWS_OF_FOUR * ROWS_OF_FOUR)
    row = (step.width + TAPS_BESIDE) * 2 * step.step_x + LANES
    pitch = tiles * 2 * step.step_x + LANES
    rows = NUMBERS_OF_FOUR * row
    numbers = NUMBERS_OF_FOUR * NUMBERS_OF_FOUR * pitch
    sums = NUMBERS_OF_FOUR * tiles * ROWS_OF_FOUR * step.tile_vectors * LANES
    begin = step.transformed + max(worker, 0) * (rows + numbers + sums)
    return begin, begin + rows, begin + rows + numbers, row, pitch


@njit
def transform_squares(step, mi, top, bottom, worker):
    """B^T d B of the tiles of some rows of windows: (6 of columns, 6 of rows, tiles, channels)."""
    begin, numbers, _, row, pitch = square_memory(step, worker)
    pixel, of_windows, tile = 2 * step.step_x, ROWS_OF_FOUR, 0
    for y in range(top, bottom, of_windows):
        source = step.start + y * step.step_y
        for i in range(0, (step.width + TAPS_BESIDE - 1) * step.step_x, LANES // 2):
            _rows_of_numbers(mi, source + i, step.step_y, begin + 2 * i, row)
        for number in range(NUMBERS_OF_FOUR):
            for x in range(0, step.width, of_windows):
                at, to = begin + number * row + x * pixel, numbers + number * pitch + (tile + x // of_windows) * pixel
                # What a vector writes too much, the next tile overwrites.
                for i in range(0, pixel, LANES):
                    _columns_of_numbers(mi, at + i, pixel, to + i, NUMBERS_OF_FOUR * pitch)
        tile += step.width // of_windows


@njit
def square_sums(step, ci, mi, rows, vector, count, out, worker):
    """Sums of some rows of windows with the filters of `count` vectors, as (rows, width, vectors, 16)."""
    _, numbers, sums, _, pitch = square_memory(step, worker)
    of_windows, pixel, words, beside = ROWS_OF_FOUR, 2 * step.step_x, step.words, count * LANES
    columns = step.width // of_windows
    tiles = rows // of_windows * columns
    of_number, of_vector = words * NUMBERS_OF_FOUR * LANES, words * NUMBERS_OF_FOUR * NUMBERS_OF_FOUR * LANES
    apart = tiles * of_windows * beside
    together = 2 if count == 2 else 4
    for number in range(NUMBERS_OF_FOUR):
        weights = step.weights + vector * of_vector + number * of_number
        source, target = numbers + number * NUMBERS_OF_FOUR * pitch, sums + number * apart
        for begin in range(0, tiles, together):
            tile = min(begin, tiles - together)
            at, to = source + tile * pixel, target + tile * of_windows * beside
            if count == 2:
                _four_of_two(ci, mi, at, pitch, pixel, words, weights, of_vector, to)
            else:
                _four_of_one(ci, mi, at, pitch, pixel, words, weights, of_vector, to)
    for tile in range(tiles):
        to = out + (tile // columns * of_windows * step.width + tile % columns * of_windows) * beside
        for i in range(0, beside, LANES):
            _squares(mi, sums + tile * of_windows * beside + i, apart, to + i, step.width * beside, beside)


def _index(value):
    return ir.Constant(ir.IntType(64), value)


def _transformer(kind, load):
    """`load`ed vectors of 16-bit numbers, six of them `step` apart, times B^T to six that lie `pitch` apart."""

    @intrinsic
    def transform(typingctx, mi, source, step, target, pitch):
        def codegen(context, builder, signature, args):
            memory, source, step, target, pitch = args

            def at(begin, apart, number, to):
                index = builder.add(begin, builder.mul(apart, _index(number)))
                return pointer(context, builder, signature.args[0], memory, index, to)

            d = [builder.load(at(source, step, number, kind), align=4) for number in range(NUMBERS_OF_FOUR)]
            for number, values in enumerate(six_numbers(builder, [load(builder, vector) for vector in d])):
                builder.store(values, at(target, pitch, number, _HALVES), align=4)
            return context.get_dummy_value()

        return types.void(mi, *[types.intp] * 4), codegen

    return transform


_rows_of_numbers = _transformer(_BYTES, lambda builder, vector: builder.zext(vector, _HALVES))
_columns_of_numbers = _transformer(_HALVES, lambda builder, vector: vector)


def _multiplier(vectors):
    """A^T times the sums of six numbers of a column, of some tiles and vectors of filters."""

    @intrinsic
    def multiply(typingctx, ci, mi, source, pitch, pixel, words, weights, of_vector, out):
        return types.void(ci, mi, *[types.intp] * 7), _emitter(vectors)

    return multiply


def _emitter(vectors):
    tiles = _TILES[vectors]

    def emit(context, builder, signature, args):
        if not wide():  # there are too few registers, and no step of a program asks for it
            return context.get_dummy_value()
        ci, mi, source, pitch, pixel, words, weights, of_vector, out = args
        ci_type, mi_type = signature.args[:2]
        sums = [
            [[cgutils.alloca_once(builder, INTS) for _ in range(vectors)] for _ in range(tiles)] for _ in range(NUMBERS_OF_FOUR)
        ]
        for total in (total for number in sums for tile in number for total in tile):
            builder.store(ir.Constant(INTS, None), total)
        places = [builder.mul(pixel, _index(tile)) for tile in range(tiles)]
        starts = [builder.add(weights, builder.mul(of_vector, _index(v))) for v in range(vectors)]
        with cgutils.for_range(builder, words) as word:
            ahead, at = builder.mul(word.index, _index(NUMBERS_OF_FOUR * LANES)), builder.add(source, word.index)
            for number, of_tiles in enumerate(sums):
                begins = [builder.add(builder.add(start, ahead), _index(number * LANES)) for start in starts]
                filters = [builder.load(pointer(context, builder, ci_type, ci, begin, INTS), align=4) for begin in begins]
                for place, totals in zip(places, of_tiles, strict=True):
                    value = builder.load(pointer(context, builder, mi_type, mi, builder.add(at, place), ir.IntType(32)))
                    inputs = splat(builder, value)
                    for total, filter_ in zip(totals, filters, strict=True):
                        builder.store(dot.add_pairs(builder, builder.load(total), inputs, filter_), total)
                at = builder.add(at, pitch)
        for tile in range(tiles):
            for v in range(vectors):
                for row, value in enumerate(four_results(builder, [builder.load(number[tile][v]) for number in sums])):
                    to = builder.add(out, _index(((tile * ROWS_OF_FOUR + row) * vectors + v) * LANES))
                    builder.store(value, pointer(context, builder, mi_type, mi, to, INTS), align=4)
        return context.get_dummy_value()

    return emit


_four_of_one, _four_of_two = _multiplier(1), _multiplier(2)


@intrinsic
def _squares(typingctx, mi, source, apart, out, below, beside):
    """Sums of 4 x 4 windows, of their rows times six columns that lie `apart`; rows, and windows, lie `beside` each other."""

    def codegen(context, builder, signature, args):
        memory, source, apart, out, below, beside = args

        def at(index):
            return pointer(context, builder, signature.args[0], memory, index, INTS)

        for row, shift in enumerate(SHIFTS):
            begin = builder.add(source, builder.mul(beside, _index(row)))
            columns = [builder.add(begin, builder.mul(apart, _index(number))) for number in range(NUMBERS_OF_FOUR)]
            to = builder.add(out, builder.mul(below, _index(row)))
            results = four_results(builder, [builder.load(at(column), align=4) for column in columns])
            for value, other in zip(results, SHIFTS, strict=True):
                builder.store(divided(builder, value, _NINTH, shift + other), at(to), align=4)
                to = builder.add(to, beside)
        return context.get_dummy_value()

    return types.void(mi, *[types.intp] * 5), codegen
