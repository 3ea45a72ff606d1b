"""How many quantizers of inputs stand one behind the other, with no float path around them."""

from collections.abc import Collection

from tfq.convert.quantize.steps import Step


def in_a_row(steps: list[Step], quantized: Collection[int]) -> tuple[str, ...]:
    """Paths of the layers with a quantizer of inputs on the way through a model that meets the fewest, in their order.

    Where a model has several outputs it is the way to the one that is worst off.

    Args:
        steps: the calls of the model.
        quantized: `id` of the layers with a quantizer of inputs.
    """
    ways: list[tuple[str, ...]] = []
    for step in steps:
        before = min((ways[source] for source in step.sources), key=len, default=())
        ways.append((*before, step.path) if id(step.layer) in quantized else before)
    return max((way for step, way in zip(steps, ways, strict=True) if step.is_output), key=len, default=())
