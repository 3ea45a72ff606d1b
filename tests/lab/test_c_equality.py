"""The check that the C equals the runtime: it holds on networks of all kinds, and what is wrong in the C is named."""

import json
from dataclasses import replace

import numpy as np
import pytest
import runtime_networks as networks
from conftest import ROOT
from exporting import binarynet, cifar10_slice
from random_models import images_for, random_model

pytest.importorskip("numba", reason="the engine needs it")

from lab import c_equality
from tfq.convert.from_keras import from_keras
from tfq.runtime import Engine

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]
SLICE = ROOT / "tests" / "data" / "cifar10_slice.npz"


def broken(name, change):
    """An engine of another network: one of its operations, and what shows its sums, is not what it should be."""

    def engine(graph):
        nodes = [change(node) if node.name.removeprefix("sums:") == name else node for node in graph.nodes]
        return Engine(replace(graph, nodes=tuple(nodes)))

    return engine


@pytest.fixture
def graph():
    return networks.small_network(np.random.default_rng(3))


def compared(graph, engine):
    images = networks.normal(np.random.default_rng(0), 30, *graph.input_shape)
    return c_equality.compare(graph, images, np.zeros(30, int), 30, engine)


def test_the_same_engine_has_no_violation(graph):
    row = compared(graph, Engine)
    assert c_equality.violations(row) == []
    assert (row["images_beyond_tolerance"], row["largest_difference"], row["wrong_sums"]) == (0, 0, 0)
    assert (row["images_traced"], row["fewest_images_of_a_layer"]) == (30, 30)
    assert row["sums"] > 30 * 100


def with_a_bit_flipped(node):
    planes = node.kernel.planes.copy()
    planes.flat[0] ^= 1
    return replace(node, kernel=replace(node.kernel, planes=planes))


def test_a_flipped_bit_is_found_in_the_sums_and_in_what_follows(graph):
    first = next(node for node in graph.nodes if getattr(node, "quantizer", None))
    row = compared(graph, broken(first.name, with_a_bit_flipped))
    assert row["images_beyond_tolerance"] > 25
    lines = c_equality.violations(row)
    assert any("integer sums differ" in line for line in lines)
    assert any("first flip lies" in line for line in lines)


def test_other_logits_without_a_flip_are_found(graph):
    row = compared(graph, broken(graph.nodes[-1].name, lambda node: replace(node, bias=node.bias + np.float32(0.05))))
    assert row["beyond_tolerance_unexplained"] == row["images_beyond_tolerance"] == 30
    assert "without a flip" in c_equality.violations(row)[0]


def test_every_network_is_taken_once(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = c_equality.networks()
    assert len(found) == len({path.read_bytes() for path in found}) > 30
    assert not any(path.is_symlink() for path in found)


@pytest.mark.slow
@pytest.mark.usefixtures("gcc")
def test_command_judges_each_network_once(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    path = "tfq/zoo/networks/resnet20_272k_dorefa_a2w2_cifar10.tfq"
    command = [path, "--dataset=npz", f"--data_dir={SLICE}", "--images=64", "--sum_images=8", f"--json={tmp_path / 'rows.json'}"]
    assert c_equality.main(command) == 0
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert (row["network"], row["images"], row["beyond_tolerance_unexplained"], row["wrong_sums"]) == (path, 64, 0, 0)
    assert f"{path}: " in capsys.readouterr().out
    assert c_equality.main(command) == 0
    assert f"{path}: " not in capsys.readouterr().out
    assert c_equality.main(["none.tfq", *command[1:]]) == 2
    assert "none.tfq" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("gcc")
@pytest.mark.parametrize("width", [16, 128])
def test_binarynet(width):
    images, labels = (array[:128] for array in cifar10_slice())
    row = c_equality.compare(from_keras(binarynet(images, width)), images[:64], labels[:64], 16)
    assert c_equality.violations(row) == []
    assert row["fewest_images_of_a_layer"] > 0
    assert row["images_beyond_tolerance"] < 8


@pytest.mark.slow
@pytest.mark.usefixtures("gcc")
@pytest.mark.parametrize("seed", range(24))
def test_random_networks(seed):
    model = random_model(seed)
    images = images_for(model, np.random.default_rng(seed), 32)
    row = c_equality.compare(from_keras(model), images, np.zeros(len(images), int), len(images))
    assert c_equality.violations(row) == []
