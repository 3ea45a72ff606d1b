"""How compiled code calls a routine: by an address that stands in a table, so that what is not needed is not there.

It is called once a step, or once a part of a convolution. A status says whether it ended well, as numba has it everywhere.
"""

from tfq.runtime.compiled.vector import pointer
from tfq.runtime.jit import cgutils, intrinsic, ir, types
from tfq.runtime.program import routines

_INT64 = types.Array(types.int64, 1, "C")
_INT32, _UINT32 = types.Array(types.int32, 1, "C"), types.Array(types.uint32, 1, "C")
_FLOAT32 = types.Array(types.float32, 1, "C")
# Arguments of the routines: the row of the step, constants and memory, and
_ALL = (_INT64, _INT32, _FLOAT32, _UINT32, _FLOAT32)
STEP = (*_ALL, _FLOAT32)  # the image
SUMS = (*_ALL, _INT64, types.intp, types.intp)  # the table, the part, and who computes it
RESULTS = (*_ALL, *[types.intp] * 5)  # the first row of windows and that behind the last, the first vector, how many, their sums


def _caller(group, arguments):
    @intrinsic
    def call(typingctx, table, number, values):
        def codegen(context, builder, signature, args):
            table, number, values = args
            known = builder.icmp_unsigned("<", number, ir.Constant(number.type, len(group.names)))
            index = builder.add(number, ir.Constant(number.type, group.first))
            index = builder.select(known, index, ir.Constant(number.type, group.first))
            address = builder.load(pointer(context, builder, signature.args[0], table, index, number.type))
            there = builder.and_(known, builder.icmp_unsigned("!=", address, ir.Constant(number.type, 0)))
            with cgutils.if_unlikely(builder, builder.not_(there)):
                context.call_conv.return_user_exc(builder, ValueError, ("a step that is none of the runtime's",))
            kind = context.call_conv.get_function_type(types.none, arguments)
            function = builder.inttoptr(address, kind.as_pointer())
            values = cgutils.unpack_tuple(builder, values)
            status, _ = context.call_conv.call_function(builder, function, types.none, arguments, values)
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return context.get_dummy_value()

        return types.void(_INT64, types.intp, types.Tuple(arguments)), codegen

    return call


# call_step(table, number, values): call the routine that has this number among those of steps, with a tuple of arguments.
call_step = _caller(routines.OF_STEPS, STEP)
call_sums = _caller(routines.OF_SUMS, SUMS)
call_results = _caller(routines.OF_RESULTS, RESULTS)
