"""SEGMENT: cut a document into pieces that make sense by themselves, as Markdown."""

from pathlib import Path
from typing import Any

from app.jobs.options import NOTHING_GIVEN, DocumentOptions, SegmentOptions
from app.jobs.results import Emit, Page
from workers.processors import reading
from workers.processors.packing import Packer

_CHECKPOINT_VERSION = 1


def segment(
    source: Path,
    options: SegmentOptions,
    emit: Emit,
    *,
    media_type: str,
    checkpoint: dict[str, Any] | None = None,
    given: DocumentOptions = NOTHING_GIVEN,
) -> None:
    """Cut a document into segments of at most `options.max_size` characters of Markdown.

    Every page is handed to `emit` in order, also one without text. The chapters of an EPUB are its
    pages. Text, Markdown and HTML are handed on in slices of 64 KiB of the source, which
    `Page.number` and `total` count, while `Segment.page` is 1. The PDFs attached to a PDF follow
    its own pages, each under a heading that is its name, with the numbers of its own pages. A run
    that is given the checkpoint of page n goes on with page n + 1 and hands on exactly what an
    unbroken run would.

    Issues: PAGE_FAILED for each page that could not be read and was left out; NO_TEXT once, for the
    first page that is a picture without text; PASSWORD_USED where a password of `given` was needed;
    ATTACHMENT_SKIPPED for each attached file that is not read.

    Raises:
        ProcessingFailed: PASSWORD, CORRUPT, UNSUPPORTED_FORMAT, or TOO_LARGE for an archive.
    """
    done = reading.begun(
        checkpoint, {"version": _CHECKPOINT_VERSION, "page": 0, "told": False, "tail": None}
    )
    pages = reading.pages(
        source,
        media_type,
        done=done["page"],
        passwords=given.passwords,
        with_attached=True,
        page_slice=given.page_slice,
    )
    packer = Packer(options.max_size, done["tail"])
    telling = reading.Telling(pages.issues, told=done["told"])
    emit = reading.counting(emit, wanted=pages.wanted, total=pages.total)
    for number, (elements, issue) in enumerate(pages.read, done["page"] + 1):
        segments = list(packer.add(elements))
        if number == pages.total or number in pages.last:
            segments += packer.end()
        issues = telling.issues(number, issue)
        state = {
            "version": _CHECKPOINT_VERSION,
            "page": number,
            "told": telling.told,
            "tail": packer.to_json(),
        }
        emit(Page(number, pages.total, tuple(segments), issues, state, attached=pages.attached))
