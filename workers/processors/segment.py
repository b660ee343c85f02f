"""SEGMENT: cut a document into pieces that make sense by themselves, as Markdown."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import ErrorCode, ProcessingFailed
from app.jobs.options import SegmentOptions
from app.jobs.results import Emit, Issue, Page
from workers.processors import hypertext, markdown, plain
from workers.processors.elements import Element
from workers.processors.epub import Epub
from workers.processors.packing import Packer
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
_CHECKPOINT_VERSION = 1

Read = tuple[list[Element], Issue | None]


@dataclass(frozen=True, slots=True)
class _Pages:
    """The pages of a document from one on: their number in all, and what stands on each."""

    total: int
    read: Iterator[Read]


def segment(
    source: Path,
    options: SegmentOptions,
    emit: Emit,
    *,
    media_type: str,
    checkpoint: dict[str, Any] | None = None,
) -> None:
    """Cut a document into segments of at most `options.max_size` characters of Markdown.

    Every page is handed to `emit` in order, also one without text. The chapters of an EPUB are its
    pages. Text, Markdown and HTML are handed on in slices of 64 KiB of the source, which
    `Page.number` and `total` count, while `Segment.page` is 1. A run that is given the checkpoint
    of page n goes on with page n + 1 and hands on exactly what an unbroken run would.

    Issues: PAGE_FAILED for each page that could not be read and was left out; NO_TEXT once, for the
    first page that is a picture without text.

    Raises:
        ProcessingFailed: PASSWORD, CORRUPT, UNSUPPORTED_FORMAT, or TOO_LARGE for an archive.
    """
    done = checkpoint or {"version": _CHECKPOINT_VERSION, "page": 0, "told": False, "tail": None}
    if done["version"] != _CHECKPOINT_VERSION:
        raise ProcessingFailed(
            ErrorCode.GENERIC, "Another version of the service began this; run the job again."
        )
    pages = _open(source, media_type, done["page"])
    packer = Packer(options.max_size, done["tail"])
    told: bool = done["told"]
    for number, (elements, issue) in enumerate(pages.read, done["page"] + 1):
        segments = list(packer.add(elements))
        if number == pages.total:
            segments += packer.end()
        issues = () if issue is None or (issue.code == "NO_TEXT" and told) else (issue,)
        told = told or (issue is not None and issue.code == "NO_TEXT")
        state = {
            "version": _CHECKPOINT_VERSION,
            "page": number,
            "told": told,
            "tail": packer.to_json(),
        }
        emit(Page(number, pages.total, tuple(segments), issues, state))


def _open(source: Path, media_type: str, done: int) -> _Pages:
    kind = media_type.split(";", maxsplit=1)[0].strip().lower()
    match kind:
        case "application/pdf":
            pdf = Pdf(source)
            return _Pages(
                pdf.total, (pdf.page(number) for number in range(done + 1, pdf.total + 1))
            )
        case "application/epub+zip":
            book = Epub(source)
            return _Pages(
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
        f"{kind} cannot be cut into segments; these can: {', '.join(MEDIA_TYPES)}.",
    )


def _sliced(source: Path, elements: Iterator[Located], done: int) -> _Pages:
    """The slices that are done are read once more: what they are is known only from the start."""
    count = total(source.stat().st_size)
    parts = slices(elements, count)
    return _Pages(count, ((part, None) for number, part in enumerate(parts) if number >= done))


def _chapter(book: Epub, number: int) -> Read:
    elements = book.chapter(number)
    if elements is None:
        return [], Issue("PAGE_FAILED", "The chapter could not be read and was left out.", number)
    return elements, None
