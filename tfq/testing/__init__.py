"""Contracts that whatever is added to this library must keep, as functions to call in tests of your own."""

import importlib

# What is public, and the module it stands in.
_PUBLIC = {"ContractError": "tfq.testing.errors", "check_operation": "tfq.testing.operations"}

__all__ = list(_PUBLIC)


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
