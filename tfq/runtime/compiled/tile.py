"""The inner loops: a tile of output positions times output channels, with all its sums in registers."""

from itertools import product

from tfq.runtime.compiled import dot
from tfq.runtime.compiled.vector import FLOATS, INTS, multiply_add, pointer, popcount, splat
from tfq.runtime.jit import cgutils, intrinsic, ir, types, wide
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import (
    BYTES,
    DEPTHWISE,
    FLOAT,
    MASKED,
    POSITIONS,
    POSITIONS_OF_TWO_BITS,
    SUMS,
    TWO_BITS,
    VECTORS,
    Tile,
)

_ON_FLOATS = (FLOAT, DEPTHWISE)
# Where the kind and the positions begin in the number that a tile is chosen by.
_KEY_BITS = (32, 16)
# What the three counts of TWO_BITS stand for.
_WEIGHTS_OF_COUNTS = (5, 3, 1)


def largest_tile() -> Tile:
    """The largest tile whose sums fit the registers.

    8 x 2 sums take half of those of AVX-512: one weight from memory serves 8 positions, one input serves 32 filters. 4 sums
    take 8 of AVX2's 16 registers, and 16 of NEON's 32.
    """
    return Tile(8, 2) if wide() else Tile(4, 1)


@intrinsic
def accumulate(
    typingctx, kind, positions, vectors, ci, cf, mi, mf, start, step_y, step_x, height, width, offsets, ends, segments,
    weights, masks, words, out
):  # fmt: skip
    """Sums of height x width windows with `vectors` times 16 filters, to memory at `out`, channels innermost.

    A tile is `positions` windows of a row. The last tile of a row may overlap the one before: it computes the same sums again.

        sum over segments s of 2^(segments - 1 - s)  sum over k in the segment of  term(input[start + offset[k]], weight[k])

    Args:
        typingctx: numba's.
        kind: one of `SUMS`.
        positions: windows of a tile, one of `POSITIONS`; at most `width`.
        vectors: vectors of filters, one of `VECTORS`.
        ci: constants as int32: offsets, ends of segments, words of kernels.
        cf: constants as float32: numbers of kernels.
        mi: memory as uint32: words of inputs.
        mf: memory as float32: numbers of inputs.
        start: where the first window is in memory; with DEPTHWISE, its first of these filters' channels.
        step_y: from one window to the one below.
        step_x: from one window to the one beside.
        height: rows of windows.
        width: windows of a row.
        offsets: where in `ci` the offsets of the words of a window begin.
        ends: where in `ci` the ends of the segments are; first a 0.
        segments: number of segments; 1 for FLOAT and DEPTHWISE.
        weights: where the kernel of these filters begins: (vectors, words, 16).
        masks: likewise for the masks (MASKED).
        words: words, or numbers, of a window.
        out: where the sums go: (height, width, vectors, 16).
    """
    return _signature(ci, cf, mi, mf), _chooser(SUMS)


@intrinsic
def accumulate_tiles(
    typingctx, kind, positions, vectors, ci, cf, mi, mf, start, step_y, step_x, height, width, offsets, ends, segments,
    weights, masks, words, out
):  # fmt: skip
    """`accumulate` where `kind` is FLOAT or BYTES: a place that has all kinds is compiled for long."""
    return _signature(ci, cf, mi, mf), _chooser((FLOAT, BYTES))


def _signature(*arrays):
    return types.void(*[types.intp] * 3, *arrays, *[types.intp] * 12)


def _chooser(kinds):
    """Code that goes to the tile of its arguments, one of these kinds."""
    return lambda context, builder, signature, args: _choose(kinds, context, builder, signature, args)


