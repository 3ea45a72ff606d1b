"""Addresses as arrays, in compiled code."""

from tfq.runtime.jit import cgutils, intrinsic, populate_array, types


@intrinsic
def array(typingctx, address, shape):
    """The contiguous array of a shape that begins at an address; numba's `carray` wants its counts of references."""
    result = types.Array(address.dtype, len(shape), "C")

    def codegen(context, builder, signature, args):
        made = context.make_array(result)(context, builder)
        sizes = cgutils.unpack_tuple(builder, args[1])
        size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(result.dtype)))
        strides = [size]
        for count in sizes[:0:-1]:
            strides.insert(0, builder.mul(strides[0], count))
        populate_array(made, data=args[0], shape=sizes, strides=strides, itemsize=size, meminfo=None)
        return made._getvalue()

    return result(address, shape), codegen
