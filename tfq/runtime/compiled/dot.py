"""Sums of four products of bytes a lane, by the best instruction that the processor has."""

from tfq.runtime.compiled.vector import INTS, splat
from tfq.runtime.jit import cgutils, instructions, ir
from tfq.runtime.lanes import LANES

_I32 = ir.IntType(32)


class _FourProducts:
    """`vpdpbusd`: four products of unsigned and signed bytes and the sums, one instruction."""

    def __init__(self, lanes):
        self._function, self._lanes = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}", lanes

    def inputs(self, builder, word):
        return self.vector(builder, splat(builder, word))

    def vector(self, builder, vector):
        return [vector]

    def weights(self, builder, vector):
        return [vector]

    def add(self, builder, total, inputs, weights):
        part = ir.VectorType(_I32, self._lanes)
        kind = ir.FunctionType(part, [part] * 3)
        return _in_parts(builder, self._function, kind, self._lanes, total, inputs[0], weights[0])


class _TwoProducts:
    """`pmaddwd`: the even bytes and the odd ones, widened to 16 bits, two products of each at once."""

    def __init__(self, function, lanes):
        self._function, self._lanes = function, lanes

    def inputs(self, builder, word):
        mask = ir.Constant(_I32, 0x00FF00FF)
        return [splat(builder, builder.and_(part, mask)) for part in (word, builder.lshr(word, ir.Constant(_I32, 8)))]

    def vector(self, builder, vector):
        mask, byte = (ir.Constant(INTS, [value] * LANES) for value in (0x00FF00FF, 8))
        return [builder.and_(part, mask) for part in (vector, builder.lshr(vector, byte))]

    def weights(self, builder, vector):
        kind = ir.VectorType(ir.IntType(16), 2 * LANES)
        halves, byte = builder.bitcast(vector, kind), ir.Constant(kind, [8] * (2 * LANES))
        return [builder.bitcast(builder.ashr(part, byte), INTS) for part in (builder.shl(halves, byte), halves)]

    def add(self, builder, total, inputs, weights):
        part = ir.VectorType(ir.IntType(16), 2 * self._lanes)
        kind = ir.FunctionType(ir.VectorType(_I32, self._lanes), [part] * 2)
        for pair in zip(inputs, weights, strict=True):
            total = builder.add(total, _in_parts(builder, self._function, kind, self._lanes, *pair))
        return total


class _OneProduct:
    """Each byte by itself, in 32 bits: for any processor."""

    def inputs(self, builder, word):
        shifted = [builder.lshr(word, ir.Constant(_I32, 8 * i)) for i in range(4)]
        return [splat(builder, builder.and_(byte, ir.Constant(_I32, 255))) for byte in shifted]

    def vector(self, builder, vector):
        shifted = [builder.lshr(vector, ir.Constant(INTS, [8 * i] * LANES)) for i in range(4)]
        return [builder.and_(byte, ir.Constant(INTS, [255] * LANES)) for byte in shifted]

    def weights(self, builder, vector):
        def bits(count):
            return ir.Constant(INTS, [count] * LANES)

        return [builder.ashr(builder.shl(vector, bits(24 - 8 * i)), bits(24)) for i in range(4)]

    def add(self, builder, total, inputs, weights):
        for pair in zip(inputs, weights, strict=True):
            total = builder.add(total, builder.mul(*pair))
        return total


def _in_parts(builder, name, kind, lanes, *vectors):
    """A function on `lanes` lanes, applied to all 16."""
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    results = []
    for first in range(0, LANES, lanes):
        which = ir.Constant(ir.VectorType(_I32, lanes), list(range(first, first + lanes)))
        parts = [builder.shuffle_vector(vector, ir.Constant(INTS, ir.Undefined), which) for vector in vectors]
        results.append(builder.call(function, [builder.bitcast(*pair) for pair in zip(parts, kind.args, strict=True)]))
    while len(results) > 1:
        joined = ir.Constant(ir.VectorType(_I32, 2 * results[0].type.count), list(range(2 * results[0].type.count)))
        results = [builder.shuffle_vector(*pair, joined) for pair in zip(results[::2], results[1::2], strict=True)]
    return results[0]


def add_pairs(builder, total, inputs, weights):
    """The int32 lanes of `total` plus the products of two signed numbers of 16 bits each, for vectors of AVX-512."""
    _, features = instructions()
    if "avx512vnni" in features:
        part = ir.VectorType(_I32, LANES)
        return _in_parts(
            builder, "llvm.x86.avx512.vpdpwssd.512", ir.FunctionType(part, [part] * 3), LANES, total, inputs, weights
        )
    name, lanes = ("llvm.x86.avx512.pmaddw.d.512", LANES) if "avx512bw" in features else ("llvm.x86.avx2.pmadd.wd", LANES // 2)
    kind = ir.FunctionType(ir.VectorType(_I32, lanes), [ir.VectorType(ir.IntType(16), 2 * lanes)] * 2)
    return builder.add(total, _in_parts(builder, name, kind, lanes, inputs, weights))


def products():
    """How sums of products of bytes are computed on this processor.

    An object with `inputs(builder, word)`, four unsigned bytes for all lanes, `vector(builder, vector)`, four of each lane's own,
    `weights(builder, vector)`, four signed bytes a lane, and `add(builder, total, inputs, weights)`, the int32 lanes of `total`
    plus the four products of each, exact.
    """
    triple, features = instructions()
    if "avx512vnni" in features:
        return _FourProducts(16)
    if "avxvnni" in features:
        return _FourProducts(8)
    if not triple.startswith("x86_64"):
        return _OneProduct()
    if "avx512bw" in features:
        return _TwoProducts("llvm.x86.avx512.pmaddw.d.512", 16)
    return _TwoProducts("llvm.x86.avx2.pmadd.wd", 8) if "avx2" in features else _TwoProducts("llvm.x86.sse2.pmadd.wd", 4)
