"""Segments as they are handed over: text for people, JSON for programs, files for each input."""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from app.terminal import printable

Segments = AsyncIterator[dict[str, Any]]


async def write_text(segments: Segments, out: TextIO) -> None:
    """Write each segment as a line that says where it stands, and its Markdown."""
    async for segment in segments:
        out.write(f"{heading(segment)}\n\n{printable(segment['body']).strip()}\n\n")


async def write_markdown(segments: Segments, out: TextIO) -> None:
    """Write the Markdown of each segment after a comment that names its page."""
    async for segment in segments:
        out.write(f"<!-- page {segment['page']} -->\n\n{segment['body'].strip()}\n\n")


async def write_json(job: dict[str, Any], segments: Segments, out: TextIO) -> None:
    """Write one JSON document with the job and its segments; they are never all in memory."""
    out.write(f'{{"job": {_json(job)},\n"segments": [')
    separator = "\n"
    async for segment in segments:
        out.write(f"{separator}{_json(segment)}")
        separator = ",\n"
    out.write("]}\n")


def heading(segment: dict[str, Any]) -> str:
    """Return one line: document, page, and the headings above the segment."""
    place = f"=== {segment['document']['filename']}, page {segment['page']}"
    above = " > ".join(segment["headings"])
    return printable(" ".join((f"{place}: {above}" if above else place).split()))


def names(files: Sequence[Path]) -> list[str]:
    """Return a name for what is written about each file, all different: `a` for `x/a.pdf`."""
    taken: set[str] = set()
    found = []
    for file in files:
        name = next(name for name in _candidates(file) if name not in taken)
        taken.add(name)
        found.append(name)
    return found


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Open a file to be written; it is there once it is complete, or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            yield file
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _candidates(file: Path) -> Iterator[str]:
    yield file.stem
    yield file.name
    number = 2
    while True:
        yield f"{file.name}-{number}"
        number += 1


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
