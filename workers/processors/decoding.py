"""Bytes of a text file as text: which encoding, and the text piece by piece."""

import codecs
import io
from collections.abc import Iterator
from pathlib import Path

_BLOCK_BYTES = 1 << 18
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    """cp1252 leaves five bytes undefined: they are read as what latin-1 has for them."""
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - the files here are only read
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("docyard-latin-1", _as_latin_1)


def encoding(source: Path) -> str:
    """Return the encoding: by its byte order mark, UTF-8 if all of it fits, else cp1252."""
    with source.open("rb") as file:
        first = file.read(_BLOCK_BYTES)
        for mark, name in _MARKS:
            if first.startswith(mark):
                return name
        if b"\0" in first[:2000]:
            return _without_mark(first)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            block = first
            while block:
                decoder.decode(block)
                block = file.read(_BLOCK_BYTES)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _without_mark(first: bytes) -> str:
    """Text in UTF-16 has a zero in every second byte as long as it is mostly Latin."""
    odd, even = first[1:2000:2].count(0), first[0:2000:2].count(0)
    if odd > 4 * even and odd > 100 * len(first[:2000]) / 1000:
        return "utf-16-le"
    if even > 4 * odd and even > 100 * len(first[:2000]) / 1000:
        return "utf-16-be"
    return "cp1252"


def lines(source: Path, longest: int) -> Iterator[str]:
    """Yield lines, each with its end; one longer than `longest` comes in parts."""
    name = encoding(source)
    errors = "docyard-latin-1" if name == "cp1252" else "replace"
    with source.open("rb") as raw, io.TextIOWrapper(raw, encoding=name, errors=errors) as file:
        rest = ""
        while line := file.readline(longest):
            line = rest + line
            whole = len(line) if line.endswith("\n") or len(line) < longest else line.rfind(" ") + 1
            rest = line[whole:] if whole else ""
            yield line[:whole] if whole else line
        if rest:
            yield rest
