"""Threads that work on one image: who does which parts of a step.

`state` is the array of `tickets`. A ticket is a step and which of its parts are left, one range. The leader takes from its lower
end and the helpers from its upper end: so each works on the rows of the image that it worked on in the step before, whose tensors
are in its own cache. What one core wrote another reads in a tenth of a microsecond or more a line. The first range that a thread
takes is most of its share, for the same reason. Helpers stay for a while after an image: another may follow.
"""

from tfq.runtime.compiled.vector import pointer
from tfq.runtime.jit import inlined, intrinsic, ir, njit, types
from tfq.runtime.tickets import DISMISSED, DONE, FINISHED, HELPERS, LEADER, TICKET

# Bits of a ticket for each end of a range. Of a step with more parts, some are taken together.
_BITS = 20
_MOST = (1 << _BITS) - 1
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
def _replace(typingctx, array, index, before, after):
    """Set array[index] to `after` if it is `before`; gives whether it was."""

    def codegen(context, builder, signature, args):
        at = pointer(context, builder, signature.args[0], *args[:2], ir.IntType(64))
        return builder.extract_value(builder.cmpxchg(at, args[2], args[3], "seq_cst", "seq_cst"), 1)

    return types.boolean(array, types.intp, types.int64, types.int64), codegen


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


@inlined
def _ticket(step, begin, end):
    return step << 2 * _BITS | begin << _BITS | end


@inlined
def _units(parts):
    """What a ticket counts: parts, or as many of them together as it takes."""
    return min(parts, _MOST)


@njit
def publish(state, step, parts):
    """The parts of `step` may be taken, those of the one before being done; (begin, end) of those that the leader takes first."""
    units = _units(parts)
    first = _share(units, len(state) - HELPERS)
    _store(state, TICKET, _ticket(step, first, units))
    return 0, first * parts // units


@njit
def finish(state):
    """There are no more steps."""
    _store(state, TICKET, FINISHED)


@njit
def look(state):
    """The step that is next, or was last; negative behind the last one."""
    return _load(state, TICKET) >> 2 * _BITS


@njit
def take(state, step, parts, worker, again):
    """(begin, end) of parts of `step` that belong to the caller now: none where end is 0.

    Args:
        state: what the threads share.
        step: that the caller works on.
        parts: of that step.
        worker: LEADER or a helper, who takes from the other end.
        again: whether the caller has had parts of this step.
    """
    units, threads = _units(parts), len(state) - HELPERS
    while True:
        ticket = _load(state, TICKET)
        begin, end = ticket >> _BITS & _MOST, ticket & _MOST
        if ticket >> 2 * _BITS != step or begin >= end:
            return 0, 0
        count = min(end - begin, max(1, (end - begin) // (2 * threads)) if again else _share(units, threads))
        if worker == LEADER:
            after, taken = _ticket(step, begin + count, end), begin
        else:
            after, taken = _ticket(step, begin, end - count), end - count
        if _replace(state, TICKET, ticket, after):
            return taken * parts // units, (taken + count) * parts // units


@njit
def _share(units, threads):
    """What a thread takes at first: seven eighths of its share, rounded. The rest goes to who is done first."""
    return max(1, (7 * units + 4 * threads) // (8 * threads))


@njit
def done(state, parts):
    """A helper has done so many parts."""
    _add(state, DONE, parts)


@njit
def all_done(state):
    """The parts that helpers have done, of all steps ever."""
    return _load(state, DONE)


@njit
def wait(state, parts):
    """Until helpers have done so many parts in all."""
    while _load(state, DONE) < parts:
        pass
