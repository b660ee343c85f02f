"""What processors hand on: plain values, the same in the sandbox, the worker and the API."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.jobs.types import Severity


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, in points from its top left corner."""

    page: int
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a document that makes sense by itself.

    body: Markdown, never longer than the job's maxSize.
    page: the first page it stands on; 1 is the first page.
    headings: from the top level to the nearest; empty before the first heading.
    boxes: one a page it touches; empty for formats without pages of a fixed size.
    lang: ISO 639-1, None where the text is too short to tell.
    place: where it begins in its document, in a form that does not depend on maxSize.
    """

    body: str
    page: int
    headings: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    lang: str | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Issue:
    """Something worth telling that did not stop the work.

    severity: INFO where nothing is amiss; such an issue makes no job end with a warning.
    """

    code: str
    message: str
    page: int | None = None
    severity: Severity = Severity.WARNING

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept with its document."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "page": self.page,
        }


def severity_of(issue: dict[str, Any]) -> Severity:
    """Return how much an issue matters that was kept; the oldest were kept without saying so."""
    return Severity(issue.get("severity", Severity.WARNING))


@dataclass(frozen=True, slots=True)
class ProducedFile:
    """A file that is made of a document, or a piece of one.

    media_type: one of PRODUCED_TYPES.
    page: the page it was made of; None where it was made of all of them.
    offset: None for a whole file. Else this is a piece of the one file that is made of the whole
    document: the byte of it at which the piece begins. That file ends with the document.
    """

    content: bytes
    media_type: str
    page: int | None = None
    offset: int | None = None


PRODUCED_TYPES = {
    "text/plain": "txt",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
}
"""What can be made of documents, and the extension it gets."""

DRAFT_TYPE = "text/plain"
"""What is made of a whole document in pieces."""


@dataclass(frozen=True, slots=True)
class CategoryScore:
    """How well a category fits: 0 to 1."""

    category: str
    score: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Which of the given categories a document belongs to.

    category: the best of `scores`, which are all categories, best first.
    accuracy: the chance that the category is right, 0 to 1. score: how well it fits, by itself.
    evidence_pages: the pages that speak for it, the most telling first.
    """

    category: str
    accuracy: float
    score: float
    scores: tuple[CategoryScore, ...]
    evidence_pages: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as rules and callbacks see it."""
        return {
            "category": self.category,
            "accuracy": self.accuracy,
            "score": self.score,
            "scores": [{"category": each.category, "score": each.score} for each in self.scores],
            "evidencePages": list(self.evidence_pages),
        }


@dataclass(frozen=True, slots=True)
class Page:
    """One finished page, and all that is needed to go on after it.

    number: 1 is the first page. total: pages of the document, and of the files attached to it
    where these are read too: the last `attached` of them.
    left_out: pages up to this one that were not to be worked on; left_out_in_all: all of those.
    segments: those that ended with this page, never revised later.
    files: at most a picture of this page and a piece of the file made of the whole document.
    prediction: with the last page of a document that was sorted into a category.
    checkpoint: JSON value, small (the open tail, the heading path). A run that is given the
    checkpoint of page n goes on with page n + 1 and hands on what an unbroken run would have.
    """

    number: int
    total: int
    segments: tuple[Segment, ...] = ()
    issues: tuple[Issue, ...] = ()
    checkpoint: dict[str, Any] = field(default_factory=dict)
    files: tuple[ProducedFile, ...] = ()
    prediction: Prediction | None = None
    attached: int = 0
    left_out: int = 0
    left_out_in_all: int = 0

    @property
    def done(self) -> int:
        """How many pages were worked on by now."""
        return self.number - self.left_out

    @property
    def to_do(self) -> int:
        """How many pages are worked on in all."""
        return self.total - self.left_out_in_all


Emit = Callable[[Page], None]
