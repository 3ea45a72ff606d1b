"""The zoo: its files are those of the results, name their classes, and do what their entries say."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from tfq import runtime, zoo
from tfq.graph import file

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NAMES = zoo.names()
PACKED = [name for name, known in NAMES.items() if known.file.startswith("tfq/zoo/")]


def test_the_most_accurate_stands_first():
    figures = [known.top1 for known in NAMES.values()]
    assert figures == sorted(figures, reverse=True)
    assert len(PACKED) == 9


def test_the_entries_are_those_of_the_results():
    rows = {}
    for row in json.loads((ROOT / "results/sweep/zoo.json").read_text()):
        rows[(ROOT / "results/sweep" / row["file"]).resolve()] = row
    for name, known in NAMES.items():
        row = rows[zoo.path(name)]
        assert (known.top1, known.bytes) == (row["runtime_top1"], row["bytes"]), name
        assert known.bytes == zoo.path(name).stat().st_size
        assert json.loads((ROOT / known.result).read_text())["command"] == known.recipe
    assert all(NAMES[name].bytes < 400_000 for name in PACKED)


@pytest.mark.parametrize("name", PACKED)
def test_the_files_name_their_classes(name):
    graph = file.read(zoo.path(name))
    assert graph.labels == CIFAR10
    assert graph.input_shape == (32, 32, 3)


def test_a_network_of_the_zoo_knows_most_images():
    pytest.importorskip("numba", reason="needs tfq[runtime]")
    with np.load(ROOT / "tests/data/cifar10_slice.npz") as arrays:
        images, labels = arrays["x_test"][:50], arrays["y_test"][:50].ravel()
    found = runtime.load(zoo.path("resnet20_xnor_cifar10")).predict(images).argmax(axis=1)
    assert np.mean(found == labels) > 0.75


def test_names_and_paths_need_no_other_package():
    program = (
        "import sys; bare = {*sys.modules}; from tfq import zoo; print(zoo.path(next(iter(zoo.names()))))\n"
        "assert not {'keras', 'numpy', 'numba'} & ({*sys.modules} - bare)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip().endswith(".tfq")


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"^there is no network 'resnet21'; there are .*resnet20_xnor_cifar10"):
        zoo.path("resnet21")


def test_a_large_file_says_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.setattr(zoo, "_CHECKOUT", tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"4,443,092 bytes.*lies at results/sweep/full/networks/resnet20_float_seed0\.tfq"
    ):
        zoo.path("resnet20_float_cifar10")
