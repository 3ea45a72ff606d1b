"""Tells quantizers how far the training is."""

from tfq import walk
from tfq.backend.keras import Logs, keras
from tfq.layers.state import QuantizerState


class QuantizerProgress(keras.callbacks.Callback):
    """Sets the progress that the estimators of IR-Net, ReCU and ReSTE follow, at the beginning of each epoch.

        progress = epoch / epochs

    from 0 in the first epoch on, as in the authors' code. Layers of models and layers in the model count. Without such a
    quantizer it does nothing.

    Args:
        epochs: of the whole training; by default as many as `fit` is given.

    Raises:
        ValueError: they are not 1 or more.
    """

    def __init__(self, epochs: int | None = None) -> None:
        super().__init__()
        if epochs is not None and epochs < 1:
            raise ValueError(f"QuantizerProgress: epochs must be 1 or more, or None for those of fit; got epochs={epochs!r}")
        self.epochs = epochs

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the progress."""
        progress = min(epoch / (self.epochs or self.params["epochs"]), 1.0)
        for _, layer in walk.layers(self.model):
            if isinstance(layer, QuantizerState) and "progress" in layer.variables_by_name:
                layer.variables_by_name["progress"].assign(progress)
