"""The methods: what each makes of weights, activations and gradients, and which flags and export formats it goes with.

One table, which the networks, train.py and the lab read. Imports neither Keras nor NumPy: a slip is found before they are loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tfq.export.format import Format
from tfq.export.formats import FORMATS

FULL_PRECISION = 32


class Bits(NamedTuple):
    """Bits of the weights, the activations and the gradients; 32 is float."""

    weights: int
    activations: int
    gradients: int


@dataclass(frozen=True)
class Operand:
    """What a method makes of the weights, the activations or the gradients.

    Args:
        bits: the numbers of bits they can have, the default first; None in front where the user has to say. 32 is float.
        quantizer: for fewer than 32 bits: a class in `tfq.quantizers`, or of one's own, `tfq.quantizers.register_quantizer`; None
            where there is none of tfq's.
        takes_bits: whether the class is given the number.
    """

    bits: tuple[int | None, ...] = (FULL_PRECISION,)
    quantizer: str | None = None
    takes_bits: bool = False

    def describe(self) -> str:
        """The numbers of bits, for a message."""
        numbers = [number for number in self.bits if number is not None]
        low = sorted(number for number in numbers if number != FULL_PRECISION)
        if len(low) > 2 and low == list(range(low[0], low[-1] + 1)):
            return f"{low[0]} to {low[-1]}" + (", or 32 for float" if FULL_PRECISION in numbers else "")
        return " or ".join(map(str, numbers))


@dataclass(frozen=True)
class Method:
    """A way to quantize a network.

    Args:
        name: what `--method` calls it.
        weights: `Operand`.
        activations: likewise.
        gradients: likewise.
        kernel_constraint: of the latent kernels, as Keras takes it.
        flags: flags of train.py, and arguments of `models.build`, that it knows beside those of all methods.
        wrapper: module with `quantize(model)`, which makes another model of the float one, and `reading()`, the context in which
            Keras reads that back; None for networks of tfq's layers.
        backend: the one backend of train.py that it runs on; None for any.
        package: package that it needs, by the name it is imported by.
        checkpoint: ending of the checkpoints of a run.
    """

    name: str
    weights: Operand = Operand()
    activations: Operand = Operand()
    gradients: Operand = Operand()
    kernel_constraint: str | None = None
    flags: tuple[str, ...] = ()
    wrapper: str | None = None
    backend: str | None = None
    package: str | None = None
    checkpoint: str = ".keras"

    @property
    def bits(self) -> dict[str, Operand]:
        """The operands by the flags that give their bits."""
        return {"w_bits": self.weights, "a_bits": self.activations, "g_bits": self.gradients}

    @property
    def has_bits_of_its_own(self) -> bool:
        """Whether the user need not say any."""
        return all(operand.bits[0] is not None for operand in self.bits.values())

    @property
    def needs_no_flag(self) -> bool:
        """Whether its name alone says how a network is quantized."""
        return self.has_bits_of_its_own and not self.wrapper

    @property
    def is_low_bit(self) -> bool:
        """Whether its convolutions have quantizers of tfq."""
        return any(operand.quantizer is not None for operand in self.bits.values())

    def resolve(self, w_bits: int | None = None, a_bits: int | None = None, g_bits: int | None = None) -> Bits:
        """The bits of a network, None for the method's own.

        Raises:
            ValueError: a number of bits it cannot have; the message names the argument.
        """
        return Bits(*(self._resolve(*item) for item in {"w_bits": w_bits, "a_bits": a_bits, "g_bits": g_bits}.items()))

    def _resolve(self, name: str, value: int | None) -> int:
        operand = self.bits[name]
        if value is None and operand.bits[0] is None:
            raise ValueError(f"method={self.name!r} needs {name}: give {operand.describe()}")
        if value is None:
            return operand.bits[0]
        if value not in operand.bits:
            raise ValueError(f"{name}={value} does not fit method={self.name!r}: it must be {operand.describe()}")
        return value

    def label(self, w_bits: object = None, a_bits: object = None, g_bits: object = None) -> str:
        """Its name with the bits that the user gave, such as dorefa_a2w2g32; the name alone where it has bits of its own."""
        if self.has_bits_of_its_own:
            return self.name
        return f"{self.name}_a{a_bits or FULL_PRECISION}w{w_bits or FULL_PRECISION}g{g_bits or FULL_PRECISION}"

    def takes(self, format: Format) -> bool:
        """Whether its networks can be exported to a format, as far as that is known beforehand."""
        if self.wrapper:
            return format.takes_tfmot
        quantizers = self.weights.quantizer, self.activations.quantizer
        return quantizers in ((None, None), ("XnorWeights", "XnorInputs")) or not format.signs_only

    @property
    def formats(self) -> tuple[str, ...]:
        """Names of the formats that it takes."""
        return tuple(name for name, format in FORMATS.items() if self.takes(format))

    def refusal(self, format: Format) -> str | None:
        """Why it does not take a format; None where it does."""
        if self.takes(format):
            return None
        if self.wrapper:
            return f"is not for --method={self.name}; that has {', '.join(self.formats)}"
        return f"needs --method=xnor, whose kernels and inputs are signs; got --method={self.name}"


_ANY = (*range(1, 17), FULL_PRECISION)
_SIGNS = Operand((1,), "XnorInputs")
_TERNARY = Operand((2,), "TernaryWeights")

_ALL = (
    Method("float"),
    # The first of two stages: binary inputs of float kernels, whose weights a method with binary kernels starts from.
    Method("float_a1", activations=_SIGNS),
    Method("xnor", Operand((1,), "XnorWeights"), _SIGNS, kernel_constraint="weight_clip", flags=("kmap", "latent")),
    Method("ternary", _TERNARY, Operand((FULL_PRECISION, 1), "XnorInputs"), flags=("latent",)),
    Method("ternary_a1", _TERNARY, _SIGNS, flags=("latent",)),
    Method(
        "dorefa",
        Operand((None, *_ANY), "DoReFaWeights", takes_bits=True),
        Operand((None, *_ANY), "DoReFaInputs", takes_bits=True),
        Operand((FULL_PRECISION, *_ANY), "DoReFaGradients", takes_bits=True),
        flags=("latent",),
    ),
    # Weights from 2 bits on, as in the paper's tables: those of one bit would be -1 and 0. Its steps need latent weights.
    Method(
        "lsq",
        Operand((None, *_ANY[1:]), "LSQWeights", takes_bits=True),
        Operand((None, *_ANY), "LSQInputs", takes_bits=True),
    ),
    Method(
        "ewgs",
        Operand((None, *_ANY), "EWGSWeights", takes_bits=True),
        Operand((None, *_ANY), "EWGSInputs", takes_bits=True),
        flags=("ewgs_delta",),
    ),
    # A model inside tfmot's wrappers cannot be read back from .keras.
    Method(
        "int8",
        Operand((8,)),
        Operand((8,)),
        wrapper="models.int8",
        backend="tf_keras",
        package="tensorflow_model_optimization",
        checkpoint=".h5",
    ),
)
METHODS: dict[str, Method] = {method.name: method for method in _ALL}


def register_method(method: Method) -> Method:
    """Let `models.build`, and a train.py that is imported afterwards, quantize by another method.

    Returns:
        The method.

    Raises:
        ValueError: there is another one of that name.
    """
    if METHODS.get(method.name, method) != method:
        raise ValueError(f"there is a method {method.name!r} already")
    METHODS[method.name] = method
    return method


def method(name: str) -> Method:
    """The method of a name; raises ValueError, which names those that are known."""
    if name not in METHODS:
        raise ValueError(f"method={name!r} is unknown; known are {', '.join(METHODS)}")
    return METHODS[name]
