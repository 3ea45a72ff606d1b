"""Weights by name in an .npz file: small, exact where it matters, and a start for a network of the same layers."""

import json

import numpy as np
import pytest
from conftest import array

from tfq.backend.keras import keras
from tfq.cli import weights as pack
from tfq.training import hardware, transfer, weights
from tfq.training.run_directory import RunDirectory, versions


def network(units=4):
    layers = [keras.layers.Dense(units, name="first"), keras.layers.BatchNormalization(name="norm")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    generator = np.random.default_rng(0)
    model.set_weights([generator.uniform(0.1, 2, weight.shape).astype("float32") for weight in model.get_weights()])
    return model


def values(model):
    return {f"{layer.name}/{i}": array(weight) for layer in model.layers for i, weight in enumerate(layer.weights)}


def test_kernels_are_rounded_and_the_rest_is_exact(tmp_path):
    kernel = np.array([[1.0, 1.0 + 2**-11, -0.3], [6e-8, 0.0, 60000.0]], np.float32)
    mean = np.array([1.0 + 2**-20, 1e6], np.float32)
    key = np.array([[1, 2**31 - 1]], np.int32)
    weights.write(tmp_path / "w.npz", {"a/b": {"kernel": kernel, "key": key}, "norm": {"mean": mean}}, {"epochs": 3})
    layers = weights.read(tmp_path / "w.npz")
    assert layers.keys() == {"a/b", "norm"}
    assert layers["a/b"]["kernel"].dtype == np.float32
    np.testing.assert_array_equal(layers["a/b"]["kernel"], kernel.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(layers["a/b"]["key"], key)
    np.testing.assert_array_equal(layers["norm"]["mean"], mean)
    assert weights.about(tmp_path / "w.npz") == {"epochs": 3}


@pytest.mark.parametrize("large", [65504.0, 1e5, np.inf])
def test_a_kernel_that_float16_cannot_hold_stays_as_it_is(tmp_path, large):
    kernel = np.array([[large, 1.0 + 2**-20]], np.float32)
    weights.write(tmp_path / "w.npz", {"a": {"kernel": kernel}}, {})
    np.testing.assert_array_equal(weights.read(tmp_path / "w.npz")["a"]["kernel"], kernel)


def test_kernels_of_bfloat16_can_be_read(tmp_path):
    x = keras.Input((4,))
    donor = keras.Model(x, keras.layers.Dense(3, dtype="bfloat16", name="a")(x))
    kernel, bias = map(array, donor.get_layer("a").weights)
    weights.write(tmp_path / "w.npz", {"a": {"kernel": kernel, "bias": bias}}, {})
    found = weights.read(tmp_path / "w.npz")["a"]
    np.testing.assert_allclose(found["kernel"], kernel.astype("float32"), rtol=2**-11, atol=2**-24)
    assert found["kernel"].dtype == found["bias"].dtype == np.float32


def test_the_file_has_half_the_size(tmp_path):
    kernel = np.random.default_rng(0).standard_normal((1000, 100)).astype(np.float32)
    weights.write(tmp_path / "w.npz", {"a": {"kernel": kernel}}, {})
    assert (tmp_path / "w.npz").stat().st_size < 0.51 * kernel.nbytes


def test_a_network_starts_from_it(tmp_path):
    donor = network()
    donor.save(tmp_path / "last.keras")
    assert pack.main([str(tmp_path / "last.keras"), str(tmp_path / "w.npz")]) == 0
    model = network()
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape, "float32"))
    assert transfer.initialize(model, tmp_path / "w.npz") == []
    for name, expected in values(donor).items():
        narrow = expected.astype(np.float16) if expected.ndim > 1 else expected
        np.testing.assert_array_equal(values(model)[name], narrow, err_msg=name)


def test_the_file_is_an_npz(tmp_path, capsys):
    """NumPy adds the ending, so that the file would not be where it was asked for."""
    with pytest.raises(SystemExit):
        pack.main([str(tmp_path / "last.keras"), str(tmp_path / "w.txt")])
    assert capsys.readouterr().err.endswith("w.txt must end with .npz or .keras\n")


