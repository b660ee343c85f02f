"""Opening a PDF that may be locked: without a password first, then with each that was given."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymupdf

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.results import Issue
from app.jobs.types import Severity

pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)


@dataclass(frozen=True, slots=True)
class OpenPdf:
    """An open PDF of PyMuPDF's, with at least one page.

    password: which of those given opened it, 1 is the first; None where it needs none.
    """

    document: Any
    password: int | None = None

    def issues(self, *, name: str | None = None) -> tuple[Issue, ...]:
        """Return what is worth telling of the opening; `name` is that of an attached file."""
        if self.password is None:
            return ()
        what = "this file" if name is None else repr(name)
        message = f"Password {self.password} opened {what}."
        return (Issue("PASSWORD_USED", message, severity=Severity.INFO),)


def open_pdf(source: Path | bytes, passwords: Sequence[str] = ()) -> OpenPdf:
    """Open a PDF from its file or from its bytes.

    passwords: tried in this order, where the empty one does not open it.

    Raises:
        ProcessingFailed: PASSWORD, CORRUPT. Neither names a password.
    """
    try:
        document = (
            pymupdf.open(stream=source, filetype="pdf")
            if isinstance(source, bytes)
            else pymupdf.open(source, filetype="pdf")
        )
        # MuPDF has tried the empty one by itself.
        password = _fitting(document, passwords) if document.needs_pass else None
        locked = bool(document.is_encrypted)
        pages = 0 if locked else document.page_count
    except MemoryError:
        raise
    except Exception as error:
        raise ProcessingFailed(ErrorCode.CORRUPT, "The PDF cannot be opened.") from error
    if locked:
        raise ProcessingFailed(ErrorCode.PASSWORD, _locked(len(passwords)))
    if pages < 1:
        raise ProcessingFailed(ErrorCode.CORRUPT, "The PDF has no pages.")
    return OpenPdf(document, password)


def _fitting(document: Any, passwords: Sequence[str]) -> int | None:  # noqa: ANN401 - pymupdf has no types
    for number, password in enumerate(passwords, 1):
        if document.authenticate(password):
            return number
    return None


def _locked(given: int) -> str:
    if not given:
        return "The PDF needs a password."
    tried = "the password does not fit" if given == 1 else f"none of the {given} passwords fits"
    return f"The PDF needs a password, and {tried}."
