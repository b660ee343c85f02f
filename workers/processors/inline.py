"""The text of one block of HTML as Markdown: emphasis, code, links, breaks."""

import re

from workers.processors.writing import escape_inline

_MOST_MARKS = 4  # inside of each other; more are left out
_MOST_OPEN = 64

_STRONG = frozenset(("b", "strong"))
_STRESSED = frozenset(("i", "em"))
_CODE = frozenset(("code", "kbd", "samp", "tt"))
_SPACES = re.compile(r"[ \t\r\n\f\u00a0\ufeff\u200b]+")
_DOUBLE = re.compile(r"  +")
_AROUND_BREAK = re.compile(r" ?\n[ \n]*")
_NOT_IN_ADDRESS = re.compile(r"[\s()<>]")
_RAISED = str.maketrans(
    "0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
)


class Inline:
    """Collects text and marks until the block ends. chars: how much is held."""

    def __init__(self) -> None:
        self.chars = 0
        self._parts: list[str] = []
        self._raw: list[str] = []
        self._open: list[tuple[str, int, str]] = []

    def add(self, text: str) -> None:
        """Take text that is Markdown already, or source code."""
        self._settle()
        self._parts.append(text)
        self.chars += len(text)

    def add_text(self, text: str) -> None:
        """Take text as it stands in a page."""
        self._raw.append(text)
        self.chars += len(text)

    def holds_text(self) -> bool:
        """Tell whether anything but white space was taken."""
        return any(part.strip() for part in (*self._parts, *self._raw))

    def _settle(self) -> None:
        """Escape at once what the parser tells in pieces: it parts text at each reference."""
        if not self._raw:
            return
        text = _SPACES.sub(" ", "".join(self._raw))
        self._raw = []
        if all(mark != "`" for mark, _, _ in self._open):
            # A star before a tag that stresses would join its mark.
            ends = text.endswith("*")
            text = escape_inline(text[:-1]) + r"\*" if ends else escape_inline(text)
        self._parts.append(text)

    def start(
        self, tag: str, attributes: dict[str, str], *, in_heading: bool, in_code: bool
    ) -> None:
        """An element inside of the block begins."""
        self._settle()
        if len(self._open) >= _MOST_OPEN:
            return
        mark = "" if in_code else _mark(tag, attributes)
        if in_heading and mark.startswith("*"):
            mark = ""
        marks = [other for other, _, _ in self._open if other]
        if len(marks) >= _MOST_MARKS or mark in marks:
            mark = ""
        self._open.append((mark, len(self._parts), tag))

    def end(self, tag: str) -> None:
        """An element inside of the block ends; others that it holds end with it."""
        if all(opened != tag for _, _, opened in self._open):
            return
        self._settle()
        while self._open:
            mark, start, opened = self._open.pop()
            self._wrap(mark, start)
            if opened == tag:
                return

    def text(self) -> str:
        """Take the block's text; what is open ends with it."""
        self._settle()
        while self._open:
            mark, start, _ = self._open.pop()
            self._wrap(mark, start)
        return _AROUND_BREAK.sub("\n", _DOUBLE.sub(" ", self._take())).strip()

    def source(self) -> str:
        """Take the block's text as it is, without empty lines around it."""
        self._settle()
        self._open.clear()
        return self._take().strip("\n").rstrip()

    def _take(self) -> str:
        text = "".join(self._parts)
        self._parts, self.chars = [], 0
        return text

    def _wrap(self, mark: str, start: int) -> None:
        text = "".join(self._parts[start:]) if mark else ""
        inner = text.strip()
        if inner:
            before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
            self._parts[start:] = [before + _marked(inner, mark) + after]


def _mark(tag: str, attributes: dict[str, str]) -> str:
    if tag == "a":
        address = (attributes.get("href") or "").strip()
        is_web = address.startswith(("https://", "http://"))
        return address if is_web and not _NOT_IN_ADDRESS.search(address) else ""
    if tag in _STRONG:
        return "**"
    if tag in _STRESSED:
        return "*"
    if tag in _CODE:
        return "`"
    return "^" if tag == "sup" else ""


def _marked(text: str, mark: str) -> str:
    if mark == "^":
        return text.translate(_RAISED) if text.isdecimal() and text.isascii() else text
    if mark == "`":
        return escape_inline(text) if "`" in text or "\n" in text else f"`{text}`"
    if mark.startswith("http"):
        return text if "\n" in text else f"[{text}]({mark})"
    return f"{mark}{text}{mark}"
