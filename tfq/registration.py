"""Registers tfq's classes with Keras as soon as Keras is there, without importing Keras itself."""

import importlib
import importlib.abc
import importlib.util
import sys

_KERAS = ("keras", "tf_keras")
# Where tfq itself imports Keras, its classes can be made once this package is complete, and no sooner.
_OURS = "tfq.backend"
# Their classes stand in saved models too, but they are above the layers, on which they are built.
_ABOVE_LAYERS = ("tfq.larq.layers", "tfq.larq.quantizers")


def with_keras() -> None:
    """Register now if a Keras is loaded, else right after one will be."""
    if any(name in sys.modules for name in _KERAS):
        _register()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def after_layers() -> None:
    """Register what is built on the layers, which call this once they are complete."""
    for name in _ABOVE_LAYERS:
        importlib.import_module(name)


def _register():
    # Of tfq-runtime alone there are no layers, and another program's Keras is none of its business.
    if importlib.util.find_spec("tfq.layers"):
        importlib.import_module("tfq.layers")  # each class registers itself where it is defined


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Finds Keras as the other finders do, and registers when its import is complete."""

    def find_spec(self, name, path=None, target=None):
        if name not in (*_KERAS, _OURS) or self not in sys.meta_path:
            return None
        # The others are asked without this one. It stays for later: who asks may only want to know whether Keras is installed.
        place = sys.meta_path.index(self)
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(place, self)
        if spec is not None:
            spec.loader.exec_module = self._and_register(spec.loader.exec_module)  # type: ignore[method-assign, union-attr]
        return spec

    def _and_register(self, execute):
        def execute_and_register(module):
            execute(module)
            if module.__name__ != _OURS and _OURS in sys.modules:
                return
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            _register()

        return execute_and_register
