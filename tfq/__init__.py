"""tfq: XNOR-Net, Ternary Weight Networks and DoReFa for Keras.

Once it is imported, before Keras or after, models that use its layers load without `custom_objects`. It imports Keras no sooner
than it is needed, since `tfq.runtime` runs without.
"""

import importlib

from tfq import registration

__version__ = "0.1.0"

__all__ = ["callbacks", "constraints", "data", "layers", "quantizers"]

registration.with_keras()


def __getattr__(name):
    if name in __all__:
        return importlib.import_module(f"tfq.{name}")
    raise AttributeError(f"module 'tfq' has no attribute {name!r}")
