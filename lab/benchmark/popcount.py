"""How many binary products a second the processor can make at all: xor, popcount and add, and next to nothing else."""

import time

import numpy as np

from tfq.runtime.compiled.tile import largest_tile
from tfq.runtime.compiled.vector import INTS, pointer, popcount
from tfq.runtime.jit import callable_njit, cgutils, intrinsic, ir, types
from tfq.runtime.lanes import LANES

# 4 KiB: the first-level cache holds them.
VECTORS = 64
_ROUNDS = 5000
_BITS = 32


class Limit:
    """What the benchmark asks, within the process that measures it."""

    def __init__(self):
        self._words, self._sums = arrays()
        count(self._words, 1, self._sums)  # compiles

    def rates(self, calls):
        """GMAC/s of each of some calls."""
        return [_rate(self._words, self._sums) for _ in range(calls)]


def arrays():
    """Words to count on, and room for the sums: int32."""
    positions, vectors = largest_tile()
    words = np.random.default_rng(0).integers(-(2**31), 2**31, (positions + VECTORS) * LANES, np.int32)
    return words, np.zeros(positions * vectors * LANES, np.int32)


def products(rounds):
    """Number of binary products of a call."""
    return rounds * VECTORS * largest_tile()[0] * LANES * _BITS


def _rate(words, sums):
    begin = time.perf_counter()
    count(words, _ROUNDS, sums)
    return products(_ROUNDS) / (time.perf_counter() - begin) / 1e9


@callable_njit
def count(words, rounds, sums):
    """Count the bits in which `words` differ, again and again.

        sums[p, v] = rounds * sum over i of popcount(words[p] ^ words[positions + vectors i + v])

    A tile as `tile.accumulate` has it, on vectors as wide; but its inputs stay in registers, and weights are loaded from the
    first-level cache. So this is what a convolution could come up to, had it nothing else to do.

    Args:
        words: int32, 16 (positions + `VECTORS`).
        rounds: how often.
        sums: int32, 16 positions vectors, for the result.
    """
    _count(words, rounds, sums)


@intrinsic
def _count(typingctx, words, rounds, sums):
    return types.void(words, types.intp, sums), _emit


def _emit(context, builder, signature, args):
    (words_type, _, sums_type), (words, rounds, out) = signature.args, args
    positions, vectors = largest_tile()

    def load(vector):
        at = builder.mul(vector, _index(LANES))
        return builder.load(pointer(context, builder, words_type, words, at, INTS), align=4)

    inputs = [load(_index(p)) for p in range(positions)]
    sums = [[cgutils.alloca_once_value(builder, ir.Constant(INTS, None)) for _ in range(vectors)] for _ in range(positions)]
    with cgutils.for_range(builder, rounds):
        bounds = _index(positions), _index(positions + VECTORS), _index(vectors)
        with cgutils.for_range_slice(builder, *bounds) as (first, _):
            for v in range(vectors):
                weight = load(builder.add(first, _index(v)))
                for p in range(positions):
                    differ = popcount(builder, builder.xor(inputs[p], weight))
                    builder.store(builder.add(builder.load(sums[p][v]), differ), sums[p][v])
    for p in range(positions):
        for v in range(vectors):
            where = pointer(context, builder, sums_type, out, _index((p * vectors + v) * LANES), INTS)
            builder.store(builder.load(sums[p][v]), where, align=4)
    return context.get_dummy_value()


def _index(value):
    return ir.Constant(ir.IntType(64), value)
