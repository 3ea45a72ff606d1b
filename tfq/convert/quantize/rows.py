"""The rows of a report."""

from collections.abc import Iterator, Mapping
from typing import Any

from tfq.convert.quantize.mend import Mending
from tfq.convert.quantize.report import Change
from tfq.convert.quantize.steps import Step
from tfq.convert.quantize.wrapped import kind


def rows(
    steps: list[Step],
    converted: Mapping[int, tuple[str, str]],
    kept: Mapping[int, str],
    mending: Mending,
    added: Mapping[int, Any],
) -> Iterator[Change]:
    """What became of each layer.

    Args:
        steps: the calls of the model.
        converted: new class and quantizers of layers, by the `id` of the layer.
        kept: why layers stay as they were, likewise.
        mending: what else changes.
        added: batch normalizations, by the `id` of the layer that each stands in front of.
    """
    calls: dict[int, list[Step]] = {}
    for step in steps:
        if not step.is_input:
            calls.setdefault(id(step.layer), []).append(step)
    for key, of_layer in calls.items():
        path, before = of_layer[0].path, kind(of_layer[0].layer)
        if key in added:
            yield _row_of_added(path, added[key], mending.normalized[key])
        if key in converted:
            yield Change(path, before, *converted[key])
        else:
            yield _row_of_kept(path, before, kept[key], of_layer, mending)


def _row_of_added(path, normalization, need):
    outer, separator, _ = path.rpartition("/")
    return Change(outer + separator + normalization.name, "-", type(normalization).__name__, f"{path} {need}")


def _row_of_kept(path, before, reason, of_layer, mending):
    gone = sum(id(step.node) in mending.dropped for step in of_layer)
    if not gone:
        return Change(path, before, before, reason)
    why = "a sign behind it would see +1 alone, and takes its place"
    if gone < len(of_layer):
        return Change(path, before, before, f"left out in {gone} of {len(of_layer)} calls: {why}")
    return Change(path, before, "-", why)
