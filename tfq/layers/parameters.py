"""Whether a function uses what it is given."""

import dis
import inspect
from collections.abc import Callable


def uses(function: Callable, position: int) -> bool:
    """Whether the code of a function reads its parameter of this position; True where that cannot be told.

    Args:
        function: any callable, such as a method as its class has it.
        position: from 0; `self` counts.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or position >= code.co_argcount:  # such as with `*args`
        return True
    name = code.co_varnames[position]
    if name in code.co_cellvars:
        return True
    # From Python 3.13 on, one instruction may load two.
    loaded = [step.argval for step in dis.get_instructions(code) if step.opname.startswith("LOAD_FAST")]
    return any(name in argument if isinstance(argument, tuple) else name == argument for argument in loaded)
