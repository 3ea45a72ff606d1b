"""`.tfq` files come back as they were written; what is damaged, hostile or of another kind is refused in one line."""

import copy
import hashlib
import json
import random
import re
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from conftest import ROOT
from safetensors import safe_open
from safetensors.numpy import save_file

from tfq.graph import kernels, reference
from tfq.graph import nodes as g
from tfq.graph.check import GraphError
from tfq.graph.file import MAX_GRAPH_BYTES, FileError, read, write

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def packed(coding, bits, shape, scales):
    """A kernel of random codes."""
    weights = int(np.prod(shape))
    planes = np.packbits(RNG.integers(0, 2, (bits, weights), dtype=np.uint8), axis=1, bitorder="little")
    if coding == "ternary":
        planes[1] &= planes[0]
    return g.PackedKernel(coding, bits, shape, planes, floats(scales))


def everything():
    """A graph with each operation and each attribute off its default somewhere."""
    nodes = (
        g.Conv2D("first", (g.INPUT,), g.FloatKernel(floats(3, 3, 3, 5)), floats(5), strides=(2, 1)),
        g.ScaleShift("norm", ("first",), floats(5), floats(5)),
        g.Conv2D("binary", ("norm",), packed("binary", 1, (3, 3, 5, 6), 6), quantizer=g.Sign(), pad_value=-1, kmap=True),
        g.Conv2D("ternary", ("norm",), packed("ternary", 2, (1, 3, 5, 6), 1), dilations=(1, 2), quantizer=g.Levels(3)),
        g.Add("sum", ("binary", "ternary")),
        g.Conv2D("grouped", ("sum",), packed("levels", 3, (2, 2, 3, 4), 4), padding="valid", groups=2),
        g.ReLU("relu", ("grouped",)),
        g.ReLU("relu6", ("relu",), 6.0),
        g.HardTanh("tanh", ("grouped",)),
        g.Concatenate("both", ("relu6", "tanh")),
        g.Quantize("levels", ("both",), g.Levels(16)),
        g.MaxPool("max", ("levels",), (2, 1), (1, 1), "same"),
        g.AveragePool("mean", ("max",)),
        g.GlobalMaxPool("peak", ("mean",), keepdims=True),
        g.Reshape("flat", ("peak",), (8,)),
        g.GlobalAveragePool("whole", ("mean",)),
        g.Add("end", ("flat", "whole")),
        g.Dense("head", ("end",), packed("binary", 1, (8, 3), 1), floats(3), g.Sign()),
    )
    return g.Graph((8, 8, 3), nodes, floats(3), abs(floats(3)) + 1, ("cat", "dög", "\u2603"))


def one_dense():
    """The smallest graph: floats alone."""
    return g.Graph((4,), (g.Dense("head", (g.INPUT,), g.FloatKernel(floats(4, 2))),))


def flat(value):
    """A graph as nested lists, which can be compared."""
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, value.tolist()]
    if isinstance(value, tuple):
        return [flat(item) for item in value]
    return [type(value).__name__, *map(flat, vars(value).values())] if hasattr(value, "__dict__") else value


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "model.tfq"
    write(everything(), path)
    return path


