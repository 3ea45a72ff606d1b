"""Each engine trains what one process trains with the same global batch: workers on loopback, virtual devices, tiny."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import worker
from absl.testing import flagsaver
from running import BACKEND, ROOT, slow_on

import train
from tfq import distribute
from tfq.cli import program
from tfq.terminal import STOPPED
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
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **place(each, workers, ports), **(variables or {}).get(each, {})},
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


def place(worker, workers, ports):
    addresses = [f"127.0.0.1:{port}" for port in ports]
    place = {"TFQ_TEST_WORKER": str(worker)}
    if workers == 1:
        return place
    values = {"JOB_ADDRESSES": addresses[0], "NUM_PROCESSES": str(workers), "PROCESS_ID": str(worker)}
    return place | {f"KERAS_DISTRIBUTION_{name}": value for name, value in values.items()}


def finished(processes, *statuses):
    try:
        outputs = [output(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [*(statuses or [0] * len(processes))], "\n".join(outputs)[-6000:]
    return outputs


def output(process, seconds=300):
    """What a process says until it ends, however long that takes, as long as it computes: other work may slow it down."""
    while True:
        before = computed(process)
        try:
            return process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            if process.poll() is None and computed(process) - before < 0.005 * seconds:
                raise


def computed(process):
    """Seconds of processors."""
    times = psutil.Process(process.pid).cpu_times() if process.poll() is None else None
    return times.user + times.system if times else 0.0


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


def test_an_engine_that_would_distribute_nothing_is_refused(monkeypatch):
    monkeypatch.setenv("KERAS_DISTRIBUTION_PROCESS_ID", "1")
    said = "PROCESS_ID=1 is set without KERAS_DISTRIBUTION_NUM_PROCESSES" if BACKEND == "jax" else "needs --backend=jax"
    with pytest.raises(distribute.DistributionError, match=said):
        distribute.engine("data_parallel")


@slow_on("jax")
def test_two_devices_train_as_one(alone, tmp_path):
    devices = {0: {"TFQ_TEST_DEVICES": "2", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}}
    engine = "data_parallel" if BACKEND == "jax" else "mirrored"
    finished(start(tmp_path, 1, *FLAGS, f"--distribute={engine}", *synchronized(engine), variables=devices))
    assert_as_alone(weights(tmp_path)[0], alone)


@on_jax
@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_workers_train_as_one(alone, tmp_path, workers):
    finished(start(tmp_path, workers, *FLAGS, f"--distribute={ENGINE}", *synchronized(ENGINE)))
    found = weights(tmp_path, workers)
    assert_as_alone(found[0], alone)
    assert_same(*found)
    assert checkpoint.load(RunDirectory(tmp_path).last)[1].epochs == EPOCHS


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, *([2] if BACKEND == "jax" else [])])
def test_devices_and_workers_learn_from_a_teacher_as_one(tmp_path, workers):
    images = worker.data().x_train
    worker.network("", images.shape[1:], 3, "float").save(tmp_path / "teacher.keras")
    engine = "data_parallel" if BACKEND == "jax" else "mirrored"
    devices = {"TFQ_TEST_DEVICES": "2", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    flags = [*FLAGS, f"--teacher={tmp_path / 'teacher.keras'}"]
    finished(start(tmp_path / "alone", 1, *flags))
    several = start(
        tmp_path / "several",
        workers,
        *flags,
        f"--distribute={engine}",
        *synchronized(engine),
        variables={0: devices} if workers == 1 else {},
    )
    finished(several)
    assert_as_alone(weights(tmp_path / "several")[0], weights(tmp_path / "alone")[0])


QUANTIZED = (*FLAGS, "--epochs=8", "--method=dorefa", "--w_bits=2", "--a_bits=2", "--g_bits=6", f"--distribute={ENGINE}")


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    """The weights of two workers that nothing disturbs."""
    path = tmp_path_factory.mktemp("quantized")
    finished(start(path, 2, *QUANTIZED))
    return weights(path, 2)


@pytest.mark.slow
@on_jax
@pytest.mark.parametrize(
    ("number", "step", "statuses", "said"),
    [
        (signal.SIGTERM, 3, (STOPPED, STOPPED), "stopped by SIGTERM"),
        (signal.SIGKILL, 13, (1, -9), "worker 1 of 2 is gone:"),
    ],
)
def test_workers_go_on_with_the_same_bits_after_a_signal_to_one(quantized, number, step, statuses, said, tmp_path):
    variables = {1: {"TFQ_TEST_SIGNAL": str(int(number)), "TFQ_TEST_STEP": str(step)}}
    outputs = finished(start(tmp_path, 2, *QUANTIZED, variables=variables), *statuses)
    # After the same step of all, some behind that of the signal.
    assert len({line for output in outputs for line in output.splitlines() if line.startswith(said)}) == 1, outputs
    assert checkpoint.load(RunDirectory(tmp_path).last)[1].epochs < 8
    finished(start(tmp_path, 2, *QUANTIZED))
    assert_same(*quantized, *weights(tmp_path, 2))
