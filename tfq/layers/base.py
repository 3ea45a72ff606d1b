"""The contract of the quantized layers: what an operation on quantized operands states, and what is then done for it."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from tfq import activations, constraints, quantizers, walk
from tfq.backend.inputs import Float32Inputs
from tfq.backend.keras import UNCAST, LayerMixin, Shape, Tensor, is_legacy, keras, ops
from tfq.layers import built, low_rank, stored
from tfq.layers.gradient import QuantGradient
from tfq.layers.keras_quantization import RefusesKerasQuantization
from tfq.layers.kernel import Kernel, KernelPlace, QuantizedKernel
from tfq.layers.kernel_precision import mark, warn_of_starved_weights
from tfq.layers.parameters import uses
from tfq.layers.signature import ConstructorSignature
from tfq.layers.state import QuantizerState, arguments, state_of
from tfq.quantizers import half
from tfq.quantizers.base import QuantizerLike


def _watched(call):
    """A `call` that sees to it that the kernel is quantized, also where it is not Keras' `__call__` that calls it."""

    @functools.wraps(call)
    def watched(self, *args, **kwargs):
        if self._calls_running or not self._unseen_kernels():
            return call(self, *args, **kwargs)
        self._check_operation()
        with self._watching():
            outputs = call(self, *args, **kwargs)
        self._check_kernels_have_passed()
        return outputs

    return watched


