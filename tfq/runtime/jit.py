"""The one file that imports numba and its LLVM, or says how to get them; and compiled code that is kept on disk."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tfq import optional

try:
    import numba
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.core.datamodel import PrimitiveModel
    from numba.core.registry import cpu_target
    from numba.extending import intrinsic, overload, register_model
    from numba.np.numpy_support import from_dtype as record_type
except ImportError as error:
    raise ImportError(optional.missing("numba")) from error

__all__ = [
    "PrimitiveModel",
    "cached",
    "cgutils",
    "inlined",
    "intrinsic",
    "ir",
    "njit",
    "overload",
    "record_type",
    "register_model",
    "target",
    "types",
    "wide",
    "woven",
]

# No `fastmath`: products and sums that meet a sign must be rounded one by one, as float32 arithmetic does it.
# `_nrt`: nothing here makes arrays. With numba's counts of references a call with an array in a loop costs two atomic additions.
_OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False}
_RUNTIME = Path(__file__).parent

njit = numba.njit(**_OPTIONS)
# For what stands in a loop over vectors: a call that LLVM leaves in would spill them all.
inlined = numba.njit(forceinline=True, **_OPTIONS)
# For what calls the tiles: as a function of its own it would be optimized with all of them, and its caller again.
woven = numba.njit(inline="always", **_OPTIONS)


def target() -> tuple[str, set[str]]:
    """What code is compiled for: the triple of LLVM, and the set of the processor's features."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return triple, {feature[1:] for feature in features.split(",") if feature.startswith("+")}


def wide() -> bool:
    """Whether code is compiled for 32 registers of 512 bits."""
    return "avx512f" in target()[1]


def sources(folder: Path = _RUNTIME) -> list[Path]:
    """All files of the runtime. Some are compiled, others hold what is compiled into them: a list would be forgotten."""
    return sorted(folder.rglob("*.py"))


def digest(files: Iterable[Path]) -> str:
    """SHA-256 of the contents of some files."""
    result = hashlib.sha256()
    for path in files:
        result.update(path.read_bytes())
    return result.hexdigest()


def cached(function: Callable) -> Any:
    """`njit`, kept on disk: beside the source, or in the user's cache directory where that cannot be written.

    numba compiles anew when the file that holds `function` is newer than the code on disk; here the contents of all files count
    that the code is made from.
    """
    compiled = numba.njit(cache=True, **_OPTIONS)(function)
    compiled._cache._cache_file._source_stamp = digest(sources())
    return compiled
