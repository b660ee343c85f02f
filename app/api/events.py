"""The event log in the schema: as a list, and live."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

import strawberry

from app.api.attachments import Attachment, attachment_of
from app.api.context import ROWS_AN_OPERATION, Context, Info
from app.api.documents import Document, document_of
from app.api.pages import Connection, Edge, connection, existing_id
from app.api.results import MAX_SEGMENTS, Segment
from app.api.vocabulary import EventKind, JobStatus, Severity
from app.db.pages import PageRequest, page_request
from app.errors import NotFound
from app.jobs import events, models, queries
from app.jobs.states import FINISHED

if TYPE_CHECKING:
    from app.api.jobs import Job

JobLater = Annotated["Job", strawberry.lazy("app.api.jobs")]

DEFAULT_EVENTS, MAX_EVENTS = 100, 500


@strawberry.type(description="One line of the log of a job.")
class JobEvent:
    row: strawberry.Private[models.JobEvent]

    cursor: str = strawberry.field(
        description="Give it back as `after` to go on from here; opaque."
    )
    seq: int = strawberry.field(description="1, 2, 3, ... within the job, without a gap.")
    kind: EventKind = strawberry.field(description="What it tells of.")
    at: datetime = strawberry.field(description="When it happened.")
    job_id: strawberry.ID = strawberry.field(description="The id of the job.")
    status: JobStatus = strawberry.field(description="The state of the job then.")
    progress: int = strawberry.field(description="The progress of the job then, in percent.")
    message: str | None = strawberry.field(description="What happened, for a person.")
    severity: Severity | None = strawberry.field(description="How much it matters.")

    @classmethod
    def from_row(cls, row: models.JobEvent) -> Self:
        """Translate a row."""
        return cls(
            row=row,
            cursor=events.cursor(row),
            seq=row.seq,
            kind=row.kind,
            at=row.at,
            job_id=strawberry.ID(str(row.job_id)),
            status=row.status,
            progress=row.progress,
            message=row.message,
            severity=row.severity,
        )

    @strawberry.field(description="The job as it is now; null once it was deleted.")
    async def job(self, info: Info) -> JobLater | None:
        from app.api.jobs import Job  # noqa: PLC0415 - jobs and their events name each other

        row = await info.context.loaders.jobs.load(self.row.job_id)
        return None if row is None else Job.from_row(row)

    @strawberry.field(description="The document it is about.")
    async def document(self, info: Info) -> Document | None:
        return await document_of(info.context, self.row.document_id)

    @strawberry.field(description="The file it tells of.")
    async def attachment(self, info: Info) -> Attachment | None:
        return await attachment_of(info.context, self.row.attachment_id)


async def event_connection(
    context: Context, job: models.Job, *, first: int | None, after: str | None
) -> Connection[JobEvent]:
    """Return a page of the log of a job."""
    request = page_request(first, after, default=DEFAULT_EVENTS, limit=MAX_EVENTS)
    seq = 0 if after is None else events.cursor_seq(after, job_id=job.id)
    page = await context.loaders.gather(
        events.after, job.id, application_id=job.application_id, seq=seq, limit=request.size
    )
    context.spend(len(page.rows))

    async def count() -> int:
        return job.event_seq

    found = replace(page, has_previous=after is not None)
    return connection(found, node=JobEvent.from_row, cursor=events.cursor, count=count)


async def follow_events(
    context: Context, id: str, *, after: str | None
) -> AsyncGenerator[JobEvent, None]:
    """Give every event of a job after a cursor, then those to come; end after the final one.

    Raises:
        NotFound: there is no such job, and never was.
        InvalidCursor: the cursor is not of this job.
    """
    job_id = existing_id("job", id)
    caller = context.caller
    async with context.reading() as session:
        if await queries.newest_event(session, caller=caller, job_id=job_id) is None:
            raise NotFound("job", id)
    seq = 0 if after is None else events.cursor_seq(after, job_id=job_id)
    ended = False
    async with context.services.live.watch(job_id) as wake:
        while True:
            rows = await _events_after(context, job_id, seq)
            for row in rows:
                seq = row.seq
                context.rows_left = ROWS_AN_OPERATION  # each event is an answer of its own
                yield JobEvent.from_row(row)
                if _is_final(row):
                    return
            if not rows and ended:
                return
            # A job that has ended wrote its last event before: it is read once more.
            ended = not rows and await _has_ended(context, job_id)
            if len(rows) < MAX_EVENTS and not ended:
                await wake.wait()


async def follow_segments(
    context: Context, id: str, *, after: str | None
) -> AsyncGenerator[Edge[Segment], None]:
    """Give every segment of a job after a cursor, then those to come; end with the job.

    Raises:
        NotFound: there is no such job.
        InvalidCursor: the cursor is not of this list.
    """
    job_id = existing_id("job", id)
    place = after
    async with context.services.live.watch(job_id) as wake:
        known = False
        while True:
            async with context.reading() as session:
                job = await queries.by_id(session, caller=context.caller, id=job_id)
                if job is None and not known:
                    raise NotFound("job", id)
                known = True
                pages = await queries.segments_of(
                    session, [job_id], request=PageRequest(MAX_SEGMENTS, place)
                )
            page = pages[job_id]
            for row in page.rows:
                place = queries.segment_cursor(row)
                context.rows_left = ROWS_AN_OPERATION
                yield Edge(node=Segment.from_row(row), cursor=place)
            if page.has_next:
                continue
            if job is None or job.status in FINISHED:
                return
            await wake.wait()


async def _events_after(context: Context, job_id: UUID, seq: int) -> Sequence[models.JobEvent]:
    async with context.reading() as session:
        found = await events.after(
            session,
            [job_id],
            application_id=context.caller.application_id,
            seq=seq,
            limit=MAX_EVENTS,
        )
    return found[job_id].rows


async def _has_ended(context: Context, job_id: UUID) -> bool:
    async with context.reading() as session:
        job = await queries.by_id(session, caller=context.caller, id=job_id)
    return job is None or job.status in FINISHED


def _is_final(event: models.JobEvent) -> bool:
    if event.kind is EventKind.DELETED:
        return True
    return event.kind is EventKind.STATUS and event.status in FINISHED
