"""The pages that users read, and what stands in them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "BUILD.md", *sorted(ROOT.glob("docs/**/*.md"))]
PROGRAMS = ("make", "pip", "tfq", "python", ".venv/bin/python", ".venv-jax/bin/python", ".venv-torch/bin/python")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^|(?<=\n\n))(?: {4,}.*\n|\n(?= {4}))+", re.MULTILINE)
_SET = re.compile(r"^(?:[A-Z_]+=\S+ )*")


def name(page):
    """The path of a page from the root, as ids of tests show it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page, language):
    """(number of its first line, text) of each fenced block in a language."""
    text = page.read_text(encoding="utf-8")
    return [(text[: found.start(2)].count("\n") + 1, found[2]) for found in _FENCE.finditer(text) if found[1] == language]


def prose(page):
    """A page without blocks of code, tables and headings."""
    text = _INDENTED.sub("\n", _FENCE.sub("\n", page.read_text(encoding="utf-8")))
    lines = [line for line in text.splitlines() if not line.startswith(("|", "#", "<!--", "!["))]
    return "\n".join(lines)


def commands(page):
    """The commands in blocks of a page, each as one line, without comments; lines that go on are joined."""
    text = page.read_text(encoding="utf-8")
    shells = [found[2] for found in _FENCE.finditer(text) if found[1] in ("sh", "bash", "shell", "console")]
    text = "\n".join([*_INDENTED.findall(_FENCE.sub("\n", text)), *shells]).replace("\\\n", " ")
    lines = [" ".join(re.sub(r"(^|\s)#.*", "", line).split()) for line in text.splitlines()]
    return [line for line in lines if _SET.sub("", line).split(" ")[0] in PROGRAMS]


def spans(page):
    """The commands that stand as code within a sentence; they may be cut short."""
    return re.findall(r"`((?:make|tfq|python -m) [a-z][^`]*)`", prose(page))
