"""What may be wrong with a low-bit network that does not train."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np

from tfq.backend.keras import Logs, keras, ops
from tfq.backend.rounding import exact_products
from tfq.callbacks import pairs
from tfq.callbacks.quantizer_inputs import QuantizerInputs
from tfq.layers.kernels import kernels_in
from tfq.terminal import Log
from tfq.training import batch_statistics

_BATCHES = 16  # of the training images, for statistics of batch normalization
_IMAGES = 256  # of the first batch, at most, for shares of inputs


class Diagnosis(keras.callbacks.Callback):
    """Adds to the logs of each epoch what separates the known ways in which low-bit training fails.

    - `val_top1_fresh`: validation top-1 with statistics of batch normalization taken anew from training images with the weights
      as they are. Far above `val_top1`: the moving statistics lag behind weights that flip.
    - `kernel_change`: mean over the quantized kernels of |Q(W) - Q(W before the epoch)| / |Q(W before)|, Frobenius norms.
    - `kernel_mean`, `kernel_max`: mean of the kernels' mean, and of their largest, absolute latent weight.
    - `kernel_outside`: share of latent weights beyond ±1, where clipped straight-through estimators pass no gradient.
    - `inputs_outside`: mean over the input quantizers of the share of values where they pass no gradient: beyond ±1 for signs,
      outside [0, 1] for DoReFa. A line names those of which that is not known.

    Layers of models and layers in the model take part. One that Keras builds in its first batch is built when training begins.

    Args:
        batches: the training batches: `Batches`, a `PyDataset`, a tf.data.Dataset, a pair of arrays, or a function that returns
            an iterator over batches.
        val_batches: likewise, those that `val_top1` is measured on.
        log: takes the line.

    Raises:
        ValueError: they are something else; when training begins, where batches or model do not fit what is measured.
    """

    def __init__(self, batches: Any, val_batches: Any, log: Log = print) -> None:
        super().__init__()
        self.batches = pairs.again(batches, "batches")
        self.val_batches = pairs.again(val_batches, "val_batches")
        self.log = log

    def on_train_begin(self, logs: Logs = None) -> None:
        """Look at a batch, and find the quantized layers."""
        images: Any
        for batches, name in ((self.batches, "batches"), (self.val_batches, "val_batches")):
            images, _ = next(batches(), (None, None))
            if images is None:
                raise ValueError(f"Diagnosis: {name} must hold a batch; it is empty")
        self._check_logits(self.model(images[:1], training=False))  # builds the model too
        self._quantized = [
            kernel for kernel in kernels_in(self.model).values() if kernel.quantizer is not None and kernel.is_built
        ]
        self._inputs = QuantizerInputs(self.model, self.log)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remember the kernels."""
        self._kernels = self._quantized_kernels()

    @exact_products()
    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Measure, in float32 as the validation."""
        images = [images for images, _ in islice(self.batches(), _BATCHES)]
        if self._quantized:
            logs.update(self._of_kernels())
        outside = self._inputs.share_outside(images[0][:_IMAGES])
        if outside is not None:
            logs["inputs_outside"] = outside
        with batch_statistics.fresh(self.model, images):
            logs["val_top1_fresh"] = self._val_top1()

    def state(self) -> dict[str, np.ndarray]:
        """The kernels at the epoch's beginning."""
        return {str(place): kernel for place, kernel in enumerate(self._kernels)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Compare with those of `state`."""
        self._kernels = [state[str(place)] for place in range(len(state))]

    def _of_kernels(self):
        change = [
            np.linalg.norm(now - before) / np.linalg.norm(before)
            for now, before in zip(self._quantized_kernels(), self._kernels, strict=True)
        ]
        sizes = [np.abs(ops.convert_to_numpy(kernel.latent)) for kernel in self._quantized]
        return {
            "kernel_change": float(np.mean(change)),
            "kernel_mean": float(np.mean([size.mean() for size in sizes])),
            "kernel_max": float(np.mean([size.max() for size in sizes])),
            "kernel_outside": float(np.mean([np.mean(size > 1) for size in sizes])),
        }

    def _quantized_kernels(self):
        return [ops.convert_to_numpy(kernel.quantized).ravel() for kernel in self._quantized]

    def _val_top1(self):
        right = total = 0
        for images, labels in self.val_batches():
            logits = self.model.predict_on_batch(images)
            right += int(np.sum(np.argmax(logits, axis=-1) == pairs.classes(labels)))
            total += len(labels)
        return right / total

    def _check_logits(self, logits):
        shape = tuple(getattr(logits, "shape", ()))
        if len(shape) != 2 or shape[1] < 2:
            given = f"one tensor of shape {shape}" if shape else f"a {type(logits).__name__} of tensors"
            raise ValueError(f"Diagnosis measures top-1 of a score for each class, (N, classes); the model gives {given}")
