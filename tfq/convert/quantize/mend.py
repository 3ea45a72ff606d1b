"""What must change in front of the quantizers of inputs, so that they see more than one value."""

from typing import Any, NamedTuple

from tfq.convert.quantize.ranges import Range, is_relu, keeps_values, needed, ranges
from tfq.convert.quantize.steps import Step


class Mending(NamedTuple):
    """What changes in a model beside its layers with kernels.

    Args:
        dropped: nodes of ReLUs whose place a sign takes, by `id`.
        normalized: why layers get a batch normalization in front, by the `id` of the layer.
    """

    dropped: dict[int, Step]
    normalized: dict[int, str]


_WHY = {Range.CENTRED: "needs values on both sides of 0 for its signs", Range.UNIT: "needs values near 1 in size for its levels"}


def mending(steps: list[Step], quantizers: dict[int, Any]) -> Mending:
    """What must change in a model.

    Args:
        steps: its calls.
        quantizers: of the inputs of the layers that are converted, by the `id` of the layer.
    """
    needs = {layer: needed(quantizer) for layer, quantizer in quantizers.items()}
    before = ranges(steps)
    stays = {id(step.node) for at, step in enumerate(steps) if not _can_go(steps, at, before, needs)}
    dropped = {id(step.node): step for step in steps if id(step.node) not in stays}
    behind = ranges(steps, set(dropped))
    normalized = {
        id(step.layer): _WHY[needs[id(step.layer)]]
        for step in steps
        if id(step.layer) in needs and any(behind[source] < needs[id(step.layer)] for source in step.sources)
    }
    return Mending(dropped, normalized)


def _can_go(steps, at, before, needs):
    """Whether a step is a ReLU behind a normalization, and in front of signs alone."""
    step = steps[at]
    return is_relu(step.layer) and before[step.sources[0]] is Range.CENTRED and _signs_alone(steps, step, needs)


def _signs_alone(steps, step, needs):
    if step.is_output or not step.users:
        return False
    for user in (steps[position] for position in step.users):
        is_sign = needs.get(id(user.layer)) is Range.CENTRED
        if not is_sign and not (keeps_values(user.layer) and _signs_alone(steps, user, needs)):
            return False
    return True
