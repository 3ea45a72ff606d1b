"""Write docs/demo/index.html: a network of the zoo as WebAssembly in one page that needs no server and no other file.

The network is written as C and compiled by clang for wasm32 with SIMD. It needs clang and lld (Debian: `apt install clang lld`).
"""

import base64
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tfq.zoo
from tfq import c
from tfq.graph import file

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "demo" / "index.html"
NETWORK = "resnet20_xnor_cifar10"
_PARTS = Path(__file__).resolve().parent / "demo"
_NAME = "network"
# -O2 takes 1.70 ms an image, -Os 2.03 for 5 kB less, and -O3 1.64 for 8 kB more.
_FLAGS = (
    *("--target=wasm32", "-std=c99", "-O2", "-msimd128", "-mbulk-memory", "-ffreestanding", "-nostdlib"),
    *("-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{_PARTS / 'include'}"),
    *("-Wl,--no-entry", "-Wl,--strip-all", "-Wl,--export=__heap_base"),
    *(f"-Wl,--export-if-defined={_NAME}_{function}" for function in ("run_uint8", "selftest")),
)


class NoCompiler(RuntimeError):
    """clang or its linker for WebAssembly is missing."""


def compiler():
    """First line of `clang --version`.

    Raises:
        NoCompiler: there is no clang, or no wasm-ld.
    """
    for tool, package in (("clang", "clang"), ("wasm-ld", "lld")):
        if shutil.which(tool) is None:
            raise NoCompiler(f"{tool} is not installed; on Debian it is in the package {package}")
    return subprocess.run(["clang", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def module(graph, *flags):
    """A network as a WebAssembly module, which imports nothing, and its manifest; `flags` are further ones of clang."""
    with tempfile.TemporaryDirectory() as directory:
        written = c.write(graph, directory, _NAME)
        out = Path(directory) / "network.wasm"
        subprocess.run(["clang", *_FLAGS, *flags, str(written.paths[0]), "-o", str(out)], check=True)
        return out.read_bytes(), written.manifest


def page(graph):
    """The page of a network of 32 x 32 pixels, as text; the same each time."""
    found, manifest = module(graph)
    samples = sorted((_PARTS / "samples").glob("*.png"))
    values = {
        "network": NETWORK,
        "sha256": manifest["network_sha256"],
        "compiler": compiler(),
        "labels": "\n".join(f"<li>{label}</li>" for label in graph.labels),
        "arena": str(manifest["ram"]["arena"]),
        "size": f"{len(found):,}",
        "samples": "\n".join(_sample(path) for path in samples),
        "style": (_PARTS / "page.css").read_text(encoding="utf-8").strip(),
        "script": (_PARTS / "page.js").read_text(encoding="utf-8").strip(),
        "module": base64.b64encode(found).decode(),
    }
    text = (_PARTS / "page.html").read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def _sample(path):
    picture = base64.b64encode(path.read_bytes()).decode()
    image = f'<img src="data:image/png;base64,{picture}" width="64" height="64" alt="Drawing: {path.stem}">'
    return f'<button type="button" aria-pressed="false">{image}</button>'


def main():
    """Write the page; returns the exit status."""
    try:
        text = page(file.read(tfq.zoo.path(NETWORK)))
    except NoCompiler as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(text):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
