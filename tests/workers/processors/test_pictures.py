import io
from pathlib import Path

import pymupdf
import pytest
from papers import HTML, PDF, Paper
from PIL import Image

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.options import DocumentOptions, ImageFormat, PdfImagesOptions
from app.jobs.results import Issue, Page, ProducedFile
from workers.processors.pictures import pdf_images


def pictures(
    source: Path, options: PdfImagesOptions, *, after: Page | None = None, media_type: str = PDF
) -> list[Page]:
    pages: list[Page] = []
    checkpoint = None if after is None else after.checkpoint
    pdf_images(source, options, pages.append, media_type=media_type, checkpoint=checkpoint)
    return pages


def paper(folder: Path, *, pages: int = 3) -> Path:
    made = Paper()
    for number in range(1, pages + 1):
        made.line(72, 100, f"Page {number}", size=30)
        if number < pages:
            made.next_page()
    return made.save(folder)


def opened(file: ProducedFile) -> Image.Image:
    return Image.open(io.BytesIO(file.content))


@pytest.mark.parametrize(
    ("format", "media_type"),
    [
        (ImageFormat.PNG, "image/png"),
        (ImageFormat.JPEG, "image/jpeg"),
        (ImageFormat.WEBP, "image/webp"),
    ],
)
def test_each_page_becomes_a_picture_of_its_size(
    tmp_path: Path, format: ImageFormat, media_type: str
) -> None:
    pages = pictures(paper(tmp_path), PdfImagesOptions(72, format))

    assert [(page.number, page.total, page.issues) for page in pages] == [
        (number, 3, ()) for number in (1, 2, 3)
    ]
    files = [file for page in pages for file in page.files]
    assert [(file.page, file.media_type, file.offset) for file in files] == [
        (number, media_type, None) for number in (1, 2, 3)
    ]
    assert {opened(file).format for file in files} == {format.value}
    assert {opened(file).size for file in files} == {(595, 842)}
    assert len({file.content for file in files}) == 3


def test_a_lower_quality_takes_fewer_bytes(tmp_path: Path) -> None:
    source = paper(tmp_path, pages=1)

    (rough,), (fine,) = (
        pictures(source, PdfImagesOptions(72, ImageFormat.JPEG, quality)) for quality in (10, 95)
    )

    assert len(rough.files[0].content) < len(fine.files[0].content)


@pytest.mark.parametrize("done", [1, 2])
def test_a_run_goes_on_after_any_page_as_if_it_had_not_stopped(tmp_path: Path, done: int) -> None:
    source, options = paper(tmp_path), PdfImagesOptions(36)
    pages = pictures(source, options)

    assert pictures(source, options, after=pages[done - 1]) == pages[done:]


def test_a_page_too_large_for_its_dpi_gets_as_many_as_it_can(tmp_path: Path) -> None:
    made = Paper()
    made.next_page(size=(7200.0, 7200.0))
    made.document.delete_page(0)

    (page,) = pictures(made.save(tmp_path), PdfImagesOptions(600, ImageFormat.JPEG))

    assert page.issues == (
        Issue("DPI_REDUCED", "The page is too large for 600 dpi; its picture has 70.", 1),
    )
    assert opened(page.files[0]).size == (7000, 7000)


def test_a_page_that_cannot_be_drawn_is_told_and_costs_no_other(tmp_path: Path) -> None:
    document = pymupdf.open(paper(tmp_path))
    tree = int(document.xref_get_key(document.pdf_catalog(), "Pages")[1].split()[0])
    first, third = document[0].xref, document[2].xref
    document.xref_set_key(tree, "Kids", f"[{first} 0 R null {third} 0 R]")
    broken = tmp_path / "broken.pdf"
    document.save(broken)

    pages = pictures(broken, PdfImagesOptions(36))

    failed = Issue("PAGE_FAILED", "The page could not be drawn and was left out.", 2)
    assert [page.issues for page in pages] == [(), (failed,), ()]
    assert [len(page.files) for page in pages] == [1, 0, 1]


def test_what_is_no_pdf_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "page.html"
    source.write_text("<p>A page.</p>")

    with pytest.raises(ProcessingFailed) as refused:
        pictures(source, PdfImagesOptions(), media_type=HTML)

    assert refused.value.failure.code is ErrorCode.UNSUPPORTED_FORMAT
    assert str(refused.value) == "text/html cannot be made into pictures; application/pdf can."


def test_a_password_opens_a_locked_pdf(tmp_path: Path) -> None:
    words = {"user_password": "open", "owner_password": "own"}
    locked = Paper().save(tmp_path, **words)
    pages: list[Page] = []

    pdf_images(
        locked,
        PdfImagesOptions(36),
        pages.append,
        media_type=PDF,
        given=DocumentOptions(("wrong", "open")),
    )

    assert [issue.code for issue in pages[0].issues] == ["PASSWORD_USED"]
    assert len(pages[0].files) == 1
