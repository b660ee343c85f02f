import subprocess
import sys
from pathlib import Path

import pymupdf
import pytest
from papers import (
    EPUB,
    HTML,
    LOREM,
    MARKDOWN,
    PDF,
    TEXT,
    Paper,
    bodies,
    epub,
    resumed,
    run,
    segments,
)

from app.failures import ErrorCode, Failure, ProcessingFailed
from app.jobs.results import Box, Issue


def report(folder: Path, pages: int = 5) -> Path:
    """A title, sections that run over pages, running headers, page numbers."""
    paper = Paper()
    paper.line(72, 100, "Annual report", size=24, font="hebo")
    y = paper.text(72, 140, 450, LOREM)
    for number in range(1, pages + 1):
        if pages > 1:
            paper.line(72, 40, "Annual report of the company", size=9)
            paper.line(290, 815, str(number), size=9)
        for section in range(3):
            y += 30
            paper.line(72, y, f"Section {number}.{section}", size=16, font="hebo")
            y = paper.text(72, y + 24, 450, LOREM)
        if number < pages:
            paper.next_page()
            y = 60
    return paper.save(folder)


def test_a_pdf_becomes_one_segment_a_section_below_its_headings(tmp_path: Path) -> None:
    found = segments(report(tmp_path, 1), PDF)
    assert [part.headings for part in found] == [
        ("Annual report",),
        ("Annual report", "Section 1.0"),
        ("Annual report", "Section 1.1"),
        ("Annual report", "Section 1.2"),
    ]
    assert found[1].body == f"## Section 1.0\n\n{LOREM}"
    assert found[1].page == 1
    assert found[1].boxes == (Box(1, 72.0, 213.2, 519.5, 294.4),)
    assert found[1].place == "p1:72,213"
    assert found[1].lang == "la"


def test_running_headers_and_page_numbers_are_left_out(tmp_path: Path) -> None:
    text = "\n".join(bodies(report(tmp_path), PDF))
    assert "Annual report of the company" not in text
    assert [line for line in text.split("\n") if line.isdigit()] == []


@pytest.mark.parametrize("max_size", [100, 250, 1000])
def test_no_segment_is_longer_than_max_size_and_no_word_is_lost(
    tmp_path: Path, max_size: int
) -> None:
    source = report(tmp_path)
    found = bodies(source, PDF, max_size=max_size)
    assert max(map(len, found)) <= max_size
    words = " ".join(found).replace("#", "").split()
    assert sorted(words) == sorted(" ".join(bodies(source, PDF)).replace("#", "").split())


@pytest.mark.parametrize("max_size", [100, 700, 5000])
def test_a_run_goes_on_after_any_page_as_if_it_had_not_stopped(
    tmp_path: Path, max_size: int
) -> None:
    source = report(tmp_path)
    pages = run(source, PDF, max_size=max_size)
    assert [(page.number, page.total) for page in pages] == [(n, 5) for n in range(1, 6)]
    for page in pages:
        assert resumed(source, PDF, page, max_size=max_size) == pages[page.number :]


def test_segments_of_equal_text_stand_at_different_places(tmp_path: Path) -> None:
    places = [part.place for part in segments(report(tmp_path), PDF, max_size=100)]
    assert len(set(places)) == len(places)


def test_a_paragraph_that_runs_over_a_page_break_is_one(tmp_path: Path) -> None:
    paper = Paper()
    paper.lines(72, 780, ["The committee met in the old town hall and could not agree on the re-"])
    paper.next_page()
    paper.lines(72, 72, ["port that had been asked for. It will meet again."])
    found = segments(paper.save(tmp_path), PDF)
    assert [part.body for part in found] == [
        (
            "The committee met in the old town hall and could not agree on the report that "
            "had been asked for. It will meet again."
        )
    ]
    assert [box.page for box in found[0].boxes] == [1, 2]


def test_pages_without_text_are_handed_on_too(tmp_path: Path) -> None:
    paper = Paper()
    paper.next_page()
    paper.line(72, 72, "Only the second page has text.")
    pages = run(paper.save(tmp_path), PDF)
    assert [(page.number, len(page.segments), page.issues) for page in pages] == [
        (1, 0, ()),
        (2, 1, ()),
    ]


def test_pictures_of_text_are_told_once_a_document(tmp_path: Path) -> None:
    paper = Paper()
    picture = pymupdf.Pixmap(pymupdf.csGRAY, pymupdf.IRect(0, 0, 20, 20), 0)
    picture.clear_with(90)
    for _ in range(2):
        paper.page.insert_image((50, 50, 300, 300), pixmap=picture)
        paper.next_page()
    source = paper.save(tmp_path)
    pages = run(source, PDF)
    told = Issue("NO_TEXT", "The page is a picture without text; OCR can read it.", 1)
    assert [page.issues for page in pages] == [(told,), (), ()]
    assert resumed(source, PDF, pages[0]) == pages[1:]


