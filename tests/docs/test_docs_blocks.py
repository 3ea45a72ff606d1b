"""Every Python block of the pages runs, those of a page one after another, as a reader would paste them."""

import importlib
from importlib.util import find_spec

import docs_pages as pages
import pytest
from running import ROOT, slow_marks

from tfq.backend.keras import is_legacy, keras

PAGES = [page for page in pages.PAGES if pages.blocks(page, "python")]
TABLES = (
    ("tfq.quantizers.base", "_registered"),
    ("tfq.quantizers.base", "_own"),
    ("tfq.convert.layers", "CONVERTERS"),
    ("tfq.convert.to_keras", "_LAYERS"),
    ("tfq.export.formats", "FORMATS"),
    ("tfq.graph.operations", "_OPERATIONS"),
    ("models.networks", "NETWORKS"),
    ("models.methods", "METHODS"),
)
MARKS = {
    "research": [pytest.mark.slow],  # the whole of CIFAR-10
    # JAX compiles for ten seconds what test_from_outside.py runs there too.
    "extending.md": [pytest.mark.tensorflow_only],
    "gallery": [pytest.mark.tensorflow_only, pytest.mark.keras3_only],  # networks that are trained, once is enough
    # And half a minute to build MobileNetV2, whose conversion the slow tests try there.
    "convert.md": [pytest.mark.tensorflow_only, pytest.mark.keras3_only],
    "from_float.md": [pytest.mark.slow],
    "mobile_block.md": [pytest.mark.slow],
    "mobilenet.md": [pytest.mark.slow],
    "from-larq.md": [pytest.mark.keras3_only],  # beside tf_keras larq's optimizers go with its legacy ones
    "interop.md": [pytest.mark.legacy_only, pytest.mark.skipif(not find_spec("tensorflow_model_optimization"), reason="tfmot")],
}
# The pages of what computes; the other pages, and the backends of Keras 3 in them, are tried on TensorFlow.
EVERYWHERE = {"README.md", "docs/layers.md"}


def marks(page):
    found = [mark for part in page.parts for mark in MARKS.get(part, [])]
    return found if pages.name(page) in EVERYWHERE or "interop.md" in page.parts else [*found, *slow_marks("tf_keras", "jax")]


PARAMETERS = [pytest.param(page, marks=marks(page)) for page in PAGES]


@pytest.fixture
def _tables():
    """Layers are named from the start, as for a reader; what pages register is gone when the test ends."""
    keras.backend.clear_session()
    importlib.import_module("tfq.graph.nodes")  # which fills a table
    tables = [getattr(importlib.import_module(module), name) for module, name in TABLES]
    before = [dict(table) for table in tables]
    yield
    for table, kept in zip(tables, before, strict=True):
        table.clear()
        table.update(kept)


@pytest.mark.filterwarnings("ignore:.*computed in NumPy")
@pytest.mark.usefixtures("_tables")
@pytest.mark.parametrize("page", PARAMETERS, ids=pages.name)
def test_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(ROOT / "results")
    names = {"__name__": "__main__"}
    for line, code in pages.blocks(page, "python"):
        if is_legacy:  # as the README says
            code = code.replace("import keras\n", "import tf_keras as keras\n")
        exec(compile("\n" * (line - 1) + code, page, "exec"), names)


def test_pages_with_blocks_are_found():
    assert {"README.md", "docs/layers.md", "docs/running.md"} <= {pages.name(page) for page in PAGES}
