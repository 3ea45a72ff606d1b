"""What a quantized layer writes into a file, and reads from it."""

from typing import Any

from tfq.backend.keras import LayerMixin
from tfq.layers import stored


class SavesKernels(LayerMixin):
    """Mixin of `QuantizedLayer`: latent kernels, or those that are stored as they were quantized, in files of Keras."""

    def save_own_variables(self, store: Any) -> None:
        """As in Keras, and whether the kernels are stored as they were quantized."""
        super().save_own_variables(store)
        stored.mark(self.kernels, store)

    def load_own_variables(self, store: Any) -> None:
        """As in Keras; where a file of weights alone has none for this layer, say how those of Keras' own layer come in.

        Raises:
            ValueError: `store` is empty, or does not fit.
        """
        if self.built and not len(store.keys()):
            raise ValueError(
                f"there is no {type(self).__name__} {self.name!r} in this file, in which Keras knows a layer by its class; "
                "weights of a float network come in by tfq.training.transfer.initialize(model, file)"
            )
        super().load_own_variables(stored.follow(self.kernels, store))
