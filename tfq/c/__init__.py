"""A packed network as C: one file that needs no library, for microcontrollers and for anything else with a C compiler.

    from tfq import c
    c.write(graph, "firmware", "net")

It needs NumPy alone. See docs/c.md.
"""

from tfq.c import edges, layouts, operations, products, residuals
from tfq.c.limits import TooLarge
from tfq.c.registry import NoC, register_c
from tfq.c.source import Source
from tfq.c.write import Foreign, Written, write

__all__ = [
    "Foreign",
    "NoC",
    "Source",
    "TooLarge",
    "Written",
    "edges",
    "layouts",
    "operations",
    "products",
    "register_c",
    "residuals",
    "write",
]
