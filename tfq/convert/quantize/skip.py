"""Which layers the user, or their place in the model, keeps in float."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from tfq.convert.quantize.steps import Step, nearest

# Paths with wildcards, or a function that tells of a layer.
Skip: TypeAlias = str | Sequence[str] | Callable[[Any], bool]


def skipped(steps: list[Step], kernels: set[int], skip: Skip, quantize_ends: bool) -> dict[int, str]:
    """Why layers stay in float, by the `id` of the layer.

    Args:
        steps: the calls of the model.
        kernels: the `id` of the layers with a kernel.
        skip: as in `quantize_model`.
        quantize_ends: whether the first and the last of them are not kept.

    Raises:
        TypeError: `skip` is something else.
        ValueError: a name is that of no layer.
    """
    kept = {} if quantize_ends else _ends(steps, kernels)
    return {**kept, **_named(steps, skip)}


def _ends(steps, kernels):
    inputs = [at for at, step in enumerate(steps) if step.is_input]
    outputs = [at for at, step in enumerate(steps) if step.is_output]
    first = {id(step.layer): "is the first: quantize_ends=False" for at in inputs for step in nearest(steps, at, kernels)}
    last = {id(step.layer): "is the last: quantize_ends=False" for at in outputs for step in nearest(steps, at, kernels, True)}
    return {**last, **first}


def _named(steps, skip):
    if callable(skip):
        return {id(step.layer): "skip is true of it" for step in steps if skip(step.layer)}
    patterns = [skip] if isinstance(skip, str) else skip
    if not isinstance(patterns, Iterable) or not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(f"skip must be names of layers, or a function of a layer; got skip={skip!r}")
    found = {}
    for pattern in patterns:
        layers = [step.layer for step in steps if fnmatchcase(step.path, pattern) or fnmatchcase(step.path, f"{pattern}/*")]
        if not layers:
            raise ValueError(
                f"skip={pattern!r} names no layer; there are {', '.join(dict.fromkeys(step.path for step in steps))}"
            )
        found.update({id(layer): f"skip names it: {pattern!r}" for layer in layers})
    return found