def test_a_page_that_cannot_be_read_does_not_cost_the_others(tmp_path: Path) -> None:
    paper = Paper()
    paper.line(72, 72, "The first page is whole.")
    paper.next_page()
    paper.next_page()
    paper.line(72, 72, "The third page is whole.")
    document = paper.document
    tree = int(document.xref_get_key(document.pdf_catalog(), "Pages")[1].split()[0])
    first, third = document[0].xref, document[2].xref
    document.xref_set_key(tree, "Kids", f"[{first} 0 R null {third} 0 R]")
    pages = run(paper.save(tmp_path), PDF)
    failed = Issue("PAGE_FAILED", "The page could not be read and was left out.", 2)
    assert [page.issues for page in pages] == [(), (failed,), ()]
    assert [part.body for page in pages for part in page.segments] == [
        "The first page is whole.\n\nThe third page is whole."
    ]


def failure(source: Path, media_type: str) -> Failure:
    with pytest.raises(ProcessingFailed) as caught:
        run(source, media_type)
    return caught.value.failure


def test_an_encrypted_pdf_asks_for_its_password(tmp_path: Path) -> None:
    paper = Paper()
    paper.line(72, 72, "Secret.")
    source = paper.save(tmp_path, user_password="x", owner_password="y")  # noqa: S106 - the test's own
    assert failure(source, PDF) == Failure(ErrorCode.PASSWORD, "The PDF needs a password.")


def test_a_pdf_that_the_empty_password_opens_needs_none(tmp_path: Path) -> None:
    paper = Paper()
    paper.line(72, 72, "Everybody may read this.")
    source = paper.save(tmp_path, owner_password="y")  # noqa: S106 - the test's own
    assert bodies(source, PDF) == ["Everybody may read this."]


def test_what_is_no_pdf_is_corrupt(tmp_path: Path) -> None:
    source = tmp_path / "no.pdf"
    source.write_bytes(b"no PDF at all")
    assert failure(source, PDF).code is ErrorCode.CORRUPT


def test_other_formats_are_refused_and_the_known_ones_named(tmp_path: Path) -> None:
    source = tmp_path / "sheet.xlsx"
    source.write_bytes(b"x")
    assert failure(source, "application/x-sheet") == Failure(
        ErrorCode.UNSUPPORTED_FORMAT,
        "application/x-sheet cannot be read; these can: application/pdf, text/plain, "
        "text/markdown, text/html, application/xhtml+xml, application/epub+zip.",
    )


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    source = tmp_path / "empty"
    source.touch()
    expected = Failure(ErrorCode.UNSUPPORTED_FORMAT, "The file is empty.")
    assert failure(source, "application/octet-stream") == expected


@pytest.mark.parametrize(
    ("name", "media_type", "text"),
    [
        ("long.txt", TEXT, "Nothing ends here. " * 12 + "\n\n"),
        (
            "long.md",
            MARKDOWN,
            "## A part\n\n" + "Nothing ends here. " * 30 + "\n\n- one\n- two\n\n",
        ),
        (
            "long.html",
            HTML,
            "<h2>A part</h2><p>" + "Nothing ends. " * 30 + "<ul><li>one<li>two</ul>\n",
        ),
    ],
)
def test_formats_without_pages_come_in_slices_and_can_be_resumed(
    tmp_path: Path, name: str, media_type: str, text: str
) -> None:
    source = tmp_path / name
    source.write_text(text * (200_000 // len(text)), encoding="utf-8")
    pages = run(source, media_type, max_size=900)
    assert [(page.number, page.total) for page in pages] == [(n, 4) for n in range(1, 5)]
    assert all(page.segments for page in pages)
    assert {part.page for page in pages for part in page.segments} == {1}
    for page in pages:
        assert resumed(source, media_type, page, max_size=900) == pages[page.number :]


def test_the_chapters_of_an_epub_are_its_pages(tmp_path: Path) -> None:
    source = epub(tmp_path, {"a.xhtml": "<h1>One</h1><p>First.</p>", "b.xhtml": "<p>Second.</p>"})
    pages = run(source, EPUB)
    assert [(page.number, page.total) for page in pages] == [(1, 2), (2, 2)]
    assert [part.body for page in pages for part in page.segments] == ["# One\n\nFirst.\n\nSecond."]
    assert resumed(source, EPUB, pages[0]) == pages[1:]


def test_an_empty_file_has_one_page_and_no_segments(tmp_path: Path) -> None:
    source = tmp_path / "empty.txt"
    source.write_bytes(b"")
    for media_type in (TEXT, MARKDOWN, HTML):
        assert [(page.number, page.total, page.segments) for page in run(source, media_type)] == [
            (1, 1, ())
        ]


def test_the_processor_needs_no_layout_model_and_no_thread() -> None:
    program = """
import sys, threading
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(('pymupdf4llm', 'onnxruntime', 'pymupdf.layout')):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
import workers.processors.segment
print(threading.active_count(), len(__import__('os').listdir('/proc/self/task')))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.stdout.split() == ["1", "1"]
