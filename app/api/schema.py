"""The schema: every operation, three lines each."""

from collections.abc import AsyncGenerator
from datetime import datetime

import strawberry
from strawberry.file_uploads import Upload
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from app.api import accounts, commands, conditionals, creation, documents, events, jobs
from app.api.accounts import Viewer
from app.api.attachments import Attachment, attachment_of
from app.api.catalog import ErrorCatalogEntry, catalog
from app.api.commands import CancelJobResult, DeleteJobResult, RetryJobResult
from app.api.context import Info
from app.api.creation import (
    AddJobDataResult,
    CreateJobResult,
    CreateJobsResult,
    StartJobResult,
)
from app.api.documents import (
    CreateUploadResult,
    DeleteDocumentResult,
    Document,
    TagDocumentResult,
    UploadDocumentResult,
)
from app.api.events import JobEvent
from app.api.extensions import SCHEMA_EXTENSIONS, UPLOAD, Schema
from app.api.filters import DocumentFilter, JobFilter, JobOrder
from app.api.inputs import CreateJobInput, DataInput, FileUpload
from app.api.jobs import Job
from app.api.nodes import node_of, nodes_of
from app.api.pages import Connection, Edge, Node, id_or_none
from app.api.polling import JobStatusEntry, job_statuses, latest_job
from app.api.problems import HANDLERS
from app.api.results import Segment
from app.api.rule_inputs import CreateConditionalJobInput, RuleConditionsInput
from app.api.rules import PreviewRulesResult, preview_rules
from app.api.service import Service, service
from app.api.vocabulary import DATE_TIME, BigInt, EventKind, JobType, whole_number
from app.api.workflows import Workflow, all_workflows, workflow_of
from app.db.pages import page_request_both_ways
from app.db.work import carried_out
from app.jobs.orders import ordering


