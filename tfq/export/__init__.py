"""Files for other programs and for `tfq.runtime`, each loaded again and compared with the Keras model before it gets its name.

tfq.export_model(model, "run/export", formats=["tfq", "tflite"], images=x_test[:256])
"""

import importlib

# What is public, and the file it stands in. Keras is not imported before one of them is used: a command sets its backend first.
_PUBLIC = {
    "Agreement": "verify",
    "ExportError": "errors",
    "ExportMismatch": "verify",
    "FORMATS": "formats",
    "Report": "exporter",
    "Unsupported": "layers",
    "check": "formats",
    "check_model": "formats",
    "export_model": "exporter",
    "save": "exporter",
}

__all__ = list(_PUBLIC)


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"tfq.export.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
