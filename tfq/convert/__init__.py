"""Between Keras models and packed graphs, both ways; layers and operations of one's own are registered here."""

from typing import TYPE_CHECKING

from tfq import lazy

if TYPE_CHECKING:  # what `__getattr__` gives, for editors and type checkers
    from tfq.convert.layers import Call as Call
    from tfq.convert.layers import Unsupported as Unsupported
    from tfq.convert.layers import register_from_keras as register_from_keras
    from tfq.convert.quantize import quantize_model as quantize_model
    from tfq.convert.to_keras import load_packed as load_packed
    from tfq.convert.to_keras import register_to_keras as register_to_keras
    from tfq.larq.conversion import from_larq as from_larq

# What is public, and the module it stands in, which imports all the layers.
_PUBLIC = {
    "Call": "tfq.convert.layers",
    "Unsupported": "tfq.convert.layers",
    "from_larq": "tfq.larq.conversion",
    "load_packed": "tfq.convert.to_keras",
    "quantize_model": "tfq.convert.quantize",
    "register_from_keras": "tfq.convert.layers",
    "register_to_keras": "tfq.convert.to_keras",
}

__all__ = list(_PUBLIC)
if not TYPE_CHECKING:  # a type checker would take any name for right
    __getattr__, __dir__ = lazy.attributes(__name__, _PUBLIC)
