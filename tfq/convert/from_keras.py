"""A Keras model as the graph of a `.tfq` file: kernels packed, batch normalization folded, quantizers made plain."""

from collections.abc import Sequence

import numpy as np

from tfq.backend.keras import is_legacy, keras
from tfq.convert.layers import CONVERTERS, Call, Unsupported, converter_of, does_nothing
from tfq.convert.names import unique
from tfq.graph import nodes as g
from tfq.graph.check import GraphError
from tfq.graph.codec import MAX_NAME
from tfq.keras_graph import has_graph, inputs_of, layer_of, nodes, options_of, outputs_of

__all__ = ["Unsupported", "from_keras"]

_LONGEST_NAME = MAX_NAME - 20  # for what is put behind it


def from_keras(
    model: keras.Model,
    pixel_mean: Sequence[float] | np.ndarray | None = None,
    pixel_std: Sequence[float] | np.ndarray | None = None,
    labels: Sequence[str] = (),
) -> g.Graph:
    """The graph of a model.

    A layer that is called twice becomes two operations. What does nothing at inference (dropout, an activity regularization) is
    left out; what nothing depends on, too.

    Args:
        model: functional or built Sequential model of Keras 3 or tf_keras, of one input and one output.
        pixel_mean: per channel, of pixels scaled to [0, 1], if uint8 images are to be taken: (C,).
        pixel_std: likewise.
        labels: names of the classes.

    Returns:
        `tfq.graph.nodes.Graph`.

    Raises:
        Unsupported: layers, or options of them, that a graph does not have; the message names each, and why.
    """
    check_graph(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise Unsupported(f"a graph has one input and one output; got {len(model.inputs)} inputs, {len(model.outputs)} outputs")
    builder = _Builder()
    (output,) = builder.add_model(model, [g.INPUT], prefix="")
    builder.check()
    nodes = _needed(builder.nodes, output)
    if not nodes:
        raise Unsupported("the model does nothing: it has no layer that computes")
    mean, std = (None if values is None else np.asarray(values, np.float32) for values in (pixel_mean, pixel_std))
    input_shape = _known(model.inputs[0], "the input")
    try:
        graph = g.Graph(input_shape, tuple(nodes), mean, std, tuple(labels))
    except GraphError as error:
        raise Unsupported(f"the model cannot be packed: {error}") from error
    if graph.output_shape != tuple(model.outputs[0].shape)[1:]:
        raise Unsupported(f"the packed model gives {graph.output_shape}, the Keras model {tuple(model.outputs[0].shape)[1:]}")
    return graph


def check_graph(model: keras.Model) -> None:
    """Raise Unsupported unless `model` is one of Keras whose layers and tensors can be listed."""
    if not has_graph(model):
        hint = ", which computes in its `call`" if isinstance(model, keras.Model) else ""
        if isinstance(model, keras.Sequential):
            hint = ", which is not built: let it begin with keras.Input(shape)"
        raise Unsupported(
            f"export takes a functional or a built Sequential model; got {type(model).__name__} "
            f"{getattr(model, 'name', model)!r}{hint}"
        )


def _known(tensor, what):
    shape = tuple(tensor.shape)[1:]
    if None in shape:
        raise Unsupported(f"{what} must have a known shape; got {tuple(tensor.shape)}")
    return shape


def _needed(nodes, output):
    """The operations that the output depends on, in their order; it is the last of them."""
    needed, kept = {output}, []
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]


