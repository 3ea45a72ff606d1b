"""Rows of a program as records, in compiled code."""

from tfq.runtime.jit import intrinsic, record_type, types


def record(kind):
    """A function of compiled code that reads a row, by its address, as a `Step` of that kind: `record(Pack)(row).height`.

    Nothing is copied: a field is a number at a constant distance from the beginning of the row.
    """
    result = record_type(kind.dtype())

    @intrinsic
    def read(typingctx, row):
        def codegen(context, builder, signature, args):
            return builder.bitcast(args[0], context.get_value_type(result))

        return result(types.CPointer(types.int64)), codegen

    return read