def test_the_command_says_in_one_line_what_is_not_there(tmp_path, capsys):
    assert pack.main([str(tmp_path / "none"), str(tmp_path / "w.npz")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tfq weights: error: ")
    assert str(tmp_path / "none") in line


def test_another_shape_is_named(tmp_path):
    network(units=5).save(tmp_path / "last.keras")
    pack.main([str(tmp_path / "last.keras"), str(tmp_path / "w.npz")])
    with pytest.raises(transfer.TransferError, match=r"first has a kernel of shape \(3, 5\) there, \(3, 4\) in this network"):
        transfer.initialize(network(), tmp_path / "w.npz")


def with_head(classes):
    """The network with a head, whose scales have the classes for a shape too."""
    head = [keras.layers.Dense(classes, name="head"), keras.layers.BatchNormalization(name="head_norm")]
    return keras.Sequential([keras.Input((3,)), *network().layers, *head])


def test_layers_without_a_place_are_said(tmp_path):
    with_head(5).save(tmp_path / "last.keras")
    lines = []
    assert transfer.initialize(network(), tmp_path, log=lines.append) == []
    assert lines == [
        f"==> WARNING: {tmp_path} has layers without a place in this network, whose weights are left: head, head_norm"
    ]
    lines.clear()
    transfer.initialize(with_head(5), tmp_path, log=lines.append)
    assert lines == []


def test_a_head_for_other_classes_can_be_left_out(tmp_path):
    donor, model = with_head(5), with_head(2)
    donor.save(tmp_path / "last.keras")
    before = values(model)
    both = r"head has a kernel of shape \(4, 5\) there, \(4, 2\) in this network, and 1 more do not fit; "
    with pytest.raises(transfer.TransferError, match=both + "--init_skip=head,head_norm starts without"):
        transfer.initialize(model, tmp_path)
    for pattern, message in (
        ("hea", "names no layer of --init_from=.*: it has first, norm, head, head_norm"),
        ("*", "none of its"),
    ):
        with pytest.raises(transfer.TransferError, match=message):
            transfer.initialize(model, tmp_path, [pattern])
    assert all(np.array_equal(array, before[name]) for name, array in values(model).items())
    assert transfer.initialize(model, tmp_path, ["head*"]) == ["head", "head_norm"]
    for name, value in values(model).items():
        expected = before if name.startswith("head") else values(donor)
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("content", ["text", "images", "half"])
def test_what_is_no_such_file_is_said(tmp_path, content):
    path = tmp_path / "w.npz"
    weights.write(path, {"a": {"kernel": np.ones((9, 9), np.float32)}}, {})
    if content == "text":
        path.write_text("no archive")
    elif content == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        np.savez(path, x_train=np.ones(3))
    with pytest.raises(
        transfer.TransferError, match=r"--init_from=.*w\.npz.*(cannot be read|holds no weights of tfq: it has x_train)"
    ):
        transfer.initialize(network(), path)


def run(path, epochs, init_from=None):
    path.mkdir()
    (path / "history.csv").write_text("epoch,loss\n" + "".join(f"{epoch},1.0\n" for epoch in range(epochs)))
    RunDirectory(path).write_flags({"lr": "0.1", **({"init_from": str(init_from)} if init_from else {})})
    return path


def test_epochs_behind_weights_are_those_of_the_whole_chain(tmp_path):
    first = run(tmp_path / "first", 12)
    weights.write(tmp_path / "w.npz", {"a": {"kernel": np.ones((1, 1))}}, {"epochs": weights.epochs_behind(first)})
    second = run(tmp_path / "second", 5, tmp_path / "w.npz")
    assert weights.epochs_behind(tmp_path / "w.npz") == 12
    assert weights.epochs_behind(second) == weights.epochs_behind(second / "best.keras") == 17
    assert weights.epochs_behind(run(tmp_path / "third", 2, second)) == 19
    assert weights.epochs_behind(tmp_path / "foreign.keras") is None
    (tmp_path / "w.npz").unlink()
    assert weights.epochs_behind(second) is None


def test_hardware_in_words(monkeypatch, tmp_path):
    assert hardware.describe(["NVIDIA H100", "NVIDIA H100", "NVIDIA A10"]) == "2 x NVIDIA H100, NVIDIA A10"
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: AMD EPYC 9R14\nprocessor\t: 1\nmodel name\t: AMD EPYC 9R14\n"
    )
    monkeypatch.setattr(hardware, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 3})
    assert hardware.describe() == "2 cores of AMD EPYC 9R14"
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {3})
    assert hardware.describe() == "1 core of AMD EPYC 9R14"


def test_machines_backends_and_commits_of_a_run_add_up(monkeypatch, tmp_path):
    directory = RunDirectory(tmp_path)
    assert directory.last_backend() is None
    directory.versions.write_text('{"backend": "jax", "hardware": ["A"], "commit": "1", "jax": "0.10"}')  # of an earlier version
    assert directory.last_backend() == "jax"
    for backend, machine in (("jax", "A"), ("tensorflow", "B"), ("tensorflow", "B"), ("jax", "A")):
        directory.write_versions({"backend": backend, "hardware": [machine], "commit": "2", "python": "3.11"})
    assert json.loads(directory.versions.read_text()) == {
        "backend": ["jax", "tensorflow", "jax"],
        "hardware": ["A", "B", "A"],
        "commit": ["1", "2"],
        "python": "3.11",
        "jax": "0.10",
    }
    assert directory.last_backend() == "jax"
    monkeypatch.setenv("TFQ_COMMIT", "abc")  # a copy without .git is told
    assert versions("jax")["commit"] == "abc"
    monkeypatch.delenv("TFQ_COMMIT")
    assert versions("jax")["commit"] != "abc"
