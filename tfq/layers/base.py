"""The contract of the quantized layers: what an operation on quantized operands states, and what is then done for it."""

from collections.abc import Callable
from typing import Any

from tfq import activations, constraints, quantizers
from tfq.backend.inputs import Float32Inputs
from tfq.backend.keras import UNCAST, LayerMixin, Shape, Tensor, keras, ops
from tfq.backend.signs import are_kept_as_bits, product_of_signs, sign
from tfq.layers import kernel_metrics, low_rank
from tfq.layers.built_layers import built_layers
from tfq.layers.gradient import QuantGradient
from tfq.layers.keras_quantization import RefusesKerasQuantization
from tfq.layers.kernel import KernelPlace, QuantizedKernel
from tfq.layers.kernel_check import ChecksKernels
from tfq.layers.kernel_precision import mark, warn_of_starved_weights
from tfq.layers.saving import SavesKernels
from tfq.layers.signature import ConstructorSignature
from tfq.layers.state import QuantizerState, arguments, state_of
from tfq.quantizers import half_precision
from tfq.quantizers.base import QuantizerLike
from tfq.quantizers.clipped import sign_window


class QuantizedLayer(ChecksKernels, SavesKernels, RefusesKerasQuantization, Float32Inputs, LayerMixin):
    """Mixin, in front of a Keras layer, that quantizes its input, kernel and output gradient.

        y = activation(quantized_op(input_quantizer(x), kernel_quantizer(W)) + b)

    A layer states its operation, and what in its kernel differs from (..., in, out):

        @tfq.layers.register_layer
        class QuantConv1D(QuantizedLayer, keras.layers.Conv1D):
            def quantized_op(self, inputs, kernel):
                return ops.conv(inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)

    A class that computes all of its `call` itself takes its kernel from `quantized_kernel`; a layer whose kernel has not passed
    through its quantizer when its first call ends raises. Checkpoints hold the latent kernel, `latent_kernel`. Without quantizers
    the layer is Keras' own, bit for bit.

    A layer with several kernels names them in `kernel_places`; its `quantized_op` takes them one after the other.

    Attributes:
        channel_axis: the axis, or the axes, of the kernel that count its filters, from behind: -1; (-2, -1) where the kernel is
            (height, width, in, multiplier). A quantizer with a scale for each filter reduces over all others.
        kernel_name: name of the attribute, and of the weight, that is the latent kernel.
        constraint_argument: name of the argument of the constructor for its constraint, which may be `"weight_clip"`.

    Args:
        *args: as in the Keras layer.
        input_quantizer: quantizer of the inputs, or None.
        kernel_quantizer: quantizer of the kernel, or None.
        gradient_quantizer: quantizer of the gradient that arrives at the output, or None.
        metrics: names of metrics of the kernel in training, which the logs of `fit` then hold: `"flip_ratio"`, the share of its
            levels that a step changes.
        **kwargs: as in the Keras layer.

    Raises:
        TypeError: the class has no `quantized_op`.
        ValueError: a quantizer of another operand, such as `XnorWeights()` for the inputs; one of a kernel of integers; a policy
            by which Keras quantizes. When it is built: values of a quantizer are not apart in the type it computes in.
        RuntimeError: in the first call: the kernel did not pass through its quantizer.
    """

    channel_axis: int | tuple[int, ...] = -1
    kernel_name = "kernel"
    constraint_argument = "kernel_constraint"

    __signature__ = ConstructorSignature()

    def __init__(
        self,
        *args: Any,
        input_quantizer: QuantizerLike = None,
        kernel_quantizer: QuantizerLike = None,
        gradient_quantizer: QuantizerLike = None,
        **kwargs: Any,
    ) -> None:
        places, asked = self.kernel_places(), kwargs.pop("metrics", None)
        if kernel_quantizer is not None:
            kwargs["kernel_quantizer"] = kernel_quantizer  # which Keras refuses where no kernel is called so
        given = {place: kwargs.pop(place.quantizer, None) for place in places}
        # Set before Keras' constructor runs, which may already add weights.
        quantized = {place.weight for place in places if given[place] is not None}
        self._uncast_weights = quantized.union(low_rank.FACTORS) if quantized else quantized
        for place in places:
            if place.constraint in kwargs:
                kwargs[place.constraint] = constraints.get(kwargs[place.constraint])
        if "activation" in kwargs:
            kwargs["activation"] = activations.get(kwargs["activation"])
        super().__init__(*args, **kwargs)
        self.check_policy()
        self.check_options()
        if self._is_of_contract() and type(self).quantized_op is QuantizedLayer.quantized_op:
            raise TypeError(f"layer {self.name!r}: {type(self).__name__} has no quantized_op(inputs, kernel)")
        if self._uncast_weights and "float" not in str(self.dtype):
            raise ValueError(f"{self.name}: a quantizer of kernels takes those of floats; got dtype={self.dtype!r}")
        self.input_quantizer = quantizers.get_for_inputs(input_quantizer)
        for place in places:
            setattr(self, place.quantizer, quantizers.get_for_kernel(given[place], place.quantizer))
            setattr(self, place.state, None)
            warn_of_starved_weights(self, getattr(self, place.quantizer), place.constraint)
        self.gradient_quantizer = quantizers.get_for_gradients(gradient_quantizer)
        self._kernel_metrics = kernel_metrics.names(asked, [getattr(self, place.quantizer) for place in places])
        self._flip_counters: dict[str, Any] = {}
        self._quantize_gradient: QuantGradient | None = None
        self._input_state: QuantizerState | None = None
        if self.gradient_quantizer is not None and not getattr(self.gradient_quantizer, "is_off", False):
            # It must not cast to a policy of its own, the global one, what this layer gives.
            self._quantize_gradient = QuantGradient(
                self.gradient_quantizer, name=f"{self.name}_gradient", dtype=self.dtype_policy, autocast=False
            )

    def quantized_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The operation of this layer, without bias and activation.

        Args:
            inputs: quantized, of the dtype the layer computes in.
            kernel: likewise.
        """
        raise NotImplementedError(f"{self.name}: {type(self).__name__} has no quantized_op(inputs, kernel)")

    def skip_unread(self, inputs: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        """`inputs` without elements that `quantized_op` does not read, and the operation on the others; here, all are read."""
        return inputs, self.quantized_op

    def has_plain_op(self) -> bool:
        """Whether the operation is known to be linear in each operand, and to read no variables; here, it is not."""
        return False

    def scale_outputs(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """What `quantized_op` gave, scaled by what is known of the `inputs` before their quantizer: here, as it is."""
        return outputs

    def check_options(self) -> None:
        """Raise ValueError for an option of the Keras layer that cannot be taken; nothing here."""

    @classmethod
    def kernel_places(cls) -> tuple[KernelPlace, ...]:
        """Where the kernels of this layer are, in the order in which `quantized_op` takes them."""
        return (KernelPlace(cls.kernel_name, "kernel_quantizer", cls.constraint_argument, "channel_axis"),)

    @property
    def kernels(self) -> tuple[QuantizedKernel, ...]:
        """The kernels of this layer, in the order in which `quantized_op` takes them."""
        return tuple(QuantizedKernel(self, place) for place in self.kernel_places())

    @property
    def latent_kernel(self) -> Any:
        """The weight that is trained and saved, of a layer with one kernel."""
        return self._only_kernel().latent

    @property
    def quantized_kernel(self) -> Tensor:
        """The kernel as the forward pass uses it, of a layer with one."""
        return self._only_kernel().quantized

    @property
    def kernel_arguments(self) -> dict[str, Any]:
        """What `kernel_quantizer` takes next to the kernel: the axes of its filters, and what it keeps in this layer."""
        return self._only_kernel().arguments

    @property
    def input_arguments(self) -> dict[str, Any]:
        """What `input_quantizer` takes next to the inputs: what it keeps in this layer."""
        return arguments(self.input_quantizer, self._input_state)

    @classmethod
    def stock_class(cls) -> type | None:
        """The class of Keras that this one quantizes; None where it is `keras.layers.Layer` alone."""
        of_keras = (base for base in cls.__mro__ if issubclass(base, keras.layers.Layer) and not issubclass(base, QuantizedLayer))
        found = next(of_keras)
        return None if found is keras.layers.Layer else found

    def stock(self) -> keras.layers.Layer | None:
        """A new layer of Keras with the same options, without quantizers; None where there is no such class."""
        cls: Any = self.stock_class()
        if cls is None:
            return None
        config = self.get_config()
        return cls.from_config({name: config[name] for name in cls.get_config(self)})

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras, but a mixed-precision policy does not cast a kernel that has yet to be quantized."""
        name = kwargs.get("name") or (args[0] if args else None)
        if name in self._uncast_weights:
            kwargs = {**kwargs, **UNCAST}
        return super().add_weight(*args, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Add the weights of the Keras layer, what its quantizers keep, and the key of the gradient noise."""
        self.check_policy()
        self._check_levels()
        with low_rank.enabled_last(self):
            super().build(input_shape)
            for kernel in self.kernels:
                mark(kernel.latent, kernel.quantizer)
                name = f"{self.name}_{kernel.place.operand}"
                setattr(self, kernel.place.state, state_of(kernel.quantizer, name, kernel.latent.shape, kernel.channel_axis))
            self._input_state = state_of(self.input_quantizer, f"{self.name}_inputs", input_shape)
            if self._quantize_gradient is not None:
                self._quantize_gradient.build(self.compute_output_shape(input_shape))
            self._flip_counters = kernel_metrics.begin(self, self._kernel_metrics)
        built_layers.add(self)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """The operation on quantized operands, bias and activation; in training the output gradient is quantized too."""
        inputs = self.operand(inputs)
        outputs = super().call(inputs) if self._is_stock() else self._on_quantized_operands(inputs, training)
        return outputs if self._quantize_gradient is None else self._quantize_gradient(outputs, training=training)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "input_quantizer": quantizers.serialize(self.input_quantizer),
            **{place.quantizer: quantizers.serialize(getattr(self, place.quantizer)) for place in self.kernel_places()},
            "gradient_quantizer": quantizers.serialize(self.gradient_quantizer),
            **({"metrics": list(self._kernel_metrics)} if self._kernel_metrics else {}),
        }

    def _is_stock(self):
        """Whether it computes what the layer of Keras does."""
        quantized = self.input_quantizer is not None or any(kernel.quantizer is not None for kernel in self.kernels)
        return not quantized and self.stock_class() is not None

    def _is_of_contract(self):
        """Whether `call` is the one here, in which every kernel passes through its quantizer."""
        return type(self).call is QuantizedLayer.call

    def _on_quantized_operands(self, inputs, training):
        if training:
            self._observe(inputs)
        read, operation, dtype = inputs, self.quantized_op, self.operand_dtype(inputs)
        # Not in inference, whose graph the exports know.
        if training and getattr(self.input_quantizer, "is_elementwise", False):
            read, operation = self.skip_unread(inputs)
        kernels = [kernel.quantized if kernel.quantizer is None else ops.cast(kernel.quantized, dtype) for kernel in self.kernels]
        window = sign_window(self.input_quantizer, read) if training else None
        if window is not None and are_kept_as_bits() and self.has_plain_op():
            outputs = product_of_signs(
                lambda signs, *kernels: operation(ops.cast(signs, dtype), *kernels), read, kernels, *window
            )
        else:
            outputs = operation(ops.cast(self._quantized_inputs(read, window), dtype), *kernels)
        outputs = self._with_bias(self.scale_outputs(outputs, ops.cast(inputs, dtype)))
        activation = getattr(self, "activation", None)
        return outputs if activation is None else activation(outputs)

    def _quantized_inputs(self, inputs, window):
        if window is not None:
            return sign(inputs, *window)
        return inputs if self.input_quantizer is None else self.input_quantizer(inputs, **self.input_arguments)

    def _observe(self, inputs):
        """Show quantizers that keep something what they will quantize in this step of the training."""
        if self._input_state is not None:
            self._input_state.observe(inputs)
        for kernel in self.kernels:
            if kernel.state is not None:
                kernel.state.observe(kernel.latent)
            if kernel.name in self._flip_counters:
                self._flip_counters[kernel.name].observe(kernel)

    def _with_bias(self, outputs):
        bias = getattr(self, "bias", None)
        if bias is None:
            return outputs
        ones = (1,) * (len(outputs.shape) - 2)
        is_first = getattr(self, "data_format", None) == "channels_first"
        if is_first:  # `ops.add` of Keras 3.15 takes the last axis for the channels where it is as long, on TensorFlow
            return outputs + ops.reshape(bias, (1, -1, *ones))
        return ops.add(outputs, ops.reshape(bias, (1, *ones, -1)))

    def _check_levels(self):
        half_precision.check_fits(self.input_quantizer, self.compute_dtype, self.name, "input_quantizer")
        half_precision.check_fits(self.gradient_quantizer, self.compute_dtype, self.name, "gradient_quantizer")
        for kernel in self.kernels:
            half_precision.check_fits(kernel.quantizer, self.compute_dtype, self.name, kernel.place.quantizer)

    def _only_kernel(self):
        kernels = self.kernels
        if len(kernels) > 1:
            names = ", ".join(kernel.name for kernel in kernels)
            # No AttributeError, of which PyTorch makes one of its own in a property.
            raise TypeError(f"layer {self.name!r} ({type(self).__name__}) has several kernels, {names}; `kernels` has each")
        return kernels[0]
