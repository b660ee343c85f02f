"""EPUB: its chapters, in the order of its spine, read as HTML; archives are hostile."""

import posixpath
import zipfile
import zlib
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

from app.failures import ErrorCode, ProcessingFailed
from workers.processors.elements import Element
from workers.processors.hypertext import Reader

_MOST_ENTRIES = 20_000
_MOST_BYTES = 500 << 20
_LARGEST_CHAPTER_BYTES = 50 << 20
_HIGHEST_RATIO = 200  # of entries above a mebibyte
_RATIO_FROM_BYTES = 1 << 20
_MOST_CHAPTERS = 5000
_CHAPTER_TYPES = frozenset(("application/xhtml+xml", "text/html", "application/x-dtbook+xml"))
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


class Epub:
    """An open EPUB.

    Raises ProcessingFailed: CORRUPT for what is not one, TOO_LARGE for what would unpack without
    measure, PASSWORD where its chapters are encrypted.
    """

    def __init__(self, source: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(source)
            _measure(self._archive)
            self._chapters = self._spine()
        except _BROKEN as error:
            raise ProcessingFailed(ErrorCode.CORRUPT, "The EPUB cannot be opened.") from error
        if not self._chapters:
            raise ProcessingFailed(ErrorCode.CORRUPT, "The EPUB has no chapters.")
        self.total = len(self._chapters)

    def chapter(self, number: int) -> list[Element] | None:
        """Return the elements of a chapter, None for one that cannot be read."""
        reader = Reader(f"s{number}:e", page=number)
        try:
            text = self._read(self._chapters[number - 1])
            parser = etree.HTMLParser(
                target=reader, huge_tree=True, no_network=True, encoding=_encoding(text)
            )
            if text.strip():
                parser.feed(text)
                parser.close()
        except (*_BROKEN, KeyError, etree.LxmlError):
            return None
        return reader.rest()

    def _spine(self) -> list[str]:
        if "META-INF/encryption.xml" in self._archive.namelist() and self._is_encrypted():
            raise ProcessingFailed(ErrorCode.PASSWORD, "The EPUB's chapters are encrypted.")
        container = _xml(self._read("META-INF/container.xml"))
        package_path = next(
            (path for path in container.xpath("//*[local-name()='rootfile']/@full-path")), None
        )
        if package_path is None:
            return []
        package = _xml(self._read(str(package_path)))
        folder = posixpath.dirname(str(package_path))
        paths = {}
        for entry in package.xpath("//*[local-name()='manifest']/*[local-name()='item']"):
            is_contents = "nav" in (entry.get("properties") or "").split()
            if entry.get("media-type") in _CHAPTER_TYPES and not is_contents:
                paths[entry.get("id")] = posixpath.normpath(
                    posixpath.join(folder, unquote(entry.get("href") or ""))
                )
        order = package.xpath("//*[local-name()='spine']/*[local-name()='itemref']/@idref")
        return [paths[str(name)] for name in order if str(name) in paths][:_MOST_CHAPTERS]

    def _is_encrypted(self) -> bool:
        """Fonts may be scrambled in any EPUB; chapters only where rights are managed."""
        listed = _xml(self._read("META-INF/encryption.xml"))
        addresses = listed.xpath("//*[local-name()='CipherReference']/@URI")
        return any(
            str(address).lower().endswith((".xhtml", ".html", ".htm", ".xml"))
            for address in addresses
        )

    def _read(self, name: str) -> bytes:
        try:
            entry = self._archive.getinfo(name)
        except KeyError as error:
            raise zipfile.BadZipFile(name) from error
        with self._archive.open(entry) as file:
            text = file.read(_LARGEST_CHAPTER_BYTES + 1)
        if len(text) > _LARGEST_CHAPTER_BYTES:
            raise ProcessingFailed(
                ErrorCode.TOO_LARGE, "A chapter of the EPUB is larger than 50 MiB."
            )
        return text


def _measure(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise ProcessingFailed(
            ErrorCode.TOO_LARGE, f"The EPUB has more than {_MOST_ENTRIES} entries."
        )
    if sum(entry.file_size for entry in entries) > _MOST_BYTES:
        raise ProcessingFailed(ErrorCode.TOO_LARGE, "The EPUB unpacks to more than 500 MiB.")
    for entry in entries:
        if entry.file_size > _RATIO_FROM_BYTES and entry.file_size > _HIGHEST_RATIO * max(
            entry.compress_size, 1
        ):
            raise ProcessingFailed(
                ErrorCode.TOO_LARGE,
                f"An entry of the EPUB unpacks to more than {_HIGHEST_RATIO} times its size.",
            )


def _xml(text: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    root = etree.fromstring(text, parser)
    if root is None:
        raise zipfile.BadZipFile
    return root


def _encoding(text: bytes) -> str | None:
    """XHTML is UTF-8 unless it says or shows otherwise."""
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return None if b"encoding=" in text[:200] else "utf-8"
