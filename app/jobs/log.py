"""The log of a job as text: its events without those of progress, one line each.

Nothing of it is stored. It is rendered from the rows whenever it is read, and since the events of a
job that has ended do not change, it is the same bytes each time. Only where a document is deleted
does it forget what it said of that, and is measured again.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlmodel import col, func, update

from app.db.work import ReadSession, Work
from app.documents.models import Document
from app.errors import FieldError, InvalidInput
from app.jobs.models import Attachment, Job, JobEvent
from app.jobs.states import FINISHED, JobStatus
from app.jobs.types import AttachmentType, EventKind, Severity

MEDIA_TYPE = "text/plain; charset=utf-8"
DEFAULT_TAIL_BYTES = 64 * 1024
MAX_TAIL_BYTES = 1024 * 1024
MAX_LINES = 40_000
"""Lines that are read at once for the ends of several logs."""
SHORTEST_LINE_BYTES = len("2026-01-01T00:00:00.000Z INFO .\n")
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Line(NamedTuple):
    """What a line is made of; `filename`: of the document that it is about."""

    at: datetime
    kind: EventKind
    status: JobStatus
    severity: Severity | None
    message: str | None
    filename: str | None


async def attach(work: Work, jobs: Sequence[Job]) -> None:
    """Give jobs that have just ended their logs as attachments; the last event is the last line."""
    texts = await _texts(work.session, [job.id for job in jobs])
    for job in jobs:
        text = texts[job.id]
        work.session.add(
            Attachment(
                job_id=job.id,
                type=AttachmentType.LOG,
                filename=f"job-{job.number}.log",
                mime_type=MEDIA_TYPE,
                size=len(text),
                sha256=sha256(text).hexdigest(),
            )
        )
    await work.session.flush()


async def measure_again(work: Work, job_ids: Sequence[UUID]) -> None:
    """Note how long the logs of jobs that have ended are now that they say less."""
    texts = await _texts(work.session, job_ids)
    rows = [
        {"job": id, "length": len(text), "hash": sha256(text).hexdigest()}
        for id, text in texts.items()
    ]
    statement = (
        update(Attachment)
        .where(
            col(Attachment.job_id) == bindparam("job"),
            col(Attachment.type) == AttachmentType.LOG,
        )
        .values(size=bindparam("length"), sha256=bindparam("hash"))
    )
    if rows:
        await (await work.session.connection()).execute(statement, rows)


async def whole(session: ReadSession, job_id: UUID) -> bytes:
    """Return the log of a job as UTF-8, up to its end; empty where nothing was logged."""
    statement = _lines().where(col(JobEvent.job_id) == job_id).order_by(col(JobEvent.seq))
    return _text(Line(*row) for row in await session.exec(statement))


def check_tail(tail_bytes: int) -> None:
    """Do nothing where so much of a log can be asked for.

    Raises:
        InvalidInput: it is out of range.
    """
    if not 1 <= tail_bytes <= MAX_TAIL_BYTES:
        message = f"tailBytes must be 1 to {MAX_TAIL_BYTES}."
        raise InvalidInput(FieldError(("tailBytes",), message, "out_of_range"))


async def tails(
    session: ReadSession, job_ids: Sequence[UUID], *, tail_bytes: int
) -> dict[UUID, str | None]:
    """Return the end of each log: whole lines, at most so many bytes of UTF-8.

    None where nothing was logged. Of many long logs less is read: MAX_LINES in all.
    """
    place = func.row_number().over(
        partition_by=col(JobEvent.job_id), order_by=col(JobEvent.seq).desc()
    )
    newest: Any = (
        _lines(col(JobEvent.job_id), col(JobEvent.seq), place.label("place"))
        .where(col(JobEvent.job_id).in_(job_ids))
        .subquery()
    )
    most = min(tail_bytes // SHORTEST_LINE_BYTES + 2, max(1, MAX_LINES // len(job_ids)))
    statement: Any = select(newest).where(newest.c.place <= most)
    statement = statement.order_by(newest.c.job_id, newest.c.seq)
    found: dict[UUID, list[Line]] = {}
    for row in await session.exec(statement):
        found.setdefault(row.job_id, []).append(Line(*row[: len(Line._fields)]))
    return {id: _end(_text(found[id]), tail_bytes) if id in found else None for id in job_ids}


async def _texts(session: ReadSession, job_ids: Sequence[UUID]) -> dict[UUID, bytes]:
    lines: dict[UUID, list[Line]] = {id: [] for id in job_ids}
    statement = _lines(col(JobEvent.job_id)).where(col(JobEvent.job_id).in_(job_ids))
    for row in await session.exec(statement.order_by(col(JobEvent.seq))):
        lines[row.job_id].append(Line(*row[: len(Line._fields)]))
    return {id: _text(of_job) for id, of_job in lines.items()}


def _lines(*more: Any) -> Any:  # noqa: ANN401 - columns, and a select of what lines are made of
    columns: tuple[Any, ...] = (
        JobEvent.at,
        JobEvent.kind,
        JobEvent.status,
        JobEvent.severity,
        JobEvent.message,
        Document.filename,
    )
    return (
        select(*columns, *more)
        .outerjoin(Document, col(Document.id) == col(JobEvent.document_id))
        .where(col(JobEvent.kind) != EventKind.PROGRESS)
    )


def _text(lines: Iterable[Line]) -> bytes:
    text = []
    for line in lines:
        text.append(_rendered(line))
        if line.kind is EventKind.STATUS and line.status in FINISHED:
            break
    return "".join(text).encode(errors="replace")


def _rendered(line: Line) -> str:
    at = line.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    about = "" if line.filename is None else f" [{line.filename}]"
    said = _BREAKS.sub(" ", f"{line.message or line.kind.value}{about}")
    return f"{at} {line.severity or Severity.INFO} {said}\n"


def _end(text: bytes, most: int) -> str:
    if len(text) > most:
        begin = text.find(b"\n", len(text) - most - 1) + 1
        text = text[begin:]
    return text.decode()
