"""The event log in the schema: as a list, and live."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self

import strawberry

from app.api.attachments import Attachment, attachment_of
from app.api.context import ROWS_AN_OPERATION, Context, Info
from app.api.documents import Document, document_of
from app.api.live import LOOK_SECONDS, PENDING_SECONDS
from app.api.pages import Connection, Edge, connection, existing_id
from app.api.results import MAX_SEGMENTS, Segment, segment_list
from app.api.vocabulary import EventKind, JobStatus, Severity
from app.db.pages import PageRequest, page_request
from app.errors import NotFound
from app.jobs import events, feed, models, queries
from app.jobs.filters import JobFilter
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
    message: str | None = strawberry.field(
        description="What happened, for a person; null where `progress` says it all."
    )
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

    @strawberry.field(description="The document it is about; null: none, or it is gone.")
    async def document(self, info: Info) -> Document | None:
        return await document_of(info.context, self.row.document_id)

    @strawberry.field(description="The file it tells of; null: none, or it is gone.")
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
    seq = 0 if after is None else events.cursor_seq(after, job_id=job_id)
    owner = context.caller.application_id
    async with context.services.live.job(job_id, application_id=owner) as (tail, wake):
        while True:
            rows = await tail.after(seq)
            if tail.newest is None:
                raise NotFound("job", id)
            for row in rows:
                seq = row.seq
                yield _told(context, row)
                if events.is_final(row):
                    return
            if not rows:
                if events.is_final(tail.newest):
                    return
                await wake.wait()
                tail.freshness.doubt(LOOK_SECONDS)


async def follow_feed(
    context: Context, where: JobFilter, *, kinds: list[EventKind] | None, after: str | None
) -> AsyncGenerator[JobEvent, None]:
    """Give the events of all jobs that are meant, from a cursor or from now on, for ever.

    Raises:
        InvalidCursor: it is no cursor of an event.
        CursorExpired: events after it may have been forgotten.
    """
    owner = context.caller.application_id
    async with context.services.live.feed(owner) as (tail, wake):
        async with context.reading() as session:
            place = (
                await feed.newest(session)
                if after is None
                else await feed.place_at(session, after, application_id=owner)
            )
        while True:
            rows = await tail.after(place)
            for row in await _meant(context, rows, where, kinds):
                yield _told(context, row)
            if rows:
                place = feed.place_of(rows[-1])
                continue
            seconds = PENDING_SECONDS if tail.pending else LOOK_SECONDS
            await wake.wait(seconds)
            tail.freshness.doubt(seconds)


async def follow_segments(
    context: Context, id: str, *, after: str | None
) -> AsyncGenerator[Edge[Segment], None]:
    """Give every segment of a job after a cursor, then those to come; end with the job.

    Raises:
        NotFound: there is no such job.
        InvalidCursor: the cursor is not of this list.
    """
    job_id = existing_id("job", id)
    own = segment_list(job_id)
    place = own.place(after)
    owner = context.caller.application_id
    async with context.services.live.job(job_id, application_id=owner) as (_tail, wake):
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
                yield Edge(node=Segment.from_row(row), cursor=own.cursor(place))
            if page.has_next:
                continue
            if job is None or job.status in FINISHED:
                return
            await wake.wait()


async def _meant(
    context: Context,
    rows: Sequence[models.JobEvent],
    where: JobFilter,
    kinds: list[EventKind] | None,
) -> Sequence[models.JobEvent]:
    if kinds is not None:
        rows = [row for row in rows if row.kind in kinds]
    if not rows or where == JobFilter():
        return rows
    async with context.reading() as session:
        return await feed.matching(session, caller=context.caller, where=where, rows=rows)


def _told(context: Context, row: models.JobEvent) -> JobEvent:
    context.rows_left = ROWS_AN_OPERATION  # each event is an answer of its own
    return JobEvent.from_row(row)
