"""Values as a compiled model computes them, which may round another way than one operation after the other."""

from collections.abc import Callable, Sequence
from typing import Any

from tfq.backend.keras import backend, keras
from tfq.optional import require

__all__ = ["compiled"]


def _on_tensorflow(function: Callable[[], Any], variables: Sequence[Any], model: Any) -> Any:
    uses_xla = getattr(model, "jit_compile", getattr(model, "_jit_compile", False)) is True
    return require("tensorflow").function(function, jit_compile=uses_xla, autograph=False)()


def _on_jax(function: Callable[[], Any], variables: Sequence[Any], model: Any) -> Any:
    def of(values):
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return function()

    return require("jax").jit(of)([variable.value for variable in variables])  # as arguments: constants are folded otherwise


def _as_they_are(function: Callable[[], Any], variables: Sequence[Any], model: Any) -> Any:
    return function()


_COMPILED = {"tensorflow": _on_tensorflow, "jax": _on_jax}.get(backend, _as_they_are)


def compiled(function: Callable[[], Any], variables: Sequence[Any], model: Any) -> Any:
    """What `function()` gives where `predict` and `evaluate` of a model compute it.

    Args:
        function: without arguments; gives tensors.
        variables: those that it reads.
        model: the model, which may run eagerly, or on XLA.
    """
    return function() if getattr(model, "run_eagerly", False) else _COMPILED(function, variables, model)
