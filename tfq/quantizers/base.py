"""The contract of quantizers: what they quantize, to how many bits and which values, and what a layer keeps for them."""

import functools
import json
import numbers
from collections.abc import Callable
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np

from tfq.backend.keras import Tensor, add_custom_objects, is_legacy, is_symbolic, keras
from tfq.quantizers import half_precision
from tfq.quantizers.grids import Codes, Grid, encode

FULL_PRECISION = 32
# What Keras puts in front of the name of a class from outside.
_OWN_PACKAGE = "tfq_own"


_registered: dict[str, type] = {}
_own: dict[str, type] = {}

# A class as a decorator of classes leaves it.
Class = TypeVar("Class", bound=type)


def register(cls: Class, package: str = "tfq") -> Class:
    """Make Keras find the class by name when it reads a saved model."""
    _registered[cls.__name__] = cls
    if is_legacy:
        add_custom_objects({cls.__name__: cls})  # the name by which tf_keras looks up what is nested in a layer of an .h5 file
    return keras.saving.register_keras_serializable(package=package)(cls)


def register_own(cls: type, base: type, what: str) -> type:
    """As `register`, for a class from outside of tfq: a model finds it by its name alone, wherever its module lies.

    Args:
        cls: the class.
        base: what it must subclass.
        what: that, for errors.

    Raises:
        TypeError: it is no subclass of `base`.
        ValueError: another class of this name is registered.
    """
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise TypeError(f"expected a class that subclasses {what}; got {cls!r}")
    known = _registered.get(cls.__name__)
    if known and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"a class {cls.__name__} is registered already, of {known.__module__}")
    _own[cls.__name__] = cls
    return register(cls, _OWN_PACKAGE)


def registered_own(base: type) -> dict[str, type]:
    """The registered classes from outside of tfq that subclass `base`, by their names."""
    return {name: cls for name, cls in _own.items() if issubclass(cls, base)}


def check_bits(bits: Any, owner: str) -> int:
    """`bits` as an integer of Python if it is 1 to 16, or 32 (off); raise ValueError otherwise."""
    if not _is_integer(bits) or not (1 <= bits <= 16 or bits == FULL_PRECISION):
        raise ValueError(f"{owner}: bits must be an integer from 1 to 16, or 32 (off); got bits={bits!r}")
    return int(bits)


def check_seed(seed: Any, owner: str) -> int | None:
    """`seed` as an integer of Python, or None; raise ValueError otherwise."""
    if seed is not None and not _is_integer(seed):
        raise ValueError(f"{owner}: seed must be an integer or None; got seed={seed!r}")
    return seed if seed is None else int(seed)


def check_flag(value: Any, owner: str, name: str) -> bool:
    """`value` as a bool of Python if it is True, False, 1 or 0; raise ValueError otherwise."""
    if not isinstance(value, (bool, np.bool_, numbers.Integral)) or value not in (0, 1):
        raise ValueError(f"{owner}: {name} must be True or False; got {name}={value!r}")
    return bool(value)


