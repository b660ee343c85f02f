"""What came of jobs, in the schema."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.api.context import Context, Info
from app.api.documents import Document, document_of
from app.api.pages import NOBODY, Connection, InnerList, Node, id_or_none
from app.api.rules import ConditionalResult
from app.api.vocabulary import JobType, SegmentStatus
from app.characters import UNREADABLE
from app.db.pages import PageRequest, cursor_of, page_request
from app.errors import NotFound
from app.jobs import models, production, queries

DEFAULT_SEGMENTS, MAX_SEGMENTS = 50, 500


@strawberry.type(description="A rectangle on a page, in points from its top left corner.")
class Box:
    page: int = strawberry.field(description="1 is the first page.")
    x0: float = strawberry.field(description="Left.")
    y0: float = strawberry.field(description="Top.")
    x1: float = strawberry.field(description="Right.")
    y1: float = strawberry.field(description="Bottom.")


@strawberry.type(description="How well a word fits.")
class CategoryScore:
    category: str = strawberry.field(description="The word.")
    score: float = strawberry.field(description="0 to 1.")


@strawberry.type(description="A piece of a document that makes sense by itself.")
class Segment(Node):
    row: strawberry.Private[models.Segment]

    id: strawberry.ID = strawberry.field(description="Its own in every job.")
    key: str = strawberry.field(
        description="The same content at the same place of the same file has the same key "
        "in every job."
    )
    status: SegmentStatus = strawberry.field(description="Whether it could be made.")
    ordinal: int = strawberry.field(description="Within its document; 1 is the first segment.")
    body: str = strawberry.field(description="Markdown, at most maxSize characters.")
    page: int = strawberry.field(
        description="First page it stands on; 1 is the first page, and the only one of a text. Of "
        "an attached file the page of that file."
    )
    group: str | None = strawberry.field(
        description="Top-level heading it stands under; null for none."
    )
    title: str | None = strawberry.field(
        description="Nearest heading it stands under; null for none."
    )
    headings: list[str] = strawberry.field(
        description="All headings it stands under, from the top level to the nearest."
    )
    tags: list[str] = strawberry.field(description="The tags found for it.")
    tag_scores: list[CategoryScore] = strawberry.field(description="How well tags fit it.")
    lang: str | None = strawberry.field(
        description="Its language in ISO 639-1; null where it is too short to tell."
    )
    boxes: list[Box] = strawberry.field(
        description="Where it stands: one box a page it touches; none for formats without pages."
    )
    created_at: datetime = strawberry.field(description="When it was found.")
    duration_ms: int | None = strawberry.field(
        description="Milliseconds it took, where that was measured."
    )

    @classmethod
    def from_row(cls, row: models.Segment) -> Self:
        """Translate a row."""
        return cls(
            row=row,
            id=strawberry.ID(str(row.id)),
            key=row.key,
            status=row.status,
            ordinal=row.ordinal,
            body=row.body,
            page=row.page,
            group=row.headings[0] if row.headings else None,
            title=row.headings[-1] if row.headings else None,
            headings=row.headings,
            tags=row.tags,
            tag_scores=[CategoryScore(**score) for score in row.tag_scores],
            lang=row.lang,
            boxes=[Box(**box) for box in row.boxes],
            created_at=row.created_at,
            duration_ms=row.duration_ms,
        )

    @strawberry.field(description="The document it is a piece of.")
    async def document(self, info: Info) -> Document:
        document = await document_of(info.context, self.row.document_id)
        if document is None:
            raise NotFound("document", str(self.row.document_id))
        return document


@strawberry.type(description="The segments of the documents of a job.")
class SegmentResult:
    job_id: strawberry.Private[UUID]

    @strawberry.field(description="How many segments there are by now.")
    async def segment_count(self, info: Info) -> int:
        return await info.context.loaders.gather(queries.count_segments, self.job_id)

    @strawberry.field(
        description="The segments in reading order, also while the job runs: all, those of one "
        "document, those that carry a tag. `first` is 50 by default and 500 at most."
    )
    async def segments(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        document_id: strawberry.ID | None = None,
        tag: str | None = None,
    ) -> Connection[Segment]:
        request = page_request(first, after, default=DEFAULT_SEGMENTS, limit=MAX_SEGMENTS)
        document = None if document_id is None else id_or_none(document_id) or NOBODY
        tag = None if tag is None else tag.strip()
        if tag is not None and UNREADABLE.search(tag):
            document, tag = NOBODY, None  # what cannot be stored is what no segment has
        return await segment_connection(
            info.context, self.job_id, request, document_id=document, tag=tag
        )


@strawberry.type(description="Which category a document belongs to.")
class Prediction:
    document_id: strawberry.Private[UUID]

    category: str = strawberry.field(description="The best of `scores`.")
    accuracy: float = strawberry.field(
        description="The chance that the category is right, rather than another one or none of "
        "them: 0 to 1."
    )
    score: float = strawberry.field(description="How well it fits, by itself: 0 to 1.")
    scores: list[CategoryScore] = strawberry.field(description="All categories, best first.")
    evidence_pages: list[int] = strawberry.field(
        description="Pages that speak for the category, the most telling first; at most 5."
    )

    @classmethod
    def from_row(cls, row: models.JobDocument) -> Self:
        """Translate a row that has a prediction."""
        found = row.prediction or {}
        return cls(
            document_id=row.document_id,
            category=found["category"],
            accuracy=found["accuracy"],
            score=found["score"],
            scores=[CategoryScore(**score) for score in found["scores"]],
            evidence_pages=found["evidencePages"],
        )

    @strawberry.field(description="The document.")
    async def document(self, info: Info) -> Document:
        document = await document_of(info.context, self.document_id)
        if document is None:
            raise NotFound("document", str(self.document_id))
        return document


@strawberry.type(description="The categories that the documents of a job belong to.")
class PredictResult:
    job_id: strawberry.Private[UUID]

    @strawberry.field(
        description="One for each document that is done, in the order of the documents."
    )
    async def predictions(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Prediction]:
        load = info.context.loaders.gather

        async def count() -> int:
            return await load(queries.count_predictions, self.job_id)

        own = InnerList("predictions", self.job_id)
        request = own.request(page_request(first, after))
        page = await load(queries.predictions_of, self.job_id, request=request)
        info.context.spend(len(page.rows))
        return own.connection(
            page,
            node=Prediction.from_row,
            place=queries.document_cursor,
            count=count,
        )


@strawberry.type(description="The pictures of the pages of the documents of a job.")
class PdfImagesResult:
    job_id: strawberry.Private[UUID]

    @strawberry.field(description="The pictures, in the order of pages; also while the job runs.")
    async def images(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Document]:
        return await _produced(info.context, self.job_id, page_request(first, after))


@strawberry.enum(description="Whether a validator approved a file.")
class ConformanceStatus(Enum):
    VERIFIED = "VERIFIED"
    UNVERIFIED = "UNVERIFIED"


@strawberry.type(description="How far a file keeps to a standard.")
class Conformance:
    document: Document = strawberry.field(description="The file.")
    standard: str = strawberry.field(description="The standard.")
    status: ConformanceStatus = strawberry.field(
        description="VERIFIED only where a validator approved what another tool wrote."
    )
    findings: list[str] = strawberry.field(description="What the validator found.")


@strawberry.type(description="What was made of the documents of a job.")
class TransformResult:
    job_id: strawberry.Private[UUID]
    conformance: list[Conformance] = strawberry.field(
        description="How far files that were to keep to a standard do; none where none was asked "
        "for."
    )

    @strawberry.field(
        description="What was made, in the order in which it was; also while the job runs."
    )
    async def documents(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Document]:
        return await _produced(info.context, self.job_id, page_request(first, after))


JobResult = Annotated[
    SegmentResult | PredictResult | PdfImagesResult | TransformResult | ConditionalResult,
    strawberry.union("JobResult", description="What came of a job, by its type."),
]


def job_result(job: models.Job) -> JobResult | None:
    """Return the result of a job, also while it runs."""
    match job.type:
        case JobType.SEGMENT:
            return SegmentResult(job_id=job.id)
        case JobType.PREDICT:
            return PredictResult(job_id=job.id)
        case JobType.PDF_IMAGES:
            return PdfImagesResult(job_id=job.id)
        case JobType.TRANSFORM:
            return TransformResult(job_id=job.id, conformance=[])
        case JobType.CONDITIONAL:
            return ConditionalResult.from_row(job.rules)


async def _produced(context: Context, job_id: UUID, request: PageRequest) -> Connection[Document]:
    load = context.loaders.gather

    async def count() -> int:
        return await load(production.count_produced, job_id)

    own = InnerList("produced", job_id)
    page = await load(production.produced_by, job_id, request=own.request(request))
    context.spend(len(page.rows))
    return own.connection(
        page, node=Document.from_row, place=lambda row: cursor_of(row.id), count=count
    )


async def segment_connection(
    context: Context,
    job_id: UUID,
    request: PageRequest,
    *,
    document_id: UUID | None,
    tag: str | None,
) -> Connection[Segment]:
    """Return a page of the segments of a job; None: of any document, with any tags."""
    load = context.loaders.gather

    async def count() -> int:
        return await load(queries.count_segments, job_id, document_id=document_id, tag=tag)

    own = segment_list(job_id)
    page = await load(
        queries.segments_of, job_id, request=own.request(request), document_id=document_id, tag=tag
    )
    context.spend(len(page.rows))
    return own.connection(
        page,
        node=Segment.from_row,
        place=queries.segment_cursor,
        count=count,
    )


def segment_list(job_id: UUID) -> InnerList:
    """Return the list of the segments of a job, whose cursors are good as a list and live."""
    return InnerList("segments", job_id)
