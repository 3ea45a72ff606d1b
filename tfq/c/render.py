"""The text of the files."""

import re
from collections.abc import Sequence
from importlib.resources import files
from string import Template

from tfq.c.arena import Buffer
from tfq.c.constants import number
from tfq.c.source import OUTPUT, Call, Source, Structure
from tfq.graph import nodes as g

# In the order in which they build on each other.
KERNELS = (
    "config", "popcount", "windows", "fixed", "kept", "results", "pack", "masks", "dot_scalar", "dot", "conv_bits", "conv_bytes",
    "sums", "sum_floats", "sum_int8", "sum_int16", "sum_signs", "conv_floats", "conv_depthwise", "input_scale", "elementwise",
    "copy", "pooled", "pool", "pool_integers", "pixels", "int8", "conv_int8", "pixels_int8",
)  # fmt: skip
# A line of C, roughly: numbers stand in long lines.
_WIDTH = 130


def template(name: str) -> Template:
    """A file of `tfq/c/templates/`."""
    return Template((files("tfq.c") / "templates" / name).read_text(encoding="utf-8"))


def kernel(name: str) -> str:
    """The text of a file of `tfq/c/kernels/`."""
    return (files("tfq.c") / "kernels" / f"{name}.h").read_text(encoding="utf-8").strip()


def body(source: Source, name: str) -> dict[str, str]:
    """What the template of the C file is filled with."""
    needed = {"config", *source.kernels}
    kernels = [kernel(each) for each in KERNELS if each in needed]
    return {
        "kernels": "\n\n".join([*kernels, *source.functions.values()]),
        "constants": "\n\n".join(source.constants.definitions),
        "name": name,
    }


def calls(some: Sequence[Call], places: dict) -> str:
    """The text of calls, with a comment before each layer."""
    lines, layer = [], None
    for call in some:
        if call.layer != layer:
            layer = call.layer
            lines.append(f"    /* {comment(layer)} */")
        lines.append(_call(call, places))
    return "\n".join(lines)


def split(name: str, some: Sequence[Call], count: int, places: dict) -> dict[str, str]:
    """The text of the first `count` calls, which read the input, and of a function with all others."""
    layers = template("layers.c").substitute(name=name, calls=calls(some[count:], places))
    return {"layers": layers, "calls": f"{calls(some[:count], places)}\n    {name}_layers(output, arena);"}


def comment(text: str) -> str:
    """A text that may stand in a comment."""
    return re.sub(r"[^\w ./:+-]|/(?=\*)|(?<=\*)/", "_", text, flags=re.ASCII)


def _call(call, places):
    text = f"    {call.function}({', '.join(_argument(argument, places) for argument in call.arguments)});"
    return text if len(text) <= _WIDTH else text.replace(", ", ",\n        ", 1)


def _argument(argument, places):
    if isinstance(argument, Buffer):
        return _pointer(argument, places)
    if isinstance(argument, Structure):
        return f"&(const {argument.ctype}){{{', '.join(_argument(field, places) for field in argument.fields)}}}"
    return number(argument)


def _pointer(buffer, places):
    if buffer.name == OUTPUT:
        return "output"
    if buffer.name == g.INPUT:
        return "input"
    return f"TFQ_AT({buffer.ctype}, {places[buffer.name]})"


def shape(sizes: tuple) -> str:
    """(32, 32, 3) as "32 x 32 x 3"."""
    return " x ".join(map(str, sizes))