class _Builder:
    """Collects the operations of a model and of those nested in it."""

    def __init__(self):
        self.nodes = []
        self._names = {g.INPUT}
        self._refused = {}  # why, by the name of the layer
        self._kinds = []  # layers of kinds that have no packed form

    def check(self):
        """Raise Unsupported, which names them all, where layers have no packed form."""
        if not self._refused:
            return
        reasons = list(self._refused.values())
        text = "; ".join(reasons) if len(reasons) == 1 else f"{len(reasons)} layers have no packed form: {'; '.join(reasons)}"
        raise Unsupported(text + _supported(self._kinds))

    def add_model(self, model, inputs, prefix):
        """Add the layers of a model whose inputs are the operations named `inputs`; returns the names of its outputs."""
        produced = {id(tensor): name for tensor, name in zip(model.inputs, inputs, strict=True)}
        for node in nodes(model):
            layer = layer_of(node)
            if isinstance(layer, keras.layers.InputLayer):
                continue
            given = [produced[id(tensor)] for tensor in inputs_of(node)]
            name = prefix + layer.name
            made = outputs_of(node)
            # No layer of several outputs has a packed form: the name stands for each.
            outputs = (
                self.add_model(layer, given, f"{name}/") if has_graph(layer) else [self._add_layer(name, node, given)] * len(made)
            )
            produced.update((id(tensor), output) for tensor, output in zip(made, outputs, strict=True))
        return [produced[id(tensor)] for tensor in model.outputs]

    def _add_layer(self, name, node, inputs):
        """Add the operations of one layer, one after another; returns the name of the last."""
        layer = layer_of(node)
        convert = converter_of(layer)
        if convert is None:
            self._kinds.append(layer)
            self._refused[name] = f"layer {name!r} is a {_kind(layer)}, which has no packed form"
            return name
        if len(name) > _LONGEST_NAME:
            raise Unsupported(f"layer {name[:40]!r}... has a name of {len(name)} characters; a file takes {_LONGEST_NAME}")
        shapes = [_known(tensor, f"the input of layer {name!r}") for tensor in inputs_of(node)]
        call = Call(name, layer, shapes, _known(outputs_of(node)[0], f"the output of layer {name!r}"))
        try:
            _check_options(name, node)
            converted = convert(call)
            for _, attributes in converted:
                _check_finite(call, attributes)
        except Unsupported as error:
            self._refused[name] = str(error)
            return name
        for own_name, (operation, attributes) in zip(_names(name, converted), converted, strict=True):
            own = unique(own_name, self._names)
            self.nodes.append(operation(own, tuple(inputs), **attributes))
            inputs = [own]
        return inputs[0]


def _names(name, converted):
    """Names of the operations of a layer: the last with a kernel bears its own, else the first one."""
    products = [position for position, (_, attributes) in enumerate(converted) if "kernel" in attributes]
    main = products[-1] if products else 0
    # The kernel before the last is that of a separable convolution.
    own = {position: f"{name}/{'depthwise' if position in products else 'inputs'}" for position in range(main)}
    return [name if position == main else own.get(position, f"{name}/activation") for position in range(len(converted))]


def _check_options(name, node):
    given = {key: value for key, value in options_of(node).items() if value is not None and value is not False}
    if not is_legacy and does_nothing(layer_of(node)):
        # Keras 3 notes it at augmentation, whose default it is, and says another at inference; tf_keras keeps to it.
        given.pop("training", None)
    if given:
        raise Unsupported(f"layer {name!r} is called with {', '.join(given)}, which has no packed form")


def _check_finite(call, attributes):
    """Raise where a value would be refused by the file, which does not say whose it is."""
    for name, values in attributes.items():
        if isinstance(values, np.ndarray) and not np.isfinite(values).all():
            raise call.refuse(f"its {name} has {int((~np.isfinite(values)).sum())} values that are not finite, of {values.size}")


def _kind(layer):
    return type(layer).__name__ + (" of larq" if _is_of_larq(layer) else "")


def _package(layer):
    return type(layer).__module__.split(".")[0]


def _is_of_larq(layer):
    return _package(layer) == "larq"


def _is_own(layer):
    return _package(layer) not in ("keras", "tf_keras", "larq", "tfq")


def _supported(layers):
    """What there is instead of layers that have no packed form; of those of larq the layers that take their place."""
    names = sorted({cls.__name__ for cls in CONVERTERS})
    kinds = {type(layer).__name__ for layer in layers if _is_of_larq(layer)} & set(names)
    own = [f"those of tfq: build the model with tfq.layers.{kind}, which takes the same weights" for kind in sorted(kinds)]
    if any(type(layer).__name__ not in kinds for layer in layers):
        own.append(", ".join(names))
    hint = "; let the model give logits, which rank the classes alike" if _has_softmax(layers) else ""
    more = "; of your own layers tell the form, tfq.convert.register_from_keras" if any(map(_is_own, layers)) else ""
    return f"; supported are {'; '.join(own)}{hint}{more}" if own else ""


def _has_softmax(layers):
    return any(type(layer).__name__ == "Softmax" for layer in layers)