def _choose(kinds, context, builder, signature, args):
    kind, positions, vectors, *_ = args
    wide = [builder.shl(value, _index(bits)) for value, bits in zip((kind, positions), _KEY_BITS, strict=True)]
    chosen = builder.or_(builder.or_(*wide), vectors)
    end, unknown = builder.append_basic_block("end"), builder.append_basic_block("unknown")
    tiles = builder.switch(chosen, unknown)
    for choice in _tiles(kinds):
        block = builder.append_basic_block("tile")
        tiles.add_case(_index(key(*choice)), block)
        builder.position_at_end(block)
        _emit(*choice, context, builder, signature, args)
        builder.branch(end)
    builder.position_at_end(unknown)
    context.call_conv.return_user_exc(builder, ValueError, ("a tile that is none of the runtime's",))
    builder.position_at_end(end)
    return context.get_dummy_value()


def _tiles(kinds):
    """The tiles there are of these kinds. Those of TWO_BITS need the registers of a wide processor."""
    for kind in kinds:
        positions = POSITIONS_OF_TWO_BITS if kind == TWO_BITS else POSITIONS
        for choice in product((kind,), positions, VECTORS):
            if kind != TWO_BITS or (wide() and choice[1:] != (max(positions), max(VECTORS))):
                yield choice


def key(kind, positions, vectors):
    """One number for each choice of a tile, of numbers of 16 bits."""
    return kind << _KEY_BITS[0] | positions << _KEY_BITS[1] | vectors


def _hidden(builder, vector):
    """A vector that LLVM knows nothing of: it would combine two of equal lanes before it spreads them, which takes longer."""
    return builder.asm(ir.FunctionType(INTS, [INTS]), "", "=v,0", [vector], side_effect=False)


def _index(value):
    return ir.Constant(ir.IntType(64), value)


