"""What a call can be refused for: one class and one stable code each.

Why work fails stands in `app.failures`. The API's problem types, the codes in the README and the
error catalogue come from both.
"""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID


def problem_type(code: str) -> str:
    """Return the stable URI reference that stands for a code (RFC 9457)."""
    return f"urn:docyard:problem:{code.lower().replace('_', '-')}"


class AppError(Exception):
    """Something a caller can get wrong, or a limit that was met; written for the caller."""

    code: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]
    meaning: ClassVar[str]
    what_to_do: ClassVar[str]
    retryable: ClassVar[bool] = False
    retry_after_seconds: int | None = None
    """When the same request may be taken, as far as that can be told."""

    @property
    def type(self) -> str:
        """A stable URI reference for this kind of problem (RFC 9457)."""
        return problem_type(self.code)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad value: where it stands in the input, what is wrong, and a stable word for that."""

    loc: tuple[str, ...]
    msg: str
    type: str


class InvalidInput(AppError):
    code = "INVALID_INPUT"
    title = "Invalid input"
    status = 422
    meaning = "A value in the request is missing, malformed or out of range."
    what_to_do = "Correct the values that `errors` names and send the request again."

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(" ".join(error.msg for error in errors))
        self.errors = errors


class UnsupportedFeature(InvalidInput):
    code = "UNSUPPORTED_FEATURE"
    title = "Not available here"
    meaning = "The request is right, but this service cannot do that work."
    what_to_do = "Leave the option out, or use a service that offers it (see `service`)."


class NotFound(AppError):
    code = "NOT_FOUND"
    title = "Not found"
    status = 404
    meaning = "There is nothing with this id, or it belongs to another application."
    what_to_do = "Check the id, and that the key belongs to the right application."

    def __init__(self, kind: str, id: str | None = None, *, loc: tuple[str, ...] = ()) -> None:
        where = f": {'.'.join(loc)}" if loc else ""
        super().__init__(f"There is no {kind} with this id{where}.")
        self.id = id


class Conflict(AppError):
    code = "CONFLICT"
    title = "Not possible in this state"
    status = 409
    meaning = "The thing is there, but its state forbids this."
    what_to_do = "Read its state again and decide anew."

    def __init__(self, message: str, *, job_id: UUID | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id


class JobStarted(Conflict):
    code = "JOB_STARTED"
    title = "Job already started"
    meaning = "The job is no draft any more: it takes no data and cannot be started again."
    what_to_do = "Leave it as it is, or create another job."

    def __init__(self, job_id: UUID) -> None:
        super().__init__("The job was started or has ended before.", job_id=job_id)


class NothingToRetry(Conflict):
    code = "NOTHING_TO_RETRY"
    title = "Nothing to retry"
    meaning = "The job has not ended, all of it was done, or it has no document."
    what_to_do = "Wait for its end, or create another job."

    def __init__(self, job_id: UUID, reason: str) -> None:
        super().__init__(reason, job_id=job_id)


class AlreadyRetried(Conflict):
    code = "ALREADY_RETRIED"
    title = "Already retried"
    meaning = "A job that repeats this one is open."
    what_to_do = "Use conflictingJob, which is that job."

    def __init__(self, job_id: UUID) -> None:
        super().__init__("The job is being repeated already.", job_id=job_id)


class SecretsGone(Conflict):
    code = "SECRETS_GONE"
    title = "Secrets are gone"
    meaning = "The passwords of a job are kept until its end, and this one would need them again."
    what_to_do = "Create another job, and give the passwords again."

    def __init__(self, job_id: UUID) -> None:
        super().__init__(
            "The passwords that came with the job are not kept any more.", job_id=job_id
        )


class PrerequisiteFailed(Conflict):
    code = "PREREQUISITE_FAILED"
    title = "Prerequisite failed"
    meaning = "The job that this one comes after has failed, was canceled, or is gone."
    what_to_do = "Retry conflictingJob first; the retry of this one waits for that."

    def __init__(self, job_id: UUID | None) -> None:
        message = "The job that it comes after has not succeeded; retry that first."
        if job_id is None:
            message = "The job that it comes after is gone; create another job."
        super().__init__(message, job_id=job_id)


class IdempotencyKeyReused(Conflict):
    code = "IDEMPOTENCY_KEY_REUSED"
    title = "Idempotency key reused"
    meaning = "The idempotency key was used for another request within the last 24 hours."
    what_to_do = "Use a new key for a new request; conflictingJob is what the first one made."

    def __init__(self, job_id: UUID) -> None:
        super().__init__("This idempotency key belongs to another request.", job_id=job_id)


class DocumentInUse(Conflict):
    code = "DOCUMENT_IN_USE"
    title = "Document in use"
    meaning = "A job that has not ended needs the document, so it cannot be deleted."
    what_to_do = "Wait for the end of conflictingJob, or cancel it, then delete the document."

    def __init__(self, job_id: UUID) -> None:
        super().__init__("A job that has not ended needs this document.", job_id=job_id)


class UploadComplete(Conflict):
    code = "UPLOAD_COMPLETE"
    title = "Upload already complete"
    meaning = "All bytes of this upload are here already; it takes no more."
    what_to_do = "Use the document, or make another upload for other bytes."

    def __init__(self) -> None:
        super().__init__("All bytes of this upload are here already.")


class UploadBusy(Conflict):
    code = "UPLOAD_BUSY"
    title = "Upload in progress"
    meaning = "Another request is sending bytes of the same upload."
    what_to_do = "Wait for the other request to end, then ask for receivedBytes."
    retryable = True

    def __init__(self) -> None:
        super().__init__("Another request is sending bytes of this upload.")


class UploadRange(Conflict):
    code = "UPLOAD_RANGE"
    title = "Bytes out of order"
    status = 416
    meaning = "A part of an upload does not begin where the bytes received so far end."
    what_to_do = "Ask the document for receivedBytes and go on from there."

    def __init__(self, *, received_bytes: int) -> None:
        super().__init__(
            f"The next part must begin at byte {received_bytes}, up to which all are here."
        )
        self.received_bytes = received_bytes


class UploadMismatch(Conflict):
    code = "UPLOAD_MISMATCH"
    title = "Upload damaged"
    status = 422
    meaning = "The bytes received are not those that were announced (size or SHA-256)."
    what_to_do = "Make a new upload and send the file again."

    def __init__(self, what: str) -> None:
        super().__init__(f"The {what} of the bytes received is not the one announced.")


class LimitExceeded(AppError):
    code = "LIMIT_EXCEEDED"
    title = "Limit exceeded"
    status = 429
    meaning = "A limit of this service was met."
    what_to_do = "Stay below the limit that the answer names."

    def __init__(
        self, message: str, *, limit: int | None = None, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds


class TooManyJobs(LimitExceeded):
    code = "TOO_MANY_JOBS"
    title = "Too many jobs"
    status = 503
    meaning = "The application has as many open jobs as it may have."
    what_to_do = "Wait until jobs have ended, then send the request again."
    retryable = True

    def __init__(self, *, limit: int, retry_after_seconds: int) -> None:
        super().__init__(
            f"The application has as many open jobs as it may have: {limit}.",
            limit=limit,
            retry_after_seconds=retry_after_seconds,
        )


class FileTooLarge(LimitExceeded):
    code = "FILE_TOO_LARGE"
    title = "File too large"
    status = 413
    meaning = "A file is larger than this service takes."
    what_to_do = "Send a smaller file, or ask the operator to raise DOCYARD_UPLOAD_LIMIT_BYTES."

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"A file may have at most {limit} bytes.", limit=limit)


class StorageFull(LimitExceeded):
    code = "STORAGE_FULL"
    title = "Storage full"
    status = 507
    meaning = "The service has too little free disk space to take files."
    what_to_do = "Wait, or ask the operator to make room."
    retryable = True

    def __init__(self) -> None:
        super().__init__(
            "There is too little free space to take this file.", retry_after_seconds=60
        )


class StoreUnavailable(AppError):
    code = "STORE_UNAVAILABLE"
    title = "Store unavailable"
    status = 503
    meaning = "The place where files are kept does not answer as it should."
    what_to_do = "Try again later; the operator finds more in the log."
    retryable = True

    def __init__(self, cause: str) -> None:
        super().__init__(f"The bucket of DOCYARD_STORE_URL fails: {cause}.")
        self.retry_after_seconds = 30


class Forbidden(AppError):
    code = "FORBIDDEN"
    title = "Forbidden"
    status = 403
    meaning = "The key is good, but its scope is too small for this."
    what_to_do = "Use a key with the scope that the answer names."

    def __init__(self, *, needs: str) -> None:
        super().__init__(f"This needs a key with the scope {needs}.")


class Unauthenticated(AppError):
    code = "UNAUTHENTICATED"
    title = "Not authenticated"
    status = 401
    meaning = "The request carries no API key, or one that is unknown, revoked or expired."
    what_to_do = "Send a valid key: Authorization: Bearer dy_..."

    def __init__(self) -> None:
        super().__init__("Send a valid API key as Authorization: Bearer dy_...")


class InvalidCursor(AppError):
    code = "INVALID_CURSOR"
    title = "Invalid cursor"
    status = 422
    meaning = "A cursor was not given out by this list in this order."
    what_to_do = "Use the cursors of the same list in the same order, or begin without one."

    def __init__(self) -> None:
        super().__init__("This cursor was not given out by this list in this order.")


class CursorExpired(AppError):
    code = "CURSOR_EXPIRED"
    title = "Cursor expired"
    status = 410
    meaning = "This cursor is older than a day, and a deletion after it may have been forgotten."
    what_to_do = "Read the jobs anew, then watch from now on without a cursor."

    def __init__(self) -> None:
        super().__init__("This cursor is too old: events after it may have been forgotten.")


class InvalidPage(AppError):
    code = "INVALID_PAGE"
    title = "Invalid page"
    status = 422
    meaning = "`first`, `last` or `offset` is out of range, or they do not go together."
    what_to_do = (
        "Give `first` or `last`, as many as the list allows, and `offset` only with `first`."
    )


class TooManyRows(AppError):
    code = "TOO_MANY_ROWS"
    title = "Too many rows"
    status = 422
    meaning = "The lists of one operation read more rows in all than they may."
    what_to_do = "Ask for fewer at a time (`first`), and for lists in lists one by one."

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"The lists of one operation may read at most {limit} rows in all.")


class InvalidLink(AppError):
    code = "INVALID_LINK"
    title = "Link not valid"
    status = 403
    meaning = "A signed link has expired or was changed."
    what_to_do = "Ask the API for a new link."

    def __init__(self) -> None:
        super().__init__("This link has expired or was changed. Ask the API for a new one.")


class SignInRefused(AppError):
    code = "SIGN_IN_REFUSED"
    title = "Sign-in refused"
    status = 403
    meaning = "The code of a sign-in link was used already, has expired, or is not one of ours."
    what_to_do = "Run `docyard explorer` for a new link."

    def __init__(self) -> None:
        super().__init__("This sign-in link was used already or has expired.")


def refusals() -> list[type[AppError]]:
    """Return every kind of refusal that has a code of its own, in the order of this module."""
    kinds: list[type[AppError]] = []
    pending = AppError.__subclasses__()
    while pending:
        kind = pending.pop(0)
        kinds.append(kind)
        pending = kind.__subclasses__() + pending
    return kinds
