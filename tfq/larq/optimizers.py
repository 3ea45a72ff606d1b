"""larq's optimizers: Bop, which flips binary weights, and one that gives each variable to one of several."""

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Self

from tfq.backend.keras import Tensor, keras, ops
from tfq.backend.optimizers import Cases, Optimizer, Rule
from tfq.quantizers.base import register
from tfq.ste import sign

__all__ = ["Bop", "CaseOptimizer"]

Predicate = Callable[[Any], bool]


@register
class Bop(Rule):
    """Binary optimizer: it flips a weight once the average of its gradients says so, and keeps no latent weights.

        m <- m + gamma (g - m)
        w <- sign(-sign(w m - threshold) w),    sign(0) = 1 on the outside, 0 within

    Helwegen et al. 2019, arXiv:1906.02107, algorithm 2; at w m = threshold larq's result, 1. The weights are binary from the
    first step on. It is for kernels whose quantizer leaves a binary one as it is, such as `NoOp(precision=1)` or `"ste_sign"`.

    Args:
        threshold: how strong the average must be to flip a weight; a number or a schedule of Keras.
        gamma: the share of the new gradient in the average; a number or a schedule of Keras.
        name: of the optimizer.
        **kwargs: as in Keras' optimizers, such as `clipnorm`.
    """

    def __init__(self, threshold: Any = 1e-8, gamma: Any = 1e-4, name: str = "Bop", **kwargs: Any) -> None:
        super().__init__({"threshold": threshold, "gamma": gamma}, name=name, **kwargs)

    def step(self, variable: Tensor, gradient: Tensor, state: Tensor, **hyperparameters: Tensor) -> tuple[Tensor, Tensor]:
        """The new weights and the new average."""
        m = state + hyperparameters["gamma"] * (gradient - state)
        return sign(-ops.sign(variable * m - hyperparameters["threshold"]) * variable), m

    @staticmethod
    def is_binary_variable(variable: Any) -> bool:
        """Whether the kernel's quantizer has one bit: the predicate for `CaseOptimizer`."""
        return getattr(variable, "precision", None) == 1


@register
class CaseOptimizer(Cases):
    """Several optimizers, each for the variables that a predicate takes.

        CaseOptimizer((Bop.is_binary_variable, Bop()), default_optimizer=Adam(0.01))

    A saved one holds for each variable its optimizer, not the predicates.

    Args:
        *predicate_optimizer_pairs: a function of a variable that says whether the optimizer beside it trains that; no two may
            take the same.
        default_optimizer: trains what no predicate takes; without one that is not trained, of which a warning tells.
        name: of the optimizer.

    Raises:
        TypeError: a predicate cannot be called, or an optimizer is none; on tf_keras it must be of `optimizers.legacy`.
        ValueError: there is no optimizer; in the first step: two predicates take the same variable, or one takes none.
    """

    def __init__(
        self,
        *predicate_optimizer_pairs: tuple[Predicate, Any],
        default_optimizer: Any = None,
        name: str = "optimizer_case",
    ) -> None:
        for index, (predicate, optimizer) in enumerate(predicate_optimizer_pairs):
            if not callable(predicate):
                raise TypeError(f"CaseOptimizer: pair {index} must begin with a function of a variable; got {predicate!r}")
            _check_optimizer(optimizer, f"pair {index} must end with")
        if default_optimizer is not None:
            _check_optimizer(default_optimizer, "default_optimizer must be")
        if not predicate_optimizer_pairs and default_optimizer is None:
            raise ValueError("CaseOptimizer: expected pairs of a predicate and an optimizer, or a default_optimizer; got neither")
        optimizers = [optimizer for _, optimizer in predicate_optimizer_pairs]
        super().__init__(optimizers if default_optimizer is None else [*optimizers, default_optimizer], name=name)
        self.pred_opt_pairs = predicate_optimizer_pairs
        self.default = default_optimizer
        self.var_opt_mapping: list[int | None] | None = None

    def cases(self, variables: Sequence[Any]) -> list[int | None]:
        """For each variable the index of its optimizer in `optimizers`, or None."""
        if self.var_opt_mapping is None:
            self.var_opt_mapping = [self._case(variable) for variable in variables]
            for index, (_, optimizer) in enumerate(self.pred_opt_pairs):
                if index not in self.var_opt_mapping:
                    raise ValueError(f"CaseOptimizer: the predicate of pair {index}, {optimizer!r}, takes no variable")
        if len(self.var_opt_mapping) != len(variables):
            raise ValueError(
                f"CaseOptimizer: saved for {len(self.var_opt_mapping)} variables, it was given {len(variables)}; make a new one"
            )
        return list(self.var_opt_mapping)

    def get_config(self) -> dict[str, Any]:
        """What describes it: its optimizers, and the optimizer of each variable."""
        return {
            "name": self.name,
            "optimizer_configs": [keras.optimizers.serialize(optimizer) for _, optimizer in self.pred_opt_pairs],
            "default_config": None if self.default is None else keras.optimizers.serialize(self.default),
            "var_opt_mapping": None if self.var_opt_mapping is None else list(self.var_opt_mapping),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """The optimizer that `config` describes."""
        read = keras.optimizers.deserialize
        config = copy.deepcopy(config)  # which Keras writes into
        default = config["default_config"]
        made = cls(
            *((_not_saved, read(each, custom_objects=custom_objects)) for each in config["optimizer_configs"]),
            default_optimizer=None if default is None else read(default, custom_objects=custom_objects),
            name=config["name"],
        )
        made.var_opt_mapping = config["var_opt_mapping"]
        return made

    def _case(self, variable):
        taken = [index for index, (predicate, _) in enumerate(self.pred_opt_pairs) if predicate(variable)]
        if len(taken) > 1:
            raise ValueError(f"CaseOptimizer: {_name(variable)!r} is taken by the predicates of pairs {taken}")
        if not taken and self.default is None:
            warnings.warn(f"CaseOptimizer has no default_optimizer: {_name(variable)!r} is not trained", stacklevel=2)
            return None
        return taken[0] if taken else len(self.pred_opt_pairs)


def _check_optimizer(optimizer, rule):
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"CaseOptimizer: {rule} a {Optimizer.__module__}.{Optimizer.__name__}; got {optimizer!r}")


def _name(variable):
    return getattr(variable, "path", variable.name)


def _not_saved(variable):
    raise ValueError("CaseOptimizer: it was saved before its first step, and predicates are not saved; make a new one")
