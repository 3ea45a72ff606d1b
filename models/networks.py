"""The networks of train.py, with the flags of each. Imports no Keras, so that a slip is found before it is loaded."""

from __future__ import annotations

import importlib
import numbers
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from tfq.cli.config import TrainingConfig

# What no option may be called: flags of train.py, and arguments of `models.build`.
_TAKEN = {each.name for each in fields(TrainingConfig)} | {
    *("w_bits", "a_bits", "g_bits", "backend", "run_dir", "resume", "name", "input_shape", "num_classes", "scheme"),
    *("flagfile", "undefok", "help", "helpfull", "helpshort", "verbosity", "v"),
}
_KINDS = {int: ("an integer", numbers.Integral), float: ("a number", numbers.Real), bool: ("True or False", bool)}


@dataclass(frozen=True)
class Option:
    """A flag of train.py that is an argument of `models.build` too.

    Args:
        name: of both.
        kind: int, float or bool.
        help: what it is, and what it is where it is not given.
        must: what the values must be, such as "must be 1 or more".
        valid: whether a value is that.
        default: of the flag; None where the network has one of its own.
    """

    name: str
    kind: type
    help: str
    must: str = ""
    valid: Callable[[Any], bool] = field(default=lambda value: True, compare=False)
    default: Any = None

    def refusal(self, value: Any) -> str | None:
        """What a value that is not allowed must be; None where it is allowed."""
        what, kind = _KINDS[self.kind]
        if not isinstance(value, kind) or (isinstance(value, bool) and self.kind is not bool):
            return f"must be {what}"
        return None if self.valid(value) else self.must

    def check(self, value: Any, where: str = "") -> None:
        """Raise ValueError, which begins with `where`, unless a value is allowed."""
        refusal = self.refusal(value)
        if refusal:
            raise ValueError(f"{where}{self.name} {refusal}; got {self.name}={value}")

    def parsed(self, text: Any) -> Any:
        """The value that a run's flags name by a text."""
        if not isinstance(text, str):
            return text
        return text == "true" if self.kind is bool else self.kind(text)


@dataclass(frozen=True)
class Network:
    """A network that train.py can train.

    Args:
        name: what `--model` calls it.
        build: the function of a `models.scheme.Scheme`, `input_shape`, `num_classes` and the options that gives a Keras model of
            logits; or where it is, "module:function", so that it is not imported before it is used.
        options: the flags that it knows beside those of all networks.
        counts_relu: whether its ReLUs are among the operations that are counted.
    """

    name: str
    build: Callable[..., Any] | str
    options: tuple[Option, ...] = ()
    counts_relu: bool = False

    def check(self, options: dict[str, Any]) -> None:
        """Raise ValueError where the network does not know an option, or not such a value."""
        known = {option.name: option for option in self.options}
        for name, value in options.items():
            if name not in known:
                raise ValueError(f"network {self.name!r} has no option {name!r}; it has {', '.join(known) or 'none'}")
            known[name].check(value, f"{self.name}: ")

    def make(self, scheme: Any, **arguments: Any) -> Any:
        """The Keras model."""
        if callable(self.build):
            return self.build(scheme, **arguments)
        module, _, function = self.build.partition(":")
        return getattr(importlib.import_module(module), function)(scheme, **arguments)


NETWORKS: dict[str, Network] = {}


def register_network(network: Network) -> Network:
    """Let `models.build`, and a train.py that is imported afterwards, make another network.

    A program that trains it: `import models`, `models.register_network(...)`, then `import train` and
    `absl.app.run(train.main, flags_parser=train.parse)`.

    Returns:
        The network.

    Raises:
        TypeError: it is no `Network`, or an option no `Option`.
        ValueError: there is one of that name; it cannot be a name; `build` is no function, nor where one is; an option has the
            name of another flag, or of another kind of one.
    """
    _check(network)
    if network.name in NETWORKS and NETWORKS[network.name] != network:
        raise ValueError(f"there is a network {network.name!r} already")
    others = {option.name: option for other in NETWORKS.values() for option in other.options}
    others |= {option.name: option for option in COMMON}
    for option in network.options:
        if option.name in others and (others[option.name].kind is not option.kind or others[option.name] in COMMON):
            raise ValueError(f"network {network.name!r}: there is another flag --{option.name} already")
    NETWORKS[network.name] = network
    return network


def _check(network: Any) -> None:
    if not isinstance(network, Network):
        raise TypeError(f"register_network takes a models.Network; got {network!r}")
    if not re.fullmatch(r"\w[\w.-]*", network.name):
        raise ValueError(f"the name of a network must be letters, digits, _, . and -; got {network.name!r}")
    where = f"network {network.name!r}"
    if not (callable(network.build) or (isinstance(network.build, str) and re.fullmatch(r"[\w.]+:\w+", network.build))):
        raise ValueError(f"{where}: build must be a function, or where it is, as 'module:function'; got {network.build!r}")
    for option in network.options:
        if not isinstance(option, Option):
            raise TypeError(f"{where}: options must be models.Option; got {option!r}")
        if option.kind not in _KINDS:
            raise ValueError(f"{where}: --{option.name} must be of kind int, float or bool; got {option.kind!r}")
        if option.name in _TAKEN or not option.name.isidentifier():
            raise ValueError(f"{where}: {option.name!r} cannot be an option: it is another flag or argument, or no name")


def network(name: str) -> Network:
    """The network of a name; raises ValueError, which names those that are known."""
    if name not in NETWORKS:
        raise ValueError(f"network {name!r} is unknown; known are {', '.join(NETWORKS)}")
    return NETWORKS[name]


BN_MOMENTUM = Option(
    "bn_momentum",
    float,
    "Share of its moving statistics that batch normalization keeps a step. Default: 0.9.",
    "must be from 0 to below 1",
    lambda share: 0 <= share < 1,
)
# Of all networks, but not of all methods: `Method.flags` names those that it knows.
OF_METHODS = (
    Option("kmap", bool, "xnor: multiply each convolution by the scale K of its inputs.", default=False),
    Option(
        "latent",
        bool,
        "Keep latent weights in float; --nolatent trains the quantized ones, to see what that costs.",
        default=True,
    ),
    Option(
        "ewgs_delta",
        float,
        "ewgs: how much gradients are scaled by the rounding error. Default: 0.001.",
        "must be 0 or more",
        lambda delta: 0 <= delta < float("inf"),
    ),
)
COMMON = (OF_METHODS[0], BN_MOMENTUM, *OF_METHODS[1:])

register_network(
    Network(
        "resnet20",
        "models.resnet20:build",
        (
            Option(
                "width",
                int,
                "output channels of a block over its inner ones; 1 is He et al. Default: 4.",
                "must be 1 or more",
                lambda width: width >= 1,
            ),
            Option(
                "depth",
                int,
                "6 n + 2. Default: 20.",
                "must be 6 n + 2 with n >= 1 (8, 14, 20, ...)",
                lambda depth: depth >= 8 and depth % 6 == 2,
            ),
        ),
    )
)
register_network(
    Network(
        "nin",
        "models.nin:build",
        (Option("bn_first", bool, "batch normalization in front of quantized convolutions. Default: with 1-bit inputs."),),
        # The seed's figures for nin count its ReLUs, those for resnet20 do not.
        counts_relu=True,
    )
)
