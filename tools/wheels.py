"""`make wheel`: two wheels from this one tree, `tfq-runtime` and `tfq`, with no file in both.

`tfq-runtime` runs packed networks and installs no Keras; `tfq` is all the rest and requires it. Which file goes where stands in
pyproject.toml, under `[tool.tfq-runtime]`. The tree itself, as `pip install -e .` takes it, is one package with everything.
"""

import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import tomli_w

ROOT = Path(__file__).resolve().parent.parent
# Of the extra `runtime`, what the commands need and the engine does not. A machine that calls the engine goes without.
_FOR_COMMANDS = ("filelock", "pillow", "rich")
_OF_A_CHECKOUT = ("test", "dev")


def main() -> int:
    """Build both wheels into dist/."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    of_runtime, of_library = split(pyproject)
    for project, files in ((runtime(pyproject), of_runtime), (library(pyproject), of_library)):
        with tempfile.TemporaryDirectory() as directory:
            stage(Path(directory), project, files)
            command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", f"--outdir={ROOT / 'dist'}", directory]
            subprocess.run(command, check=True)
    return 0


def split(pyproject: dict) -> tuple[list[Path], list[Path]]:
    """The files of the package, relative to the root: those of tfq-runtime, and the others.

    Raises:
        ValueError: pyproject.toml names one for tfq-runtime that is not there.
    """
    package = [path.relative_to(ROOT) for path in sorted((ROOT / "tfq").rglob("*")) if path.is_file() and _is_ours(path)]
    named = [Path(name) for name in pyproject["tool"]["tfq-runtime"]["files"]]
    for path in named:
        if not any(file == path or path in file.parents for file in package):
            raise ValueError(f"[tool.tfq-runtime] in pyproject.toml names {path}, which is not there")
    of_runtime = [file for file in package if any(file == path or path in file.parents for path in named)]
    return of_runtime, [file for file in package if file not in of_runtime]


def runtime(pyproject: dict) -> dict:
    """The table `project` of tfq-runtime."""
    project = pyproject["project"]
    extra = project["optional-dependencies"]["runtime"]
    needed = [text for text in extra if not text.startswith(_FOR_COMMANDS)]
    return {
        **{name: project[name] for name in ("version", "readme", "requires-python", "license", "license-files", "authors")},
        **{name: project[name] for name in ("keywords", "classifiers", "scripts")},
        "name": "tfq-runtime",
        "description": "Runs the packed low-bit networks of tfq on CPUs, without Keras",
        "dependencies": ["numpy>=1.26", *needed],
        "optional-dependencies": {"commands": [text for text in extra if text not in needed]},
    }


def library(pyproject: dict) -> dict:
    """The table `project` of tfq."""
    project = pyproject["project"]
    version = project["version"]
    extras = {name: needed for name, needed in project["optional-dependencies"].items() if name not in _OF_A_CHECKOUT}
    made = {
        **project,
        "dependencies": [f"tfq-runtime=={version}", *project["dependencies"]],
        "optional-dependencies": {**extras, "runtime": [f"tfq-runtime[commands]=={version}"]},
    }
    del made["scripts"]  # it comes with tfq-runtime
    return made


def stage(directory: Path, project: dict, files: list[Path]) -> None:
    """Lay out what one wheel is built from."""
    for file in (*files, Path("README.md"), Path("LICENSE")):
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, directory / file)
    setuptools = {
        "packages": sorted({".".join(file.parent.parts) for file in files}),
        "package-data": {"tfq": [file.relative_to("tfq").as_posix() for file in files if file.suffix != ".py"]},
    }
    backend = {"requires": ["setuptools>=77"], "build-backend": "setuptools.build_meta"}
    content = {"build-system": backend, "project": project, "tool": {"setuptools": setuptools}}
    (directory / "pyproject.toml").write_text(tomli_w.dumps(content), encoding="utf-8")


def _is_ours(path: Path) -> bool:
    return "__pycache__" not in path.parts and not path.name.startswith(".")


if __name__ == "__main__":
    sys.exit(main())
