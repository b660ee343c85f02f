"""The documents that a job gets from another one, where none were named for it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import insert
from sqlmodel import col, select

from app.db.work import Work
from app.documents.models import Document, DocumentStatus, is_page
from app.jobs.models import Job, JobDocument
from app.jobs.page_slices import PageSlice
from app.jobs.states import JobStatus
from app.jobs.types import JobType

PRODUCES_NOTHING = frozenset({JobType.SEGMENT, JobType.PREDICT})
"""Types whose result is no document."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a job wants of the job before it.

    before_id: the job whose products it takes. tag: None for the products themselves; else what is
    taken are the documents with this tag that were made of the documents of `origin_id`.
    """

    before_id: UUID
    origin_id: UUID
    tag: str | None
    page_slice: str | None


class Supplied(NamedTuple):
    """What is to be known of a document that a job gets. There may be many thousands to choose."""

    id: UUID
    original_id: UUID | None
    produced_by_id: UUID | None
    page: int | None
    size: int | None
    tags: list[str]


def produces_documents(type: JobType) -> bool:
    """Return whether what comes of such a job are documents."""
    return type not in PRODUCES_NOTHING


async def demand_of(work: Work, job: Job) -> Demand:
    """Return what a job without documents of its own wants of those it comes after."""
    child = await _first_try(work, job)
    parent = None if child.parent_id is None else await work.session.get(Job, child.parent_id)
    origin_id = job.execute_after_id
    # One that repeats the first job of a rule comes after what the rule came after by itself.
    if parent is not None and (child is job or child.execute_after_id is not None):
        origin_id = parent.execute_after_id
    before_id = job.execute_after_id or origin_id
    if before_id is None or origin_id is None:
        raise ValueError("it comes after no job")
    return Demand(before_id, origin_id, job.input_tag, job.page_slice)


async def supply(work: Work, demand: Demand) -> list[Supplied]:
    """Return the documents that meet a demand, in their order, locked against deletion.

    A conditional job stands for its children. Of pictures and the like that a job made of one
    document, each a page of it, the pages that `page_slice` means are taken; what has pages of its
    own is whole here, and its pages are chosen when it is worked on.
    """
    if demand.tag is None:
        family = _family(demand.before_id)
        made = col(Document.produced_by_id).in_(family)
    else:
        family = _family(demand.origin_id)
        theirs = select(JobDocument.document_id).where(col(JobDocument.job_id).in_(family))
        made = col(Document.original_id).in_(theirs)
    order = await _positions(work, family)
    columns = [getattr(Document, name) for name in Supplied._fields]
    statement: Any = (
        select(*columns)
        .where(made, col(Document.status) == DocumentStatus.PROCESSED)
        .order_by(col(Document.id))
        .with_for_update(read=True)
    )
    documents = [Supplied(*row) for row in await work.session.exec(statement)]
    found = [each for each in documents if demand.tag is None or demand.tag in each.tags]
    last = len(order)
    found.sort(key=lambda each: (order.get(each.original_id, last), each.page or 0, each.id))
    return (
        found if demand.page_slice is None else _sliced(found, PageSlice.parse(demand.page_slice))
    )


async def give(work: Work, job_ids: Sequence[UUID], documents: Sequence[Supplied]) -> None:
    """Make these the documents of jobs that have none."""
    await add(
        work,
        [
            new_row(job_id, document.id, position=place)
            for job_id in job_ids
            for place, document in enumerate(documents)
        ],
    )


def new_row(
    job_id: UUID,
    document_id: UUID,
    *,
    position: int,
    owned: bool = False,
    options: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return what `add` writes of a document that a job is given."""
    return {
        "job_id": job_id,
        "document_id": document_id,
        "position": position,
        "owned": owned,
        "status": JobStatus.PENDING,
        "pages_done": 0,
        "segment_count": 0,
        "issues": [],
        "options": [dict(option) for option in options],
    }


async def add(work: Work, rows: Sequence[dict[str, Any]]) -> None:
    """Write documents of jobs past the session, which takes its time over each of many."""
    if rows:
        await work.session.exec(insert(JobDocument), params=rows)


async def _first_try(work: Work, job: Job) -> Job:
    """Return the job of a rule that this one repeats, or repeats a repetition of; else itself."""
    first = job
    while first.parent_id is None and first.retry_of_id is not None:
        before = await work.session.get(Job, first.retry_of_id)
        if before is None:
            return job
        first = before
    return first


def _family(job_id: UUID) -> Sequence[UUID]:
    children = select(Job.id).where(Job.parent_id == job_id)
    return children.union(select(Job.id).where(Job.id == job_id))  # type: ignore[return-value]


async def _positions(work: Work, family: Sequence[UUID]) -> dict[UUID | None, int]:
    """Return the documents of a job and its children, with their places."""
    statement = (
        select(JobDocument.document_id)
        .where(col(JobDocument.job_id).in_(family))
        .order_by(col(JobDocument.job_id), col(JobDocument.position))
    )
    found = dict.fromkeys(await work.session.exec(statement))
    return {document_id: place for place, document_id in enumerate(found)}


def _sliced(documents: list[Supplied], pages: PageSlice) -> list[Supplied]:
    """Keep of the pages that one job made of one document those that are meant, and all others."""
    groups: dict[tuple[UUID | None, UUID | None], list[Supplied]] = defaultdict(list)
    for document in documents:
        if is_page(document.page, document.original_id):
            groups[document.original_id, document.produced_by_id].append(document)
    kept = {
        group[place].id
        for group in groups.values()
        for places in pages.of(len(group))
        for place in places
    }
    return [
        each for each in documents if each.id in kept or not is_page(each.page, each.original_id)
    ]
