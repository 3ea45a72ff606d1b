"""Average pooling that is the same on every backend."""

from typing import TYPE_CHECKING

from tfq.backend.keras import REPEATS_EDGES, Tensor, is_legacy, keras, ops
from tfq.layers import padding
from tfq.quantizers.base import register


class AveragePooling2D(keras.layers.AveragePooling2D):
    """`keras.layers.AveragePooling2D`, which leaves the padding out of its means on PyTorch too.

        y = mean of the cells of a window that lie in the image

    With `padding="same"`, where one side of an axis is padded more than the other (3x3 with strides of 2 on an even size), Keras'
    own layer repeats the edge of the image on PyTorch, and so gives other values there than on TensorFlow and JAX. Arguments and
    shapes are those of the Keras layer.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """The means of `inputs`."""
        if not REPEATS_EDGES or self.padding != "same":
            return super().call(inputs)
        axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        widths = [(0, 0)] * 4
        for axis, window, stride in zip(axes, self.pool_size, self.strides, strict=True):
            widths[axis] = padding.same(inputs.shape[axis], window, stride)
        image = ops.ones([inputs.shape[axis] if axis in axes else 1 for axis in range(4)], dtype=inputs.dtype)
        return self._over_whole_windows(ops.pad(inputs, widths)) / self._over_whole_windows(ops.pad(image, widths))

    def _over_whole_windows(self, inputs):
        return ops.average_pool(inputs, self.pool_size, self.strides, "valid", self.data_format)


# tf_keras is TensorFlow.
if not TYPE_CHECKING:
    AveragePooling2D = keras.layers.AveragePooling2D if is_legacy else register(AveragePooling2D)
