"""What a file is, told from its first bytes and never from its name."""

from pathlib import Path

import pytest

from app.documents.media import HEAD_BYTES, UNKNOWN, media_type

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
OFFICE = "application/vnd.openxmlformats-officedocument"
TYPES = {
    ".pdf": "application/pdf",
    ".docx": f"{OFFICE}.wordprocessingml.document",
    ".pptx": f"{OFFICE}.presentationml.presentation",
    ".xlsx": f"{OFFICE}.spreadsheetml.sheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".epub": "application/epub+zip",
    ".html": "text/html",
    ".md": "text/markdown",
    ".csv": "text/plain",
    ".eml": "message/rfc822",
}
FILES = sorted(path for path in CORPUS.glob("*/*") if path.suffix in TYPES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_files_are_what_they_are(path: Path) -> None:
    with path.open("rb") as file:
        assert media_type(file.read(HEAD_BYTES)) == TYPES[path.suffix]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", UNKNOWN),
        (b" \n\t", UNKNOWN),
        (bytes(100), UNKNOWN),
        (b"Plain words.", "text/plain"),
        ("Wörter".encode("latin-1"), "text/plain"),
        ("Wörter".encode("utf-16"), "text/plain"),
        (b"\xef\xbb\xbf# A\n\n# B\n", "text/markdown"),
        (b"# only a comment\nprint(1)\n", "text/plain"),
        (b"# A\r\n\r\n```\r\ncode\r\n```\r\n", "text/markdown"),
        (b"<!DOCTYPE html><p>x", "text/html"),
        (b"\n<html lang='de'>", "text/html"),
        (b"<?xml version='1.0'?><a/>", "application/xml"),
        (b"<?xml version='1.0'?><html xmlns='x'>", "text/html"),
        (b"{\\rtf1 x", "application/rtf"),
        (b"From: a@b\nTo: c@d\nSubject: x\n\nHello", "message/rfc822"),
        (b"Dear: all\nnote: this\n", "text/plain"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"junk before\n%PDF-1.4", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"II*\0\x08\0\0\0", "image/tiff"),
        (b"MM\0*\0\0\0\x08", "image/tiff"),
        (b"II+\0\x08\0\0\0", "image/tiff"),
        (b"GIF89a\1\0\1\0\0\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "image/bmp"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heic"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "image/avif"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "image/jp2"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video/mp4"),
        (b"PK\x03\x04nothing known", "application/zip"),
    ],
)
def test_first_bytes_tell_the_type(head: bytes, kind: str) -> None:
    assert media_type(head) == kind
