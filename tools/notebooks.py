"""Write each page of docs/gallery as a notebook beside it, which Jupyter and Colab open."""

from pathlib import Path

import jupytext

GALLERY = Path(__file__).resolve().parent.parent / "docs" / "gallery"
_INSTALL = '# Outside of a checkout:\n# %pip install "tfq[tensorflow,train]"'


def notebook(page):
    """The notebook of a page, as text; the same each time."""
    text = page.read_text(encoding="utf-8").replace(f"[This page as a notebook]({page.stem}.ipynb)\n\n", "")
    made = jupytext.reads(text, fmt="md")
    made.cells.insert(1, jupytext.reads(f"```python\n{_INSTALL}\n```", fmt="md").cells[0])
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"  # instead of one at random
    made.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return jupytext.writes(made, fmt="ipynb")


if __name__ == "__main__":
    for page in sorted(GALLERY.glob("*.md")):
        page.with_suffix(".ipynb").write_text(notebook(page), encoding="utf-8")
