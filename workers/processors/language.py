"""Which language a segment is written in."""

import re

from py3langid import langid

_LETTERS_NEEDED = 24
_LETTERS_NEEDED_ELSEWHERE = 6  # scripts such as Han, Arabic or Greek tell more with each letter
_SAMPLE_CHARS = 200

_CODE = re.compile(r"^ *(`{3,}|~{3,}).*?(?:^ *\1|\Z)", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"\]\([^)\s]*\)|https?://\S+|\S+@\S+")
_NOT_LETTERS = re.compile(r"[\W\d_]+")

# The model is read here: a sandboxed child may open no file but its document.
langid.classify("The model is read once.")


def language(body: str) -> str | None:
    """Return the ISO 639-1 code of a Markdown text, None where it is too short to tell.

    Code and addresses do not count.
    """
    if "```" in body or "~~~" in body:
        body = _CODE.sub(" ", body)
    text = _letters(body[: 2 * _SAMPLE_CHARS])
    if len(text) < _SAMPLE_CHARS:  # a table, or many addresses
        text = _letters(body[: 4 * _SAMPLE_CHARS])
    text = text[:_SAMPLE_CHARS]
    needed = _LETTERS_NEEDED if text.isascii() else _LETTERS_NEEDED_ELSEWHERE
    letters = len(text) - text.count(" ")
    if letters < needed or (letters < _LETTERS_NEEDED and _mostly_latin(text)):
        return None
    code: str = langid.classify(text)[0]
    return code if len(code) == 2 else None


def _letters(text: str) -> str:
    """Words of letters only, with a space between."""
    if "](" in text or "@" in text or "://" in text:
        text = _ADDRESS.sub(" ", text)
    return _NOT_LETTERS.sub(" ", text).strip()


def _mostly_latin(text: str) -> bool:
    """Accents do not make a script: everything below Greek counts as Latin."""
    return sum(letter < "\u0370" for letter in text) * 2 > len(text)
