"""Contracts that whatever is added to this library must keep, as functions to call in tests of your own."""

from typing import TYPE_CHECKING

from tfq import lazy

if TYPE_CHECKING:  # what `__getattr__` gives, for editors and type checkers
    from tfq.testing.conversion import check_conversion as check_conversion
    from tfq.testing.errors import ContractError as ContractError
    from tfq.testing.formats import check_format as check_format
    from tfq.testing.layers import check_layer as check_layer
    from tfq.testing.operations import check_operation as check_operation
    from tfq.testing.quantizers import check_quantizer as check_quantizer

# What is public, and the module it stands in.
_PUBLIC = {
    "ContractError": "tfq.testing.errors",
    "check_conversion": "tfq.testing.conversion",
    "check_format": "tfq.testing.formats",
    "check_layer": "tfq.testing.layers",
    "check_operation": "tfq.testing.operations",
    "check_quantizer": "tfq.testing.quantizers",
}

__all__ = list(_PUBLIC)
if not TYPE_CHECKING:  # a type checker would take any name for right
    __getattr__, __dir__ = lazy.attributes(__name__, _PUBLIC)