def _emit(kind, positions, vectors, context, builder, signature, args):
    *_, ci, cf, mi, mf, start, step_y, step_x, height, width = args[:-7]
    offsets, ends, segments, weights_at, masks_at, words, out = args[-7:]
    ci_type, cf_type, mi_type, mf_type = signature.args[3:7]
    table, table_type = ci, ci_type
    (inputs, inputs_type), (weights, weights_type) = (
        ((mf, mf_type), (cf, cf_type)) if kind in _ON_FLOATS else ((mi, mi_type), (ci, ci_type))
    )
    scalar, vector = (ir.FloatType(), FLOATS) if kind in _ON_FLOATS else (ir.IntType(32), INTS)

    def element(array_type, array, position, to):
        return pointer(context, builder, array_type, array, position, to)

    stride = builder.mul(words, _index(LANES))
    kernels = [
        [element(weights_type, weights, builder.add(begin, builder.mul(stride, _index(v))), scalar) for v in range(vectors)]
        for begin in ([weights_at, masks_at] if kind == MASKED else [weights_at])
    ]
    offset_table = element(table_type, table, offsets, ir.IntType(32))
    end_table = element(table_type, table, ends, ir.IntType(32))
    counts = len(_WEIGHTS_OF_COUNTS) if kind == TWO_BITS else 1
    all_sums = [cgutils.alloca_once(builder, vector) for _ in range(positions * vectors * counts)]
    sums = [all_sums[first : first + vectors] for first in range(0, len(all_sums), vectors)]
    products = dot.products()

    def load_vector(begin, k):
        return load_vector_at(begin, builder.mul(k, _index(LANES)))

    def load_vector_at(begin, offset):
        return builder.load(builder.bitcast(builder.gep(begin, [offset]), vector.as_pointer()), align=4)

    def inputs_of(windows, offset):
        """What the windows read, for each vector of filters."""
        if kind == DEPTHWISE:
            channels = [builder.add(offset, _index(v * LANES)) for v in range(vectors)]
            return [[load_vector_at(window, channel) for window in windows] for channel in channels]
        numbers = [builder.load(builder.gep(window, [offset])) for window in windows]
        return [[products.inputs(builder, x) if kind == BYTES else splat(builder, x) for x in numbers]] * vectors

    def add_two_bits(windows, k):
        """Of 5 d + 3 (d ^ (x | w)) + (d ^ (x & w)), with d the signs that differ and x, w where values are the small ones."""
        places = k, builder.add(k, _index(1))
        offsets = [builder.sext(builder.load(builder.gep(offset_table, [at])), ir.IntType(64)) for at in places]
        low, high = ([splat(builder, builder.load(builder.gep(window, [at]))) for window in windows] for at in offsets)
        small = [builder.xor(_hidden(builder, x), y) for x, y in zip(low, high, strict=True)]
        for v in range(vectors):
            small_weight, weight = (load_vector(kernels[0][v], at) for at in places)
            for p in range(positions):
                differ = builder.xor(high[p], weight)
                both, either = builder.and_(small[p], small_weight), builder.or_(small[p], small_weight)
                terms = differ, builder.xor(differ, either), builder.xor(differ, both)
                for number, term in enumerate(terms):
                    total = sums[number * positions + p][v]
                    builder.store(builder.add(builder.load(total), popcount(builder, term)), total)

    def whole_sum(p, v):
        parts = [builder.load(sums[number * positions + p][v]) for number in range(counts)]
        if kind != TWO_BITS:
            return parts[0]
        weighted = [
            builder.mul(part, ir.Constant(INTS, [by] * LANES)) for part, by in zip(parts, _WEIGHTS_OF_COUNTS, strict=True)
        ]
        return builder.add(builder.add(weighted[0], weighted[1]), weighted[2])

    def add_word(windows, k):
        offset = builder.sext(builder.load(builder.gep(offset_table, [k])), ir.IntType(64))
        inputs_k = inputs_of(windows, offset)
        for v in range(vectors):
            weight = [load_vector(begins[v], k) for begins in kernels]
            weight = products.weights(builder, weight[0]) if kind == BYTES else weight
            for p in range(positions):
                total = builder.load(sums[p][v])
                if kind in _ON_FLOATS:
                    total = multiply_add(builder, inputs_k[v][p], weight[0], total)
                elif kind == BYTES:
                    total = products.add(builder, total, inputs_k[v][p], weight)
                else:
                    differ = builder.xor(inputs_k[v][p], weight[0])
                    differ = builder.and_(differ, weight[1]) if kind == MASKED else differ
                    total = builder.add(total, popcount(builder, differ))
                builder.store(total, sums[p][v])

    def double_sums():
        for total in all_sums:
            value = builder.load(total)
            builder.store(builder.add(value, value), total)

    def add_segment(windows, index):
        if kind not in _ON_FLOATS:
            with builder.if_then(builder.icmp_signed(">", index, _index(0))):
                double_sums()
        bounds = [builder.gep(end_table, [builder.add(index, _index(i))]) for i in (0, 1)]
        begin, end = (builder.sext(builder.load(bound), ir.IntType(64)) for bound in bounds)
        step, add = (2, add_two_bits) if kind == TWO_BITS else (1, add_word)
        with cgutils.for_range_slice(builder, begin, end, _index(step)) as (k, _):
            add(windows, k)

    def tile(first, target):
        begins = [builder.add(first, builder.mul(step_x, _index(p))) for p in range(positions)]
        windows = [element(inputs_type, inputs, begin, scalar) for begin in begins]
        for total in all_sums:
            builder.store(ir.Constant(vector, None), total)
        with cgutils.for_range(builder, segments) as segment:
            add_segment(windows, segment.index)
        for number, place in enumerate(product(range(positions), range(vectors))):
            where = element(inputs_type, inputs, builder.add(target, _index(number * LANES)), vector)
            builder.store(whole_sum(*place), where, align=4)

    last = builder.sub(width, _index(positions))
    with cgutils.for_range(builder, height) as row:
        first = builder.add(start, builder.mul(row.index, step_y))
        windows_before = builder.mul(row.index, width)
        with cgutils.for_range_slice(builder, _index(0), width, _index(positions)) as (begin, _):
            x = builder.select(builder.icmp_signed("<", begin, last), begin, last)
            target = builder.mul(builder.add(windows_before, x), _index(vectors * LANES))
            tile(builder.add(first, builder.mul(x, step_x)), builder.add(out, target))
