"""Documents to measure with: our own, and those of the corpus where it is present."""

import random
from pathlib import Path

import pymupdf

CORPUS = Path(__file__).parent.parent.parent.parent / "shared" / "corpus"
WORDS = [
    *("time", "people", "water", "order", "place", "light", "number", "system", "result"),
    *("measure", "paper", "report", "page", "table", "service", "worker", "state", "event"),
    *("value", "size", "long", "small", "between", "because", "however", "therefore"),
]


def book(path: Path, *, pages: int) -> Path:
    """Write a PDF with chapters, paragraphs, a running header and page numbers."""
    words = random.Random(pages)  # noqa: S311 - the same book each time
    with pymupdf.open() as document:
        for number in range(1, pages + 1):
            page = document.new_page(width=595, height=842)
            page.insert_text((72, 40), "A book to measure with", fontsize=8)
            page.insert_text((290, 810), str(number), fontsize=8)
            top = 80
            if number % 5 == 1:
                page.insert_text((72, top), f"Chapter {number // 5 + 1}", fontsize=18)
                top += 30
            while top < 740:
                text = " ".join(words.choice(WORDS) for _ in range(70)).capitalize() + "."
                page.insert_textbox((72, top, 523, top + 90), text, fontsize=10, fontname="tiro")
                top += 95
        document.save(path, deflate=True)
    return path


def long_documents(folder: Path) -> list[Path]:
    """Return documents of 50 pages and more."""
    found = [book(folder / "book.pdf", pages=120)]
    corpus = CORPUS / "pdf" / "GeoTopo-komprimiert.pdf"
    return [*found, corpus] if corpus.exists() else found
