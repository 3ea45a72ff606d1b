"""The notebooks of the gallery are those of its pages."""

import importlib.util

import pytest
from running import ROOT

pytestmark = [pytest.mark.tensorflow_only, pytest.mark.keras3_only]  # jupytext is of that environment
PAGES = sorted((ROOT / "docs" / "gallery").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_notebook_is_that_of_the_page(page):
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "tools" / "notebooks.py")
    notebooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebooks)
    assert page.with_suffix(".ipynb").read_text(encoding="utf-8") == notebooks.notebook(page), "make notebooks"
