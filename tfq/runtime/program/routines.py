"""Routines: functions of compiled code that its loop calls by address, each in an object file of its own.

There is one for each kind of step, of sums and of results. A network has few of these kinds: what it does not have is neither
compiled nor read.
"""

from dataclasses import dataclass

import numpy as np

from tfq.runtime.program.steps import NO_PLANES, SIGN, STEPS, Convolve


@dataclass(frozen=True)
class Group:
    """Routines that take the same arguments.

    Attributes:
        first: number of the first of them among all routines.
        names: theirs, in the order of the numbers within the group.
    """

    first: int
    names: tuple[str, ...]


# The loop, which has no number: Python calls it.
LOOP = "loop"
# By the code of the step.
OF_STEPS = Group(0, tuple(kind.__name__ for kind in STEPS if kind is not Convolve))
# By `Convolve.kind`: the sums of a part.
OF_SUMS = Group(
    len(OF_STEPS.names),
    (
        "SumsXor", "SumsMasked", "SumsFloat", "SumsBytes", "SumsDepthwise", "SumsTwoBits",
        "SumsWinograd", "SumsWinogradBytes", "SumsWinogradFour", "SumsWinogradSquare", "SumsAlongColumns",
    ),
)  # fmt: skip
# What becomes of these.
THRESHOLDS, VALUES, SIGNS, PLANES, BYTES = range(5)
OF_RESULTS = Group(
    len(OF_STEPS.names) + len(OF_SUMS.names),
    ("ResultsThresholds", "ResultsValues", "ResultsSigns", "ResultsPlanes", "ResultsBytes"),
)
NAMES = (*OF_STEPS.names, *OF_SUMS.names, *OF_RESULTS.names)


def results(step: np.record) -> int:
    """What becomes of the sums of a `Convolve`, by its row. Compiled code asks it too."""
    if step.thresholds >= 0:
        return THRESHOLDS
    if step.packed < 0:
        return VALUES
    if step.quantizer == SIGN:
        return SIGNS
    return BYTES if step.packed_plane == NO_PLANES else PLANES
