"""A processor that does what its document says, line by line: tests decide what happens when.

page Some text      a page with one segment
pages 30            so many pages
hang                never come back
crash               die of a signal
fail PASSWORD       refuse the document
locked Some word    refuse the document where this is none of the passwords given

As a TRANSFORM each page comes with a picture, which holds its text, and with a piece of the file
that is made of the whole document, its text and the end of a line.
"""

import ctypes
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.options import DocumentOptions, SegmentOptions, TransformOptions, task_of
from app.jobs.results import Box, Emit, Issue, Page, ProducedFile, Segment
from app.jobs.types import JobType


def follow(
    source: Path,
    options: SegmentOptions | TransformOptions,
    emit: Emit,
    *,
    media_type: str,  # noqa: ARG001 - a processor is told it
    checkpoint: dict[str, Any] | None,
    given: DocumentOptions,
) -> None:
    """Do what the lines say; a checkpoint holds the number of pages done."""
    steps = [step for line in source.read_text().splitlines() for step in _expanded(line)]
    total = sum(step.startswith("page ") for step in steps)
    done = checkpoint["done"] if checkpoint else 0
    number = offset = 0
    for step in steps:
        word, _, rest = step.partition(" ")
        if word == "page":
            number += 1
            page = _page(rest, number, total)
            if isinstance(options, TransformOptions):
                piece = ProducedFile(f"{rest}\n".encode(), "text/plain", offset=offset)
                offset += len(piece.content)
                picture = ProducedFile(rest.encode(), "image/png", page=number)
                page = replace(page, segments=(), files=(picture, piece))
            if number > done:
                emit(page)
        elif number >= done:
            _act(word, rest, given)


def _expanded(line: str) -> list[str]:
    word, _, rest = line.partition(" ")
    if word == "pages":
        return [f"page {number} of {rest}" for number in range(1, int(rest) + 1)]
    return [line]


def _page(text: str, number: int, total: int) -> Page:
    box = Box(number, 1, 2, 3, 4)
    segment = Segment(text, number, ("Book", f"Chapter {number}"), (box,), "en", f"p{number}")
    issues = (Issue("ODD", "An odd page.", number),) if "odd" in text else ()
    return Page(number, total, (segment,), issues, {"done": number})


def _act(word: str, rest: str, given: DocumentOptions) -> None:
    match word:
        case "hang":
            ctypes.CDLL(None).pause()
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "fail":
            raise ProcessingFailed(ErrorCode(rest), "It cannot be read.")
        case "locked":
            if rest not in given.passwords:
                raise ProcessingFailed(ErrorCode.PASSWORD, "No password fits.")
        case _:
            raise ValueError(word)


def count(
    source: Path,
    _options: object,
    emit: Emit,
    *,
    media_type: str,  # noqa: ARG001 - a processor is told it
    checkpoint: dict[str, Any] | None,  # noqa: ARG001
    given: DocumentOptions,
) -> None:
    """Count the pages, where the other lines let it."""
    steps = [step for line in source.read_text().splitlines() for step in _expanded(line)]
    for step in steps:
        word, _, rest = step.partition(" ")
        if word != "page":
            _act(word, rest, given)
    if steps:
        emit(Page(1, len(steps)))


PROCESSORS = {
    "SEGMENT": (f"{__name__}:follow", partial(task_of, JobType.SEGMENT)),
    "TRANSFORM": (f"{__name__}:follow", partial(task_of, JobType.TRANSFORM)),
    "LENGTH": (f"{__name__}:count", dict),
}
