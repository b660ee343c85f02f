"""Documents for the tests of SEGMENT, made on the spot; and the processor run over them."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pymupdf

from app.jobs.options import NOTHING_GIVEN, DocumentOptions, SegmentOptions
from app.jobs.results import Page, Segment
from workers.processors.segment import segment

CORPUS = Path(__file__).parents[4] / "shared" / "corpus"
PDF, TEXT, MARKDOWN = "application/pdf", "text/plain", "text/markdown"
HTML, EPUB = "text/html", "application/epub+zip"
A4 = (595.0, 842.0)

LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt "
    "ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation "
    "ullamco laboris nisi ut aliquip ex ea commodo consequat. Duis aute irure dolor in "
    "reprehenderit in voluptate velit esse."
)
AES_256 = 5  # of pymupdf's encryption methods


def run(
    source: Path,
    media_type: str,
    *,
    max_size: int = 5000,
    checkpoint: dict[str, Any] | None = None,
    given: DocumentOptions = NOTHING_GIVEN,
) -> list[Page]:
    """Return all pages that SEGMENT hands on."""
    pages: list[Page] = []
    segment(
        source,
        SegmentOptions(max_size=max_size),
        pages.append,
        media_type=media_type,
        checkpoint=checkpoint,
        given=given,
    )
    return pages


def segments(
    source: Path,
    media_type: str,
    *,
    max_size: int = 5000,
    given: DocumentOptions = NOTHING_GIVEN,
) -> list[Segment]:
    pages = run(source, media_type, max_size=max_size, given=given)
    return [part for page in pages for part in page.segments]


def bodies(
    source: Path,
    media_type: str,
    *,
    max_size: int = 5000,
    given: DocumentOptions = NOTHING_GIVEN,
) -> list[str]:
    return [part.body for part in segments(source, media_type, max_size=max_size, given=given)]


def resumed(
    source: Path,
    media_type: str,
    after: Page,
    *,
    max_size: int = 5000,
    given: DocumentOptions = NOTHING_GIVEN,
) -> list[Page]:
    """Go on after a page, with its checkpoint as a database would give it back."""
    checkpoint = json.loads(json.dumps(after.checkpoint))
    return run(source, media_type, max_size=max_size, checkpoint=checkpoint, given=given)


class Paper:
    """A PDF that is written line by line."""

    def __init__(self) -> None:
        self.document = pymupdf.open()
        self.page: Any = None
        self.next_page()

    def next_page(self, *, size: tuple[float, float] = A4) -> None:
        self.page = self.document.new_page(width=size[0], height=size[1])

    def line(self, x: float, y: float, text: str, *, size: float = 11, font: str = "helv") -> None:
        self.page.insert_text((x, y), text, fontsize=size, fontname=font)

    def lines(self, x: float, y: float, texts: Sequence[str]) -> float:
        """Write lines below each other; return the y of the line that would follow."""
        for text in texts:
            self.line(x, y, text)
            y += 14
        return y

    def text(self, x: float, y: float, width: float, text: str, *, size: float = 11) -> float:
        """Write a paragraph as lines of at most this width; return the y of the line below it."""
        line = ""
        for word in text.split():
            longer = f"{line} {word}".strip()
            if pymupdf.get_text_length(longer, fontsize=size) > width:
                self.line(x, y, line, size=size)
                y += 14
                longer = word
            line = longer
        self.line(x, y, line, size=size)
        return y + 14

    def rule(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.page.draw_line((x0, y0), (x1, y1), width=0.8)

    def save(self, folder: Path, *, user_password: str = "", owner_password: str = "") -> Path:
        path = folder / "paper.pdf"
        locked = {"user_pw": user_password, "owner_pw": owner_password, "encryption": AES_256}
        self.document.save(path, **(locked if owner_password else {}))
        return path


def epub(folder: Path, chapters: dict[str, str], *, extra: dict[str, bytes] | None = None) -> Path:
    """Write an EPUB of these chapters."""
    path = folder / "book.epub"
    items = "".join(
        f'<item id="c{place}" href="{name}" media-type="application/xhtml+xml"/>'
        for place, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{place}"/>' for place in range(len(chapters)))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        )
        archive.writestr(
            "OPS/book.opf",
            f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest>'
            f"<spine>{spine}</spine></package>",
        )
        for name, body in chapters.items():
            archive.writestr(f"OPS/{name}", f"<html><body>{body}</body></html>")
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return path
