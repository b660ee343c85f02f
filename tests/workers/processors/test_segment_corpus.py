"""SEGMENT on real documents, which are not part of the project: without them, skipped."""

import re
import unicodedata
from collections import Counter
from pathlib import Path

import pymupdf
import pytest
from papers import CORPUS, EPUB, HTML, MARKDOWN, PDF, bodies, resumed, run, segments

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")

DOCUMENTS = [
    ("pdf/multicolumn.pdf", PDF),
    ("pdf/normal_4pages.pdf", PDF),
    ("pdf/redp5110_sampled.pdf", PDF),
    ("pdf/multi_page.pdf", PDF),
    ("pdf/google-doc-document.pdf", PDF),
    ("pdf/right_to_left_01.pdf", PDF),
    ("text/wiki_duck.html", HTML),
    ("text/wiki.md", MARKDOWN),
    ("text/epub_purvis_poetry.epub", EPUB),
]


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text)))


def plain_words(source: Path) -> Counter[str]:
    with pymupdf.open(source) as document:
        text = " ".join(page.get_text("text") for page in document)
    return words(re.sub(r"([^\W\d_])-\n([a-z])", r"\1\2", text))


@pytest.mark.parametrize(("name", "media_type"), DOCUMENTS)
@pytest.mark.parametrize("max_size", [137, 5000])
def test_a_broken_run_hands_on_what_an_unbroken_one_would(
    name: str, media_type: str, max_size: int
) -> None:
    source = CORPUS / name
    pages = run(source, media_type, max_size=max_size)
    assert [page.number for page in pages] == list(range(1, pages[0].total + 1))
    for page in pages[:-1]:
        assert resumed(source, media_type, page, max_size=max_size) == pages[page.number :]


@pytest.mark.parametrize(("name", "media_type"), DOCUMENTS)
@pytest.mark.parametrize("max_size", [100, 1000])
def test_segments_are_short_enough_and_none_ends_with_a_heading(
    name: str, media_type: str, max_size: int
) -> None:
    for part in segments(CORPUS / name, media_type, max_size=max_size):
        assert 0 < len(part.body) <= max_size
        lines = [line for line in part.body.split("\n") if line]
        assert not lines[-1].startswith("#") or all(line.startswith("#") for line in lines)


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("multicolumn.pdf", Counter({"1": 1, "2": 1, "3": 1})),
        ("multi_page.pdf", Counter()),
        ("google-doc-document.pdf", Counter()),
        ("pdflatex-4-pages.pdf", Counter({"1": 1, "2": 1, "3": 1, "4": 1})),
        ("pdflatex-outline.pdf", Counter({"1": 1, "2": 1, "3": 1, "4": 1})),
        ("right_to_left_01.pdf", Counter()),
        ("code_and_formula.pdf", Counter({"1": 1})),
    ],
)
def test_every_word_is_there_once_but_page_numbers(name: str, left_out: Counter[str]) -> None:
    source = CORPUS / "pdf" / name
    found = words("\n".join(bodies(source, PDF)))
    assert (plain_words(source) - found, found - plain_words(source)) == (left_out, Counter())


def test_the_tables_of_a_redbook_are_read() -> None:
    text = "\n".join(bodies(CORPUS / "pdf/redp5110_sampled.pdf", PDF))
    assert (
        "| Special register | Corresponding value |\n| --- | --- |\n"
        "| USER or SESSION_USER | The effective user of the thread excluding adopted authority. |\n"
    ) in text
    assert "| User action | *JOBCTL | QIBM_DB_SECADM | QIBM_DB_SQLADM | QIBM_DB_SYSMON |" in text


def test_the_outline_of_a_book_gives_the_headings_of_its_segments() -> None:
    found = segments(CORPUS / "pdf/GeoTopo-komprimiert.pdf", PDF)
    paths = list(dict.fromkeys(part.headings[:2] for part in found))
    first = ("1 Topologische Grundbegriffe", "1.1 Topologische R\u00e4ume")
    assert paths.index(first) + 1 == paths.index((first[0], "1.2 Metrische R\u00e4ume"))
    assert Counter(part.lang for part in found).most_common(1)[0][0] == "de"
