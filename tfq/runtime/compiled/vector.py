"""Vectors of 16 32-bit lanes as values of compiled code.

They are LLVM's own vectors: it lays them out on whatever registers the processor has (one of AVX-512, two of AVX2, four of SSE2
or NEON), and `ctpop` becomes an instruction where there is one. Nothing here names a machine.
"""

import operator

from tfq.runtime.jit import PrimitiveModel, cgutils, intrinsic, ir, overload, register_model, types
from tfq.runtime.lanes import LANES

INTS = ir.VectorType(ir.IntType(32), LANES)
FLOATS = ir.VectorType(ir.FloatType(), LANES)


class Ints(types.Type):
    """Type of 16 int32."""

    def __init__(self):
        super().__init__("Ints")


class Floats(types.Type):
    """Type of 16 float32."""

    def __init__(self):
        super().__init__("Floats")


@register_model(Ints)
class _IntsModel(PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, INTS)


@register_model(Floats)
class _FloatsModel(PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, FLOATS)


ints, floats = Ints(), Floats()


def pointer(context, builder, array_type, array, index, to):
    """Pointer of element type `to` to `array[index]`."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), to.as_pointer())


def splat(builder, scalar):
    """The vector whose lanes all are `scalar`."""
    kind = ir.VectorType(scalar.type, LANES)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), lanes)


def popcount(builder, vector):
    """Number of ones in each lane."""
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(INTS, [INTS]), "llvm.ctpop.v16i32")
    return builder.call(function, [vector])


def multiply_add(builder, a, b, c):
    """a b + c, in one rounding where the processor has that."""
    kind = ir.FunctionType(FLOATS, [FLOATS, FLOATS, FLOATS])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fmuladd.v16f32"), [a, b, c])


@intrinsic
def add_product(typingctx, a, b, c):
    """a b + c of float32, as `multiply_add` rounds it."""
    return floats(floats, floats, floats), lambda context, builder, signature, args: multiply_add(builder, *args)


def _loader(result, vector):
    @intrinsic
    def load(typingctx, array, index):
        def codegen(context, builder, signature, args):
            return builder.load(pointer(context, builder, signature.args[0], *args, vector), align=4)

        return result(array, types.intp), codegen

    return load


# load_ints(array, index): 16 elements from array[index] on.
load_ints = _loader(ints, INTS)
load_floats = _loader(floats, FLOATS)


@intrinsic
def load_int(typingctx, array, index):
    """array[index] of int32, for an index from 0 on: numba would ask each time whether it counts from the end."""

    def codegen(context, builder, signature, args):
        element = builder.load(pointer(context, builder, signature.args[0], *args, ir.IntType(32)))
        return builder.sext(element, ir.IntType(64))

    return types.intp(array, types.intp), codegen


@intrinsic
def load_apart(typingctx, array, index, step):
    """Every `step`th element, 16 of them, from array[index] on, as int32."""

    def codegen(context, builder, signature, args):
        result = ir.Constant(INTS, ir.Undefined)
        first = pointer(context, builder, signature.args[0], *args[:2], ir.IntType(32))
        for lane in range(LANES):
            at = builder.mul(args[2], ir.Constant(ir.IntType(64), lane))
            element = builder.load(builder.gep(first, [at]))
            result = builder.insert_element(result, element, ir.Constant(ir.IntType(32), lane))
        return result

    return ints(array, types.intp, types.intp), codegen


def _storer(value, vector):
    @intrinsic
    def store(typingctx, array, index, vectors):
        def codegen(context, builder, signature, args):
            builder.store(args[2], pointer(context, builder, signature.args[0], *args[:2], vector), align=4)
            return context.get_dummy_value()

        return types.void(array, types.intp, value), codegen

    return store


# store_ints(array, index, vector): write 16 elements to array[index] and on.
store_ints = _storer(ints, INTS)
store_floats = _storer(floats, FLOATS)


@intrinsic
def store_some(typingctx, array, index, vector, lanes):
    """Write those of 16 float32 whose bits in `lanes` are 1 to array[index] and on."""

    def codegen(context, builder, signature, args):
        at = pointer(context, builder, signature.args[0], *args[:2], FLOATS)
        which = ir.VectorType(ir.IntType(1), LANES)
        mask = builder.bitcast(builder.trunc(args[3], ir.IntType(LANES)), which)
        kind = ir.FunctionType(ir.VoidType(), [FLOATS, FLOATS.as_pointer(), ir.IntType(32), which])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.store.v16f32.p0v16f32")
        builder.call(function, [args[2], at, ir.Constant(ir.IntType(32), 4), mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, floats, types.uint32), codegen


@intrinsic
def store_half(typingctx, array, index, bits):
    """Write 16 bits to the half word `index` of an array of 32-bit words."""

    def codegen(context, builder, signature, args):
        half = ir.IntType(16)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        target = builder.gep(builder.bitcast(data, half.as_pointer()), [args[1]])
        builder.store(builder.trunc(args[2], half), target)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.uint32), codegen


@intrinsic
def store_word(typingctx, array, half, bits):
    """Write 32 bits to the half word `half` of an array of 32-bit words, and to the next one."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        at = builder.gep(builder.bitcast(data, ir.IntType(16).as_pointer()), [args[1]])
        builder.store(args[2], builder.bitcast(at, ir.IntType(32).as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.uint32), codegen


@intrinsic
def store_bytes(typingctx, array, half, vector):
    """Write 16 integers below 256, a byte each, to the half word `half` of an array of 32-bit words and on."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        kind = ir.VectorType(ir.IntType(8), LANES)
        at = builder.gep(builder.bitcast(data, ir.IntType(16).as_pointer()), [args[1]])
        builder.store(builder.trunc(args[2], kind), builder.bitcast(at, kind.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, ints), codegen


@intrinsic
def fill_floats(typingctx, scalar):
    """The vector whose lanes all are the float32 `scalar`."""
    return floats(types.float32), lambda context, builder, signature, args: splat(builder, args[0])


@intrinsic
def fill_ints(typingctx, scalar):
    """The vector whose lanes all are the int32 `scalar`."""
    return ints(types.int32), lambda context, builder, signature, args: splat(builder, args[0])


@intrinsic
def to_floats(typingctx, vector):
    """int32 to float32."""
    return floats(ints), lambda context, builder, signature, args: builder.sitofp(args[0], FLOATS)


@intrinsic
def to_ints(typingctx, vector):
    """float32 to int32, towards zero."""
    return ints(floats), lambda context, builder, signature, args: builder.fptosi(args[0], INTS)


@intrinsic
def as_ints(typingctx, vector):
    """The bits of float32 as int32."""
    return ints(floats), lambda context, builder, signature, args: builder.bitcast(args[0], INTS)


def _bits(compare):
    def codegen(context, builder, signature, args):
        bits = builder.bitcast(compare(builder, *args), ir.IntType(LANES))
        return builder.zext(bits, ir.IntType(32))

    return codegen


@intrinsic
def at_least(typingctx, a, b):
    """16 bits: a >= b, lane by lane; false for NaN."""
    if a == floats:
        return types.uint32(floats, floats), _bits(lambda builder, a, b: builder.fcmp_ordered(">=", a, b))
    return types.uint32(ints, ints), _bits(lambda builder, a, b: builder.icmp_signed(">=", a, b))


@intrinsic
def any_common(typingctx, a, b):
    """16 bits: (a & b) != 0, lane by lane."""
    return types.uint32(ints, ints), _bits(
        lambda builder, a, b: builder.icmp_signed("!=", builder.and_(a, b), ir.Constant(INTS, None))
    )


def _bits_of_two(kind, compare):
    @intrinsic
    def bits(typingctx, a, b, a_with, b_with):
        def codegen(context, builder, signature, args):
            pairs = compare(builder, args[0], args[2]), compare(builder, args[1], args[3])
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), 2 * LANES), list(range(2 * LANES)))
            return builder.bitcast(builder.shuffle_vector(*pairs, lanes), ir.IntType(32))

        return types.uint32(kind, kind, kind, kind), codegen

    return bits


# 32 bits, 16 of (a, a_with) and then 16 of (b, b_with), lane by lane: a >= a_with, false for NaN; the same of integers; and
# (a & a_with) != 0.
two_at_least = _bits_of_two(floats, lambda builder, a, b: builder.fcmp_ordered(">=", a, b))
two_ints_at_least = _bits_of_two(ints, lambda builder, a, b: builder.icmp_signed(">=", a, b))
two_any_common = _bits_of_two(ints, lambda builder, a, b: builder.icmp_signed("!=", builder.and_(a, b), ir.Constant(INTS, None)))


@intrinsic
def signs(typingctx, vector):
    """1.0 where x >= 0, else -1.0."""

    def codegen(context, builder, signature, args):
        positive = builder.fcmp_ordered(">=", args[0], ir.Constant(FLOATS, None))
        return builder.select(positive, ir.Constant(FLOATS, [1.0] * LANES), ir.Constant(FLOATS, [-1.0] * LANES))

    return floats(floats), codegen


@intrinsic
def total(typingctx, vector):
    """Sum of the lanes, halves first."""

    def codegen(context, builder, signature, args):
        lanes = [builder.extract_element(args[0], ir.Constant(ir.IntType(32), i)) for i in range(LANES)]
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [builder.fadd(*pair) for pair in zip(lanes[:half], lanes[half:], strict=True)]
        return lanes[0]

    return types.float32(floats), codegen


def _chooser(comparison):
    @intrinsic
    def choose(typingctx, a, b):
        def codegen(context, builder, signature, args):
            return builder.select(builder.fcmp_ordered(comparison, *args), *args)

        return floats(floats, floats), codegen

    return choose


# a if a > b else b: b where a lane is NaN. And likewise with a < b.
larger = _chooser(">")
smaller = _chooser("<")


def _operator(symbol, kind, method):
    @intrinsic
    def compute(typingctx, a, b):
        return kind(kind, kind), lambda context, builder, signature, args: getattr(builder, method)(*args)

    @overload(symbol)
    def choose(a, b):
        if a == kind and b == kind:
            return lambda a, b: compute(a, b)
        return None


_operator(operator.add, floats, "fadd")
_operator(operator.sub, floats, "fsub")
_operator(operator.mul, floats, "fmul")
_operator(operator.truediv, floats, "fdiv")
_operator(operator.add, ints, "add")
_operator(operator.sub, ints, "sub")
_operator(operator.and_, ints, "and_")
_operator(operator.or_, ints, "or_")
_operator(operator.lshift, ints, "shl")
_operator(operator.rshift, ints, "lshr")
