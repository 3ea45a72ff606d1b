"""A model of larq's own layers, on tf_keras, as one of tfq's."""

from collections.abc import Callable
from typing import Any

from tfq import layers, walk
from tfq.backend.keras import is_legacy, keras
from tfq.convert.rebuild import check_graph, clone, copy_weights, rebuild
from tfq.larq import activations, constraints, quantizers

# By the names of larq's classes and functions. Its quantizers have the same arguments here.
_LAYERS = {
    name: getattr(layers, name)
    for name in (
        *("QuantConv1D", "QuantConv2D", "QuantConv3D", "QuantConv2DTranspose", "QuantConv3DTranspose"),
        *("QuantDense", "QuantDepthwiseConv2D", "QuantSeparableConv1D", "QuantSeparableConv2D"),
    )
}
_QUANTIZERS = {
    name: getattr(quantizers, name)
    for name in ("ApproxSign", "DoReFa", "MagnitudeAwareSign", "NoOp", "SteHeaviside", "SteSign", "SteTern", "SwishSign")
}
_CONSTRAINTS = {"WeightClip": constraints.WeightClip, "weight_clip": constraints.WeightClip}
_FUNCTIONS: dict[str, Callable] = {
    "hard_tanh": activations.hard_tanh,
    "leaky_tanh": activations.leaky_tanh,
    **{name: getattr(quantizers, name) for name in ("approx_sign", "ste_heaviside", "ste_sign", "ste_tern", "swish_sign")},
}
# Arguments of every layer of tf_keras, which quantizers are in larq.
_OF_LAYERS = ("name", "trainable", "dtype")


def from_larq(model: keras.Model) -> keras.Model:
    """The model of tfq's layers that computes what a model of larq's does, with its weights.

    Layers, quantizers, constraints and activation functions of larq become those of the same name. Functions of one's own that
    serve as quantizers stay. `model` stays as it is; the new one is not compiled.

    Args:
        model: functional or built Sequential model of tf_keras; models in it are converted too.

    Raises:
        RuntimeError: tfq runs on Keras 3, where there are no models of larq.
        TypeError: `model` is no model of tf_keras.
        ValueError: it computes in its own `call`, or is not built; a part of larq has no counterpart, whose layer is named.
    """
    if not is_legacy:
        raise RuntimeError(
            "from_larq takes a model of tf_keras, which larq needs: set TF_USE_LEGACY_KERAS=1 before tfq is imported"
        )
    check_graph(model, "from_larq")
    made = rebuild(model, _make)
    copy_weights(model, made)
    return made


def _make(path: str, layer: Any) -> Any:
    name = type(layer).__name__
    if name in _QUANTIZERS and _is_of_larq(layer):
        return layers.QuantActivation(_part(path, layer), name=layer.name, dtype=layer.dtype_policy)
    if not _is_of_larq(layer):
        return _without_larq(path, layer)
    if name not in _LAYERS:
        raise _unknown(path, layer)
    config = {**layer.get_config(), **_parts(path, layer)}
    if name == "QuantDepthwiseConv2D":
        config["kernel_quantizer"] = config.pop("depthwise_quantizer")
    try:
        made = _LAYERS[name](**config)
    except ValueError as error:
        raise ValueError(f"layer {path!r}: {error}") from error
    _check_scales(path, made)
    return made


def _without_larq(path, layer):
    """A layer from elsewhere, with what it is given of larq exchanged."""
    parts = _parts(path, layer)
    made = type(layer)(**{**layer.get_config(), **parts}) if parts else clone(layer)
    inside = [each for _, each in walk.layers(made) if _is_of_larq(each)]
    if inside:
        raise ValueError(
            f"layer {path!r}: a {type(layer).__name__} holds a {type(inside[0]).__name__} of larq, and computes in its own "
            "`call`; from_larq enters functional and Sequential models alone"
        )
    return made


def _parts(path, layer):
    """Parts of tfq for the arguments of a layer that are of larq."""
    given = {name: getattr(layer, name, None) for name in layer.get_config()}
    return {name: _part(path, part) for name, part in given.items() if _is_of_larq(part)}


def _part(path, part):
    """The quantizer, constraint, function or layer of tfq for one of larq."""
    if type(part).__name__ in _LAYERS:  # in a wrapper
        return _make(path, part)
    name = getattr(part, "__name__", type(part).__name__)
    if name in _FUNCTIONS and callable(part):
        return _FUNCTIONS[name]
    cls = (_QUANTIZERS | _CONSTRAINTS).get(type(part).__name__)
    if cls is None:
        raise _unknown(path, part)
    config = {key: value for key, value in part.get_config().items() if key not in _OF_LAYERS}
    metrics = getattr(part, "_custom_metrics", None)  # which larq's configurations leave out
    return cls(**config, **({"metrics": metrics} if metrics else {}))


def _check_scales(path, layer):
    """Raise where larq counts filters by the last axis of a kernel alone, and they lie elsewhere."""
    for place in layer.kernel_places():
        axis = getattr(layer, place.channel_axis)
        if isinstance(getattr(layer, place.quantizer), quantizers.MagnitudeAwareSign) and axis != -1:
            raise ValueError(
                f"layer {path!r}: larq's MagnitudeAwareSign has one scale for each index of the last axis of a kernel, tfq's one "
                f"for each filter, which axes {axis} of this one count: the outputs would differ"
            )


def _is_of_larq(part):
    module = getattr(part, "__module__", None) or type(part).__module__
    return module.split(".")[0] == "larq"


def _unknown(path, part):
    name = getattr(part, "__name__", type(part).__name__)
    known = sorted({*_LAYERS, *_QUANTIZERS, *_CONSTRAINTS, *_FUNCTIONS})
    return ValueError(f"layer {path!r}: tfq has no {name} of larq; known are {', '.join(known)}")