@pytest.fixture(scope="module")
def parts(original):
    """Content of the file, to be put together again with a right checksum."""
    with safe_open(original, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return json.loads(zlib.decompress(tensors["graph"].tobytes())), tensors["planes"], tensors["floats"]


def assemble(path, content, planes, values, compressed=None, version="1", **more):
    """A file with a right checksum, whatever its content is."""
    if compressed is None:
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        compressed = zlib.compress(text)
    tensors = {"graph": np.frombuffer(compressed, np.uint8), "planes": planes, "floats": values}
    digest = hashlib.sha256(b"".join(tensors[name].tobytes() for name in ("graph", "planes", "floats"))).hexdigest()
    save_file({**tensors, **more}, path, {"format": "tfq", "version": version, "sha256": digest})
    return path


def refused(path):
    """The message of the refusal: one short line, for little memory."""
    tracemalloc.start()
    with pytest.raises(FileError) as error:
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 1000
    return str(error.value)


# --- what was written comes back


def of_sequences():
    """What version 3 brought, each attribute off its default somewhere."""
    nodes = (
        g.Conv1D("front", (g.INPUT,), g.FloatKernel(floats(3, 2, 6)), floats(6), strides=(2,)),
        g.Conv1D("binary", ("front",), packed("binary", 1, (3, 6, 4), 4), padding="causal", quantizer=g.Sign(), pad_value=-1),
        g.Conv1D("grouped", ("binary",), packed("ternary", 2, (2, 2, 4), 1), None, (1,), (2,), groups=2, pad_value=1),
        g.MaxPool("max", ("grouped",), (2,), (1,), "same"),
        g.ZeroPad("zeros", ("max",), (0, 3)),
        g.Conv1DTranspose("spread", ("zeros",), packed("levels", 2, (3, 4, 2), 2), None, (2,), output_padding=(1,)),
        g.Reshape("image", ("spread",), (1, 16, 2)),
        g.Conv2DTranspose("wide", ("image",), packed("integer", 3, (3, 2, 2, 3), 3), floats(3), (1, 2), (2, 1), "valid"),
        g.GlobalAveragePool("whole", ("wide",)),
    )
    return g.Graph((9, 2), nodes)


@pytest.mark.parametrize("make", [everything, one_dense, of_sequences])
def test_round_trip(make, tmp_path):
    graph = make()
    write(graph, tmp_path / "model.tfq")
    assert flat(read(tmp_path / "model.tfq")) == flat(graph)
    assert [path.name for path in tmp_path.iterdir()] == ["model.tfq"]


def test_layout_is_the_documented_one(tmp_path):
    """Bytes by hand: weight i of the order (out, in) is bit i % 8 of byte i // 8."""
    planes = np.array([[0b10110001, 0b0000001]], np.uint8)
    kernel = g.PackedKernel("binary", 1, (3, 3), planes, np.array([1, 2, 3], "float32"))
    write(g.Graph((3,), (g.Dense("d", (g.INPUT,), kernel, np.array([7, 8, 9], "float32")),)), tmp_path / "m.tfq")
    with safe_open(tmp_path / "m.tfq", framework="numpy") as file:
        assert file.get_tensor("planes").tolist() == [0b10110001, 1]
        assert file.get_tensor("floats").tolist() == [1, 2, 3, 7, 8, 9]
        assert json.loads(zlib.decompress(file.get_tensor("graph").tobytes())) == {
            "input_shape": [3],
            "nodes": [
                {"op": "Dense", "name": "d", "kernel": {"coding": "binary", "shape": [3, 3], "scale": 3}, "bias": 3},
            ],
        }


def test_the_documented_file_computes_the_documented_result(tmp_path):
    page = (ROOT / "docs" / "packed-format.md").read_text(encoding="utf-8")
    rows = re.findall(r"^[0-9a-f]{8}  ((?:[0-9a-f]{2} ?){1,16})", page, re.MULTILINE)
    (tmp_path / "m.tfq").write_bytes(bytes.fromhex("".join(rows)))
    graph = read(tmp_path / "m.tfq")
    assert kernels.integers(graph.nodes[0].kernel).T.tolist() == [[1, -1, 1], [-1, -1, 1]]
    assert reference.run(graph, np.array([[1, -1, 1]], "float32")).tolist() == [[1.5, 2]]


def test_the_same_network_gives_the_same_bytes(tmp_path):
    graph, path = everything(), tmp_path / "model.tfq"
    contents = set()
    for _ in range(20):  # each order of three keys of metadata has a chance of a sixth
        write(graph, path)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_a_failed_write_leaves_the_earlier_file(tmp_path):
    write(one_dense(), tmp_path / "model.tfq")
    before = (tmp_path / "model.tfq").read_bytes()
    broken = g.Graph((4,), (g.Dense("head", (g.INPUT,), g.FloatKernel(np.full((4, 2), np.nan, "float32"))),))
    with pytest.raises(FileError, match="not finite"):
        write(broken, tmp_path / "model.tfq")
    with pytest.raises(GraphError, match=r"does not fit inputs \(5,\)"):
        write(g.Graph((5,), broken.nodes), tmp_path / "model.tfq")
    assert [path.name for path in tmp_path.iterdir()] == ["model.tfq"]
    assert (tmp_path / "model.tfq").read_bytes() == before


def test_reading_needs_neither_keras_nor_a_backend(original):
    script = (
        "import sys; from tfq.graph.file import read; read(sys.argv[1])\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'keras', 'tf_keras', 'tensorflow', 'jax', 'torch'}, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script, str(original)], check=True, cwd=ROOT)


def test_missing_safetensors_is_an_error_that_names_the_extra(original):
    script = "import sys; sys.modules['safetensors'] = None; from tfq.graph.file import read; read(sys.argv[1])"
    result = subprocess.run([sys.executable, "-c", script, str(original)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.stderr.splitlines()[-1].endswith("which is not installed: pip install 'tfq[runtime]'")


# --- damage


def test_every_truncation_is_refused(original, tmp_path):
    data = original.read_bytes()
    for length in sorted({*range(24), *np.linspace(0, len(data) - 1, 200).astype(int).tolist()}):
        (tmp_path / "cut").write_bytes(data[:length])
        refused(tmp_path / "cut")
    (tmp_path / "cut").write_bytes(data + b"\0")
    refused(tmp_path / "cut")


def test_every_flipped_bit_is_refused(original, tmp_path):
    data = original.read_bytes()
    for bit in random.Random(0).sample(range(8 * len(data)), 1000):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "flipped").write_bytes(damaged)
        refused(tmp_path / "flipped")


def test_other_files_are_refused(tmp_path):
    for content in (b"", b"\0" * 8, b"\0" * 100, b"PK\3\4" * 100, b"\x80\x04K\x01.", (2**63).to_bytes(8, "little") + b"{}"):
        (tmp_path / "other").write_bytes(content)
        refused(tmp_path / "other")
    save_file({"weights": floats(3)}, tmp_path / "weights")
    assert "not a .tfq file" in refused(tmp_path / "weights")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


def test_overlapping_offsets_are_refused(original, tmp_path):
    """The container's own check: a tensor that begins inside another one."""
    data = original.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    start, end = header["graph"]["data_offsets"]
    header["graph"]["data_offsets"] = [start - 4, end - 4]
    text = json.dumps(header).encode()
    (tmp_path / "overlap").write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    refused(tmp_path / "overlap")


# --- attacks, with a right checksum


@pytest.mark.parametrize(
    ("version", "message"), [("4", "upgrade tfq"), ("1000", "upgrade"), ("x", "'x'"), ("1" * 5000, "version")]
)
def test_other_versions_are_refused(version, message, parts, tmp_path):
    assert message in refused(assemble(tmp_path / "m", *parts, version=version))


def test_a_file_is_of_the_oldest_version_that_holds_its_network(original, tmp_path):
    def version(path):
        with safe_open(path, framework="numpy") as file:
            return file.metadata()["version"]

    path = tmp_path / "integer.tfq"
    graph = g.Graph((4,), (g.Dense("head", (g.INPUT,), packed("integer", 3, (4, 2), 2)),))
    write(graph, path)
    assert flat(read(path)) == flat(graph)
    assert (version(original), version(path)) == ("1", "2")
    with safe_open(path, framework="numpy") as file:
        content, planes, values = (file.get_tensor(name) for name in ("graph", "planes", "floats"))
    text = zlib.decompress(content.tobytes())
    assert json.loads(text)["nodes"][0]["kernel"] == {"coding": "integer", "bits": 3, "shape": [4, 2], "scale": 2}
    message = refused(assemble(tmp_path / "m", text, planes, values))
    assert message.endswith("is not valid: it says version 1 and holds what came with 2")


def test_sequences_and_transposed_convolutions_are_of_version_3(tmp_path):
    transposed = g.Conv2DTranspose("up", (g.INPUT,), g.FloatKernel(floats(2, 2, 3, 1)))
    for name, graph in {
        "sequence": g.Graph((9, 2), (g.ReLU("relu", (g.INPUT,)),)),
        "within": g.Graph((4,), (g.Reshape("pairs", (g.INPUT,), (2, 2)), g.Reshape("flat", ("pairs",), (4,)))),
        "transposed": g.Graph((4, 4, 3), (transposed,)),
        "all": of_sequences(),
    }.items():
        write(graph, tmp_path / name)
        with safe_open(tmp_path / name, framework="numpy") as file:
            assert file.metadata()["version"] == "3"
            content, planes, values = (file.get_tensor(part) for part in ("graph", "planes", "floats"))
        message = refused(assemble(tmp_path / "m", zlib.decompress(content.tobytes()), planes, values, version="2"))
        assert message.endswith("is not valid: it says version 2 and holds what came with 3")


@pytest.mark.parametrize(
    ("index", "changes", "message"),
    [
        (0, {"strides": [1, 1]}, "list of 1 sizes"),
        (0, {"padding": "causa"}, "'same' or 'valid' or 'causal'"),
        (0, {"dilations": [2**31 - 1]}, "values an image"),
        (1, {"groups": 3}, "in 3 groups does not fit inputs"),
        (2, {"padding": "valid"}, "needs padding 'same'"),
        (3, {"pool_size": [2, 2]}, "windows of one axis and of two"),
        (4, {"widths": [1, 0, 0, 0]}, "takes (height, width, channels); got shape (5, 4)"),
        (4, {"widths": [1, 2, 3]}, "list of 2 or 4 sizes"),
        (5, {"strides": [2**31 - 1]}, "values an image"),
        (5, {"dilations": [2]}, "above 1 on one axis"),
        (5, {"output_padding": [-1]}, "from 0"),
        (6, {"shape": [16, 2]}, "takes (height, width, channels); got shape (16, 2)"),
        (7, {"strides": [2**20, 2**20], "dilations": [1, 1]}, "values an image"),
    ],
)
def test_hostile_graphs_of_version_3_are_refused(index, changes, message, tmp_path):
    write(of_sequences(), tmp_path / "model.tfq")
    with safe_open(tmp_path / "model.tfq", framework="numpy") as file:
        content, planes, values = (file.get_tensor(name) for name in ("graph", "planes", "floats"))
    content = json.loads(zlib.decompress(content.tobytes()))
    content["nodes"][index] |= changes
    assert message in refused(assemble(tmp_path / "m", content, planes, values, version="3"))


def test_the_assembled_file_is_right(parts, tmp_path):
    assert len(read(assemble(tmp_path / "m", *parts)).nodes) == 18


def test_missing_further_and_mistyped_tensors_are_refused(parts, tmp_path):
    content, planes, values = parts
    assert "and no others" in refused(assemble(tmp_path / "m", *parts, more=values))
    assert "one axis" in refused(assemble(tmp_path / "m", content, planes[None], values))
    assert "F32" in refused(assemble(tmp_path / "m", content, planes, values.astype("float64")))
    assert "belong to no operation" in refused(assemble(tmp_path / "m", content, planes, np.append(values, values[:1])))
    assert "belong to no operation" in refused(assemble(tmp_path / "m", content, np.append(planes, planes[:1]), values))
    assert "are left" in refused(assemble(tmp_path / "m", content, planes[:-1], values))
    assert "are left" in refused(assemble(tmp_path / "m", content, planes, values[:-1]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value, parts, tmp_path):
    content, planes, values = parts
    values = values.copy()
    values[7] = value
    assert "not finite" in refused(assemble(tmp_path / "m", content, planes, values))


def test_bits_behind_the_last_weight_are_refused(parts, tmp_path):
    content, planes, values = parts
    last = planes.copy()
    last[33] |= 0x80  # 270 weights of the first kernel: 33 bytes and 6 bits
    assert "behind the last weight" in refused(assemble(tmp_path / "m", content, last, values))


def test_positive_zeros_are_refused(parts, tmp_path):
    content, planes, values = parts
    both = planes.copy()
    both[34] = 0  # nonzero plane of the second kernel
    both[34 + 12] = 1  # its positive plane
    assert "positive and zero" in refused(assemble(tmp_path / "m", content, both, values))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"nodes":' * 50_000, "nested too deeply"),
        (b"[" + b"[]," * (MAX_GRAPH_BYTES // 3 - 9) + b"[]]", "expected an object"),
        (b" " * (MAX_GRAPH_BYTES + 1), "more than 1,048,576 bytes"),
        (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"input_shape":[4],"input_shape":[4],"nodes":[]}', "occurs twice"),
        (b'{"input_shape":[4],"nodes":[]}', "no operations"),
        (b'{"input_shape":[NaN],"nodes":[]}', "NaN is no number"),
        (b'{"input_shape":[4],"nodes":{}}', "must be a list"),
        (b"\xff\xfe", "not JSON"),
        (b"null", "expected an object"),
    ],
)
def test_hostile_json_is_refused(text, message, parts, tmp_path):
    assert message in refused(assemble(tmp_path / "m", text, *parts[1:]))


def test_zlib_bombs_and_leftovers_are_refused(parts, tmp_path):
    bomb = zlib.compress(b" " * 500_000_000, 9)
    assert "more than" in refused(assemble(tmp_path / "m", *parts, compressed=bomb))
    good = zlib.compress(json.dumps(parts[0]).encode())
    for data in (good[:-1], good + b"x", good + good, b"plain", b""):
        assert "compress" in refused(assemble(tmp_path / "m", *parts, compressed=data))


def change(content, path, value):
    content = copy.deepcopy(content)
    place = content
    for key in path[:-1]:
        place = place[key]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return content


FIRST, BINARY, TERNARY, GROUPED, MAX = 0, 2, 3, 5, 11


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["nodes", 0, "op"], "Exec", "operation 'Exec' is unknown"),
        (["nodes", 0, "op"], ["Conv2D"], "operation a list is unknown"),
        (["nodes", 0], None, "operation None is unknown"),
        (["nodes", 0, "code"], "x", "attribute 'code' is unknown"),
        (["code"], "x", "attribute 'code' is unknown"),
        (["nodes", 0, "kernel"], KeyError, "attribute 'kernel' is missing"),
        (["nodes", 0, "name"], "norm", "'norm' is used twice"),
        (["nodes", 0, "name"], "input", "'input' is used twice"),
        (["nodes", 0, "name"], "x" * 501, "1 to 500 characters"),
        (["nodes", 0, "inputs"], ["head"], "'head', which does not come before"),
        (["nodes", 1, "inputs"], ["norm"], "'norm', which does not come before"),
        (["nodes", 1, "inputs"], ["nowhere"], "'nowhere', which does not come before"),
        (["nodes", 1, "inputs"], [], "takes one tensor; got 0"),
        (["nodes", 1, "inputs"], "first", "list of texts"),
        (["nodes", 4, "inputs"], ["binary"], "two or more"),
        (["nodes", 4, "inputs"], ["binary", "first"], "of one shape"),
        (["nodes", FIRST, "strides"], [0, 1], "from 1"),
        (["nodes", FIRST, "strides"], [-1, 1], "from 1"),
        (["nodes", FIRST, "strides"], ["2", 1], "got '2'"),
        (["nodes", FIRST, "strides"], [True, 1], "got True"),
        (["nodes", FIRST, "strides"], 2, "list of 2 sizes"),
        (["nodes", FIRST, "strides"], [2**64, 1], "from 1 to 2147483647"),
        (["nodes", FIRST, "padding"], "full", "'same' or 'valid'"),
        (["nodes", FIRST, "kernel", "shape"], [2**31 - 1] * 4, "values of 'floats' are wanted"),
        (["nodes", FIRST, "kernel", "shape"], [3, 3, 3, 10**12], "from 1 to 2147483647"),
        (["nodes", FIRST, "kernel", "shape"], [3] * 5, "list of 2 or 3 or 4 sizes"),
        (["nodes", FIRST, "bias"], 2**31 - 1, "values of 'floats' are wanted"),
        (["nodes", FIRST, "pad_value"], 1.0, "0 or 1 or -1"),
        (["nodes", BINARY, "pad_value"], 2, "0 or 1 or -1"),
        (["nodes", BINARY, "padding"], "valid", "needs padding 'same'"),
        (["nodes", BINARY, "kmap"], 1, "True or False"),
        (["nodes", BINARY, "quantizer"], KeyError, "kmap needs quantized inputs"),
        (["nodes", BINARY, "quantizer"], 17, "from 1 to 16"),
        (["nodes", BINARY, "quantizer"], "eval", "got 'eval'"),
        (["nodes", BINARY, "kernel", "shape"], [2**31 - 1] * 4, "values of 'planes' are wanted"),
        (["nodes", BINARY, "kernel", "coding"], "octal", "'binary' or 'ternary' or 'levels' or 'integer'"),
        (["nodes", BINARY, "kernel", "coding"], ["binary"], "got a list"),
        (["nodes", BINARY, "kernel", "bits"], 1, "attribute 'bits' is unknown"),
        (["nodes", BINARY, "dilations"], [1, 2**30], "values an image"),
        (["nodes", GROUPED, "kernel", "coding"], "integer", "says version 1 and holds what came with 2"),
        (["nodes", GROUPED, "kernel", "bits"], 17, "from 2 to 16"),
        (["nodes", GROUPED, "groups"], 4, "does not fit inputs"),
        (["nodes", 7, "max_value"], -1, "from 0"),
        (["nodes", 7, "max_value"], 10**400, "from 0"),
        (["nodes", 7, "max_value"], "6", "from 0"),
        (["nodes", MAX, "pool_size"], [2**31 - 1, 2**31 - 1], "values an image"),
        (["nodes", 12, "pool_size"], [99, 1], "which is smaller"),
        (["nodes", 14, "shape"], [9], "another number of values"),
        (["nodes", 14, "shape"], [2, 2, 2, 1], "list of 1 or 2 or 3 sizes"),
        (["input_shape"], [2**31 - 1, 2**31 - 1, 3], "values an image"),
        (["input_shape"], [8, 8, 0], "from 1"),
        (["input_shape"], "8", "list of 1 or 2 or 3 sizes"),
        (["pixel_mean"], KeyError, "only one is given"),
        (["pixel_mean"], 2, "2 values for 3 channels"),
        (["labels"], "cat", "list of texts"),
        (["labels"], [1], "1 to 500 characters"),
    ],
)
def test_hostile_graphs_are_refused(path, value, message, parts, tmp_path):
    assert message in refused(assemble(tmp_path / "m", change(parts[0], path, value), *parts[1:]))


HOSTILE = [
    KeyError,
    None,
    True,
    -1,
    0,
    1,
    2,
    3,
    2**31,
    2**63,
    10**30,
    0.5,
    1e300,
    "",
    "x",
    "input",
    "first",
    [],
    [1],
    {},
    [[]],
    [2**31 - 1] * 4,
]


def paths(content, prefix=()):
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*prefix, key)
        yield from paths(value, (*prefix, key))


