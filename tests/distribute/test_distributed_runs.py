"""Each engine trains what one process trains with the same global batch: workers on loopback, virtual devices, tiny."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import worker
from absl.testing import flagsaver
from running import BACKEND, ROOT

import train
from tfq.cli import program
from tfq.distribute.sigterm import EXIT_STATUS
from tfq.training import checkpoint
from tfq.training.run_directory import RunDirectory

# 10 steps, batches of 12.
EPOCHS = 2
FLAGS = (
    *(f"--epochs={EPOCHS}", "--batch_size=12", "--optimizer=sgd", "--lr=0.05", "--schedule=constant", "--method=float"),
    *("--dataset=npz", "--data_dir=x", "--crop", "--flip", "--seed=5"),
)
ENGINE = "data_parallel"
on_jax = pytest.mark.skipif(BACKEND != "jax", reason="several processes train on JAX alone")
pytestmark = pytest.mark.skipif(BACKEND not in ("tensorflow", "jax"), reason="there is no engine")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The weights of one process."""
    path = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch, flagsaver.flagsaver():
        train.FLAGS.unparse_flags()
        train.FLAGS(["train.py", f"--run_dir={path}", f"--backend={BACKEND}", *FLAGS])
        worker.run(train, program, BACKEND, patch.setattr)
    return weights(path)[0]


def weights(path, workers=1):
    return [dict(np.load(Path(path) / f"weights-{each}.npz")) for each in range(workers)]


def start(path, workers, *flags, variables=None):
    """The processes of a job."""
    ports = free_ports(workers)
    flags = (f"--backend={BACKEND}", "--deterministic", *flags)
    command = [sys.executable, str(ROOT / "tests/distribute/worker.py"), str(path), *flags]
    return [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **_place(each, workers, ports), **(variables or {}).get(each, {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for each in range(workers)
    ]


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _place(worker, workers, ports):
    addresses = [f"127.0.0.1:{port}" for port in ports]
    place = {"TFQ_TEST_WORKER": str(worker)}
    if workers == 1:
        return place
    values = {"JOB_ADDRESSES": addresses[0], "NUM_PROCESSES": str(workers), "PROCESS_ID": str(worker)}
    return place | {f"KERAS_DISTRIBUTION_{name}": value for name, value in values.items()}


def finished(processes, status=0):
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [status] * len(processes), "\n".join(outputs)[-6000:]
    return outputs


def synchronized(engine):
    return ["--synchronized_bn"] if engine != "data_parallel" else []


def assert_as_alone(found, alone):
    """Within 1e-4 of each array's largest value."""
    for name, array in alone.items():
        # In front of batch normalization the gradient of a bias is 0, but for rounding.
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-4 * np.abs(array).max() + 1e-6, err_msg=name)


def assert_same(first, *others):
    for other in others:
        for name, array in first.items():
            np.testing.assert_array_equal(array, other[name], err_msg=name)


def test_two_devices_train_as_one(alone, tmp_path):
    devices = {0: {"TFQ_TEST_DEVICES": "2", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}}
    engine = "data_parallel" if BACKEND == "jax" else "mirrored"
    finished(start(tmp_path, 1, *FLAGS, f"--distribute={engine}", *synchronized(engine), variables=devices))
    assert_as_alone(weights(tmp_path)[0], alone)


@pytest.mark.slow
@on_jax
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_train_as_one(alone, tmp_path, workers):
    finished(start(tmp_path, workers, *FLAGS, f"--distribute={ENGINE}", *synchronized(ENGINE)))
    found = weights(tmp_path, workers)
    assert_as_alone(found[0], alone)
    assert_same(*found)
    assert checkpoint.load(RunDirectory(tmp_path).last)[1].epochs == EPOCHS


@pytest.mark.slow
@on_jax
def test_quantized_workers_stay_the_same_and_go_on_after_sigterm(tmp_path):
    flags = (*FLAGS, "--epochs=8", "--method=dorefa", "--w_bits=2", "--a_bits=2", "--g_bits=6", f"--distribute={ENGINE}")
    finished(start(tmp_path / "whole", 2, *flags))
    stop = {1: {"TFQ_TEST_SIGNAL": str(int(signal.SIGTERM))}}
    outputs = finished(start(tmp_path / "stopped", 2, *flags, variables=stop), EXIT_STATUS)
    # A few steps later: JAX's watcher sees the signal, and the workers agree on a step.
    stopped = {line for output in outputs for line in output.splitlines() if line.startswith("stopped by SIGTERM")}
    assert len(stopped) == 1, outputs
    assert checkpoint.load(RunDirectory(tmp_path / "stopped").last)[1].epochs < 8
    finished(start(tmp_path / "stopped", 2, *flags))
    assert_same(*weights(tmp_path / "whole", 2), *weights(tmp_path / "stopped", 2))
