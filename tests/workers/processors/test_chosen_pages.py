"""Work on some pages of a document: the others are passed over, and keep their numbers."""

from pathlib import Path

import pytest
from papers import EPUB, PDF, TEXT, Paper, epub, run, segments

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.options import DocumentOptions, PdfImagesOptions, TransformOptions, TransformOutput
from app.jobs.results import Page
from workers.processors.pictures import pdf_images
from workers.processors.transform import transform


def some(page_slice: str) -> DocumentOptions:
    return DocumentOptions(page_slice=page_slice)


WORDS = ("apples", "bridges", "candles", "drummers", "engines")


def paper(folder: Path) -> Path:
    made = Paper()
    for number, word in enumerate(WORDS):
        made.text(72, 140 + 60 * number, 450, f"We all know that {word} are a matter of taste.")
        if word != WORDS[-1]:
            made.next_page()
    return made.save(folder)


def words_in(text: str) -> list[str]:
    return [word for word in WORDS if word in text]


def test_segments_come_of_the_pages_that_are_meant(tmp_path: Path) -> None:
    source = paper(tmp_path)
    pages = run(source, PDF, given=some("0,-2:"))
    assert [page.number for page in pages] == [1, 2, 3, 4, 5]
    assert [(page.done, page.to_do) for page in pages] == [(1, 3), (1, 3), (1, 3), (2, 3), (3, 3)]
    again = run(source, PDF, given=some("0,-2:"), checkpoint=pages[2].checkpoint)
    assert again == pages[3:]
    found = segments(source, PDF, given=some("0,-2:"))
    assert words_in(" ".join(each.body for each in found)) == ["apples", "drummers", "engines"]


def test_pictures_are_made_of_the_pages_that_are_meant(tmp_path: Path) -> None:
    pages: list[Page] = []
    options = PdfImagesOptions(dpi=36)
    source = paper(tmp_path)
    pdf_images(source, options, pages.append, media_type=PDF, given=some("1::2"))
    assert [file.page for page in pages for file in page.files] == [2, 4]
    assert [(page.done, page.to_do) for page in pages] == [(0, 2), (1, 2), (1, 2), (2, 2), (2, 2)]


def test_text_is_parted_between_the_pages_that_are_meant(tmp_path: Path) -> None:
    pages: list[Page] = []
    options = TransformOptions(TransformOutput.TEXT)
    transform(paper(tmp_path), options, pages.append, media_type=PDF, given=some("1,3"))
    text = b"".join(file.content for page in pages for file in page.files).decode()
    assert [words_in(part) for part in text.split("\f")] == [["bridges"], ["drummers"]]
    assert [(page.done, page.to_do) for page in pages] == [(0, 2), (1, 2), (1, 2), (2, 2), (2, 2)]


def test_chapters_are_pages_and_a_text_is_one(tmp_path: Path) -> None:
    book = epub(tmp_path, {"a.xhtml": "<p>First</p>", "b.xhtml": "<p>Second</p>"})
    assert [each.body for each in segments(book, EPUB, given=some("-1"))] == ["Second"]
    text = tmp_path / "a.txt"
    text.write_text("Hello there.")
    assert [each.body for each in segments(text, TEXT, given=some("0"))] == ["Hello there."]


@pytest.mark.parametrize("media_type", [PDF, TEXT])
def test_a_slice_that_means_no_page_fails_the_document(tmp_path: Path, media_type: str) -> None:
    with pytest.raises(ProcessingFailed) as failed:
        run(paper(tmp_path), media_type, given=some("9:"))
    assert failed.value.failure.code is ErrorCode.OPTION
