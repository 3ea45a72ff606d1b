"""The inner loops: a tile of output positions times output channels, with all its sums in registers."""

from itertools import product

from tfq.runtime.compiled import dot
from tfq.runtime.compiled.vector import FLOATS, INTS, multiply_add, pointer, popcount, splat
from tfq.runtime.jit import cgutils, intrinsic, ir, types, wide
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import BYTES, DEPTHWISE, FLOAT, MASKED, POSITIONS, SUMS, VECTORS, Tile

_ON_FLOATS = (FLOAT, DEPTHWISE)
# Where the kind and the positions begin in the number that a tile is chosen by.
_KEY_BITS = (32, 16)


def largest_tile() -> Tile:
    """The largest tile whose sums fit the registers.

    8 x 2 sums take half of those of AVX-512: one weight from memory serves 8 positions, one input serves 32 filters. 4 sums
    take 8 of AVX2's 16 registers, and 16 of NEON's 32.
    """
    return Tile(8, 2) if wide() else Tile(4, 1)


@intrinsic
def accumulate(
    typingctx, kind, positions, vectors, ci, cf, mi, mf, start, step, offsets, ends, segments, weights, masks, words, out
):
    """Sums of `positions` windows, `step` apart, with `vectors` times 16 filters, to memory at `out`, channels innermost.

        sum over segments s of 2^(segments - 1 - s)  sum over k in the segment of  term(input[start + offset[k]], weight[k])

    Args:
        typingctx: numba's.
        kind: one of `SUMS`.
        positions: windows side by side, one of `POSITIONS`.
        vectors: vectors of filters, one of `VECTORS`.
        ci: constants as int32: offsets, ends of segments, words of kernels.
        cf: constants as float32: numbers of kernels.
        mi: memory as uint32: words of inputs.
        mf: memory as float32: numbers of inputs.
        start: where the first window is in memory; with DEPTHWISE, its first of these filters' channels.
        step: from one window to the next.
        offsets: where in `ci` the offsets of the words of a window begin.
        ends: where in `ci` the ends of the segments are; first a 0.
        segments: number of segments; 1 for FLOAT and DEPTHWISE.
        weights: where the kernel of these filters begins: (vectors, words, 16).
        masks: likewise for the masks (MASKED).
        words: words, or numbers, of a window.
        out: where the sums go: (positions, vectors, 16).
    """
    arguments = (ci, cf, mi, mf, *[types.intp] * 9)
    return types.void(*[types.intp] * 3, *arguments), _choose


def _choose(context, builder, signature, args):
    kind, positions, vectors, *_ = args
    wide = [builder.shl(value, _index(bits)) for value, bits in zip((kind, positions), _KEY_BITS, strict=True)]
    chosen = builder.or_(builder.or_(*wide), vectors)
    end, unknown = builder.append_basic_block("end"), builder.append_basic_block("unknown")
    tiles = builder.switch(chosen, unknown)
    for choice in product(SUMS, POSITIONS, VECTORS):
        block = builder.append_basic_block("tile")
        tiles.add_case(_index(key(*choice)), block)
        builder.position_at_end(block)
        _emit(*choice, context, builder, signature, args)
        builder.branch(end)
    builder.position_at_end(unknown)
    context.call_conv.return_user_exc(builder, ValueError, ("a tile that is none of the runtime's",))
    builder.position_at_end(end)
    return context.get_dummy_value()


def key(kind, positions, vectors):
    """One number for each choice of a tile, of numbers of 16 bits."""
    return kind << _KEY_BITS[0] | positions << _KEY_BITS[1] | vectors


def _index(value):
    return ir.Constant(ir.IntType(64), value)


def _emit(kind, positions, vectors, context, builder, signature, args):
    *_, ci, cf, mi, mf, start, step, offsets, ends, segments, weights_at, masks_at, words, out = args
    ci_type, cf_type, mi_type, mf_type = signature.args[3:7]
    table, table_type = ci, ci_type
    (inputs, inputs_type), (weights, weights_type) = (
        ((mf, mf_type), (cf, cf_type)) if kind in _ON_FLOATS else ((mi, mi_type), (ci, ci_type))
    )
    scalar, vector = (ir.FloatType(), FLOATS) if kind in _ON_FLOATS else (ir.IntType(32), INTS)

    def element(array_type, array, position, to):
        return pointer(context, builder, array_type, array, position, to)

    windows = [element(inputs_type, inputs, builder.add(start, builder.mul(step, _index(p))), scalar) for p in range(positions)]
    stride = builder.mul(words, _index(LANES))
    kernels = [
        [element(weights_type, weights, builder.add(begin, builder.mul(stride, _index(v))), scalar) for v in range(vectors)]
        for begin in ([weights_at, masks_at] if kind == MASKED else [weights_at])
    ]
    offset_table = element(table_type, table, offsets, ir.IntType(32))
    end_table = element(table_type, table, ends, ir.IntType(32))
    sums = [[cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for _ in range(vectors)] for _ in range(positions)]
    products = dot.products()

    def load_vector(begin, k):
        return load_vector_at(begin, builder.mul(k, _index(LANES)))

    def load_vector_at(begin, offset):
        return builder.load(builder.bitcast(builder.gep(begin, [offset]), vector.as_pointer()), align=4)

    def inputs_of(offset):
        """What the windows read, for each vector of filters."""
        if kind == DEPTHWISE:
            channels = [builder.add(offset, _index(v * LANES)) for v in range(vectors)]
            return [[load_vector_at(window, channel) for window in windows] for channel in channels]
        numbers = [builder.load(builder.gep(window, [offset])) for window in windows]
        return [[products.inputs(builder, x) if kind == BYTES else splat(builder, x) for x in numbers]] * vectors

    def add_word(k):
        offset = builder.sext(builder.load(builder.gep(offset_table, [k])), ir.IntType(64))
        inputs_k = inputs_of(offset)
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

    with cgutils.for_range(builder, segments) as segment:
        if kind not in _ON_FLOATS:
            for total in (total for row in sums for total in row):
                value = builder.load(total)
                builder.store(builder.add(value, value), total)
        bounds = [builder.gep(end_table, [builder.add(segment.index, _index(i))]) for i in (0, 1)]
        begin, end = (builder.sext(builder.load(bound), ir.IntType(64)) for bound in bounds)
        with cgutils.for_range_slice(builder, begin, end, _index(1)) as (k, _):
            add_word(k)

    for p in range(positions):
        for v in range(vectors):
            where = builder.add(out, _index((p * vectors + v) * LANES))
            builder.store(builder.load(sums[p][v]), element(inputs_type, inputs, where, vector), align=4)
