"""One conversion: which layers it changes, the new model, and the report."""

from typing import Any

from tfq.backend.keras import keras
from tfq.convert.names import unique
from tfq.convert.quantize.classes import has_kernel, quantized_classes, reason_to_leave
from tfq.convert.quantize.in_a_row import in_a_row
from tfq.convert.quantize.mend import Mending, mending
from tfq.convert.quantize.report import Report
from tfq.convert.quantize.rows import rows
from tfq.convert.quantize.skip import Skip, skipped
from tfq.convert.quantize.steps import steps_of
from tfq.convert.quantize.wrapped import in_wrapper, unwrapped, wrap
from tfq.convert.rebuild import clone, copy_weights, rebuild
from tfq.layers import BatchNormalization
from tfq.quantizers import serialize


class Conversion:
    """A model whose layers are converted; arguments as in `quantize_model`, the quantizers being objects."""

    def __init__(self, model: keras.Model, weights: Any, inputs: Any, skip: Skip, quantize_ends: bool, constraint: Any) -> None:
        self._source, self._weights, self._inputs, self._constraint = model, weights, inputs, constraint
        self._steps = steps_of(model)
        self._layers = {id(step.layer): step.layer for step in self._steps if not step.is_input}
        self._classes = quantized_classes()
        self._kept = self._left_alone(skip, quantize_ends)
        converted = self._layers.keys() - self._kept.keys()
        self._mending = mending(self._steps, dict.fromkeys(converted, inputs)) if converted else Mending({}, {})
        self._added = self._normalizations()
        if not converted:
            raise ValueError(f"quantize_model finds no layer to quantize:\n{self.report()}")

    def model(self) -> keras.Model:
        """The new model, with the weights of the old."""
        in_front = {layer: [added] for layer, added in self._added.items()}
        made = rebuild(self._source, self._make, self._mending.dropped, in_front)
        copy_weights(self._source, made)
        return made

    def report(self) -> Report:
        """What is different in the new model, and why."""
        told = rows(self._steps, self._converted(), self._kept, self._mending, self._added)
        has_quantizer = self._inputs is not None and not getattr(self._inputs, "is_off", False)
        return Report(tuple(told), in_a_row(self._steps, self._converted() if has_quantizer else ()))

    def _left_alone(self, skip, quantize_ends):
        """Why layers stay as they are, by their `id`."""
        kernels = {key for key, layer in self._layers.items() if has_kernel(layer)}
        kept = skipped(self._steps, kernels, skip, quantize_ends)
        reasons = {key: reason_to_leave(layer) or kept.get(key) for key, layer in self._layers.items()}
        return {key: reason for key, reason in reasons.items() if reason}

    def _converted(self):
        """The new class of each layer that is converted, and by what it is quantized, by the `id` of the layer."""
        names = {"weights": self._weights, "inputs": self._inputs}
        how = ", ".join(f"{operand} by {_name(quantizer)}" for operand, quantizer in names.items() if quantizer is not None)
        return {
            key: (in_wrapper(self._class_for(layer).__name__, layer), how)
            for key, layer in self._layers.items()
            if key not in self._kept
        }

    def _class_for(self, layer):
        return self._classes[type(unwrapped(layer))]

    def _normalizations(self):
        """New batch normalizations, by the `id` of the layer that each stands in front of."""
        used = {step.layer.name for step in self._steps}
        added = {}
        for key in self._mending.normalized:
            layer = self._layers[key]
            steps = 0 if unwrapped(layer) is layer else 1  # an axis in front of the channels
            axis = 1 + steps if getattr(unwrapped(layer), "data_format", None) == "channels_first" else -1
            name = unique(f"{layer.name}_input_bn", used)
            # With momentum 0.9 the statistics follow weights that flip, as larq advises.
            added[key] = BatchNormalization(axis=axis, momentum=0.9, name=name, dtype=layer.get_config()["dtype"])
        return added

    def _make(self, path, layer):
        if id(layer) not in self._layers or id(layer) in self._kept:
            return clone(layer)
        cls = self._class_for(layer)
        config = {**unwrapped(layer).get_config(), "input_quantizer": serialize(self._inputs)}
        for place in cls.kernel_places():
            config[place.quantizer] = serialize(self._weights)
            if self._constraint is not None:
                config[place.constraint] = self._constraint
        return wrap(cls.from_config(config), layer)


def _name(quantizer):
    return getattr(quantizer, "__name__", type(quantizer).__name__)
