"""Folders for Arduino, PlatformIO and Zephyr: what is in them, and that their examples build and run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import runtime_networks as networks

from tfq import c
from tfq.c.layouts import LAYOUTS
from tfq.cli import main
from tfq.graph import file

PLACES = Path(__file__).resolve().parent / "places"
FILES = {
    "flat": {"net.c", "net.h", "net.json", "net_example.c"},
    "arduino": {"src/net.c", "src/net.h", "net.json", "library.properties", "examples/net/net.ino"},
    "platformio": {
        *("src/net.c", "src/net.h", "net.json", "library.json"),
        *("examples/net/platformio.ini", "examples/net/src/main.c"),
    },
    "zephyr": {
        *("src/net.c", "src/net.h", "net.json", "zephyr/module.yml", "CMakeLists.txt", "Kconfig"),
        *("samples/net/CMakeLists.txt", "samples/net/prj.conf", "samples/net/src/main.c"),
    },
}
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-DNET_SELFTEST")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of each layout, of one network."""
    graph, top = networks.small_network(np.random.default_rng(5)), tmp_path_factory.mktemp("layouts")
    for name, layout in LAYOUTS.items():
        c.write(graph, top / name, "net", layout=layout)
    return top


def need(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def program(name):
    """A program beside this Python, or on the path; skips the test where there is neither."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)
    assert result.returncode == 0, result
    return result.stdout


@pytest.mark.parametrize("name", LAYOUTS)
def test_files(folders, name):
    top = folders / name
    assert {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()} == FILES[name]
    for kind in ("c", "h"):
        assert (top / LAYOUTS[name].path(f"net.{kind}")).read_bytes() == (folders / "flat" / f"net.{kind}").read_bytes()
    found, flat = (json.loads((folder / "net.json").read_text()) for folder in (top, folders / "flat"))
    assert set(found.pop("files")) == FILES[name]
    assert set(flat.pop("files")) == FILES["flat"]
    assert found == flat
    # No place of a template is left, but CMake's own.
    for path in top.rglob("*"):
        if path.is_file():
            assert "$" not in path.read_text().replace("${CMAKE_CURRENT_SOURCE_DIR}", "").replace("$ENV{ZEPHYR_BASE}", "")


def test_command(tmp_path, capsys):
    file.write(networks.small_network(np.random.default_rng(5)), tmp_path / "net.tfq")
    assert main.main(["export", str(tmp_path / "net.tfq"), "--layout=zephyr", f"--out={tmp_path / 'out'}"]) == 0
    assert (tmp_path / "out" / "zephyr" / "module.yml").is_file()
    with pytest.raises(SystemExit):
        main.main(["export", str(tmp_path / "net.tfq"), "--layout=mbed"])
    assert "'mbed' (choose from " in capsys.readouterr().err


def test_a_library_has_a_folder_of_its_own(tmp_path, capsys):
    file.write(networks.small_network(np.random.default_rng(5)), tmp_path / "net.tfq")
    (tmp_path / "CMakeLists.txt").write_text("theirs")
    for _ in range(2):
        assert main.main(["export", str(tmp_path / "net.tfq"), "--layout=zephyr"]) == 0
    assert (tmp_path / "CMakeLists.txt").read_text() == "theirs"
    assert {path.relative_to(tmp_path / "net").as_posix() for path in (tmp_path / "net").rglob("*.*")} >= {"src/net.c"}
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith(f"c: in {tmp_path / 'net'}: ")
    assert set(said.split(": ")[-1].split(", ")) == FILES["zephyr"]


@pytest.mark.parametrize("manifest", [None, "no JSON", "[]", '{"files": ["Kconfig"]}', "of flat"])
def test_files_of_others_are_not_replaced(tmp_path, manifest):
    graph, names = networks.small_network(np.random.default_rng(5)), ["Kconfig"]
    if manifest == "of flat":
        c.write(graph, tmp_path, "net")
        names += ["net.json"]
    elif manifest is not None:
        (tmp_path / "net.json").write_text(manifest)
        names = ["net.json", "Kconfig"]
    (tmp_path / "Kconfig").write_text("theirs")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    in_the_way = "Kconfig" if manifest in (None, "of flat") else "net.json, Kconfig"
    with pytest.raises(c.Foreign, match=rf"no export of net.json wrote: {in_the_way}; choose another folder"):
        c.write(graph, tmp_path, "net", layout=LAYOUTS["zephyr"])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before
    # A network of another name in the same folder has files of the same names.
    (tmp_path / "Kconfig").unlink()
    (tmp_path / "net.json").unlink(missing_ok=True)
    c.write(graph, tmp_path, "net", layout=LAYOUTS["zephyr"])
    with pytest.raises(c.Foreign, match=r"no export of other.json wrote: zephyr/module.yml, CMakeLists.txt, Kconfig;"):
        c.write(graph, tmp_path, "other", layout=LAYOUTS["zephyr"])


def test_properties_of_an_arduino_library(folders):
    lines = (folders / "arduino" / "library.properties").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert required <= {name for name, value in found.items() if value}
    assert found["includes"] == "net.h"


def arduino(directory, compilers, *flags):
    """Compile the library as C and the sketch as C++, as Arduino does: <Arduino.h> comes first, and main is elsewhere."""
    top, (gcc, gxx) = directory / "arduino", compilers
    run(gcc, *STRICT, *flags, "-O1", "-c", str(top / "src" / "net.c"), "-o", str(directory / "net.o"))
    source = ["-include", str(PLACES / "Arduino.h"), f"-I{top / 'src'}", "-x", "c++", str(top / "examples" / "net" / "net.ino")]
    run(gxx, "-std=c++17", *STRICT, *flags, *source, "-c", "-o", str(directory / "sketch.o"))


@pytest.mark.slow
def test_sketch(folders):
    need("gcc", "g++")
    arduino(folders, ("gcc", "g++"))
    start = "extern void setup(), loop();\nint main() { setup(); loop(); }\n"
    objects = [str(folders / "sketch.o"), str(folders / "net.o")]
    run("g++", "-x", "c++", "-", "-x", "none", *objects, "-o", str(folders / "sketch"), input=start)
    assert run(str(folders / "sketch")).startswith("self-test: passed\nnumber ")


@pytest.mark.slow
def test_sketch_for_a_cortex_m4(folders):
    need("arm-none-eabi-gcc", "arm-none-eabi-g++")
    arduino(folders, ("arm-none-eabi-gcc", "arm-none-eabi-g++"), "-mthumb", "-mcpu=cortex-m4")


@pytest.mark.slow
def test_example_of_platformio(folders):
    need("gcc")
    top = folders / "platformio"
    flags = json.loads((top / "library.json").read_text())["build"]["flags"]
    example = top / "examples" / "net"
    sources = [str(top / "src" / "net.c"), str(example / "src" / "main.c")]
    run("gcc", *STRICT, *flags, f"-I{top / 'src'}", *sources, "-o", str(folders / "example"))
    assert "self-test: passed" in run(str(folders / "example"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["platformio", "arduino"])
def test_manifests_before_platformio(folders, tmp_path, name):
    """It checks its own manifest, and Arduino's too."""
    pio = [program("pio")]
    environment = os.environ | {"PLATFORMIO_CORE_DIR": str(tmp_path / "core"), "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no"}
    run(*pio, "pkg", "pack", f"--output={tmp_path / 'net.tar.gz'}", str(folders / name), env=environment)
    assert (tmp_path / "net.tar.gz").is_file()
    if name == "platformio":
        example = folders / name / "examples" / "net"
        found = json.loads(run(*pio, "project", "config", f"--project-dir={example}", "--json-output", env=environment))
        assert dict(found)["env:native"]


@pytest.mark.slow
def test_sample_of_zephyr(folders, tmp_path):
    """By cmake, and functions of our own in the place of Zephyr's."""
    need("cmake", "gcc")
    sample = folders / "zephyr" / "samples" / "net"
    run("cmake", f"-DZephyr_DIR={PLACES / 'zephyr'}", "-DCMAKE_C_FLAGS=-Wall -Werror", "-S", str(sample), "-B", str(tmp_path))
    run("cmake", "--build", str(tmp_path))
    assert "self-test: passed" in run(str(tmp_path / "app"))


@pytest.mark.slow
def test_options_of_zephyr(folders):
    kconfiglib = pytest.importorskip("kconfiglib")
    found = kconfiglib.Kconfig(str(folders / "zephyr" / "Kconfig"))
    test, network = found.syms["TFQ_NET_SELFTEST"], found.syms["TFQ_NET"]
    test.set_value("y")
    assert test.str_value == "n"  # it depends on the network
    network.set_value("y")
    assert (network.str_value, test.str_value) == ("y", "y")
    wanted = (folders / "zephyr" / "samples" / "net" / "prj.conf").read_text()
    assert {"CONFIG_TFQ_NET=y", "CONFIG_TFQ_NET_SELFTEST=y"} <= set(wanted.splitlines())


@pytest.mark.slow
def test_module_of_zephyr(folders):
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load((folders / "zephyr" / "zephyr" / "module.yml").read_text())
    assert found == {"name": "net", "build": {"cmake": ".", "kconfig": "Kconfig"}, "samples": ["samples"]}
