"""Packed low-bit networks on CPUs: needs NumPy, numba and safetensors, neither Keras nor any of its backends.

engine = tfq.runtime.load("model.tfq", threads=2)
logits = engine.predict(images)
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from tfq.files import PathLike
    from tfq.runtime.engine import Engine
    from tfq.runtime.plain_engine import PlainEngine


__all__ = ["Engine", "load"]


def load(path: PathLike, threads: int = 1) -> Engine | PlainEngine:
    """The `Engine` of a `.tfq` file.

    A network with operations of one's own (`tfq.graph.register_operation`) is computed in NumPy, slowly, and a warning says so.

    Args:
        path: the file.
        threads: threads that share the images of one batch.

    Raises:
        ValueError: the file is no valid `.tfq` file, its network needs more memory than any network should, or `threads` is not
            a positive integer.
    """
    from tfq.graph import check, file
    from tfq.runtime.plain_engine import PlainEngine, foreign

    graph = file.read(path)
    if own := foreign(graph):
        names = ", ".join(f"{node.name!r} ({type(node).__name__})" for node in own)
        warnings.warn(f"{path} is computed in NumPy, slowly: the runtime has no steps for {names}", stacklevel=2)
        return PlainEngine(graph, threads=threads)
    from tfq.runtime.engine import Engine

    try:
        return Engine(graph, threads=threads)
    except check.GraphError as error:
        raise file.FileError(f"{path} cannot be run: {error}") from error


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # The graph and its file are of use without numba, which the engine loads.
        if name == "Engine":
            from tfq.runtime.engine import Engine

            return Engine
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
