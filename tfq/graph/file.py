"""`.tfq` files: a graph with packed kernels in a safetensors container; the layout is in docs/packed-format.md.

A file may come from anyone: each thing it says is checked before it is used, in time and memory that its own size bounds.
"""

import hashlib
import importlib
import json
import struct
import zlib
from pathlib import Path

import numpy as np

from tfq import files, optional
from tfq.files import PathLike
from tfq.graph import codec
from tfq.graph import nodes as g
from tfq.graph.check import GraphError

# The newest version that is read. A file is written in the oldest one that holds its graph: see `codec.version`.
VERSION = 3
# Largest graph, decompressed: a layer takes about 100 bytes.
MAX_GRAPH_BYTES = 2**20

_TENSORS = {"graph": "U8", "planes": "U8", "floats": "F32"}
_MAX_HEADER_BYTES = 2**16


class FileError(ValueError):
    """A file that is no `.tfq` file, is damaged, or is of a later version; one line that says which."""


def write(graph: g.Graph, path: PathLike) -> None:
    """Write a graph; the file appears whole or not at all.

    Args:
        graph: `tfq.graph.nodes.Graph`.
        path: where to.

    Raises:
        GraphError: an operation is not registered.
        FileError: it cannot be stored, as when a value is not finite.
        ImportError: safetensors is not installed.
    """
    content, arrays = codec.encode(graph)
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    tensors = {
        "graph": np.frombuffer(zlib.compress(text.encode(), 9), np.uint8),
        "planes": np.concatenate([np.empty(0, np.uint8), *arrays.planes]),
        "floats": np.concatenate([np.empty(0, "<f4"), *arrays.floats]),
    }
    metadata = {"format": "tfq", "version": str(codec.version(graph)), "sha256": _checksum(tensors)}
    data = _in_order(_safetensors("safetensors.numpy").save(tensors, metadata))
    with files.replacing(path) as temporary:
        temporary.write_bytes(data)
        read(temporary)  # what could not be read again is not written


def read(path: PathLike) -> g.Graph:
    """Read a file.

    Args:
        path: the file.

    Returns:
        `tfq.graph.nodes.Graph`.

    Raises:
        FileError: it is not a `.tfq` file, damaged, or of a later version.
        OSError: it cannot be opened.
        ImportError: safetensors is not installed.
    """
    version, tensors = _read_tensors(Path(path))
    try:
        graph = codec.decode(_graph_json(tensors["graph"]), codec.Arrays(tensors["planes"], tensors["floats"]))
    except GraphError as error:
        raise FileError(f"{path} is not valid: {error}") from error
    if codec.version(graph) > version:
        raise FileError(f"{path} is not valid: it says version {version} and holds what came with {codec.version(graph)}")
    return graph


def _safetensors(module="safetensors"):
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(optional.missing("safetensors", "a `.tfq` file")) from error


def _in_order(data):
    """The same file with its header's keys in order: safetensors writes metadata in another one at each call."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.dumps(json.loads(data[8 : 8 + size]), separators=(",", ":"), sort_keys=True).encode()
    return data[:8] + header.ljust(size) + data[8 + size :]


def _checksum(tensors):
    digest = hashlib.sha256()
    for name in _TENSORS:
        digest.update(tensors[name].data)
    return digest.hexdigest()


def _read_tensors(path):
    """The version and the three arrays of a file, after its container and its checksum were found right."""
    safetensors = _safetensors()
    _check_header_size(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            version = _check_metadata(path, metadata)
            _check_layout(path, file)
            tensors = {name: file.get_tensor(name) for name in _TENSORS}
    except safetensors.SafetensorError as error:
        raise FileError(f"{path} is damaged, or no .tfq file: {str(error).splitlines()[0]}") from error
    if metadata["sha256"] != _checksum(tensors):
        raise FileError(f"{path} is damaged: its checksum does not fit its content")
    if not np.isfinite(tensors["floats"]).all():
        raise FileError(f"{path} holds values that are not finite")
    return version, tensors


def _check_header_size(path):
    # The container's own limit is 100 MB of JSON.
    with path.open("rb") as file:
        start = file.read(8)
    if len(start) < 8 or struct.unpack("<Q", start)[0] > _MAX_HEADER_BYTES:
        raise FileError(f"{path} is not a .tfq file")


def _check_metadata(path, metadata):
    """The version of a file, after its metadata were found right."""
    if metadata.get("format") != "tfq" or set(metadata) != {"format", "version", "sha256"}:
        raise FileError(f"{path} is not a .tfq file: it holds no packed network, though its container is right")
    version = metadata["version"]
    if version in map(str, range(1, VERSION + 1)):
        return int(version)
    newer = version.isascii() and version.isdecimal() and len(version) < 10 and int(version) > VERSION
    hint = ": upgrade tfq" if newer else ""
    raise FileError(f"{path} is of version {ascii(version)[:20]}; this tfq reads versions 1 to {VERSION}{hint}")


def _check_layout(path, file):
    if set(file.keys()) != set(_TENSORS):
        raise FileError(f"{path} is not valid: it must hold the tensors {', '.join(_TENSORS)} and no others")
    for name, dtype in _TENSORS.items():
        tensor = file.get_slice(name)
        axes = len(tensor.get_shape())
        if tensor.get_dtype() != dtype or axes != 1:
            raise FileError(f"{path} is not valid: {name!r} must be {dtype} with one axis; got {tensor.get_dtype()} with {axes}")


def _graph_json(compressed):
    decompressor = zlib.decompressobj()
    try:
        text = decompressor.decompress(compressed.tobytes(), MAX_GRAPH_BYTES + 1)
    except zlib.error as error:
        raise GraphError(f"the graph cannot be decompressed: {error}") from error
    if len(text) > MAX_GRAPH_BYTES:
        raise GraphError(f"the graph has more than {MAX_GRAPH_BYTES:,} bytes")
    if not decompressor.eof or decompressor.unused_data:
        raise GraphError("the compressed graph does not end where it should")
    try:
        return json.loads(text.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except RecursionError as error:
        raise GraphError("the graph is nested too deeply") from error
    except ValueError as error:  # also of int(), for numbers of thousands of digits
        raise GraphError(f"the graph is not JSON: {ascii(str(error))[:100]}") from error


def _refuse_constant(name):
    raise ValueError(f"{name} is no number")


def _unique(pairs):
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key occurs twice")
    return content
