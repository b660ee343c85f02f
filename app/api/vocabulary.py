"""The words of the middle, registered for the schema; this folder takes them from here."""

from datetime import UTC, datetime
from enum import Enum
from typing import NewType, TypeVar

import strawberry

from app.accounts.models import Scope
from app.db.ordering import SortDirection
from app.documents.models import DocumentStatus
from app.failures import ErrorCode
from app.jobs.options import ImageFormat, OcrBackend, PdfBackend, SplitBy, TransformOutput
from app.jobs.orders import JobOrderField
from app.jobs.states import MEANINGS, JobStatus
from app.jobs.types import (
    AttachmentType,
    EventKind,
    JobOutcome,
    JobPriority,
    JobType,
    OptionType,
    SegmentStatus,
    Severity,
    WaitKind,
)

__all__ = [
    "DATE_TIME",
    "AttachmentType",
    "BigInt",
    "DocumentStatus",
    "ErrorCode",
    "EventKind",
    "ImageFormat",
    "JobOrderField",
    "JobOutcome",
    "JobPriority",
    "JobStatus",
    "JobType",
    "OcrBackend",
    "OptionType",
    "PdfBackend",
    "ProgressUnit",
    "Scope",
    "SegmentStatus",
    "ServiceStatus",
    "Severity",
    "SortDirection",
    "SplitBy",
    "TransformOutput",
    "WaitKind",
    "whole_number",
]

BigInt = NewType("BigInt", int)


def whole_number(value: object) -> int:
    """Read a BigInt; what has a fraction or is no number is refused, not rounded."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("A whole number is expected.")  # noqa: TRY004 - a value of the caller's
    return value


def _read_time(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is not None:
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("a time is written as 2026-01-31T12:00:00Z, in the years 1 to 9999")


DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="A time in ISO 8601, always with a zone. Without one it is read as UTC.",
    serialize=datetime.isoformat,
    parse_value=_read_time,
)

E = TypeVar("E", bound=type[Enum])


def word(kind: E, description: str) -> E:
    """Register an enum under its own name."""
    return strawberry.enum(kind, description=description)


word(
    JobStatus,
    "Where a job is in its life. "
    + " ".join(f"{status}: {meaning}" for status, meaning in MEANINGS.items())
    + " COMPLETED, FAILED and CANCELED are final.",
)
word(
    JobOutcome,
    "How a finished job ended. SUCCESS: all of it was done. WARNING: done, but a document failed "
    "or there is something to tell. ERROR: it failed or was canceled.",
)
word(
    JobType,
    "What a job does. SEGMENT: cut documents into pieces that make sense by themselves. PREDICT: "
    "sort them into categories. PDF_IMAGES: make a picture of each page. TRANSFORM: make other "
    "files of them. CONDITIONAL: run other jobs where the result of a job says so.",
)
word(
    JobPriority,
    "Which jobs are taken up first: HIGH before NORMAL before LOW. A job that waits long rises.",
)
word(
    JobOrderField,
    "What jobs can be ordered by. TYPE and STATUS: by the word. DOCUMENT: by their first document, "
    "in the order of making. APPLICATION, SUBMITTER, PARENT: by the id.",
)
word(SortDirection, "Which end of an order comes first. Nulls come last in both.")
word(
    DocumentStatus,
    "NEW: not all of its bytes are here. PROCESSED: stored, hashed, its type known. "
    "CANCELED: its upload was given up.",
)
word(SegmentStatus, "Whether a segment could be made.")
word(
    PdfBackend,
    "How the structure of a PDF is read. PYMUPDF: from fonts, positions and ruling lines; fast. "
    "PYMUPDF_LAYOUT: by a layout model.",
)
word(OptionType, "The JSON type of the value of an option.")
word(OcrBackend, "Which program reads text from pictures.")
word(ImageFormat, "How a picture is written.")
word(SplitBy, "What the size of a part is counted in.")
word(
    TransformOutput,
    "What to make. TEXT: plain text, one file of each document. IMAGE: a picture of each page of a "
    "PDF. This version refuses the others.",
)
word(Severity, "How much an event or an issue matters.")
word(
    EventKind,
    "What an event tells of. STATUS: the job moved to another state. PROGRESS: pages were done. "
    "LOG: something worth knowing. DOCUMENT: one of its documents is done or failed. "
    "RESULT: the files with what came of a document are there. DELETED: the job is gone; the last "
    "event there is.",
)
word(
    WaitKind,
    "What a job waits for. QUEUE: a worker. DATA: bytes of its documents. START: to be started. "
    "RETRY: the time of its next attempt. DEPENDENCY: another job. QUOTA: room within a limit.",
)
word(
    AttachmentType,
    "What a file of a job holds. RESULT: everything that came of one document. RESULT_MIN: what of "
    "it a frontend shows and searches. LOG: the log of a job that has ended. PRIVACY_REPORT: what "
    "was found and what was done about it; no job of this version has one.",
)
word(ErrorCode, "Why work failed. A code never changes its meaning; the README explains each.")
word(
    Scope,
    "What a key may do. READ: look. WRITE: also upload, create, change, cancel and delete. "
    "ADMIN: all.",
)


@strawberry.enum(
    description="How the service is. RUNNING: well. WARNING: it answers, but work does not get "
    "done. ERROR: a part it cannot do without is down."
)
class ServiceStatus(Enum):
    RUNNING = "RUNNING"
    WARNING = "WARNING"
    ERROR = "ERROR"


@strawberry.enum(description="What progress is counted in.")
class ProgressUnit(Enum):
    PAGES = "PAGES"
    DOCUMENTS = "DOCUMENTS"