@pytest.mark.parametrize(("length", "channels"), [(2**17, 1), (2**17 - 1, 17), (2**16 + 2**10, 2**10)])
def test_pools_that_read_without_end_are_refused(length, channels):
    """2^16 windows of 2^16 values of 16 channels are the most. A window counts what it has inside of the image."""
    pool = {"strides": (1,), "pool_size": (2**16,)}
    with pytest.raises(
        GraphError, match=r"windows of 65,536 places, which reads [\d,]+ values an image: more than 68,719,476,736"
    ):
        g.Graph((length, channels), (g.MaxPool("p", ("input",), **pool),))
    most = g.Graph((2**17 - 1, 16), (g.MaxPool("p", ("input",), **pool),))
    inside = g.Graph((2**16, 1), (g.AveragePool("p", ("input",), (2**17,), (1,), "same"),))
    assert (most.output_shape, inside.output_shape) == ((2**16, 16), (2**16, 1))


def test_random_graphs_are_read_or_refused(parts, tmp_path):
    choices, generator = list(paths(parts[0])), random.Random(0)
    accepted = 0
    for _ in range(1500):
        content = change(parts[0], generator.choice(choices), generator.choice(HOSTILE))
        accepted += is_read_or_refused(assemble(tmp_path / "m", content, *parts[1:]))
    assert 0 < accepted < 300  # some changes, such as of a name, leave a right graph


def test_random_bytes_are_read_or_refused(parts, tmp_path):
    content, planes, values = parts
    compressed, generator = zlib.compress(json.dumps(content).encode()), random.Random(0)
    for _ in range(300):
        damaged = bytearray(compressed)
        damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        is_read_or_refused(assemble(tmp_path / "m", content, planes, values, compressed=bytes(damaged)))
        noise = RNG.integers(0, 2**32, values.size, dtype=np.uint32).view("float32")
        is_read_or_refused(assemble(tmp_path / "m", content, RNG.integers(0, 256, planes.size, dtype=np.uint8), noise))


def is_read_or_refused(path):
    try:
        read(path)
    except FileError:
        refused(path)
        return False
    return True
