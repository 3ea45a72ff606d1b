"""How compiled code calls a routine: by an address that stands in a table, so that what is not needed need not be there.

It does so once a step, or twice a part of a convolution, with few arguments: addresses, of which the routine makes arrays again.
A status says whether it ended well, as it does wherever numba calls a function.
"""

from tfq.runtime.compiled.array import array
from tfq.runtime.jit import cgutils, inlined, intrinsic, ir, types
from tfq.runtime.program import routines

_INT64, _FLOAT32 = types.CPointer(types.int64), types.CPointer(types.float32)
# Constants as int32 and as float32, their number; memory as uint32 and as float32, its number.
DATA = types.Tuple([types.CPointer(types.int32), _FLOAT32, types.intp, types.CPointer(types.uint32), _FLOAT32, types.intp])
# Arguments of the routines of each group: first the row of the step. Then
STEP = (_INT64, DATA, _FLOAT32, types.intp)  # the image, and its size
SUMS = (_INT64, DATA, _INT64, types.intp, types.intp)  # the table, the part, and who computes it
RESULTS = (_INT64, DATA, *[types.intp] * 5)  # first and last row of windows, first vector and how many, and their sums


@inlined
def arrays(data):
    """Constants as integers and as floats, and memory likewise."""
    ci, cf, constants, mi, mf, memory = data
    return array(ci, (constants,)), array(cf, (constants,)), array(mi, (memory,)), array(mf, (memory,))


@intrinsic
def ahead(typingctx, address, count):
    """The address of the element so many further."""
    return address(address, types.intp), lambda context, builder, signature, args: builder.gep(*args[:1], args[1:])


def _caller(group, arguments):
    @intrinsic
    def call(typingctx, table, number, values):
        def codegen(context, builder, signature, args):
            table, number, values = args
            known = builder.icmp_unsigned("<", number, ir.Constant(number.type, len(group.names)))
            with cgutils.if_unlikely(builder, builder.not_(known)):
                _refuse(context, builder)
            index = builder.add(number, ir.Constant(number.type, group.first))
            address = builder.load(builder.gep(table, [index]))
            with cgutils.if_unlikely(builder, builder.icmp_unsigned("==", address, ir.Constant(address.type, 0))):
                _refuse(context, builder)
            kind = context.call_conv.get_function_type(types.none, arguments)
            function = builder.inttoptr(address, kind.as_pointer())
            values = cgutils.unpack_tuple(builder, values)
            status, _ = context.call_conv.call_function(builder, function, types.none, arguments, values)
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return context.get_dummy_value()

        return types.void(_INT64, types.intp, types.Tuple(arguments)), codegen

    return call


def _refuse(context, builder):
    context.call_conv.return_user_exc(builder, ValueError, ("a step that is none of the runtime's",))


# call_step(table, number, values): call the routine that has this number among those of steps, with a tuple of arguments.
call_step = _caller(routines.OF_STEPS, STEP)
call_sums = _caller(routines.OF_SUMS, SUMS)
call_results = _caller(routines.OF_RESULTS, RESULTS)
