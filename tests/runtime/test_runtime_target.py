"""The target that numba compiles the runtime for: what it compiles once, and what it still finds."""

import ctypes

import pytest

from tfq.runtime.jit import inlined, intrinsic, ir, njit, object_file, outermost, types
from tfq.runtime.machine_code import MachineCode

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


def _call(function, *numbers):
    """What a compiled function of whole numbers gives back."""
    name, content = object_file(function, *[types.intp] * len(numbers))
    result, error = ctypes.c_ssize_t(), ctypes.c_void_p()
    kind = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_ssize_t] * len(numbers))
    compiled = kind(MachineCode(name, (1, 1), content).address())
    assert compiled(ctypes.addressof(result), ctypes.addressof(error), *numbers) == 0
    return result.value


def _plus(constant):
    @intrinsic
    def plus(typingctx, number):
        def codegen(context, builder, signature, args):
            return builder.add(args[0], ir.Constant(ir.IntType(64), constant))

        return types.intp(types.intp), codegen

    return plus


@pytest.mark.parametrize("option", [inlined, njit])
def test_constants_do_not_compile_a_function_anew(option):
    @option
    def choose(number, way, negative):
        result = number * way
        return -result if negative else result

    @outermost
    def all_ways(number):
        return choose(number, 2, False) + 100 * choose(number, 3, False) + 10000 * choose(number, 5, True)

    assert _call(all_ways, 7) == 14 + 100 * 21 - 10000 * 35
    assert len(choose.overloads) == 1


def test_an_operator_has_a_meaning_for_each_type():
    @outermost
    def mixed(a, b):
        return (a + b) + int(1.5 * a + 0.25 * b) + int(a / b) + (a > b) + a // b

    assert _call(mixed, 7, 4) == 11 + int(10.5 + 1.0) + 1 + 1 + 1


def test_what_is_defined_after_a_compilation_is_found_by_the_next():
    first = _plus(1)

    @outermost
    def one_more(number):
        return first(number)

    assert _call(one_more, 1) == 2
    second = _plus(10)

    @outermost
    def eleven_more(number):
        return second(first(number))

    assert _call(eleven_more, 1) == 12
