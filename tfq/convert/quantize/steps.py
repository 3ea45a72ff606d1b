"""The calls of a model as one list, those of the models in it among them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from tfq.backend.keras import keras
from tfq.convert.rebuild import computes_its_graph
from tfq.keras_graph import has_graph, inputs_of, layer_of, nodes, outputs_of


@dataclass
class Step:
    """One call of a layer, or one input of the model.

    Args:
        path: of the layer, as `outer/inner`.
        layer: the layer, or an operation of `keras.ops`.
        node: of Keras' graph; one of a model that is called twice is that of two steps.
        sources: positions of the steps that it takes its inputs from.
        users: positions of the steps that take what it gives.
        is_output: whether the model gives it.
    """

    path: str
    layer: Any
    node: Any
    sources: list[int]
    users: list[int] = field(default_factory=list)
    is_output: bool = False

    @property
    def is_input(self) -> bool:
        """Whether it is an input of the model."""
        return isinstance(self.layer, keras.layers.InputLayer)


def steps_of(model: keras.Model) -> list[Step]:
    """The calls of a model in the order of computation."""
    steps: list[Step] = []
    for position in _add(steps, model, "", None):
        steps[position].is_output = True
    for position, step in enumerate(steps):
        for source in step.sources:
            steps[source].users.append(position)
    return steps


def enters(layer: Any) -> bool:
    """Whether the steps of a model are those of the layers in `layer`."""
    return has_graph(layer) and computes_its_graph(layer)


def nearest(steps: list[Step], start: int, layers: Collection[int], backward: bool = False) -> Iterator[Step]:
    """Those calls of layers with an `id` among `layers` that the fewest calls lie between and the step at `start`."""
    reached, found = {start}, []
    while reached and not found:
        found = [steps[position] for position in sorted(reached) if id(steps[position].layer) in layers]
        reached = {each for position in reached for each in (steps[position].sources if backward else steps[position].users)}
    yield from found


def _add(steps, model, prefix, given):
    """Add the calls of a model whose inputs are the steps `given`; returns the positions of its outputs."""
    produced = {} if given is None else {id(tensor): at for tensor, at in zip(model.inputs, given, strict=True)}
    for node in nodes(model):
        layer, made = layer_of(node), outputs_of(node)
        if isinstance(layer, keras.layers.InputLayer) and given is not None:
            continue
        sources = [produced[id(tensor)] for tensor in inputs_of(node)]
        if enters(layer):
            outputs = _add(steps, layer, f"{prefix}{layer.name}/", sources)
        else:
            outputs = [len(steps)] * len(made)
            steps.append(Step(prefix + layer.name, layer, node, sources))
        produced.update((id(tensor), at) for tensor, at in zip(made, outputs, strict=True))
    return [produced[id(tensor)] for tensor in model.outputs]
