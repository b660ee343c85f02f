"""PDFs that are attached to a PDF or embedded in it, as deep, many and large as is allowed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pymupdf

from app.failures import ErrorCode, Failure, ProcessingFailed
from app.jobs.results import Issue
from app.jobs.types import Severity
from workers.processors.elements import Element, Kind
from workers.processors.opening import OpenPdf, open_pdf
from workers.processors.writing import escape

MOST_FILES = 100
DEEPEST = 3
LARGEST_BYTES = 64 << 20
MOST_BYTES = 128 << 20
MOST_PAGES = 20_000
MOST_TRIES = 500
"""Passwords that are tried on all attached files together: with AES-256 one takes 10 ms."""
MOST_ANNOTATED_PAGES = 2000
"""Pages that are looked at for files pinned to them."""
_NAME_CHARS = 60
_DEEPEST_HEADING = 6
_MAGIC, _MAGIC_WITHIN = b"%PDF-", 1024
_BUFFER_BYTES = 1 << 16

_mupdf = pymupdf.mupdf


@dataclass(frozen=True, slots=True)
class AttachedPdf:
    """An attached PDF, open. depth: 1 where it is attached to the document itself.

    place: tells it from all other files of the document.
    """

    name: str
    depth: int
    place: str
    opened: OpenPdf

    def heading(self) -> Element:
        """Return the heading that its pages stand under."""
        text = escape(self.name)
        return Element(Kind.HEADING, text, 1, self.place, level=min(self.depth, _DEEPEST_HEADING))

    def below(self, element: Element) -> Element:
        """Return an element of one of its pages as it stands under that heading."""
        is_heading = element.kind is Kind.HEADING
        level = min(element.level + self.depth, _DEEPEST_HEADING) if is_heading else element.level
        return replace(element, place=f"{self.place}/{element.place}", level=level)

    def naming(self, issue: Issue) -> Issue:
        """Return an issue of one of its pages so that it says which file it is about."""
        return replace(issue, message=f"{self.name!r}: {issue.message}")


@dataclass(slots=True)
class Attached:
    """What is attached to a document: the PDFs to read, each before what is attached to it."""

    files: list[AttachedPdf] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


def attached_to(document: Any, passwords: Sequence[str] = ()) -> Attached:  # noqa: ANN401 - pymupdf has no types
    """Return the PDFs attached to an open PDF, and to these in turn.

    What is attached and not read is told by the issue ATTACHMENT_SKIPPED: INFO for what is no PDF,
    WARNING for a PDF that is locked, damaged, or beyond what is allowed.
    """
    search = _Search(passwords)
    search.within(document, depth=1, place="a")
    return search.found


class _Search:
    def __init__(self, passwords: Sequence[str]) -> None:
        self.found = Attached()
        self._passwords = passwords
        self._seen = 0
        self._bytes = 0
        self._pages = 0
        self._tries_left = MOST_TRIES

    def within(self, document: Any, *, depth: int, place: str) -> None:  # noqa: ANN401 - pymupdf has no types
        for number, (name, stream) in enumerate(_files(document), 1):
            self._seen += 1
            if self._seen > MOST_FILES:
                if self._seen == MOST_FILES + 1:
                    message = f"Of the attached files only the first {MOST_FILES} were looked at."
                    self._tell(message, Severity.WARNING)
                return
            self._file(name, stream, depth=depth, place=f"{place}{number}")

    def _file(self, name: str, stream: Any, *, depth: int, place: str) -> None:  # noqa: ANN401 - pymupdf has no types
        try:
            content = _content(stream)
        except (MemoryError, Exception):  # noqa: BLE001 - MuPDF raises what it likes, also where it is full
            self._skip(name, "it is damaged or too large")
            return
        if content is None:
            self._skip(name, "it is no PDF", Severity.INFO)
        elif depth > DEEPEST:
            self._skip(name, f"it is attached more than {DEEPEST} levels deep")
        elif len(content) > LARGEST_BYTES or self._bytes + len(content) > MOST_BYTES:
            self._skip(name, "it, or all attached files together, are too large")
        else:
            self._open(name, content, depth=depth, place=place)

    def _open(self, name: str, content: bytes, *, depth: int, place: str) -> None:
        passwords = self._passwords[: self._tries_left]
        try:
            opened = open_pdf(content, passwords)
        except ProcessingFailed as error:
            self._skip_closed(name, error.failure, tried=len(passwords))
            return
        self._tries_left -= opened.password or 0
        if self._pages + opened.document.page_count > MOST_PAGES:
            self._skip(name, f"all attached files together have more than {MOST_PAGES:,} pages")
            return
        self._bytes += len(content)
        self._pages += opened.document.page_count
        self.found.files.append(AttachedPdf(name, depth, place, opened))
        self.found.issues += opened.issues(name=name)
        self.within(opened.document, depth=depth + 1, place=f"{place}.")

    def _skip_closed(self, name: str, failure: Failure, *, tried: int) -> None:
        why = f"{failure.message[0].lower()}{failure.message[1:-1]}"
        if failure.code is ErrorCode.PASSWORD:
            self._tries_left -= tried
            if tried < len(self._passwords):
                why = f"no more than {MOST_TRIES} passwords are tried on all attached files"
        self._skip(name, why)

    def _skip(self, name: str, why: str, severity: Severity = Severity.WARNING) -> None:
        self._tell(f"{name!r} is attached and was not read: {why}.", severity)

    def _tell(self, message: str, severity: Severity) -> None:
        self.found.issues.append(Issue("ATTACHMENT_SKIPPED", message, severity=severity))


def _files(document: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - pymupdf has no types
    """Yield name and stream of each embedded file, then of those pinned to pages; none twice."""
    seen: set[int] = set()
    try:
        for specification in _specifications(document):
            files = _mupdf.pdf_dict_get(specification, pymupdf.PDF_NAME("EF"))
            for key in ("F", "UF"):
                stream = _mupdf.pdf_dict_get(files, pymupdf.PDF_NAME(key))
                if _mupdf.pdf_is_stream(stream):
                    break
            else:
                continue
            number = _mupdf.pdf_to_num(stream)
            if number not in seen:
                seen.add(number)
                yield _name(specification), stream
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a broken tree of names ends the search, and not the document
        return


def _specifications(document: Any) -> Iterator[Any]:  # noqa: ANN401 - pymupdf has no types
    pdf = _mupdf.pdf_document_from_fz_document(document.this)
    tree = _mupdf.pdf_load_name_tree(pdf, pymupdf.PDF_NAME("EmbeddedFiles"))
    for place in range(_mupdf.pdf_dict_len(tree)):
        yield _mupdf.pdf_dict_get_val(tree, place)
    for page in range(min(document.page_count, MOST_ANNOTATED_PAGES)):
        for xref, kind, _ in document.page_annot_xrefs(page):
            if kind == _mupdf.PDF_ANNOT_FILE_ATTACHMENT:
                annotation = _mupdf.pdf_new_indirect(pdf, xref, 0)
                yield _mupdf.pdf_dict_get(annotation, pymupdf.PDF_NAME("FS"))


def _name(specification: Any) -> str:  # noqa: ANN401 - pymupdf has no types
    for key in ("UF", "F"):
        found = _mupdf.pdf_dict_get(specification, pymupdf.PDF_NAME(key))
        text = _mupdf.pdf_to_text_string(found) if found.m_internal else ""
        name = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        if name:
            return name if len(name) <= _NAME_CHARS else f"{name[:_NAME_CHARS]}…"
    return "unnamed"


def _content(stream: Any) -> bytes | None:  # noqa: ANN401 - pymupdf has no types
    """Return the bytes of a PDF; None where they are none: nothing more of them is unpacked."""
    opened = _mupdf.pdf_open_stream(stream)
    head = bytearray()
    while len(head) < _MAGIC_WITHIN and (byte := _mupdf.fz_read_byte(opened)) >= 0:
        head.append(byte)
    if _MAGIC not in head:
        return None
    # Ends with an error at 100 MiB, however small it was packed.
    buffer = _mupdf.fz_read_all(_mupdf.pdf_open_stream(stream), _BUFFER_BYTES)
    content: bytes = _mupdf.fz_buffer_extract_copy(buffer)
    return content
