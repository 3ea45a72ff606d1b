"""What the start of an engine costs: compiling, the first time on a machine; later, reading the code from disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfq.runtime.engine import Engine
    from tfq.runtime.plain_engine import PlainEngine


def warm_up(engine: Engine | PlainEngine) -> tuple[float, bool]:
    """What it took to make an engine ready.

    Args:
        engine: `tfq.runtime.Engine`.

    Returns:
        The seconds it took, and whether anything had to be compiled.
    """
    from tfq.runtime.kernels import were_compiled

    return engine.warm_up(), were_compiled()
