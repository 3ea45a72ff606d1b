"""What the quantized separable convolutions of any rank share: two kernels, each with its quantizer."""

from typing import TYPE_CHECKING, Any

from tfq.backend.keras import Tensor, ops
from tfq.layers.convolution import QuantizedConvolution
from tfq.layers.kernel import KernelPlace
from tfq.quantizers.base import QuantizerLike


class QuantizedSeparableConvolution(QuantizedConvolution):
    """Mixin, in front of a separable convolution of Keras: kernels (..., in, depth_multiplier) and (..., in, filters)."""

    if TYPE_CHECKING:  # all arguments of tfq, for editors, which do not look through `*args` and `**kwargs`

        def __init__(
            self,
            *args: Any,
            input_quantizer: QuantizerLike = None,
            depthwise_quantizer: QuantizerLike = None,
            pointwise_quantizer: QuantizerLike = None,
            gradient_quantizer: QuantizerLike = None,
            pad_values: int = 0,
            **kwargs: Any,
        ) -> None: ...

    depthwise_channel_axis = (-2, -1)
    pointwise_channel_axis = -1

    @classmethod
    def kernel_places(cls) -> tuple[KernelPlace, ...]:
        """The depthwise kernel, and the pointwise one."""
        names = ("kernel", "quantizer", "constraint", "channel_axis")
        return tuple(KernelPlace(*(f"{kind}_{name}" for name in names)) for kind in ("depthwise", "pointwise"))

    def quantized_op(self, inputs: Tensor, depthwise_kernel: Tensor, pointwise_kernel: Tensor) -> Tensor:  # type: ignore[override]
        """The convolution of each channel with its own filters, and that of one pixel across the channels."""
        inputs, padding = self.padded(inputs)
        return ops.separable_conv(
            inputs, depthwise_kernel, pointwise_kernel, self.strides, padding, self.data_format, self.dilation_rate
        )