@strawberry.type(description="What can be read.")
class Query:
    @strawberry.field(description="Anything by its id; null where there is nothing with this id.")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        return await node_of(info.context, id)

    @strawberry.field(
        description="Things by their ids, in the order asked, 100 at most; null for each id that "
        "nothing has."
    )
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
        return await nodes_of(info.context, ids)

    @strawberry.field(description="Who is asking.")
    async def viewer(self, info: Info) -> Viewer:
        return await accounts.viewer(info.context)

    @strawberry.field(description="The service itself.")
    async def service(self, info: Info) -> Service:
        return service(info.context)

    @strawberry.field(description="Every code that can be met, and what to do about it.")
    async def error_catalog(self, info: Info) -> list[ErrorCatalogEntry]:
        return catalog()

    @strawberry.field(description="A job by its id; null where there is none.")
    async def job(self, info: Info, id: strawberry.ID) -> Job | None:
        return await jobs.job_of(info.context, id_or_none(id))

    @strawberry.field(
        description="Your jobs, newest first where no order is given; `first` or `last` is 20 by "
        "default and 100 at most. What is equal in the order comes in the order of its making, in "
        "the direction of the last thing ordered by. `offset` goes with `first` alone: cursors are "
        "faster, and miss nothing when jobs come and go."
    )
    async def jobs(
        self,
        info: Info,
        *,
        filter: JobFilter | None = None,
        order_by: list[JobOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        offset: int | None = None,
    ) -> Connection[Job]:
        where = JobFilter.of(filter)
        request = page_request_both_ways(first, after, last=last, before=before, offset=offset)
        ordered = ordering([each.order() for each in order_by or ()])
        return await jobs.job_connection(info.context, where, request, ordered)

    @strawberry.field(
        description="How jobs stand, in the order asked, 500 at most: the cheap way to poll many."
    )
    async def job_statuses(self, info: Info, ids: list[strawberry.ID]) -> list[JobStatusEntry]:
        return await job_statuses(info.context, ids)

    @strawberry.field(
        description="The newest job of a type: of a document where one is named, in a group where "
        "one is; null where there is none."
    )
    async def latest_job(
        self,
        info: Info,
        type: JobType,
        document_id: strawberry.ID | None = None,
        group_id: str | None = None,
    ) -> Job | None:
        where = JobFilter(types=[type], document_id=document_id, group_id=group_id)
        return await latest_job(info.context, where)

    @strawberry.field(description="A document by its id; null where there is none.")
    async def document(self, info: Info, id: strawberry.ID) -> Document | None:
        return await documents.document_of(info.context, id_or_none(id))

    @strawberry.field(description="An attachment by its id; null where there is none.")
    async def attachment(self, info: Info, id: strawberry.ID) -> Attachment | None:
        return await attachment_of(info.context, id_or_none(id))

    @strawberry.field(description="The work that can be asked for by name, the default first.")
    async def workflows(self, info: Info) -> list[Workflow]:
        return all_workflows()

    @strawberry.field(description="A workflow by its name; null where there is none.")
    async def workflow(self, info: Info, name: str) -> Workflow | None:
        return workflow_of(name)

    @strawberry.field(
        description="Your documents, newest first. `first` or `last` is 20 by default and 100 at "
        "most."
    )
    async def documents(
        self,
        info: Info,
        *,
        filter: DocumentFilter | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[Document]:
        where = DocumentFilter.of(filter)
        request = page_request_both_ways(first, after, last=last, before=before)
        return await documents.document_connection(info.context, where, request)

    @strawberry.field(
        description="What these rules would come to on the result of a COMPLETED job; nothing runs."
    )
    async def preview_rules(
        self, info: Info, job_id: strawberry.ID, rules: list[RuleConditionsInput]
    ) -> PreviewRulesResult:
        return await preview_rules(info.context, job_id, rules)


@strawberry.type(description="What can be changed. Refusals come back as data: ask for Problem.")
class Mutation:
    @strawberry.mutation(
        description="Create a job and queue it; with `start: false` it is a draft that takes data."
    )
    async def create_job(self, info: Info, input: CreateJobInput) -> CreateJobResult:
        return await carried_out(lambda: creation.create_job(info.context, input))

    @strawberry.mutation(
        description="Create up to 500 jobs at once. One answer each, in their order; those that "
        "are refused do not stop the others."
    )
    async def create_jobs(self, info: Info, inputs: list[CreateJobInput]) -> CreateJobsResult:
        return await carried_out(lambda: creation.create_jobs(info.context, inputs))

    @strawberry.mutation(
        description="Create a job that waits for another one and runs jobs where its result says "
        "so. It ends when the last of them does."
    )
    async def create_conditional_job(
        self, info: Info, input: CreateConditionalJobInput
    ) -> CreateJobResult:
        return await carried_out(lambda: conditionals.create_conditional_job(info.context, input))

    @strawberry.mutation(
        description="Add documents to a job that has not been started, after those it has. One "
        "that finds its documents by `inputTag` takes none."
    )
    async def add_job_data(
        self, info: Info, job_id: strawberry.ID, data: list[DataInput]
    ) -> AddJobDataResult:
        return await carried_out(lambda: creation.add_job_data(info.context, job_id, data))

    @strawberry.mutation(description="Queue a job that was created with `start: false`.")
    async def start_job(self, info: Info, id: strawberry.ID) -> StartJobResult:
        return await carried_out(lambda: creation.start_job(info.context, id))

    @strawberry.mutation(
        description="Stop a job. Work on it ends within seconds, and it stays readable. Jobs that "
        "wait for it fail."
    )
    async def cancel_job(self, info: Info, id: strawberry.ID) -> CancelJobResult:
        return await carried_out(lambda: commands.cancel_job(info.context, id))

    @strawberry.mutation(
        description="Make a new job with the same input that takes over every document that had "
        "succeeded and does the others again. For jobs that are FAILED or CANCELED, or COMPLETED "
        "with the outcome WARNING."
    )
    async def retry_job(self, info: Info, id: strawberry.ID) -> RetryJobResult:
        return await carried_out(lambda: commands.retry_job(info.context, id))

    @strawberry.mutation(
        description="Remove a job with its results, log, events and children, and the documents "
        "that came with it or from it and that no other job uses. One that has not ended is "
        "canceled first. Jobs that wait for it fail."
    )
    async def delete_job(self, info: Info, id: strawberry.ID) -> DeleteJobResult:
        return await carried_out(lambda: commands.delete_job(info.context, id))

    @strawberry.mutation(
        description="Upload a file with this request; createUpload is for large ones. It is kept "
        "for `ttlSeconds`, 60 to 315,360,000, and as long as a job uses it."
    )
    async def upload_document(
        self,
        info: Info,
        file: FileUpload,
        tags: list[str] | None = None,
        ttl_seconds: int | None = None,
    ) -> UploadDocumentResult:
        return await carried_out(
            lambda: documents.upload_document(
                info.context, file, tags=tags or [], ttl_seconds=ttl_seconds
            )
        )

    @strawberry.mutation(
        description="Announce a large file. The answer holds a link that takes its bytes by PUT, "
        "whole or in parts. `size` is in bytes; with `sha256`, in hexadecimal, the bytes are "
        "checked. `ttlSeconds` as for uploadDocument, from when all bytes are here."
    )
    async def create_upload(  # noqa: PLR0917 - arguments of the schema
        self,
        info: Info,
        filename: str,
        size: BigInt,
        sha256: str | None = None,
        tags: list[str] | None = None,
        ttl_seconds: int | None = None,
    ) -> CreateUploadResult:
        return await carried_out(
            lambda: documents.create_upload(
                info.context,
                filename=filename,
                size=size,
                sha256=sha256,
                tags=tags or [],
                ttl_seconds=ttl_seconds,
            )
        )

    @strawberry.mutation(
        description="Put tags on a document, behind those it has, and take others off it. One that "
        "is there already, or is not, changes nothing. Jobs find documents by them with `inputTag`."
    )
    async def tag_document(
        self,
        info: Info,
        id: strawberry.ID,
        add: list[str] | None = None,
        remove: list[str] | None = None,
    ) -> TagDocumentResult:
        return await carried_out(
            lambda: documents.tag_document(info.context, id, add=add or [], remove=remove or [])
        )

    @strawberry.mutation(
        description="Remove a document with its bytes, and with all that jobs which have ended "
        "found in it: segments, predictions, result files. The jobs stay, and so does what was "
        "made of it. Refused while a job that has not ended needs it."
    )
    async def delete_document(self, info: Info, id: strawberry.ID) -> DeleteDocumentResult:
        return await carried_out(lambda: documents.delete_document(info.context, id))


@strawberry.type(
    description="What can be watched: over a websocket (graphql-transport-ws) or as server-sent "
    "events."
)
class Subscription:
    @strawberry.subscription(
        description="Every event of one job from `after` (default: from its first event), then "
        "live; ends after the final event. No gap, no repeat. The cursors are those of "
        "`Job.events`, too."
    )
    async def job_events(
        self, info: Info, job_id: strawberry.ID, after: str | None = None
    ) -> AsyncGenerator[JobEvent, None]:
        async for event in events.follow_events(info.context, job_id, after=after):
            yield event

    @strawberry.subscription(
        description="The events of all your jobs that match, from now on or from the cursor of any "
        "event. `statuses` is held against the event, all else against the job as it is; the end "
        "of a deleted job is told whatever the filter says but `ids`. A cursor, which is good in "
        "jobEvents too, lasts for a day, and longer while no job has been deleted since."
    )
    async def events(
        self,
        info: Info,
        filter: JobFilter | None = None,
        kinds: list[EventKind] | None = None,
        after: str | None = None,
    ) -> AsyncGenerator[JobEvent, None]:
        where = JobFilter.of(filter)
        async for event in events.follow_feed(info.context, where, kinds=kinds, after=after):
            yield event

    @strawberry.subscription(
        description="Segments as they are found from `after` (default: from the first), then those "
        "to come; ends with the job. The cursors are those of `SegmentResult.segments`, too."
    )
    async def segments(
        self, info: Info, job_id: strawberry.ID, after: str | None = None
    ) -> AsyncGenerator[Edge[Segment], None]:
        async for edge in events.follow_segments(info.context, job_id, after=after):
            yield edge


schema = Schema(
    Query,
    Mutation,
    Subscription,
    types=[Job, Document, Segment, Attachment, accounts.Application, accounts.ApiKey],
    extensions=SCHEMA_EXTENSIONS,
    exception_handlers=HANDLERS,
    config=StrawberryConfig(
        scalar_map={
            datetime: DATE_TIME,
            Upload: UPLOAD,
            BigInt: strawberry.scalar(
                name="BigInt",
                description="A whole number that may exceed 32 bits, as a JSON number.",
                serialize=int,
                parse_value=whole_number,
            ),
        }
    ),
)


def printed() -> str:
    """Return the schema as SDL: what `schema.graphql` holds."""
    return print_schema(schema) + "\n"
