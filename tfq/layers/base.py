"""What the quantized layers share: the quantizers of their operands and of their output gradient."""

from tfq import constraints, quantizers
from tfq.backend.gradients import promote
from tfq.backend.keras import UNCAST, ops
from tfq.layers.gradient import QuantGradient
from tfq.layers.state import arguments, state_of


class QuantizedLayer:
    """Mixin, in front of a Keras layer, that holds the quantizers of its input, kernel and output gradient.

    Checkpoints hold the latent kernel; `quantized_kernel` is what the forward pass uses. `channel_axis` are the axes of the
    kernel that count its filters, as in `tfq.quantizers.KernelQuantizer`.
    """

    channel_axis = -1

    def __init__(
        self,
        *args,
        input_quantizer=None,
        kernel_quantizer=None,
        gradient_quantizer=None,
        kernel_constraint=None,
        **kwargs,
    ):
        # Set before Keras' constructor runs, which may already add weights.
        self._kernel_is_quantized = kernel_quantizer is not None
        super().__init__(*args, kernel_constraint=constraints.get(kernel_constraint), **kwargs)
        self.input_quantizer = quantizers.get_for_inputs(input_quantizer)
        self.kernel_quantizer = quantizers.get_for_kernel(kernel_quantizer)
        self.gradient_quantizer = quantizers.get_for_gradients(gradient_quantizer)
        self._quantize_gradient = self._kernel_state = self._input_state = None
        if self.gradient_quantizer is not None and not getattr(self.gradient_quantizer, "is_off", False):
            # It must not cast to a policy of its own, the global one, what this layer gives.
            self._quantize_gradient = QuantGradient(self.gradient_quantizer, name=f"{self.name}_gradient", autocast=False)

    def add_weight(self, *args, **kwargs):
        """As in Keras, but a mixed-precision policy does not cast a kernel that has yet to be quantized."""
        name = kwargs.get("name") or (args[0] if args else None)
        if name == "kernel" and self._kernel_is_quantized:
            kwargs = {**kwargs, **UNCAST}
        return super().add_weight(*args, **kwargs)

    def build(self, input_shape):
        """Add the weights of the Keras layer, what its quantizers keep, and the key of the gradient noise."""
        super().build(input_shape)
        self._kernel_state = state_of(self.kernel_quantizer, f"{self.name}_kernel", self.kernel.shape)
        self._input_state = state_of(self.input_quantizer, f"{self.name}_inputs", input_shape)
        if self._quantize_gradient is not None:
            self._quantize_gradient.build(self.compute_output_shape(input_shape))

    def load_own_variables(self, store):
        """As in Keras; where a file of weights alone has none for this layer, say how those of Keras' own layer come in.

        Raises:
            ValueError: `store` is empty, or does not fit.
        """
        if self.built and not len(store.keys()):
            raise ValueError(
                f"there is no {type(self).__name__} {self.name!r} in this file, in which Keras knows a layer by its class; "
                "weights of a float network come in by tfq.training.transfer.initialize(model, file)"
            )
        super().load_own_variables(store)

    def call(self, inputs, training=None):
        """The Keras layer on quantized operands; in training its output gradient is quantized too."""
        if training:
            self._observe(inputs)
        return self._with_quantized_gradient(super().call(inputs), training)

    @property
    def kernel_arguments(self):
        """What `kernel_quantizer` takes next to the kernel: the axes of its filters, and what it keeps in this layer."""
        return arguments(self.kernel_quantizer, self._kernel_state, self.channel_axis)

    @property
    def input_arguments(self):
        """What `input_quantizer` takes next to the inputs: what it keeps in this layer."""
        return arguments(self.input_quantizer, self._input_state)

    @property
    def quantized_kernel(self):
        """The kernel as the forward pass uses it; the latent one is `kernel`."""
        return self.kernel if self.kernel_quantizer is None else self.kernel_quantizer(self.kernel, **self.kernel_arguments)

    def get_config(self):
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "input_quantizer": quantizers.serialize(self.input_quantizer),
            "kernel_quantizer": quantizers.serialize(self.kernel_quantizer),
            "gradient_quantizer": quantizers.serialize(self.gradient_quantizer),
        }

    def _quantize_operands(self, inputs, kernel):
        inputs = promote(inputs, self.compute_dtype)  # Keras leaves integers as they are
        if self.input_quantizer is not None:
            inputs = ops.cast(self.input_quantizer(inputs, **self.input_arguments), inputs.dtype)
        if self.kernel_quantizer is not None:
            kernel = ops.cast(self.kernel_quantizer(kernel, **self.kernel_arguments), inputs.dtype)
        return inputs, kernel

    def _observe(self, inputs):
        """Show quantizers that keep something what they will quantize in this step of the training."""
        if self._input_state is not None:
            self._input_state.observe(promote(inputs, self.compute_dtype))
        if self._kernel_state is not None:
            self._kernel_state.observe(self.kernel)

    def _with_quantized_gradient(self, outputs, training):
        return outputs if self._quantize_gradient is None else self._quantize_gradient(outputs, training=training)