class QuantizedLayer(RefusesKerasQuantization, Float32Inputs, LayerMixin):
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
    _calls_running = 0
    _kernels_passed: frozenset[str] = frozenset()

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
        self._kernel_metrics = built.metrics_of(asked, [getattr(self, place.quantizer) for place in places])
        self._flip_counters: dict[str, Any] = {}
        self._quantize_gradient: QuantGradient | None = None
        self._input_state: QuantizerState | None = None
        if self.gradient_quantizer is not None and not getattr(self.gradient_quantizer, "is_off", False):
            # It must not cast to a policy of its own, the global one, what this layer gives.
            self._quantize_gradient = QuantGradient(
                self.gradient_quantizer, name=f"{self.name}_gradient", dtype=self.dtype_policy, autocast=False
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in vars(cls):  # which Keras' `TimeDistributed` calls itself
            cls.call = _watched(cls.call)  # type: ignore[method-assign]

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

    def note_quantized(self, kernel: QuantizedKernel) -> None:
        """Remember that a kernel passes through its quantizer in a call."""
        if self._calls_running:
            self._kernels_passed = self._kernels_passed | {kernel.name}

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
            self._flip_counters = built.begin(self, self._kernel_metrics)

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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras; the first call sees to it that the kernel is quantized."""
        if not self._unseen_kernels():
            return super().__call__(*args, **kwargs)
        self._check_operation()
        with self._watching():
            outputs = super().__call__(*args, **kwargs)
        if not _is_symbolic(outputs):
            self._check_kernels_have_passed()
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras 3, which does not run `call` for it where a shape is enough; one of a subclass runs once, to be checked."""
        if self._unseen_kernels() and not self._is_of_contract():
            with self._watching():
                keras.Operation.compute_output_spec(self, *args, **kwargs)
            self._check_kernels_have_passed()
        return super().compute_output_spec(*args, **kwargs)

    @_watched
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
        quantized, operation, dtype = inputs, self.quantized_op, self.operand_dtype(inputs)
        # Not in inference, whose graph the exports know.
        if training and getattr(self.input_quantizer, "is_elementwise", False):
            quantized, operation = self.skip_unread(inputs)
        if self.input_quantizer is not None:
            quantized = self.input_quantizer(quantized, **self.input_arguments)
        inputs, quantized = ops.cast(inputs, dtype), ops.cast(quantized, dtype)
        kernels = [kernel.quantized if kernel.quantizer is None else ops.cast(kernel.quantized, dtype) for kernel in self.kernels]
        outputs = self._with_bias(self.scale_outputs(operation(quantized, *kernels), inputs))
        activation = getattr(self, "activation", None)
        return outputs if activation is None else activation(outputs)

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
        half.check_fits(self.input_quantizer, self.compute_dtype, self.name, "input_quantizer")
        half.check_fits(self.gradient_quantizer, self.compute_dtype, self.name, "gradient_quantizer")
        for kernel in self.kernels:
            half.check_fits(kernel.quantizer, self.compute_dtype, self.name, kernel.place.quantizer)

    @contextlib.contextmanager
    def _watching(self):
        # Counted, and never reset to "not passed": replicas of a distribution strategy take turns within a call.
        self._calls_running += 1
        try:
            yield
        finally:
            self._calls_running -= 1

    def _only_kernel(self):
        kernels = self.kernels
        if len(kernels) > 1:
            names = ", ".join(kernel.name for kernel in kernels)
            # No AttributeError, of which PyTorch makes one of its own in a property.
            raise TypeError(f"layer {self.name!r} ({type(self).__name__}) has several kernels, {names}; `kernels` has each")
        return kernels[0]

    def _unseen_kernels(self):
        """Names of the kernels that no call has quantized yet."""
        return [
            kernel.name for kernel in self.kernels if kernel.quantizer is not None and kernel.name not in self._kernels_passed
        ]

    def _check_operation(self):
        """Raise RuntimeError where the code of `quantized_op` does not read a kernel that no call has quantized yet."""
        unseen = self._unseen_kernels()
        for position, kernel in enumerate(self.kernels, start=2):  # behind self and inputs
            if kernel.name in unseen and not uses(type(self).quantized_op, position):
                raise self._kernel_is_latent(kernel.name)

    def _check_kernels_have_passed(self):
        for name in self._unseen_kernels():
            raise self._kernel_is_latent(name)

    def _kernel_is_latent(self, name):
        place = next(place for place in self.kernel_places() if place.weight == name)
        if len(self.kernels) == 1:
            whose, remedy = "kernel", "the one that quantized_op(inputs, kernel) is given, or quantized_kernel in call"
        else:
            whose, remedy = name, "those that quantized_op is given, or `quantized` of each of `kernels` in call"
        return RuntimeError(
            f"layer {self.name!r} ({type(self).__name__}): its {whose} did not pass through {place.quantizer}="
            f"{getattr(self, place.quantizer)!r}; take {remedy}"
        )


# What kernels are called where a layer of Keras or larq has one, and their quantizers.
_PLACES = {"kernel": "kernel_quantizer", "depthwise_kernel": "depthwise_quantizer", "pointwise_kernel": "pointwise_quantizer"}


def _is_symbolic(outputs):
    """Whether a call in Keras 3 gave shapes alone; tf_keras has run `call` for them too."""
    return not is_legacy and any(isinstance(output, keras.KerasTensor) for output in keras.tree.flatten(outputs))


def latent_kernel(layer: keras.layers.Layer) -> Any:
    """The kernel of any layer as it is trained and saved, Keras' own and larq's too; None where it is not built, or has none."""
    for name in (getattr(layer, "kernel_name", "kernel"), "depthwise_kernel"):  # the latter of tf_keras and larq
        kernel = getattr(layer, name, None)
        if kernel is not None:
            return kernel
    return None


def kernels_of(layer: keras.layers.Layer) -> tuple[Kernel, ...]:
    """The kernels of any layer, Keras' own and larq's too, as they are trained, and as the forward pass uses them.

    A layer that is not built has those that it has a quantizer for.
    """
    if isinstance(layer, QuantizedLayer):
        return layer.kernels
    kernels = (Kernel(layer, weight, quantizer) for weight, quantizer in _PLACES.items())
    return tuple(kernel for kernel in kernels if kernel.is_built or kernel.quantizer is not None)


def kernels_in(model: keras.Model) -> dict[str, Kernel]:
    """The kernels of all layers in a model, by the path of the layer in `tfq.walk`; `path/weight` where it has several."""
    found = {}
    for path, layer in walk.layers(model):
        kernels = kernels_of(layer)
        found.update({path if len(kernels) == 1 else f"{path}/{kernel.name}": kernel for kernel in kernels})
    return found
