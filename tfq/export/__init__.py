"""Files for other programs and for `tfq.runtime`, each loaded again and compared with the Keras model before it gets its name.

tfq.export_model(model, "run/export", formats=["tfq", "tflite"], images=x_test[:256])
"""

from typing import TYPE_CHECKING

from tfq import lazy

if TYPE_CHECKING:  # what `__getattr__` gives, for editors and type checkers
    from tfq.convert.layers import Unsupported as Unsupported
    from tfq.export.checks import check as check
    from tfq.export.checks import check_model as check_model
    from tfq.export.errors import ExportError as ExportError
    from tfq.export.exporter import Report as Report
    from tfq.export.exporter import export_model as export_model
    from tfq.export.exporter import save as save
    from tfq.export.format import Format as Format
    from tfq.export.format import Lossy as Lossy
    from tfq.export.format import reading as reading
    from tfq.export.formats import FORMATS as FORMATS
    from tfq.export.formats import register_format as register_format
    from tfq.export.verify import Agreement as Agreement
    from tfq.export.verify import ExportMismatch as ExportMismatch

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
if not TYPE_CHECKING:  # a type checker would take any name for right
    __getattr__, __dir__ = lazy.attributes(__name__, _PUBLIC)
