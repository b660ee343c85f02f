"""Why work fails: a stable code for each cause, what it means, and what to do about it.

Refusals of calls stand in `app.errors`.
"""

from dataclasses import dataclass
from enum import StrEnum


class ErrorCode(StrEnum):
    """Why work failed. A code never changes its meaning."""

    INTERNAL = "INTERNAL"
    EXTERNAL = "EXTERNAL"
    CONFIGURATION = "CONFIGURATION"
    GENERIC = "GENERIC"
    UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"
    UNSUPPORTED_FEATURE = "UNSUPPORTED_FEATURE"
    OPTION = "OPTION"
    CANCELED = "CANCELED"
    TIMEOUT = "TIMEOUT"
    PASSWORD = "PASSWORD"  # noqa: S105 - a code, not a password
    CONFORMANCE = "CONFORMANCE"
    CORRUPT = "CORRUPT"
    DEPENDENCY = "DEPENDENCY"
    MEMORY = "MEMORY"
    CRASHED = "CRASHED"
    TOO_LARGE = "TOO_LARGE"
    EXPIRED = "EXPIRED"
    POISONED = "POISONED"
    WORKER_LOST = "WORKER_LOST"


RETRYABLE = frozenset({ErrorCode.EXTERNAL, ErrorCode.WORKER_LOST})
"""Causes that can pass by themselves."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the work on a document or a job ended: a code, and one sentence for a person."""

    code: ErrorCode
    message: str


class ProcessingFailed(Exception):
    """A processor cannot do its work on this file; raised inside the sandbox."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(code, message)


@dataclass(frozen=True, slots=True)
class FailureKind:
    """What a code of a failure means. status: the HTTP status it would have as an answer."""

    title: str
    status: int
    meaning: str
    what_to_do: str


FAILURES: dict[ErrorCode, FailureKind] = {
    ErrorCode.INTERNAL: FailureKind(
        "Internal error",
        500,
        "A bug of ours, or a part of the service that was lost.",
        "Retry the job; if it fails again, the operator finds more in the log.",
    ),
    ErrorCode.EXTERNAL: FailureKind(
        "Something outside failed",
        502,
        "Something outside the service did not answer.",
        "Wait; the job is tried again by itself, and can be retried later.",
    ),
    ErrorCode.CONFIGURATION: FailureKind(
        "Not set up for this",
        500,
        "The service is not set up for this work.",
        "Ask the operator; the message says what is missing.",
    ),
    ErrorCode.GENERIC: FailureKind(
        "Failed",
        422,
        "None of the other codes fits; the message says more.",
        "Read the message.",
    ),
    ErrorCode.UNSUPPORTED_FORMAT: FailureKind(
        "Unsupported format",
        415,
        "The file is of a kind that this work cannot read.",
        "Send the file in a format that the message names.",
    ),
    ErrorCode.UNSUPPORTED_FEATURE: FailureKind(
        "Unsupported feature",
        422,
        "The file uses something that this work cannot handle.",
        "Save the file without it, or use another type of job.",
    ),
    ErrorCode.OPTION: FailureKind(
        "Option does not fit",
        422,
        "An option does not fit this file.",
        "Create the job again with another value, or without the option.",
    ),
    ErrorCode.CANCELED: FailureKind(
        "Canceled", 500, "The work was canceled.", "Retry the job if it is still wanted."
    ),
    ErrorCode.TIMEOUT: FailureKind(
        "Took too long",
        500,
        "A page took longer than DOCYARD_PAGE_TIME, or the job than timeoutSeconds.",
        "Create the job with a larger timeoutSeconds, or split the file.",
    ),
    ErrorCode.PASSWORD: FailureKind(
        "Password needed",
        422,
        "The file is encrypted, and no password fits.",
        "Create the job with the right password in the option DOC.PASSWORD.",
    ),
    ErrorCode.CONFORMANCE: FailureKind(
        "Does not conform",
        422,
        "The result does not conform to the standard that was asked for.",
        "Ask for another standard, or mend the file.",
    ),
    ErrorCode.CORRUPT: FailureKind(
        "Damaged file",
        422,
        "The file is damaged and cannot be opened.",
        "Send a whole copy of the file.",
    ),
    ErrorCode.DEPENDENCY: FailureKind(
        "Another job failed",
        424,
        "A job that this one waited for failed or was canceled.",
        "Retry that job first, then this one.",
    ),
    ErrorCode.MEMORY: FailureKind(
        "Needs too much memory",
        422,
        "The file needs more memory than DOCYARD_SANDBOX_MEMORY_BYTES.",
        "Split the file, or ask the operator to allow more memory.",
    ),
    ErrorCode.CRASHED: FailureKind(
        "Crashed",
        422,
        "The process that read the file died of it.",
        "Save the file anew with another program and send that.",
    ),
    ErrorCode.TOO_LARGE: FailureKind(
        "Too large",
        413,
        "The file, or what came of it, is larger than the limits allow.",
        "Split the file, or ask the operator to raise the limit that the message names.",
    ),
    ErrorCode.EXPIRED: FailureKind(
        "Time ran out",
        408,
        "The time for it ran out before it could be done.",
        "Create the job again with more time: queueTimeoutSeconds, or start it sooner.",
    ),
    ErrorCode.POISONED: FailureKind(
        "Not tried again",
        422,
        "The file killed its workers before and is not tried again.",
        "Ask an administrator to release the file, or save it anew and send that.",
    ),
    ErrorCode.WORKER_LOST: FailureKind(
        "Workers were lost",
        503,
        "The worker was lost as often as maxAttempts allows.",
        "Retry the job later.",
    ),
}
"""One table, from which the catalogue and the README are printed."""

ISSUES: dict[str, str] = {
    "PAGE_FAILED": "A page or chapter could not be read or drawn and was left out.",
    "NO_TEXT": "A page is a picture without text. Told for the first such page of a document.",
    "DPI_REDUCED": "A page is too large for the dpi that was asked for; its picture has fewer.",
    "ATTACHMENT_SKIPPED": "A file that is attached to a PDF was not read; the message says why.",
    "PASSWORD_USED": "A file was opened by a password; the message has its number.",
}
"""`JobIssue.code`: what did not stop the work, and what each means."""
