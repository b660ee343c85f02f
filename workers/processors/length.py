"""How long a document is, counted as the work on it counts: nothing else of it is read."""

from pathlib import Path
from typing import Any

import pymupdf

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.options import NOTHING_GIVEN, DocumentOptions
from app.jobs.results import Emit, Page
from workers.processors.epub import Epub
from workers.processors.opening import open_pdf
from workers.processors.slices import total

# Pictures that MuPDF opens, by what it calls their format.
_PICTURES = {
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/jp2": "jpx",
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/tiff": "tiff",
}
_TEXTS = frozenset(
    ("text/plain", "text/markdown", "text/x-markdown", "text/html", "application/xhtml+xml")
)


def length(
    source: Path,
    _options: object,
    emit: Emit,
    *,
    media_type: str,
    checkpoint: dict[str, Any] | None = None,  # noqa: ARG001 - there is nothing to go on with
    given: DocumentOptions = NOTHING_GIVEN,  # noqa: ARG001 - nobody gave anything yet
) -> None:
    """Hand on one empty page whose `total` is the length; none where it cannot be told.

    Pages of a PDF, chapters of an EPUB, slices of text; frames of a TIFF, 1 for other pictures.

    Raises:
        ProcessingFailed: PASSWORD, CORRUPT, or TOO_LARGE for an archive.
    """
    found = _length(source, media_type.split(";", maxsplit=1)[0].strip().lower())
    if found:
        emit(Page(1, found))


def _length(source: Path, kind: str) -> int | None:
    if kind == "application/pdf":
        return int(open_pdf(source).document.page_count)
    if kind == "application/epub+zip":
        return Epub(source).total
    if kind in _TEXTS:
        return total(source.stat().st_size)
    if kind in _PICTURES:
        return _frames(source, _PICTURES[kind])
    return 1 if kind.startswith("image/") else None


def _frames(source: Path, kind: str) -> int:
    try:
        with pymupdf.open(source, filetype=kind) as picture:
            picture.load_page(0)  # only now its head is read
            return int(picture.page_count)
    except MemoryError:
        raise
    except Exception as error:
        raise ProcessingFailed(ErrorCode.CORRUPT, "The picture cannot be opened.") from error
