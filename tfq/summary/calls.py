"""The calls of the layers of any built model: off its graph, and where it has none, off the layers that it holds."""

from collections.abc import Iterator
from typing import Any

from tfq import keras_graph, walk
from tfq.backend.keras import keras
from tfq.keras_graph import Call, has_graph, unwrapped
from tfq.quantizers.base import FULL_PRECISION
from tfq.summary.kinds import is_of_layers, kind_of

_UNKNOWN = (None,)


def calls_of(model: keras.Model) -> Iterator[Call]:
    """The calls of a model, those of layers inside of layers and of nested models as `outer/inner`, in front of the outer one.

    A layer that is in no graph has one, at the shape for which it was built.

    Args:
        model: any built Keras model.

    Raises:
        ValueError: it is not built.
    """
    if not (has_graph(model) or model.built):
        raise ValueError(
            "the cost of a model follows from its weights and shapes: expected a built model, by keras.Input or by a first "
            f"call; got {type(model).__name__} {getattr(model, 'name', '')!r}"
        )
    if has_graph(model):
        yield from _of_graph(model, "")
    else:
        yield from _of_layers(model, "")
        yield Call(model.name, model, [_UNKNOWN], _UNKNOWN, FULL_PRECISION)


def _of_graph(model, prefix):
    for call in keras_graph.calls(model, prefix):
        if is_of_layers(unwrapped(call.layer)):
            yield from _of_layers(call.layer, f"{call.name}/")
        yield call


def _of_layers(parent, prefix):
    done = set()
    for path, layer in walk.layers(parent):
        if id(layer) in done or isinstance(layer, keras.layers.InputLayer):
            continue
        done |= {id(inner) for _, inner in walk.layers(layer)}
        if has_graph(layer):
            yield from _of_graph(layer, f"{prefix}{path}/")
            continue
        if is_of_layers(unwrapped(layer)):
            yield from _of_layers(layer, f"{prefix}{path}/")
        yield _built_call(prefix + path, layer)


def _built_call(name, layer):
    """The call that a layer was built for."""
    shapes = _input_shapes(layer)
    if not shapes or kind_of(unwrapped(layer)) == "other":
        return Call(name, layer, shapes or [_UNKNOWN], _UNKNOWN, FULL_PRECISION)
    with_batch = [(None, *shape) for shape in shapes]
    output = tuple(layer.compute_output_shape(with_batch if len(shapes) > 1 else with_batch[0]))
    return Call(name, layer, shapes, output[1:], FULL_PRECISION)


def _input_shapes(layer: Any) -> list[tuple[int | None, ...]]:
    config = (layer.get_build_config() or {}) if hasattr(layer, "get_build_config") else {}
    given = config.get("input_shape")
    if not given:
        return []
    is_one = all(size is None or isinstance(size, int) for size in given)
    return [tuple(shape)[1:] for shape in ([given] if is_one else given)]
