"""tfq: XNOR-Net, Ternary Weight Networks and DoReFa for Keras.

Once it is imported, before Keras or after, models that use its layers load without `custom_objects`. It imports Keras no sooner
than it is needed, since `tfq.runtime` runs without.
"""

import importlib
import types
from typing import TYPE_CHECKING

from tfq import registration

if TYPE_CHECKING:  # what `__getattr__` gives, for editors and type checkers
    from tfq import (
        callbacks,
        constraints,
        convert,
        data,
        export,
        graph,
        larq,
        layers,
        plot,
        quantized_weights,
        quantizers,
        runtime,
        testing,
        training,
        zoo,
    )
    from tfq.convert.to_keras import load_packed
    from tfq.export.exporter import export_model
    from tfq.summary import CallablePackage

    summary: CallablePackage

__version__ = "0.1.0"

__all__ = [
    "callbacks",
    "constraints",
    "convert",
    "data",
    "export",
    "export_model",
    "graph",
    "larq",
    "layers",
    "load_packed",
    "plot",
    "quantized_weights",
    "quantizers",
    "runtime",
    "summary",
    "testing",
    "training",
    "zoo",
]

_FUNCTIONS = {"export_model": "tfq.export", "load_packed": "tfq.convert.to_keras"}
_FORMER_NAMES = ("complexity",)

registration.with_keras()


if not TYPE_CHECKING:  # a type checker would take any name for right

    def __getattr__(name: str) -> object:
        if name in _FUNCTIONS:
            return getattr(_module(_FUNCTIONS[name], name), name)
        if name in __all__ or name in _FORMER_NAMES:
            return _module(f"tfq.{name}", name)
        raise AttributeError(f"module 'tfq' has no attribute {name!r}")


def _module(path: str, name: str) -> types.ModuleType:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "tfq":
            raise
        raise ImportError(f"tfq.{name} needs the whole of tfq, beside its runtime: pip install tfq") from error


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
