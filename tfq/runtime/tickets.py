"""The array that threads at work on one image share, as Python sees it; `compiled.share` is how they use it.

It is of int64, zeros at first. Its first element is the ticket: the step, and which of its parts are left. Some cache lines
further stands how many helpers have done, of all steps ever, and then, for each helper, whether it is there.
"""

import numpy as np

# Who runs a program: a thread alone, the one that leads others, and those from 1 on, who help with the steps that have parts.
ALONE, LEADER = -1, 0

TICKET, DONE, HELPERS = 0, 32, 64
# What a ticket is behind the last step, and where helpers are to leave at once.
FINISHED, DISMISSED = -(1 << 61), -(1 << 62)


def state(threads: int) -> np.ndarray:
    """The state of so many threads, with nobody there."""
    result = np.zeros(HELPERS + threads, np.int64)
    result[TICKET] = FINISHED
    return result


def is_there(state: np.ndarray, helper: int) -> bool:
    """Whether a helper, from 1 on, has come or has been called, and not left."""
    return bool(state[HELPERS + helper])


def call(state: np.ndarray, helper: int) -> None:
    """Note that a helper has been called."""
    state[HELPERS + helper] = 1
