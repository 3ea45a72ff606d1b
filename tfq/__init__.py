"""tfq: XNOR-Net, Ternary Weight Networks and DoReFa for Keras.

Once it is imported, before Keras or after, models that use its layers load without `custom_objects`. It imports Keras no sooner
than it is needed, since `tfq.runtime` runs without.
"""

import importlib

from tfq import registration

__version__ = "0.1.0"

_MODULES = ("callbacks", "constraints", "data", "export", "layers", "quantizers", "runtime")

__all__ = [*_MODULES, "export_model", "load_packed"]

registration.with_keras()


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"tfq.{name}")
    if name == "export_model":
        return importlib.import_module("tfq.export").export_model
    if name == "load_packed":
        return importlib.import_module("tfq.convert.to_keras").load_packed
    raise AttributeError(f"module 'tfq' has no attribute {name!r}")
