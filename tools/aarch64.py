"""Runs tests of the runtime on AArch64: Debian's Python under qemu-user, with the wheels of the locked versions.

    python tools/aarch64.py build/aarch64

needs qemu-aarch64, and Debian's apt-get and dpkg-deb. The folder is made once; minutes of compiling under the emulator follow.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("qemu-aarch64", "apt-get", "dpkg-deb")
_DEBIAN = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "libgomp1", "zlib1g")
_WHEELS = ("iniconfig", "llvmlite", "numba", "numpy", "packaging", "pluggy", "psutil", "pygments", "pytest", "safetensors")
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
# Sums and thresholds against their oracles, and networks from end to end.
TESTS = tuple(f"test_runtime_{name}.py" for name in ("sums", "thresholds", "winograd", "along_columns", "networks"))


def missing() -> list[str]:
    """Programs that are not installed."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def prepare(folder: Path) -> None:
    """Make the folder: Debian's files in `root`, the wheels' in `site`."""
    for part in ("root", "site", "wheels", "apt/lists/partial", "apt/cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "apt" / "status").touch()
    state = {
        "APT::Architecture": "arm64", "APT::Architectures": "arm64", "APT::Install-Recommends": "false",
        "Dir::State": folder / "apt", "Dir::State::lists": folder / "apt/lists", "Dir::State::status": folder / "apt/status",
        "Dir::Cache": folder / "apt/cache",
    }  # fmt: skip
    apt = ["apt-get", "-qq", *(part for name, value in state.items() for part in ("-o", f"{name}={value}"))]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "install", "--yes", "--download-only", *_DEBIAN], check=True)
    for package in sorted((folder / "apt/cache/archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)
    platforms = [part for platform in _PLATFORMS for part in ("--platform", platform)]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", "3.11"]
    subprocess.run([*pip, *platforms, "--dest", folder / "wheels", *_locked()], check=True)
    for wheel in (folder / "wheels").glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder / "site")
    (folder / ".complete").touch()


def _locked():
    """`name==version` of each wheel, as Python 3.11 takes it."""
    lock = (ROOT / "locks" / "tensorflow.txt").read_text()
    return [re.search(rf"^{name}==[^ ;\\]+", lock, re.MULTILINE).group() for name in _WHEELS]


def run(folder: Path, *arguments: str) -> int:
    """Run Debian's Python for AArch64, in the checkout; returns its exit status."""
    environment = {
        "PYTHONHOME": folder / "root/usr", "PYTHONPATH": f"{ROOT}{os.pathsep}{folder / 'site'}",
        "NUMBA_CACHE_DIR": folder / "code", "PYTHONDONTWRITEBYTECODE": "1", "TFQ_ISA": "neon",
    }  # fmt: skip
    given = [part for name, value in environment.items() for part in ("-E", f"{name}={value}")]
    python = folder / "root/usr/bin/python3.11"
    return subprocess.run(["qemu-aarch64", "-L", folder / "root", *given, python, *arguments], cwd=ROOT, check=False).returncode


def main(folder: Path) -> int:
    """Prepare the folder where it is not there, and run the tests."""
    if missing():
        print(f"error: not installed: {', '.join(missing())}", file=sys.stderr)
        return 1
    if not (folder / ".complete").exists():
        prepare(folder)
    tests = [f"tests/runtime/{name}" for name in TESTS]
    return run(folder, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow", *tests)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
