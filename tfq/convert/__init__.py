"""Between Keras models and packed graphs, both ways; layers and operations of one's own are registered here."""

import importlib

# What is public, and the module it stands in, which imports all the layers.
_PUBLIC = {
    "Call": "tfq.convert.layers",
    "Unsupported": "tfq.convert.layers",
    "register": "tfq.convert.layers",
    "register_node": "tfq.convert.to_keras",
}

__all__ = list(_PUBLIC)


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
