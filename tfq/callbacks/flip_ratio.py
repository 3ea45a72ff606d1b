"""How many binary weights change their sign."""

import numpy as np

from tfq.compat import keras, ops


class FlipRatio(keras.callbacks.Callback):
    """Adds `flip_ratio` to the logs: the share of binary weights whose sign differs from that at the epoch's beginning.

    A ratio that stays high says that weights oscillate instead of settling (larq measures the same per batch). It is there
    only for models with binary kernels.
    """

    def on_epoch_begin(self, epoch, logs=None):
        """Remember the signs."""
        self._signs = self._binary_signs()

    def on_epoch_end(self, epoch, logs=None):
        """Compare them."""
        if self._signs.size:
            logs["flip_ratio"] = float(np.mean(self._signs != self._binary_signs()))

    def _binary_signs(self):
        kernels = [layer.kernel for layer in self.model.layers if _is_binary(layer)]
        return np.concatenate([np.zeros(0, bool), *(np.ravel(ops.convert_to_numpy(k)) >= 0 for k in kernels)])


def _is_binary(layer):
    return getattr(getattr(layer, "kernel_quantizer", None), "bits", None) == 1
