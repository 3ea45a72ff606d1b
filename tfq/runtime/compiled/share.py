"""Threads that work on one image: who does which part of a step.

`state` is the array of `tickets`. Whoever wants a part subtracts 1 from the ticket, and what was there before says which part it
is. Helpers stay for a while after an image: another may follow.
"""

from tfq.runtime.compiled.vector import pointer
from tfq.runtime.jit import intrinsic, ir, njit, types
from tfq.runtime.tickets import DISMISSED, DONE, FINISHED, HELPERS, TICKET

_STEP = 32  # the bits below are the number of parts left, and _NONE more: as many threads may come to find none left
_NONE = 1 << 16
_BETWEEN = (FINISHED + DISMISSED) // 2
# Looks at the ticket before a helper leaves by itself, some tenths of a millisecond.
_PATIENCE = 1 << 18


@intrinsic
def _add(typingctx, array, index, value):
    """Add to array[index]; gives what was there before."""

    def codegen(context, builder, signature, args):
        at = pointer(context, builder, signature.args[0], *args[:2], ir.IntType(64))
        return builder.atomic_rmw("add", at, args[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), codegen


@intrinsic
def _load(typingctx, array, index):
    def codegen(context, builder, signature, args):
        at = pointer(context, builder, signature.args[0], *args, ir.IntType(64))
        return builder.load_atomic(at, "seq_cst", align=8)

    return types.int64(array, types.intp), codegen


@intrinsic
def _store(typingctx, array, index, value):
    def codegen(context, builder, signature, args):
        at = pointer(context, builder, signature.args[0], *args[:2], ir.IntType(64))
        builder.store_atomic(args[2], at, "seq_cst", align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), codegen


@njit
def leave(state, helper):
    """The helper is not there any more."""
    _store(state, HELPERS + helper, 0)


@njit
def is_waited_for(state, looks):
    """Whether a helper that has looked so many times since the last step should look again."""
    return looks < _PATIENCE and _load(state, TICKET) > _BETWEEN


@njit
def publish(state, step, parts):
    """The parts of `step` may be taken, those of the one before being done."""
    _store(state, DONE, 0)
    _store(state, TICKET, (step << _STEP) + parts + _NONE)


@njit
def finish(state):
    """There are no more steps."""
    _store(state, TICKET, FINISHED)


@njit
def look(state):
    """(step, part) that is next; the part is negative where there is none, and the step after the last one."""
    return _split(_load(state, TICKET))


@njit
def take(state):
    """As `look`, and the part belongs to the caller."""
    return _split(_add(state, TICKET, -1))


@njit
def _split(ticket):
    return ticket >> _STEP, (ticket & ((1 << _STEP) - 1)) - _NONE - 1


@njit
def done(state):
    """A part that was taken is done."""
    _add(state, DONE, 1)


@njit
def wait(state, parts):
    """Until all parts are done."""
    while _load(state, DONE) < parts:
        pass
