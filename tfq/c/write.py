"""Writes the files of a network: NAME.c, NAME.h, NAME.json, an example, and what a build system wants around them."""

import json
import math
import os
import re
import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfq import __version__, files
from tfq.c import int8, limits, registry, render
from tfq.c.arena import place
from tfq.c.edges import FLOAT as FLOAT_EDGES
from tfq.c.edges import Edges
from tfq.c.layouts import FLAT, Layout
from tfq.c.manifest import manifest
from tfq.c.residuals import FLOAT as FLOAT_RESIDUAL
from tfq.c.residuals import Residual
from tfq.c.selftest import selftest
from tfq.c.source import OUTPUT, Source
from tfq.files import PathLike
from tfq.graph import nodes as g
from tfq.runtime.plan.paths import is_product
from tfq.runtime.plan.planner import plan

# Bytes that stand in a C string as they are; not ?, of which two begin a trigraph.
_PLAIN = frozenset((string.ascii_letters + string.digits + " !#%&'()*+,-./:;<=>@[]^_`{|}~").encode())


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        paths: of the files, the C file first.
        manifest: the content of NAME.json; its `files` are the paths in the folder, by which the next export knows them.
    """

    paths: tuple[Path, ...]
    manifest: dict


class Foreign(ValueError):
    """Files are in the way that no earlier export of this name wrote."""


def write(
    graph: g.Graph,
    directory: PathLike,
    name: str = "network",
    *,
    inputs: np.ndarray | None = None,
    flash: int | None = None,
    ram: int | None = None,
    layout: Layout = FLAT,
    edges: Edges = FLOAT_EDGES,
    residual: Residual = FLOAT_RESIDUAL,
) -> Written:
    """Write a network as C.

    Args:
        graph: `tfq.graph.nodes.Graph`.
        directory: where to, made if missing.
        name: of the files, and the first part of all names in them.
        inputs: of the self-test, of which the first three are taken: uint8 where the network takes such, else float32. Default:
            random ones.
        flash: most bytes of constants and code; None for any.
        ram: most bytes of arena, input and output; None for any.
        layout: where the files go: one of `tfq.c.layouts.LAYOUTS`.
        edges: how products of float inputs and float weights are computed: one of `tfq.c.edges.EDGES`.
        residual: how tensors are kept that convolutions add to: one of `tfq.c.residuals.RESIDUALS`.

    Returns:
        `Written`.

    Raises:
        NoC: there is no C for an operation, 32 bits do not hold the sums of an int8 edge, or a tensor in fixed point has no
            bound; the message names it.
        TooLarge: it needs more flash or memory than that; nothing is written.
        ValueError: `name` is no name in C.
        Foreign: a file would be replaced that NAME.json of an earlier export does not list; nothing is written.
    """
    texts, found = source_files(graph, name, inputs, layout, edges, residual)
    limits.check(found, flash, ram)
    directory, manifest_file = Path(directory), f"{name}.json"
    _check_foreign(directory, manifest_file, texts)
    for file in texts:
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
    # The list of files comes first: where the rest fails, the next export still knows them.
    for file in sorted(texts, key=lambda file: file != manifest_file):
        files.write_text(directory / file, texts[file])
    return Written(tuple(directory / file for file in texts), found)


def source_files(
    graph: g.Graph,
    name: str,
    inputs: np.ndarray | None = None,
    layout: Layout = FLAT,
    edges: Edges = FLOAT_EDGES,
    residual: Residual = FLOAT_RESIDUAL,
) -> tuple[dict[str, str], dict]:
    """The text of each file by its path, and the manifest; see `write`."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"the name must be one that C takes: letters, digits and _; got {name!r}")
    registry.check(graph.nodes)
    source = emitted(graph, name, edges, residual)
    decoded, of_pixels = None, []
    if int8.reads_pixels(source, graph):
        of_pixels = int8.of_pixels(source, graph)
    elif graph.pixel_mean is not None:
        source.need("pixels")
        decoded = source.tensor(g.INPUT)
        mean, deviation = (source.constants.array(values, "f4") for values in (graph.pixel_mean, graph.pixel_std))
    places, arena = place(source.calls, decoded, [OUTPUT] if decoded else [OUTPUT, g.INPUT])
    found, takes_uint8 = manifest(graph, source, name, arena), graph.pixel_mean is not None
    common = {
        "name": name, "upper": name.upper(), "version": __version__, "header": f"{name}.h",
        "title": f"A network of {len(graph.nodes)} operations: {found['network_sha256'][:16]}.",
        "inputs": math.prod(graph.input_shape), "outputs": math.prod(graph.output_shape),
        "input_shape": render.shape(graph.input_shape), "output_shape": render.shape(graph.output_shape),
        "arena": arena, "constant_bytes": source.constants.bytes, "suffix": "_uint8" if takes_uint8 else "",
        "input_type": "uint8_t" if takes_uint8 else "float",
        "input_meaning": "pixels from 0 to 255" if takes_uint8 else "as the network was trained on",
    }  # fmt: skip
    text, uint8 = {"layers": "", "calls": render.calls(source.calls, places)}, ""
    if of_pixels:
        text = render.split(name, source.calls, len(of_pixels), places)
        uint8 = render.template("uint8_int8.c").substitute(common, calls=render.calls(of_pixels, places))
    elif decoded is not None:
        channels = graph.input_shape[-1]
        numbers = {"offset": places[g.INPUT], "pixels": common["inputs"] // channels, "channels": channels}
        arrays = {"mean": mean.text, "deviation": deviation.text}
        uint8 = render.template("uint8.c").substitute(common, **numbers, **arrays)
    texts = {
        layout.path(f"{name}.c"): render.template("network.c").substitute(
            common | render.body(source, name) | text,
            uint8=uint8,
            labels=_labels(graph, name, True),
            selftest=selftest(graph, source, common, inputs),
        ),
        layout.path(f"{name}.h"): render.template("network.h").substitute(
            common, uint8_declaration=_declaration(name) if takes_uint8 else "", labels_declaration=_labels(graph, name, False)
        ),
        f"{name}.json": "",
    }
    texts |= layout.files(common)
    found["files"] = list(texts)
    texts[f"{name}.json"] = json.dumps(found, indent=2) + "\n"
    return texts, found


def emitted(graph: g.Graph, name: str, edges: Edges = FLOAT_EDGES, residual: Residual = FLOAT_RESIDUAL) -> Source:
    """The `Source` of a network."""
    source = Source(plan(graph), name, edges, residual)
    source.steps = residual.steps(graph, source)
    source.pack(g.INPUT)
    for node in source.plan.nodes:
        if node.name in source.plan.inside or not (is_product(node) or node.name in source.plan.needed):
            continue
        emit = registry.emitter_of(node)
        assert emit is not None, node.name
        emit(source, node)
        if not is_product(node):
            source.pack(node.name)
    return source


def _check_foreign(directory, manifest_file, texts):
    """Raise Foreign where files would be replaced that the manifest in the folder does not list."""
    ours = _earlier(directory / manifest_file)
    foreign = [file for file in texts if file not in ours and os.path.lexists(directory / file)]
    if foreign:
        advice = "choose another folder or name, or remove them"
        raise Foreign(f"{directory} holds files that no export of {manifest_file} wrote: {', '.join(foreign)}; {advice}")


def _earlier(path):
    """The files that a manifest lists; none where it is no manifest."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return found.get("files", ()) if isinstance(found, dict) and "network_sha256" in found else ()


def _declaration(name):
    return (
        f"\n/* The same of pixels from 0 to 255. */\nvoid {name}_run_uint8(const uint8_t *input, float *output, void *arena);\n"
    )


def _labels(graph, name, is_definition):
    if not graph.labels:
        return ""
    array = f"const char *const {name}_labels[{len(graph.labels)}]"
    if not is_definition:
        return f"\n/* Names of the classes. */\nextern {array};\n"
    return f"\n{array} = {{{', '.join(_string(label) for label in graph.labels)}}};\n"


def _string(text):
    """A C string; each byte that is no plain character as an octal number."""
    characters = (chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(characters)}"'
