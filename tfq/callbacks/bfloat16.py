"""Faster training on processors and accelerators that multiply bfloat16."""

import contextlib
from collections.abc import Iterator

from tfq import walk
from tfq.backend.devices import accelerators
from tfq.backend.keras import Logs, is_legacy, keras
from tfq.backend.rounding import bfloat16_products, exact_products
from tfq.keras_graph import has_graph
from tfq.terminal import Log


class Bfloat16Training(keras.callbacks.Callback):
    """Lets the backend multiply in bfloat16 while it trains, and in float32 while it validates.

    Weights, scales, statistics of batch normalization, and the saved model stay float32: the products of convolutions and dense
    layers lose bits, those of their gradients and sums between them too. Signs and ternary levels lose none but a common factor.

    On a processor TensorFlow rounds the factors, and what batch normalization and sums give between two products: quantizers of
    inputs see that. Their own multiplications stay float32. On an accelerator the layers of the model pass bfloat16 on, which
    halves the memory that a step moves: while they train they have Keras' policy `mixed_bfloat16`, those of models and layers in
    it too, but for those that give the output of the model. Which they are is not known of a model that is a class of one's own:
    a line says that its layers stay float32. Quantizers of inputs then see 8 significant bits, and give as many: activations of
    more bits have those in the test alone. tf_keras, whose layers cannot change their policy, stays as it is there.

    Args:
        mixed: whether the layers take the policy; None where there is an accelerator.
        log: takes the line.
    """

    def __init__(self, mixed: bool | None = None, log: Log = print) -> None:
        super().__init__()
        self.mixed = mixed
        self.log = log
        self._training = contextlib.ExitStack()
        self._test = contextlib.ExitStack()

    def on_train_begin(self, logs: Logs = None) -> None:
        """Say what stays float32."""
        if _is_mixed(self.mixed) and not has_graph(self.model):
            self.log(f"Bfloat16Training: layers of {self.model.name!r}, which computes in its own `call`, pass float32 on")

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Allow it."""
        self._training.enter_context(bfloat16_products())
        self._training.enter_context(passing_on(self.model, self.mixed))

    def on_test_begin(self, logs: Logs = None) -> None:
        """Validate what is saved, a float32 network."""
        self._training.close()
        self._test.enter_context(exact_products())

    def on_test_end(self, logs: Logs = None) -> None:
        """Leave the backend as it was."""
        self._test.close()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Leave backend and model as they were, where nothing was validated too: what comes next saves a float32 network."""
        self._training.close()


@contextlib.contextmanager
def passing_on(model: keras.Model, mixed: bool | None = None) -> Iterator[None]:
    """Inside, the layers of a model have the policy that `Bfloat16Training` gives those of the one that trains.

    Args:
        model: functional or Sequential; any other stays as it is.
        mixed: as of `Bfloat16Training`.
    """
    if not _is_mixed(mixed) or not has_graph(model):
        yield
        return
    last = {id(layer) for layer in _last(model)}
    layers = [
        layer
        for _, layer in walk.layers(model)
        if layer.compute_dtype == layer.variable_dtype == "float32" and id(layer) not in last and not has_graph(layer)
    ]
    policies = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = "mixed_bfloat16"
    try:
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy


def _is_mixed(mixed):
    return (bool(accelerators()) if mixed is None else mixed) and not is_legacy


def _last(model):
    """The layers that give the outputs of a model, with all that they hold; in a nested model those that give its own."""
    for output in model.outputs:
        layer = output._keras_history.operation
        if has_graph(layer):
            yield from _last(layer)
        else:
            yield layer
            yield from (inner for _, inner in (walk.layers(layer) if isinstance(layer, keras.layers.Layer) else ()))
