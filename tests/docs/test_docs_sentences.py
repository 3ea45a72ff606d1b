"""The guides are read by people with a job: short sentences, a short README."""

import re

import docs_pages as pages
import pytest

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

LONGEST = 30
# The page of the format is a specification.
GUIDES = [page for page in pages.PAGES if "research" not in page.parts]


def sentences(page):
    """(number of words, sentence) of each sentence of a page; an item of a list ends the one before, code is one word."""
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", pages.prose(page)):
        text = re.sub(r"`[^`]*`", "CODE", re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", paragraph))
        for sentence in re.split(r"(?<=[.!?])[)*]*\s+", text):
            yield len(re.findall(r"\w\S*", sentence)), " ".join(sentence.split())


@pytest.mark.parametrize("page", GUIDES, ids=pages.name)
def test_no_sentence_has_more_than_thirty_words(page):
    long = [f"{words} words: {sentence}" for words, sentence in sentences(page) if words > LONGEST]
    assert not long, "\n".join(long)


def test_words_are_counted(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One two three\n\nOne [two](x y) `a b c`. Four\nfive!\n\n| a b c |\n\n    code here\n\n- six\n- seven eight\n"
    )
    assert [words for words, _ in sentences(page) if words] == [3, 2, 1, 2]


def test_the_readme_is_short():
    assert len((pages.ROOT / "README.md").read_text().splitlines()) <= 150
