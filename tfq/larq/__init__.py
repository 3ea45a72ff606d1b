"""larq's names over tfq: a model written for larq runs on Keras 3 once `import larq as lq` is `import tfq.larq as lq`.

What differs, and what is not here, stands in `docs/from-larq.md`.
"""

import importlib

import tfq.layers  # noqa: F401 (once complete, it imports what stands in saved models of this package)

__all__ = [
    "activations",
    "callbacks",
    "constraints",
    "context",
    "layers",
    "math",
    "metrics",
    "models",
    "optimizers",
    "quantizers",
    "utils",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
