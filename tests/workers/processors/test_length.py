"""The length of a document: as the work counts it, and for pictures."""

from pathlib import Path

import pymupdf
import pytest
from papers import A4, EPUB, HTML, MARKDOWN, PDF, TEXT, Paper, run

from app.documents.media import has_length
from app.failures import ErrorCode, ProcessingFailed
from app.jobs.results import Page
from workers.processors.length import length

LONG = "Some words of a paragraph.\n\n" * 6000  # 168,000 bytes: three slices


def counted(source: Path, media_type: str) -> int | None:
    pages: list[Page] = []
    length(source, {}, pages.append, media_type=media_type)
    assert all(page == Page(1, page.total) for page in pages)
    return pages[0].total if pages else None


def picture(kind: str) -> bytes:
    pixels = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 8, 8))
    pixels.clear_with(200)
    found: bytes = pixels.tobytes(kind)
    return found


def tiff(frames: int) -> bytes:
    """Make a TIFF of black and white frames of 8 by 8 pixels."""
    out = bytearray(b"II*\0\0\0\0\0")
    link = 4
    for _ in range(frames):
        strip = len(out)
        out += b"\x55\xaa" * 4
        directory = len(out)
        entries = [(256, 8), (257, 8), (258, 1), (259, 1), (262, 1), (273, strip), (277, 1)]
        entries += [(278, 8), (279, 8)]
        out += len(entries).to_bytes(2, "little")
        for tag, value in entries:
            for number, size in ((tag, 2), (4, 2), (1, 4), (value, 4)):
                out += number.to_bytes(size, "little")
        out[link : link + 4] = directory.to_bytes(4, "little")
        link = len(out)
        out += bytes(4)
    return bytes(out)


@pytest.mark.parametrize("media_type", [TEXT, MARKDOWN, HTML, "text/plain; charset=utf-8"])
def test_text_counts_as_the_work_counts_it(tmp_path: Path, media_type: str) -> None:
    source = tmp_path / "a"
    source.write_text(LONG)
    assert counted(source, media_type) == run(source, media_type)[0].total == 3
    source.write_text("short")
    assert counted(source, media_type) == run(source, media_type)[0].total == 1


def test_a_pdf_counts_its_pages_and_a_locked_one_cannot_be_told(tmp_path: Path) -> None:
    document = pymupdf.open()
    for _ in range(3):
        document.new_page(width=A4[0], height=A4[1])
    document.save(tmp_path / "a.pdf")
    assert counted(tmp_path / "a.pdf", PDF) == 3
    keys = dict.fromkeys(("user_password", "owner_password"), "key")
    locked = Paper().save(tmp_path, **keys)
    with pytest.raises(ProcessingFailed) as refused:
        counted(locked, PDF)
    assert refused.value.failure.code is ErrorCode.PASSWORD


@pytest.mark.parametrize(
    ("content", "media_type", "expected"),
    [
        (picture("png"), "image/png", 1),
        (picture("jpg"), "image/jpeg", 1),
        (tiff(1), "image/tiff", 1),
        (tiff(3), "image/tiff", 3),
        (b"RIFF....WEBP", "image/webp", 1),
        (b"PK\x03\x04", "application/zip", None),
        (b"ID3", "audio/mpeg", None),
    ],
)
def test_pictures_count_their_frames_and_other_files_cannot_be_told(
    tmp_path: Path, content: bytes, media_type: str, expected: int | None
) -> None:
    source = tmp_path / "a"
    source.write_bytes(content)
    assert counted(source, media_type) == expected
    assert has_length(media_type) is (expected is not None)


def test_a_broken_picture_is_no_picture(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(picture("png")[:20])
    with pytest.raises(ProcessingFailed) as refused:
        counted(source, "image/png")
    assert refused.value.failure.code is ErrorCode.CORRUPT


@pytest.mark.parametrize("media_type", [PDF, EPUB])
def test_a_broken_document_is_corrupt(tmp_path: Path, media_type: str) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"%PDF-1.7 broken")
    with pytest.raises(ProcessingFailed) as refused:
        counted(source, media_type)
    assert refused.value.failure.code is ErrorCode.CORRUPT
    assert has_length(media_type)
