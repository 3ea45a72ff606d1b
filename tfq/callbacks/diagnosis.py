"""What may be wrong with a low-bit network that does not train."""

import numpy as np

from tfq.compat import exact_products, keras, ops
from tfq.training import batch_statistics

_BATCHES = 16  # of the training images, for statistics of batch normalization
_IMAGES = 256  # of the first batch, at most, for shares of inputs


class Diagnosis(keras.callbacks.Callback):
    """Adds to the logs of each epoch what separates the known ways in which low-bit training fails.

    - `val_top1_fresh`: validation top-1 with statistics of batch normalization taken anew from training images with the weights
      as they are. Far above `val_top1`: the moving statistics lag behind weights that flip.
    - `kernel_change`: mean over the quantized layers of |Q(W) - Q(W before the epoch)| / |Q(W before)|, Frobenius norms.
    - `kernel_mean`, `kernel_max`: mean of the layers' mean, and of their largest, absolute latent weight.
    - `kernel_outside`: share of latent weights beyond ±1, where clipped straight-through estimators pass no gradient.
    - `inputs_outside`: mean over the input quantizers of the share of values where they pass no gradient: beyond ±1 for signs,
      outside [0, 1] for DoReFa.

    Args:
        batches: the training batches.
        val_batches: those that `val_top1` is measured on.
    """

    def __init__(self, batches, val_batches):
        super().__init__()
        self.batches = batches
        self.val_batches = val_batches

    def on_train_begin(self, logs=None):
        """Find the quantized layers and their inputs."""
        self._quantized = [layer for layer in self.model.layers if getattr(layer, "kernel_quantizer", None)]
        before = [layer for layer in self.model.layers if getattr(layer, "input_quantizer", None)]
        self._lowest = [-1.0 if layer.input_quantizer.get_config().get("bits") is None else 0.0 for layer in before]
        self._inputs = keras.Model(self.model.inputs, [layer.input for layer in before]) if before else None

    def on_epoch_begin(self, epoch, logs=None):
        """Remember the kernels."""
        self._kernels = self._quantized_kernels()

    @exact_products()
    def on_epoch_end(self, epoch, logs=None):
        """Measure, in float32 as the validation."""
        images = [self.batches[index][0] for index in range(min(_BATCHES, len(self.batches)))]
        if self._quantized:
            logs.update(self._of_kernels())
        if self._inputs is not None:
            logs["inputs_outside"] = self._share_outside(images[0][:_IMAGES])
        with batch_statistics.fresh(self.model, images):
            logs["val_top1_fresh"] = self._val_top1()

    def _of_kernels(self):
        change = [
            np.linalg.norm(now - before) / np.linalg.norm(before)
            for now, before in zip(self._quantized_kernels(), self._kernels, strict=True)
        ]
        sizes = [np.abs(ops.convert_to_numpy(layer.kernel)) for layer in self._quantized]
        return {
            "kernel_change": float(np.mean(change)),
            "kernel_mean": float(np.mean([size.mean() for size in sizes])),
            "kernel_max": float(np.mean([size.max() for size in sizes])),
            "kernel_outside": float(np.mean([np.mean(size > 1) for size in sizes])),
        }

    def _share_outside(self, images):
        values = self._inputs.predict_on_batch(images)
        values = values if isinstance(values, list) else [values]
        pairs = zip(values, self._lowest, strict=True)
        return float(np.mean([np.mean((value < lowest) | (value > 1)) for value, lowest in pairs]))

    def _quantized_kernels(self):
        return [ops.convert_to_numpy(layer.quantized_kernel).ravel() for layer in self._quantized]

    def _val_top1(self):
        right = total = 0
        for index in range(len(self.val_batches)):
            images, labels = self.val_batches[index]
            logits = self.model.predict_on_batch(images)
            right += int(np.sum(np.argmax(logits, axis=-1) == labels))
            total += len(labels)
        return right / total
