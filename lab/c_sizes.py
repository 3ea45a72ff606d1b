"""`python -m lab.c_sizes`: measures the bytes of code of each file of `tfq/c/kernels/` and writes `sizes.json` there.

A kernel is what it adds to those that it builds on, all their functions kept, as code of a Cortex-M4. It needs arm-none-eabi-gcc.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tfq import files
from tfq.c import render

COMPILER = ("arm-none-eabi-gcc", "-std=c99", "-Os", "-mthumb", "-mcpu=cortex-m4")
# A call of a layer in the run function: its arguments, and the structure that says where results go.
CALL = 24
# Kernels that switch on code of those behind them: what each adds to all of them.
_WITHIN_OTHERS = ("fixed", "kept")
_PATH = Path("tfq/c/kernels/sizes.json")


def main() -> int:
    """Measure, print what changed, and write."""
    argparse.ArgumentParser(prog="python -m lab.c_sizes", description=__doc__.splitlines()[0]).parse_args()
    try:
        sizes = measured()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"python -m lab.c_sizes: error: {error}", file=sys.stderr)
        return 1
    before = json.loads(_PATH.read_text(encoding="utf-8"))
    for name, size in sizes.items():
        print(f"{name:<16}{before.get(name, 0):>6} -> {size}")
    files.write_text(_PATH, json.dumps(sizes, indent=2) + "\n")
    return 0


def measured() -> dict[str, int]:
    """Bytes of code of each kernel file, and of a call."""
    sizes, before, text = {}, 0, ""
    for name in render.KERNELS:
        if name in _WITHIN_OTHERS:
            continue
        text += render.kernel(name) + "\n\n"
        size = _code(text)
        sizes[name], before = size - before, size
    for name in _WITHIN_OTHERS:
        others = (each for each in render.KERNELS if each == name or each not in _WITHIN_OTHERS)
        sizes[name] = _code("\n\n".join(map(render.kernel, others))) - before
    return {**sizes, "call": CALL}


def _code(text):
    """Bytes of code of some C, whose functions nobody calls."""
    kept = re.sub(r"^(TFQ_FUNCTION|TFQ_APART|TFQ_RARE|TFQ_PLAIN_LOOPS) ", "", text, flags=re.MULTILINE)
    kept = re.sub(r"^( +)(TFQ_FUNCTION|TFQ_APART) ", r"\1", kept, flags=re.MULTILINE)
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory) / "kernels.c", Path(directory) / "kernels.o"
        source.write_text(kept, encoding="utf-8")
        subprocess.run([*COMPILER, "-c", str(source), "-o", str(target)], check=True)
        size = subprocess.run([COMPILER[0].replace("gcc", "size"), str(target)], check=True, capture_output=True, text=True)
    text_bytes, data = size.stdout.splitlines()[1].split()[:2]
    return int(text_bytes) + int(data)


if __name__ == "__main__":
    sys.exit(main())
