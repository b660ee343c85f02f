"""The pages of a document, whatever its format: what stands on each, one at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import ErrorCode, ProcessingFailed
from app.jobs.results import Issue
from workers.processors import hypertext, markdown, plain
from workers.processors.elements import Element
from workers.processors.epub import Epub
from workers.processors.pdf import Pdf
from workers.processors.slices import Located, slices, total

MEDIA_TYPES = (
    "application/pdf",
    "text/plain",
    "text/markdown",
    "text/html",
    "application/xhtml+xml",
    "application/epub+zip",
)

Read = tuple[list[Element], Issue | None]


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a document from one on: their number in all, and what stands on each.

    issues: of the document as a whole; told with its first page.
    """

    total: int
    read: Iterator[Read]
    issues: tuple[Issue, ...] = ()


def pages(source: Path, media_type: str, *, done: int, passwords: Sequence[str] = ()) -> Pages:
    """Open a document and give its pages after the first `done`.

    The chapters of an EPUB are its pages. Text, Markdown and HTML come in slices of 64 KiB of the
    source; their elements all stand on page 1. A page that cannot be read has no elements and the
    issue PAGE_FAILED, one that is a picture without text the issue NO_TEXT.
    Which of the passwords opened the document is told by the issue PASSWORD_USED.

    Raises:
        ProcessingFailed: PASSWORD, CORRUPT, UNSUPPORTED_FORMAT, or TOO_LARGE for an archive.
    """
    kind = media_type.split(";", maxsplit=1)[0].strip().lower()
    match kind:
        case "application/pdf":
            pdf = Pdf(source, passwords)
            read = (pdf.page(number) for number in range(done + 1, pdf.total + 1))
            return Pages(pdf.total, read, pdf.issues)
        case "application/epub+zip":
            book = Epub(source)
            return Pages(
                book.total, (_chapter(book, number) for number in range(done + 1, book.total + 1))
            )
        case "text/html" | "application/xhtml+xml":
            return _sliced(source, hypertext.elements(source), done)
        case "text/markdown" | "text/x-markdown":
            return _sliced(source, markdown.elements(source), done)
        case "text/plain":
            reader = markdown if markdown.is_markdown(source) else plain
            return _sliced(source, reader.elements(source), done)
    raise ProcessingFailed(
        ErrorCode.UNSUPPORTED_FORMAT,
        f"{kind} cannot be read; these can: {', '.join(MEDIA_TYPES)}.",
    )


def _sliced(source: Path, elements: Iterator[Located], done: int) -> Pages:
    """The slices that are done are read once more: what they are is known only from the start."""
    count = total(source.stat().st_size)
    parts = slices(elements, count)
    return Pages(count, ((part, None) for number, part in enumerate(parts) if number >= done))


def _chapter(book: Epub, number: int) -> Read:
    elements = book.chapter(number)
    if elements is None:
        return [], Issue("PAGE_FAILED", "The chapter could not be read and was left out.", number)
    return elements, None
