"""Self-tests on a Cortex-M4 and M7 without an operating system: QEMU's boards, with the start-up code of `cortex_m/`."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import runtime_networks as networks

import tfq.zoo
from tfq import c
from tfq.c.edges import INT8
from tfq.c.residuals import FLOAT, INT16
from tfq.graph import file
from tfq.graph import nodes as g

pytestmark = pytest.mark.slow
PARTS = Path(__file__).resolve().parent / "cortex_m"
COMPILER = "arm-none-eabi-gcc"
FLAGS = (
    *("-std=c99", "-Os", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-mthumb", "-mfloat-abi=hard"),
    *("-nostartfiles", "--specs=rdimon.specs", f"-T{PARTS / 'link.ld'}"),
)
KINDS = {
    "binary": {},
    "kmap": {"kmap": True},
    "levels": {"quantizer": g.Levels(2), "coding": "levels", "bits": 2},
    "bytes": {"quantizer": g.Levels(8), "coding": "levels", "bits": 8},
    "int16 residual": {},
}


@dataclass(frozen=True)
class Board:
    """A machine of qemu-system-arm, and flags of the compiler for its processor."""

    machine: str
    flags: tuple

    def run(self, directory, main, *flags):
        """What a program prints that is made of net.c and `main`."""
        program = directory / "program.elf"
        sources = [str(main), str(directory / "net.c"), str(PARTS / "start.c")]
        command = [COMPILER, *FLAGS, *self.flags, *flags, f"-I{directory}", *sources, "-o", str(program)]
        subprocess.run(command, check=True, timeout=120)
        emulator = ["qemu-system-arm", "-M", self.machine, "-nographic", "-monitor", "none", "-serial", "none"]
        semihosting = ["-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel", str(program)]
        result = subprocess.run([*emulator, *semihosting], capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, result
        return result.stdout


BOARDS = {
    "m4": Board("mps2-an386", ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16")),
    "m7": Board("mps2-an500", ("-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16")),
}


@pytest.fixture(params=BOARDS)
def board(request):
    for tool, package in ((COMPILER, "gcc-arm-none-eabi"), ("qemu-system-arm", "qemu-system-arm")):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian: {package})")
    specs = subprocess.run([COMPILER, "-print-file-name=rdimon.specs"], capture_output=True, text=True, check=True)
    if "/" not in specs.stdout:
        pytest.skip("newlib is not installed (Debian: libnewlib-arm-none-eabi)")
    return BOARDS[request.param]


@pytest.mark.parametrize("kind", KINDS)
def test_small_networks(tmp_path, board, kind):
    residual = INT16 if kind == "int16 residual" else FLOAT
    c.write(networks.small_network(np.random.default_rng(5), **KINDS[kind]), tmp_path, "net", residual=residual)
    assert "self-test: passed" in board.run(tmp_path, tmp_path / "net_example.c", "-DNET_SELFTEST")


def test_int8_edges(tmp_path, board):
    c.write(networks.small_network(np.random.default_rng(5)), tmp_path, "net", edges=INT8)
    assert "self-test: passed" in board.run(tmp_path, tmp_path / "net_example.c", "-DNET_SELFTEST")


# Most million instructions of an image of each network. docs/c.md: 139 and 48.
RESNET20 = {"resnet20_xnor_cifar10": 145, "resnet20_272k_xnor_cifar10": 50}


@pytest.fixture(scope="module", params=RESNET20)
def resnet20(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    c.write(file.read(tfq.zoo.path(request.param)), directory, "net")
    return directory, RESNET20[request.param]


def test_resnet20(resnet20, board):
    directory, _ = resnet20
    assert "self-test: passed" in board.run(directory, directory / "net_example.c", "-DNET_SELFTEST")


def test_a_wrong_result_is_found(tmp_path, board):
    c.write(networks.small_network(np.random.default_rng(5)), tmp_path, "net")
    main = tmp_path / "wrong.c"
    main.write_text((tmp_path / "net_example.c").read_text().replace("return wrong != 0", "return wrong == 0"))
    source = tmp_path / "net.c"
    start = source.read_text().index("#ifdef NET_SELFTEST")
    text = source.read_text()
    source.write_text(text[:start] + re.sub(r"(static const float net_test_\d+\[\d+\] = \{\n *)", r"\g<1>1e3f + ", text[start:]))
    assert "self-test: FAILED" in board.run(tmp_path, main, "-DNET_SELFTEST")


def test_instructions_of_resnet20(resnet20, board):
    directory, most = resnet20
    found = board.run(directory, PARTS / "count.c")
    print(found)
    assert 0.8 * most < int(re.search(r"instructions: (\d+)", found)[1]) / 1e6 < most
