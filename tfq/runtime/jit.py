"""What the runtime takes from numba and its LLVM, or how to get them; and how functions are compiled."""

from tfq import optional

try:
    import numba
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.core.datamodel import PrimitiveModel
    from numba.extending import intrinsic, overload, register_model
    from numba.np.arrayobj import populate_array
    from numba.np.numpy_support import from_dtype as record_type

    from tfq.runtime.target import NAME, instructions, object_file
except ImportError as error:
    raise ImportError(optional.missing("numba")) from error

__all__ = [
    "PrimitiveModel",
    "callable_njit",
    "cgutils",
    "inlined",
    "instructions",
    "intrinsic",
    "ir",
    "njit",
    "object_file",
    "outermost",
    "overload",
    "populate_array",
    "record_type",
    "register_model",
    "types",
    "wide",
]

# No `fastmath`: products and sums that meet a sign must be rounded one by one, as float32 arithmetic does it.
# `_nrt`: nothing here makes arrays. With numba's counts of references a call with an array in a loop costs two atomic additions.
_OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False}
# What compiled code alone calls. Rewrites are for exceptions, which only the outermost function raises, and for constants.
_WITHIN = {"_target": NAME, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "no_rewrites": True, **_OPTIONS}

# A function that Python calls.
callable_njit = numba.njit(**_OPTIONS)
# The one that `object_file` compiles, with all that it calls.
outermost = numba.njit(**{**_WITHIN, "no_rewrites": False})
njit = numba.njit(**_WITHIN)
# For what stands in a loop over vectors: a call that LLVM leaves in would spill them all.
inlined = numba.njit(forceinline=True, **_WITHIN)


def wide() -> bool:
    """Whether code is compiled for 32 registers of 512 bits."""
    return "avx512f" in instructions()[1]