def check_number(value: Any, owner: str, name: str, low: float, high: float = float("inf")) -> float:
    """`value` as a float of Python if it is a number from `low` to `high`; raise ValueError otherwise."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        bounds = f"from {low:g} to {high:g}" if high < float("inf") else f"of at least {low:g}"
        raise ValueError(f"{owner}: {name} must be a number {bounds}; got {name}={value!r}")
    return float(value)


def check_axis(axis: Any, owner: str) -> int:
    """`axis` as an integer of Python; raise ValueError if it is none."""
    if not _is_integer(axis):
        raise ValueError(f"{owner}: axis must be an integer; got axis={axis!r}")
    return int(axis)


def _is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


class Configured:
    """An object that its configuration describes completely: two with the same class and configuration are equal."""

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object that `config` describes."""
        return cls(**config)

    def _key(self):
        return type(self).__name__, json.dumps(self.get_config(), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._key() == self._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


_layer_call: Callable[..., Tensor] | None = None


def call_symbolic_by(function: Callable[..., Tensor]) -> None:
    """Let `function(quantizer, x, ...)` do the calls of quantizers with a symbolic tensor; `tfq.layers` does so."""
    global _layer_call
    _layer_call = function


def _or_layer(call):
    """The `__call__` of a quantizer; as a layer, where its operand is a tensor of a functional model, which has no values."""

    @functools.wraps(call)
    def with_symbolic(self, x, *args, **kwargs):
        if is_symbolic(x) and _layer_call is not None:
            return _layer_call(self, x, *args, **kwargs)
        return call(self, x, *args, **kwargs)

    return with_symbolic


class Quantizer(Configured):
    """Maps a tensor to one of the same shape and dtype whose values need only `bits` bits each (and a scale).

    A subclass of one's own says with `KernelQuantizer`, `InputQuantizer` or `GradientQuantizer` what it quantizes; one of this
    class itself takes kernels and inputs, and nothing but them. What is not said here (the window, the grid) is not known of it.
    `tfq.testing.check_quantizer` tells whether a quantizer keeps the contract.

    A call with a symbolic tensor adds a layer to the functional model. What the quantizer keeps belongs to this layer.

    A quantizer has no variables. Those that it needs belong to the layer that it is given to, so that one object serves many
    layers: `build` makes them, and every other method takes them by their names.
    """

    operand: str | None = None
    bits: int = FULL_PRECISION
    # Whether value and gradient of an element depend on nothing but this element, so that a layer may leave out what it never
    # reads. Not where anything is learned, or a scale computed.
    is_elementwise: bool = False
    # Whether it is `ste.sign`, with a gradient that passes within `window`, so that a layer may compute both by other means. A
    # subclass with a call of its own says so again.
    is_clipped_sign: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls):
            cls.__call__ = _or_layer(cls.__call__)  # type: ignore[method-assign]
            cls.is_clipped_sign = vars(cls).get("is_clipped_sign", False)

    @property
    def precision(self) -> int | None:
        """The bits, as larq calls them: its optimizer `Bop` and its summary read them."""
        return self.bits

    @property
    def is_off(self) -> bool:
        """Whether it passes its operand on as it is."""
        return False

    def build(self, add_weight: Callable, shape: tuple) -> dict[str, Any]:
        """Variables for one layer, by their names; none here.

        They are saved with the layer, and stay float32 under a mixed-precision policy.

        Args:
            add_weight: `add_weight(name, shape, initializer, trainable=True, regularizer=None)` of the layer.
            shape: of the kernel, or of the inputs, where the batch and other sizes may be None.
        """
        return {}

    def observe(self, x: Tensor, **state: Tensor) -> None:
        """Look at an operand in training, before it is quantized; the place to assign to variables. Nothing here."""

    def __call__(self, x: Tensor) -> Tensor:
        """Quantize `x`; the values of what `build` made come as keyword arguments."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__")

    def window(self, **state: Tensor) -> tuple[float, float] | None:
        """The lowest and the highest value that a gradient passes at; None where it passes everywhere, or that is not known."""
        return None

    def grid(self, **state: Tensor) -> Grid | None:
        """The values that it ends on, of a kernel but for a scale; None where it is off, or that is not known."""
        return None

    def affine(self, **state: Tensor) -> tuple[Any, Any] | None:
        """Scale and shift, numbers or one a channel, of inputs x that go to the value of the grid next to scale x + shift.

        None where they go to the value next to x itself.
        """
        return None

    def check_state(self, value: Any, keeps: str) -> None:
        """Raise ValueError where a call has nothing of what `build` made: `keeps`, for each layer."""
        if value is None:
            example = "kernel_quantizer" if self.operand == "kernel" else "input_quantizer"
            raise ValueError(
                f"{self!r} keeps {keeps} for each layer: give it to a layer of tfq as its {example}, "
                "not as an activation function"
            )

    def fits(self, dtype: str) -> bool:
        """Whether its values are still apart when they are cast to `dtype`; True where its grid is not known before training."""
        keeps_something = type(self).build not in (Quantizer.build, KernelQuantizer.build)
        return keeps_something or half_precision.fits(self.grid(), dtype)


# What the layers of tfq take for a quantizer; see `tfq.quantizers.get`.
QuantizerLike: TypeAlias = Quantizer | Callable[..., Tensor] | str | dict[str, Any] | None


class KernelQuantizer(Quantizer):
    """A quantizer of kernels. It learns from the layer which axes count the filters, since kernels are laid out differently."""

    operand = "kernel"

    def build(self, add_weight: Callable, shape: tuple, channel_axis: int | tuple[int, ...] = -1) -> dict[str, Any]:
        """As in `Quantizer`; `channel_axis`, as in a call, says what a variable with one value a filter spans."""
        return {}

    def __call__(self, x: Tensor, channel_axis: int | tuple[int, ...] = -1) -> Tensor:
        """Quantize the kernel `x`; the values of what `build` made come as keyword arguments.

        Args:
            x: the kernel.
            channel_axis: its axes that count the filters, from behind: -1 for (height, width, in, out) and (in, out), -2 for a
                transposed convolution's (height, width, out, in), (-2, -1) for a depthwise one's (height, width, in, multiplier).
                One scale a filter spans all the others.
        """
        raise NotImplementedError(f"{type(self).__name__} has no __call__")

    def encode(self, kernel: Tensor, channel_axis: int | tuple[int, ...] = -1, **state: Tensor) -> Codes:
        """The quantized kernel as integers and their scale, which give the values of the forward pass again.

        Args:
            kernel: the latent kernel.
            channel_axis: as in a call.

        Raises:
            TypeError: its grid is not known.
        """
        return encode(self(kernel, channel_axis=channel_axis, **state), self.grid(**state), channel_axis)


class InputQuantizer(Quantizer):
    """A quantizer of inputs. It serves for kernels too where it has no variables."""

    operand = "inputs"


class GradientQuantizer(Quantizer):
    """A quantizer of gradients: called with a tensor and a key of two integers, it passes the tensor on as it is.

    The gradient that comes back is quantized with noise of the key. `seed` starts the noise; see `tfq.layers.QuantGradient`.
    """

    operand = "gradient"
    seed: int | None = None

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """Return `x`, with a gradient that will be quantized."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__")
