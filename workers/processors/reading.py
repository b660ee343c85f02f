"""The pages of a document, whatever its format: what stands on each, one at a time."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.page_slices import chosen
from app.jobs.results import Emit, Issue, Page
from workers.processors import hypertext, markdown, plain
from workers.processors.attached import Attached, AttachedPdf, attached_to
from workers.processors.elements import Element
from workers.processors.epub import Epub
from workers.processors.opening import OpenPdf, open_pdf
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

NO_TEXT = "NO_TEXT"

Read = tuple[list[Element], Issue | None]
NOTHING: Read = ([], None)


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a document from one on: their number in all, and what stands on each.

    issues: of the document as a whole; told with its first page. attached: how many of the pages,
    the last ones, are those of attached files. last: the numbers of the last page of each file.
    wanted: those that are read; on the others nothing stands.
    """

    total: int
    read: Iterator[Read]
    issues: tuple[Issue, ...] = ()
    attached: int = 0
    last: frozenset[int] = frozenset()
    wanted: frozenset[int] = frozenset()


def pages(
    source: Path,
    media_type: str,
    *,
    done: int,
    passwords: Sequence[str] = (),
    with_attached: bool = False,
    page_slice: str | None = None,
) -> Pages:
    """Open a document and give its pages after the first `done`.

    The chapters of an EPUB are its pages. Text, Markdown and HTML come in slices of 64 KiB of the
    source; their elements all stand on page 1. A page that cannot be read has no elements and the
    issue PAGE_FAILED, one that is a picture without text the issue NO_TEXT.
    Which of the passwords opened the document is told by the issue PASSWORD_USED.

    with_attached: the PDFs attached to a PDF are read too, each as a section under its name after
    the pages of the document; their elements and issues have the numbers of their own pages.
    page_slice: the pages that are read, those of attached files not among them; what has no pages
    is one. None for all.

    Raises:
        ProcessingFailed: PASSWORD, CORRUPT, UNSUPPORTED_FORMAT, TOO_LARGE for an archive, or OPTION
            where no page is meant.
    """
    kind = media_type.split(";", maxsplit=1)[0].strip().lower()
    match kind:
        case "application/pdf":
            opened = open_pdf(source, passwords)
            with_attached = with_attached and page_slice is None
            found = attached_to(opened.document, passwords) if with_attached else Attached()
            return _pdf(opened, found, done, page_slice)
        case "application/epub+zip":
            return _epub(Epub(source), done, page_slice)
        case "text/html" | "application/xhtml+xml":
            return _sliced(source, hypertext.elements(source), done, page_slice)
        case "text/markdown" | "text/x-markdown":
            return _sliced(source, markdown.elements(source), done, page_slice)
        case "text/plain":
            reader = markdown if markdown.is_markdown(source) else plain
            return _sliced(source, reader.elements(source), done, page_slice)
    if not source.stat().st_size:
        raise ProcessingFailed(ErrorCode.UNSUPPORTED_FORMAT, "The file is empty.")
    raise ProcessingFailed(
        ErrorCode.UNSUPPORTED_FORMAT,
        f"{kind} cannot be read; these can: {', '.join(MEDIA_TYPES)}.",
    )


def counting(emit: Emit, *, wanted: frozenset[int], total: int) -> Emit:
    """Return an `emit` that says with each page how many were left out by then, and are in all."""
    numbers = sorted(wanted)

    def counted(page: Page) -> None:
        left_out = page.number - bisect_right(numbers, page.number)
        emit(replace(page, left_out=left_out, left_out_in_all=total - len(numbers)))

    return counted


class Telling:
    """What is told with each page: what is wrong with it, NO_TEXT with the first such page alone.

    told: NO_TEXT was told before. With the first page goes what is told of the whole document.
    """

    def __init__(self, of_document: tuple[Issue, ...], *, told: bool) -> None:
        self.told = told
        self._of_document = of_document

    def issues(self, number: int, issue: Issue | None) -> tuple[Issue, ...]:
        """Return what is told with a page; issue: what is wrong with it."""
        issues = self._of_document if number == 1 else ()
        if issue is None or (issue.code == NO_TEXT and self.told):
            return issues
        self.told = self.told or issue.code == NO_TEXT
        return (*issues, issue)


def begun(checkpoint: dict[str, Any] | None, first: dict[str, Any]) -> dict[str, Any]:
    """Return the checkpoint to go on from: `first`, which has the version, where there is none.

    Raises:
        ProcessingFailed: GENERIC, where another version wrote it.
    """
    done = checkpoint or first
    if done["version"] != first["version"]:
        raise ProcessingFailed(
            ErrorCode.GENERIC, "Another version of the service began this; run the job again."
        )
    return done


def wanted_of(page_slice: str | None, total: int) -> frozenset[int]:
    """Return the numbers of the pages that are meant of so many.

    Raises:
        ProcessingFailed: OPTION, where none is.
    """
    wanted = chosen(page_slice, total)
    if not wanted and total:
        message = f"pageSlice means none of its pages, of which there are {total}."
        raise ProcessingFailed(ErrorCode.OPTION, message)
    return wanted


def _pdf(opened: OpenPdf, found: Attached, done: int, page_slice: str | None) -> Pages:
    total = opened.document.page_count
    wanted = None if page_slice is None else wanted_of(page_slice, total)
    parts = [Part(Pdf(opened.document), wanted=wanted)]
    parts += [Part(Pdf(file.opened.document), file) for file in found.files]
    last = list(accumulate(part.pdf.total for part in parts))
    return Pages(
        total=last[-1],
        read=chain.from_iterable(
            part.read(done - (end - part.pdf.total)) for part, end in zip(parts, last, strict=True)
        ),
        issues=(*opened.issues(), *found.issues),
        attached=last[-1] - last[0],
        last=frozenset(last),
        wanted=frozenset(range(1, last[-1] + 1)) if wanted is None else wanted,
    )


@dataclass(frozen=True, slots=True)
class Part:
    """The document itself, or a file attached to it."""

    pdf: Pdf
    file: AttachedPdf | None = None
    wanted: frozenset[int] | None = None

    def read(self, done: int) -> Iterator[Read]:
        """Yield the pages after the first `done`, all of them where that is less than none."""
        for number in range(max(done, 0) + 1, self.pdf.total + 1):
            if self.wanted is not None and number not in self.wanted:
                yield NOTHING
                continue
            elements, issue = self.pdf.page(number)
            if self.file is not None:
                elements = [self.file.below(element) for element in elements]
                elements = [self.file.heading(), *elements] if number == 1 else elements
                issue = None if issue is None else self.file.naming(issue)
            yield elements, issue


def _sliced(source: Path, elements: Iterator[Located], done: int, page_slice: str | None) -> Pages:
    """The slices that are done are read once more: what they are is known only from the start."""
    wanted_of(page_slice, 1)
    count = total(source.stat().st_size)
    parts = slices(elements, count)
    read = ((part, None) for number, part in enumerate(parts) if number >= done)
    return Pages(count, read, wanted=frozenset(range(1, count + 1)))


def _epub(book: Epub, done: int, page_slice: str | None) -> Pages:
    wanted = wanted_of(page_slice, book.total)
    numbers = range(done + 1, book.total + 1)
    read = (_chapter(book, number) if number in wanted else NOTHING for number in numbers)
    return Pages(book.total, read, wanted=wanted)


def _chapter(book: Epub, number: int) -> Read:
    elements = book.chapter(number)
    if elements is None:
        return [], Issue("PAGE_FAILED", "The chapter could not be read and was left out.", number)
    return elements, None
