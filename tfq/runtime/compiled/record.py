"""Rows of a program as records, in compiled code."""

from tfq.runtime.compiled.vector import pointer
from tfq.runtime.jit import intrinsic, ir, record_type, types


def record(kind):
    """A function of compiled code that reads a row, int64 and contiguous, as a `Step` of that kind: `record(Pack)(row).height`.

    Nothing is copied: a field is a number at a constant distance from the beginning of the row.
    """
    result = record_type(kind.dtype())

    @intrinsic
    def read(typingctx, row):
        def codegen(context, builder, signature, args):
            begin = pointer(context, builder, signature.args[0], args[0], context.get_constant(types.intp, 0), ir.IntType(64))
            return builder.bitcast(begin, context.get_value_type(result))

        return result(row), codegen

    return read
