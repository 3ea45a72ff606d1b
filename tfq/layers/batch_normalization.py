"""Batch normalization that trains with TensorFlow's fused op."""

from typing import TYPE_CHECKING

from tfq.backend import replicas
from tfq.backend.fused import fused_batch_norm
from tfq.backend.gradients import read
from tfq.backend.keras import Tensor, is_legacy, keras, ops
from tfq.quantizers.base import register

# Below this the fused op silently uses this value instead.
_SMALLEST_EPSILON = 1.001e-5


class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, computed by one fused op in training where there is one.

    Values, gradients, moving statistics and saved weights are those of the Keras layer. Keras 3 computes batch normalization
    op by op, which costs a small residual network on a CPU a third of its training speed. The fused op serves training on
    TensorFlow with inputs (N, H, W, C) normalized over the last axis; everything else (other ranks or axes, masks, renorm,
    synchronized or float64 statistics, an epsilon below 1.001e-5, inference, other backends) takes the path of Keras.

    Under a distribution strategy of TensorFlow each replica normalizes by its own part of the batch, unless `synchronized`. The
    moving statistics are the mean over all replicas; the layer of Keras 3 keeps those of the first.
    """

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        """Normalize `inputs`; in training also update the moving statistics."""
        if training and self.trainable and mask is None and self._can_fuse(inputs):
            return self._fused_training_step(inputs)
        outputs = super().call(inputs, training=training, mask=mask)
        if training and self.trainable and replicas.are_several():
            for moving in (self.moving_mean, self.moving_variance):
                moving.assign(replicas.mean(read(moving)))
        return outputs

    def _can_fuse(self, inputs):
        return (
            fused_batch_norm is not None
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.epsilon >= _SMALLEST_EPSILON
            and keras.backend.standardize_dtype(inputs.dtype) != "float64"
            and not (self.renorm or self.synchronized)
        )

    def _fused_training_step(self, inputs):
        x = ops.cast(inputs, "float32")  # as in Keras: half precision overflows here
        channels = (inputs.shape[-1],)
        gamma = ops.cast(self.gamma, "float32") if self.scale else ops.ones(channels, dtype="float32")
        beta = ops.cast(self.beta, "float32") if self.center else ops.zeros(channels, dtype="float32")
        outputs, mean, unbiased_variance = fused_batch_norm(x, gamma, beta, self.epsilon)
        count = ops.cast(ops.size(x) // channels[0], "float32")
        # The fused op returns the variance times M / (M - 1); Keras keeps the biased one.
        variance = unbiased_variance * ((count - 1.0) / count)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return ops.cast(outputs, self.compute_dtype)

    def _move(self, moving, value):
        value = replicas.mean(value) if replicas.are_several() else value
        # In float32, whatever the variable is: as in Keras.
        moving.assign(ops.cast(moving, "float32") * self.momentum + value * (1.0 - self.momentum))


# tf_keras' own layer is fused itself. The name is that of Keras' layer, since weight files go by it: each reads the other's.
if not TYPE_CHECKING:
    BatchNormalization = keras.layers.BatchNormalization if is_legacy else register(BatchNormalization)
