"""Hook of mkdocs: the pages that GitHub shows, README, BUILD, CHANGELOG and docs/, become a site whose links hold too.

On GitHub a page links relative to its place in the repository. The site has docs/ at its root and README.md as its first page.
Beside them lies a copy of each other file that a page links to, such as a picture or a JSON file in results/.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
_OF_ROOT = {"README.md": "index.md", "BUILD.md": "BUILD.md", "CHANGELOG.md": "CHANGELOG.md"}
_LINK = re.compile(r"(?P<before>!?\[(?P<text>[^]]*)\]\()(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
_CODE = re.compile(r"(^```.*?^```$|^ {4,}[^\n]*$)", re.MULTILINE | re.DOTALL)


def on_files(files, config):
    """Add the pages that stand in the root, and what any page links to outside of docs/."""
    for source, place in _OF_ROOT.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=text))
    for page in [*files.documentation_pages()]:
        for path in _linked(page.content_string, _source(page.src_uri)):
            place = _place(path)
            if (ROOT / path).is_file() and files.get_file_from_path(place) is None:
                files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turn each link of a page into one between places of the site."""
    source = _source(page.file.src_uri)
    parts = _CODE.split(markdown)  # code stands at the odd places
    return "".join(part if number % 2 else _relink(part, source) for number, part in enumerate(parts))


def _relink(text, source):
    here = posixpath.dirname(_place(source)) or "."

    def replace(found):
        target = found["target"]
        if "://" in target:
            return found[0]
        path = _resolve(target, source)
        if (ROOT / path).is_dir():  # the site has no page of a directory
            return found["text"]
        return f"{found['before']}{posixpath.relpath(_place(path), here)}{found['anchor'] or ''})"

    return _LINK.sub(replace, text)


def _linked(markdown, source):
    prose = "".join(_CODE.split(markdown)[::2])
    return [_resolve(found["target"], source) for found in _LINK.finditer(prose) if "://" not in found["target"]]


def _resolve(target, source):
    """The path in the repository of what a page there links to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def _source(place):
    """Where a page of the site stands in the repository."""
    return next((source for source, other in _OF_ROOT.items() if other == place), f"docs/{place}")


def _place(path):
    """Where a file of the repository stands on the site."""
    return _OF_ROOT.get(path) or path.removeprefix("docs/")
