"""Files for other programs and for `tfq.runtime`, each loaded again and compared with the Keras model before it gets its name.

tfq.export_model(model, "run/export", formats=["tfq", "tflite"], images=x_test[:256])
"""

import importlib

# What is public, and the module it stands in. Keras is not imported before one of them is used: a command sets its backend first.
_PUBLIC = {
    "Agreement": "tfq.export.verify",
    "ExportError": "tfq.export.errors",
    "ExportMismatch": "tfq.export.verify",
    "FORMATS": "tfq.export.formats",
    "Format": "tfq.export.format",
    "Lossy": "tfq.export.format",
    "Report": "tfq.export.exporter",
    "Unsupported": "tfq.convert.layers",
    "check": "tfq.export.checks",
    "check_model": "tfq.export.checks",
    "export_model": "tfq.export.exporter",
    "register_format": "tfq.export.formats",
    "save": "tfq.export.exporter",
}

__all__ = list(_PUBLIC)


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
