"""Where the files of a network go: beside each other, or as a library of a build system."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from string import Template

from tfq.c import render


@dataclass(frozen=True)
class Layout:
    """The folders of a network, and the files that a build system wants around it.

    Attributes:
        source: folder of NAME.c and NAME.h. NAME.json is beside it.
        build: the command that builds the example.
        around: template of each further file, by its path. Both are filled with what all templates know.
    """

    source: str
    build: str
    around: dict[str, str] = field(default_factory=dict)

    def path(self, file: str) -> str:
        """Where a file of the network goes."""
        return str(PurePosixPath(self.source, file))

    def files(self, common: dict) -> dict[str, str]:
        """The text of each further file, by its path.

        Args:
            common: what all templates of the network know.
        """
        known = common | {"build": Template(self.build).substitute(common)}
        return {
            Template(path).substitute(common): render.template(template).substitute(known)
            for path, template in self.around.items()
        }


FLAT = Layout(
    source="",
    build="gcc -std=c99 -O3 -march=native -D${upper}_SELFTEST ${name}_example.c $name.c -o $name",
    around={"${name}_example.c": "example.c"},
)
ARDUINO = Layout(
    source="src",
    build="arduino-cli compile --fqbn=BOARD --library=. examples/$name",
    around={
        "library.properties": "arduino/library.properties",
        "examples/$name/$name.ino": "arduino/example.ino",
    },
)
PLATFORMIO = Layout(
    source="src",
    build="pio run --project-dir=examples/$name",
    around={
        "library.json": "platformio/library.json",
        "examples/$name/platformio.ini": "platformio/platformio.ini",
        "examples/$name/src/main.c": "example.c",
    },
)
ZEPHYR = Layout(
    source="src",
    build="west build --board=BOARD samples/$name",
    around={
        "zephyr/module.yml": "zephyr/module.yml",
        "CMakeLists.txt": "zephyr/CMakeLists.txt",
        "Kconfig": "zephyr/Kconfig",
        "samples/$name/CMakeLists.txt": "zephyr/sample.txt",
        "samples/$name/prj.conf": "zephyr/prj.conf",
        "samples/$name/src/main.c": "example.c",
    },
)
LAYOUTS = {"flat": FLAT, "arduino": ARDUINO, "platformio": PLATFORMIO, "zephyr": ZEPHYR}
