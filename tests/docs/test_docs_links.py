"""Links of the pages lead somewhere in the repository; the strict build of the site in `make lint` says so of the site."""

import re

import docs_pages as pages
import pytest

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

PAGES = [*pages.PAGES, pages.ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def anchors(page):
    """Those that GitHub and the site give to headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_on_the_site():
    navigation = (pages.ROOT / "mkdocs.yml").read_text().split("\nnav:")[1]
    places = {page.relative_to(pages.ROOT / "docs").as_posix() for page in (pages.ROOT / "docs").glob("**/*.md")}
    assert places <= set(re.findall(r"\S+\.md", navigation))
