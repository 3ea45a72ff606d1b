"""Files for other programs and for `tfq.runtime`, each loaded again and compared with the Keras model before it gets its name.

tfq.export_model(model, "run/export", formats=["tfq", "tflite"], images=x_test[:256])
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what `__getattr__` gives, for editors and type checkers
    from tfq.convert.layers import Unsupported
    from tfq.export.checks import check, check_model
    from tfq.export.errors import ExportError
    from tfq.export.exporter import Report, export_model, save
    from tfq.export.format import Format, Lossy, reading
    from tfq.export.formats import FORMATS, register_format
    from tfq.export.verify import Agreement, ExportMismatch

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
    "reading": "tfq.export.format",
    "register_format": "tfq.export.formats",
    "save": "tfq.export.exporter",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> object:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
