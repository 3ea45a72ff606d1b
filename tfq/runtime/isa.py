"""The instructions that code is compiled for: those of this processor, or fewer that the environment variable TFQ_ISA names."""

import os
import platform
from dataclasses import dataclass

from tfq import optional

try:
    import llvmlite.binding as llvm
except ImportError as error:
    raise ImportError(optional.missing("numba")) from error

VARIABLE = "TFQ_ISA"


@dataclass(frozen=True)
class Isa:
    """A set of instructions, as LLVM names it.

    Attributes:
        cpu: the processor whose costs LLVM reckons with.
        features: what it may use, each as LLVM names it.
    """

    cpu: str
    features: tuple[str, ...]

    @property
    def flags(self) -> str:
        """The features as LLVM takes them: `+avx,+avx2`."""
        return ",".join(f"+{feature}" for feature in self.features)


_X86 = ("cx16", "fxsr", "sse", "sse2")
_AVX2 = (
    *_X86, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "popcnt", "sahf", "sse3", "sse4.1", "sse4.2", "ssse3",
    "xsave",
)  # fmt: skip
_AVX512 = (*_AVX2, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")
# Each has a way of its own to count bits or to multiply bytes, or registers of another size.
SETS = {
    "x86_64": {
        "avx512vpopcntdq": Isa("x86-64-v4", (*_AVX512, "avx512vnni", "avx512vpopcntdq")),
        "avx512vnni": Isa("x86-64-v4", (*_AVX512, "avx512vnni")),
        "avx512": Isa("x86-64-v4", _AVX512),
        "avxvnni": Isa("x86-64-v3", (*_AVX2, "avxvnni")),
        "avx2": Isa("x86-64-v3", _AVX2),
        "baseline": Isa("x86-64", _X86),
    },
    "aarch64": {"neon": Isa("generic", ("neon",))},
}
_ALWAYS = {"x86_64": {"sse", "sse2"}, "aarch64": {"neon"}}
_SAME = {"amd64": "x86_64", "arm64": "aarch64"}


def forced(name: str | None = None, machine: str | None = None, features: frozenset[str] | None = None) -> Isa | None:
    """The set of instructions that TFQ_ISA names; None where it is not set or empty.

    Args:
        name: its value; by default that of the environment.
        machine: the kind of processor; by default this one.
        features: what that processor has; by default this one's.

    Raises:
        ValueError: the processor has no such set, or nobody knows it.
    """
    name = os.environ.get(VARIABLE, "") if name is None else name
    if not name:
        return None
    features = host_features() if features is None else features
    known = SETS.get(machine or _machine(), {})
    possible = [other for other, isa in known.items() if set(isa.features) <= features]
    if name in possible:
        return known[name]
    every = [other for sets in SETS.values() for other in sets]
    problem = "this processor cannot run it" if name in every else "it is none of " + ", ".join(every)
    raise ValueError(f"{VARIABLE}={name}: {problem}; here it may be {', '.join(possible) or 'left out'}")


def host_features() -> frozenset[str]:
    """What this processor has, by LLVM's names."""
    try:
        found = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM cannot tell
        found = {}
    # Of AArch64 it knows what /proc/cpuinfo says, which under an emulator is nothing.
    return frozenset(name for name, has in found.items() if has) | _ALWAYS.get(_machine(), set())


def _machine():
    machine = platform.machine().lower()
    return _SAME.get(machine, machine)
