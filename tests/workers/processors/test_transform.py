import json
from pathlib import Path

import pytest
from papers import EPUB, HTML, MARKDOWN, PDF, TEXT, Paper, epub

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.options import ImageFormat, TransformOptions, TransformOutput
from app.jobs.results import Page
from workers.processors.transform import transform

AS_TEXT = TransformOptions(TransformOutput.TEXT)


def run(
    source: Path, media_type: str, options: TransformOptions = AS_TEXT, *, after: Page | None = None
) -> list[Page]:
    pages: list[Page] = []
    checkpoint = None if after is None else json.loads(json.dumps(after.checkpoint))
    transform(source, options, pages.append, media_type=media_type, checkpoint=checkpoint)
    return pages


def text_of(pages: list[Page]) -> str:
    """The pieces put together where they say that they belong."""
    whole = bytearray()
    for file in (file for page in pages for file in page.files):
        assert (file.media_type, file.page) == ("text/plain", None)
        assert file.offset == len(whole)
        whole += file.content
    return whole.decode()


def paper(folder: Path) -> Path:
    made = Paper()
    for number in (1, 2, 3):
        made.line(72, 100, f"Größe {number}", size=24, font="hebo")
        made.text(72, 140, 450, f"This is what stands on page {number} of * this * paper.")
        if number < 3:
            made.next_page()
    return made.save(folder)


def test_the_pages_of_a_pdf_are_parted_by_form_feeds(tmp_path: Path) -> None:
    pages = run(paper(tmp_path), PDF)

    assert [(page.number, page.total, page.issues) for page in pages] == [
        (1, 3, ()),
        (2, 3, ()),
        (3, 3, ()),
    ]
    assert text_of(pages) == "\f".join(
        f"Größe {number}\n\nThis is what stands on page {number} of * this * paper.\n"
        for number in (1, 2, 3)
    )


@pytest.mark.parametrize(
    ("name", "media_type", "content", "text"),
    [
        ("a.html", HTML, "<h1>A</h1><p>b <b>c</b></p><ul><li>d</ul>", "A\n\nb c\n\n- d\n"),
        ("a.md", MARKDOWN, "# A\n\nb **c**\n\n* d\n", "A\n\nb c\n\n* d\n"),
        ("a.txt", TEXT, "# As\n\n   it *is*.\n\n\n", "# As\n\n   it *is*.\n\n\n"),
        ("empty.txt", TEXT, "", ""),
    ],
)
def test_other_formats_become_text(
    tmp_path: Path, name: str, media_type: str, content: str, text: str
) -> None:
    source = tmp_path / name
    source.write_text(content)

    assert text_of(run(source, media_type)) == text


def test_the_chapters_of_an_epub_follow_each_other(tmp_path: Path) -> None:
    source = epub(tmp_path, {"1.xhtml": "<h1>One</h1><p>First.</p>", "2.xhtml": "<p>Second.</p>"})

    assert text_of(run(source, EPUB)) == "One\n\nFirst.\n\nSecond.\n"


def test_a_plain_text_in_another_encoding_becomes_utf_8(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_bytes("\ufeffGrüße\r\n".encode("utf-16-le"))

    assert text_of(run(source, TEXT)) == "Grüße\n"


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_run_goes_on_after_any_page_as_if_it_had_not_stopped(tmp_path: Path, done: int) -> None:
    text = tmp_path / "long.txt"
    text.write_text("Über alles. \n" * 15_000)
    for source, media_type in ((paper(tmp_path), PDF), (text, TEXT)):
        pages = run(source, media_type)
        assert run(source, media_type, after=pages[done - 1]) == pages[done:]


def test_a_picture_without_text_is_told_once(tmp_path: Path) -> None:
    made = Paper()
    for _ in range(2):
        picture = made.page.get_pixmap(dpi=36)
        made.page.insert_image(made.page.rect, pixmap=picture)
        made.next_page()

    pages = run(made.save(tmp_path), PDF)

    assert [[issue.code for issue in page.issues] for page in pages] == [["NO_TEXT"], [], []]
    assert text_of(pages) == "\f\f"


def test_image_gives_a_picture_of_each_page(tmp_path: Path) -> None:
    options = TransformOptions(TransformOutput.IMAGE, dpi=36, format=ImageFormat.WEBP)

    pages = run(paper(tmp_path), PDF, options)

    assert [(file.page, file.media_type) for page in pages for file in page.files] == [
        (number, "image/webp") for number in (1, 2, 3)
    ]


def test_what_is_not_there_yet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProcessingFailed) as refused:
        run(paper(tmp_path), PDF, TransformOptions(TransformOutput.MERGE))

    assert refused.value.failure.code is ErrorCode.UNSUPPORTED_FEATURE
