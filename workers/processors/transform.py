"""TRANSFORM: make other files of documents."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.options import (
    NOTHING_GIVEN,
    DocumentOptions,
    PdfImagesOptions,
    TransformOptions,
    TransformOutput,
)
from app.jobs.results import Emit, Issue, Page, ProducedFile
from workers.processors import decoding, reading
from workers.processors.pictures import pdf_images
from workers.processors.slices import SLICE_BYTES, slices, total
from workers.processors.wording import wording

_CHECKPOINT_VERSION = 1

Read = tuple[str, Issue | None]


@dataclass(frozen=True, slots=True)
class _Texts:
    """The pages of a document from one on as plain text, and what stands between two of them."""

    total: int
    read: Iterator[Read]
    between: str
    issues: tuple[Issue, ...] = ()
    wanted: frozenset[int] = frozenset()


def transform(
    source: Path,
    options: TransformOptions,
    emit: Emit,
    *,
    media_type: str,
    checkpoint: dict[str, Any] | None = None,
    given: DocumentOptions = NOTHING_GIVEN,
) -> None:
    """Hand on every page of a document in order, with what is made of it.

    IMAGE: a picture of each page of a PDF. TEXT: pieces of one file in UTF-8, in the order of
    reading, without running headers and footers; the pages of a PDF are parted by form feeds. A
    plain text is handed on as it is, but for its encoding. A run that is given the checkpoint of
    page n goes on with page n + 1 and hands on exactly what an unbroken run would.

    Issues: PAGE_FAILED, DPI_REDUCED; NO_TEXT and PASSWORD_USED once.

    Raises:
        ProcessingFailed: PASSWORD, CORRUPT, UNSUPPORTED_FORMAT, UNSUPPORTED_FEATURE, or TOO_LARGE
            for an archive.
    """
    match options.output:
        case TransformOutput.TEXT:
            texts = partial(_texts, source, media_type, given)
            _text(texts, emit, checkpoint=checkpoint)
        case TransformOutput.IMAGE:
            look = _look(options)
            pdf_images(
                source, look, emit, media_type=media_type, checkpoint=checkpoint, given=given
            )
        case other:
            message = f"This version cannot make {other}."
            raise ProcessingFailed(ErrorCode.UNSUPPORTED_FEATURE, message)


def _look(options: TransformOptions) -> PdfImagesOptions:
    default = PdfImagesOptions()
    return PdfImagesOptions(
        options.dpi or default.dpi,
        options.format or default.format,
        options.quality or default.quality,
    )


def _text(
    open_after: Callable[[int], _Texts], emit: Emit, *, checkpoint: dict[str, Any] | None
) -> None:
    done = reading.begun(
        checkpoint, {"version": _CHECKPOINT_VERSION, "page": 0, "told": False, "bytes": 0}
    )
    texts = open_after(done["page"])
    first = min(texts.wanted, default=0)
    telling = reading.Telling(texts.issues, told=done["told"])
    offset: int = done["bytes"]
    emit = reading.counting(emit, wanted=texts.wanted, total=texts.total)
    for number, (text, issue) in enumerate(texts.read, done["page"] + 1):
        issues = telling.issues(number, issue)
        before = texts.between if number > first else ""
        content = (before + text if number in texts.wanted else "").encode(errors="replace")
        state = {
            "version": _CHECKPOINT_VERSION,
            "page": number,
            "told": telling.told,
            "bytes": offset + len(content),
        }
        piece = ProducedFile(content, "text/plain", offset=offset)
        emit(Page(number, texts.total, (), issues, state, (piece,)))
        offset += len(content)


def _texts(source: Path, media_type: str, given: DocumentOptions, done: int) -> _Texts:
    kind = media_type.split(";", maxsplit=1)[0].strip().lower()
    if kind == "text/plain":
        reading.wanted_of(given.page_slice, 1)
        count = total(source.stat().st_size)
        parts = (("".join(part), None) for part in slices(_lines(source), count))
        whole = frozenset(range(1, count + 1))
        return _Texts(count, islice(parts, done, None), "", wanted=whole)
    pages = reading.pages(
        source,
        media_type,
        done=done,
        passwords=given.passwords,
        page_slice=given.page_slice,
    )
    read = ((_ended(wording(elements)), issue) for elements, issue in pages.read)
    between = "\f" if kind == "application/pdf" else "\n"
    return _Texts(pages.total, read, between, pages.issues, pages.wanted)


def _lines(source: Path) -> Iterator[tuple[int, str]]:
    position = 0
    for line in decoding.lines(source, SLICE_BYTES):
        yield position, line.removeprefix("\ufeff") if position == 0 else line
        position += len(line)


def _ended(text: str) -> str:
    return text + "\n" if text else ""
