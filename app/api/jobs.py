"""Jobs in the schema."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from app.api.accounts import ApiKey, Application, api_key_of, application_of
from app.api.attachments import Attachment, attachment_connection
from app.api.context import Context, Info
from app.api.events import JobEvent, event_connection
from app.api.job_documents import (
    JobDocument,
    JobError,
    JobIssue,
    document_connection,
    error_of,
    issues_of,
)
from app.api.pages import (
    Connection,
    InnerList,
    Node,
    placed_connection,
)
from app.api.progress import Progress, Wait, progress_of, wait_of
from app.api.results import JobResult, job_result
from app.api.rules import Rule
from app.api.vocabulary import (
    AttachmentType,
    BigInt,
    JobOutcome,
    JobPriority,
    JobStatus,
    JobType,
)
from app.api.workflows import Option, options_of
from app.clock import now
from app.db.ordering import Ordering
from app.db.pages import PageRequest, page_request
from app.jobs import attachments, models, queries, relations, retries
from app.jobs.filters import JobFilter
from app.jobs.log import DEFAULT_TAIL_BYTES, check_tail, tails
from app.jobs.meanings import meaning
from app.jobs.options import shown, task_of
from app.jobs.orders import NEWEST_FIRST
from app.jobs.relations import Relation

JobLater = Annotated["Job", strawberry.lazy("app.api.jobs")]


@strawberry.type(description="Work on documents, from its creation to its end.")
class Job(Node):
    row: strawberry.Private[models.Job]

    id: strawberry.ID = strawberry.field(description="Its id.")
    number: int = strawberry.field(description="Counts up from 1 inside one application.")
    name: str = strawberry.field(description="As given, else made from type and number.")
    group_id: str | None = strawberry.field(description="A word of yours that groups jobs.")
    type: JobType = strawberry.field(description="What it does.")
    status: JobStatus = strawberry.field(description="Where it is in its life.")
    status_meaning: str = strawberry.field(
        description="One sentence for a person: what this status means for this job now."
    )
    message: str | None = strawberry.field(
        description="What it is doing now; null while it waits and once it has ended."
    )
    outcome: JobOutcome | None = strawberry.field(description="How it ended; null until then.")
    error: JobError | None = strawberry.field(
        description="Why it failed; CANCELED where it was canceled; null where it did neither."
    )
    progress: int = strawberry.field(
        description="Percent, 0 to 100; never falls within an attempt."
    )
    priority: JobPriority = strawberry.field(description="Which jobs are taken up first.")
    workflow: str | None = strawberry.field(
        description="The workflow it was created by; null where it was by a task."
    )
    profile: str | None = strawberry.field(
        description="The profile of its workflow; null where it has none."
    )
    options: list[Option] = strawberry.field(
        description="Its options as given, in their order; the values of secret ones are null."
    )
    page_slice: str | None = strawberry.field(
        description="The pages it works on, as given; null for all."
    )
    input_tag: str | None = strawberry.field(
        description="The tag by which it finds its documents; null where it does not."
    )
    output_tags: list[str] = strawberry.field(description="Tags for what it produces.")
    timeout_seconds: int = strawberry.field(description="Its longest run, in seconds.")
    queue_timeout_seconds: int | None = strawberry.field(
        description="Its longest wait for its first worker, in seconds; null: however long."
    )
    ttl_seconds: int = strawberry.field(
        description="How long it is kept once it has ended, in seconds."
    )
    result_json: JSON | None = strawberry.field(
        description="The result as one JSON value, which rules look at: counts, ids and "
        "predictions, no bodies; the README has its shapes. null until it is COMPLETED. "
        "`pageCount` in it counts the pages that were worked on, of a text its pieces of 64 KiB."
    )
    submitter_ip: str | None = strawberry.field(
        description="The IP address it was submitted from, where that is known."
    )
    total_size: BigInt = strawberry.field(description="Bytes of its documents.")
    attempt: int = strawberry.field(description="How often a worker took it up.")
    charged_attempts: int = strawberry.field(
        description="How many of the attempts count against maxAttempts; a deploy does not."
    )
    max_attempts: int = strawberry.field(description="After so many charged attempts it fails.")
    created_at: datetime = strawberry.field(description="When it was created.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    started_at: datetime | None = strawberry.field(
        description="When a worker first took it up; null before."
    )
    finished_at: datetime | None = strawberry.field(description="When it ended; null before.")
    duration_ms: int | None = strawberry.field(
        description="Milliseconds of processing in the attempts that ended; null before."
    )
    expires_at: datetime | None = strawberry.field(
        description="When it goes by itself: `ttlSeconds` after its end, null before. It stays as "
        "long as a job that comes after it is open."
    )
    now: datetime = strawberry.field(description="The server's clock at this answer.")

    @classmethod
    def from_row(cls, row: models.Job) -> Self:
        """Translate a row."""
        return cls(
            row=row,
            id=strawberry.ID(str(row.id)),
            number=row.number,
            name=row.name,
            group_id=row.group_id,
            type=row.type,
            status=row.status,
            status_meaning=meaning(row),
            message=row.message,
            outcome=row.outcome,
            error=error_of(row.error_code, row.error_message, row.error_document_id),
            progress=row.progress,
            priority=JobPriority(row.priority),
            workflow=row.workflow,
            profile=row.profile,
            options=options_of(row.options),
            page_slice=row.page_slice,
            input_tag=row.input_tag,
            output_tags=row.output_tags,
            timeout_seconds=row.timeout_seconds,
            queue_timeout_seconds=row.queue_timeout_seconds,
            ttl_seconds=row.ttl_seconds,
            result_json=None if row.result is None else JSON(row.result),
            submitter_ip=row.submitter_ip,
            total_size=BigInt(row.total_size),
            attempt=row.attempt,
            charged_attempts=row.charged_attempts,
            max_attempts=row.max_attempts,
            created_at=row.created_at,
            updated_at=row.updated_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
            duration_ms=row.duration_ms,
            expires_at=row.expires_at,
            now=now(),
        )

    @strawberry.field(
        description="The options of its task as resolved, defaults included, by their names in the "
        "schema; {} of a conditional job."
    )
    def settings(self) -> JSON:
        if self.row.type is JobType.CONDITIONAL:
            return JSON({})
        return JSON(shown(task_of(self.row.type, self.row.settings)))

    @strawberry.field(description="Pages done and in all; null where there is nothing to count.")
    async def progress_detail(self, info: Info) -> Progress | None:
        return await progress_of(info.context, self.row)

    @strawberry.field(description="Why it is not running yet; null once it runs or has ended.")
    async def waiting_on(self, info: Info) -> Wait | None:
        return await wait_of(info.context, self.row)

    @strawberry.field(
        description="What is worth telling and did not stop the job: of each document, in the "
        "order of documents, up to 100 that matter most."
    )
    async def issues(self, info: Info) -> list[JobIssue]:
        return await issues_of(info.context, self.row.id)

    @strawberry.field(description="Its documents in the order they are worked on.")
    async def documents(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        statuses: list[JobStatus] | None = None,
    ) -> Connection[JobDocument]:
        request = page_request(first, after)
        wanted = None if statuses is None else tuple(sorted(set(statuses)))
        return await document_connection(info.context, self.row.id, request, wanted)

    @strawberry.field(
        description="Its result, by its type; what is there of it can be read while it runs."
    )
    async def result(self) -> JobResult | None:
        return job_result(self.row)

    @strawberry.field(description="Its files, oldest first; of these types, or of all.")
    async def attachments(
        self,
        info: Info,
        types: list[AttachmentType] | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[Attachment]:
        request = page_request(first, after)
        wanted = None if types is None else frozenset(types)
        return await attachment_connection(info.context, self.row.id, request, wanted)

    @strawberry.field(description="Which types of files it has.")
    async def attachment_types(self, info: Info) -> list[AttachmentType]:
        return await info.context.loaders.gather(attachments.types_of, self.row.id)

    @strawberry.field(
        description="The end of its log as text, whole lines, also while it runs; null when "
        "nothing was logged. `tailBytes` is 65,536 by default and 1 to 1,048,576. Once the job has "
        "ended, all of it is the LOG attachment."
    )
    async def log(self, info: Info, tail_bytes: int | None = DEFAULT_TAIL_BYTES) -> str | None:
        most = DEFAULT_TAIL_BYTES if tail_bytes is None else tail_bytes
        check_tail(most)
        return await info.context.loaders.gather(tails, self.row.id, tail_bytes=most)

    @strawberry.field(description="The rules of a conditional job as they were given; else none.")
    async def rules(self) -> list[Rule]:
        return [Rule.from_row(rule) for rule in self.row.rules or ()]

    @strawberry.field(
        description="The job that has to be COMPLETED first; null for none, and once it is gone."
    )
    async def execute_after(self, info: Info) -> JobLater | None:
        return await job_of(info.context, self.row.execute_after_id)

    @strawberry.field(description="The jobs that come after it, in the order of their making.")
    async def dependents(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[JobLater]:
        request = page_request(first, after)
        return await _related_connection(info.context, self.row.id, Relation.DEPENDENTS, request)

    @strawberry.field(
        description="The conditional job that made it; null for none, and once that is gone."
    )
    async def parent(self, info: Info) -> JobLater | None:
        return await job_of(info.context, self.row.parent_id)

    @strawberry.field(description="The jobs that a conditional job made, in their order.")
    async def children(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[JobLater]:
        request = page_request(first, after)
        return await _related_connection(info.context, self.row.id, Relation.CHILDREN, request)

    @strawberry.field(
        description="Its numbered event log, oldest first; the subscription jobEvents reads the "
        "same log. `first` is 100 by default and 500 at most."
    )
    async def events(
        self, info: Info, first: int | None = 100, after: str | None = None
    ) -> Connection[JobEvent]:
        return await event_connection(info.context, self.row, first=first, after=after)

    @strawberry.field(description="The application it belongs to.")
    async def application(self, info: Info) -> Application:
        return await application_of(info.context, self.row.application_id)

    @strawberry.field(description="The key it was submitted with; null once that key is gone.")
    async def submitter(self, info: Info) -> ApiKey | None:
        return await api_key_of(info.context, self.row.submitter_id)

    @strawberry.field(
        description="The job that this one repeats; null for none, and once that is gone."
    )
    async def retry_of(self, info: Info) -> JobLater | None:
        return await job_of(info.context, self.row.retry_of_id)

    @strawberry.field(description="The newest job that repeats this one; null for none.")
    async def retried_by(self, info: Info) -> JobLater | None:
        newest = await info.context.loaders.gather(retries.newest, self.row.id)
        return await job_of(info.context, newest)


async def job_of(context: Context, id: UUID | None) -> Job | None:
    """Return a job by its id; None where there is none."""
    row = None if id is None else await context.loaders.jobs.load(id)
    return None if row is None else Job.from_row(row)


async def job_connection(
    context: Context, where: JobFilter, request: PageRequest, ordering: Ordering = NEWEST_FIRST
) -> Connection[Job]:
    """Return a page of the caller's jobs."""
    caller = context.caller

    async def count() -> int:
        async with context.reading() as session:
            return await queries.count(session, caller=caller, where=where)

    async with context.reading() as session:
        page = await queries.listing(
            session, caller=caller, where=where, request=request, ordering=ordering
        )
    context.spend(len(page.rows))
    return placed_connection(page, node=Job.from_row, count=count)


async def _related_connection(
    context: Context, job_id: UUID, relation: Relation, request: PageRequest
) -> Connection[Job]:
    load = context.loaders.gather

    async def count() -> int:
        return await load(relations.count_related, job_id, relation=relation)

    own = InnerList(relation.value.lower(), job_id)
    page = await load(relations.related, job_id, relation=relation, request=own.request(request))
    context.spend(len(page.rows))
    return own.connection(
        page,
        node=Job.from_row,
        place=relations.related_cursor,
        count=count,
    )
