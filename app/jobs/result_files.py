"""RESULT and RESULT_MIN: what came of one document of a job, as JSON, streamed from its rows.

RESULT holds everything that is known; RESULT_MIN what it takes to show and to search the text.
Only documents that are COMPLETED have them. The README shows both shapes; `version` counts up when
one of them changes in a way that readers must know of.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.db.engine import Database
from app.db.work import reading, unbroken
from app.documents.models import Document
from app.jobs import given
from app.jobs.models import Job, JobDocument, Segment
from app.jobs.options import shown, task_of
from app.jobs.runs import RunLost
from app.jobs.states import JobStatus
from app.jobs.types import AttachmentType, JobType

VERSION = 1
MEDIA_TYPE = "application/json"
ROWS_AT_ONCE = 100
MAX_STEM_CHARS = 240

Json = dict[str, Any]
Row = TypeVar("Row")


class Rows(NamedTuple):
    """One document of a job."""

    job: Job
    entry: JobDocument
    document: Document


class Shape(NamedTuple):
    """One of the two files: its ending, what stands before the list, and each entry of it.

    The list: `segments`, or, of a job that makes documents, `documents`.
    """

    ending: str
    head: Callable[[Rows], Json]
    segment: Callable[[Segment], Json]
    document: Callable[[Document], Json]


def filename(type: AttachmentType, document: str) -> str:
    """Return the name of the file with the result of a document of this name."""
    return document[:MAX_STEM_CHARS] + SHAPES[type].ending


async def contents(
    database: Database, *, job_id: UUID, document_id: UUID
) -> AsyncIterator[tuple[bytes, ...]]:
    """Give the bytes of the files, a block of each in the order of SHAPES; the rows are read once.

    Memory does not grow with the document.
    """
    rows = await unbroken(_rows(database, job_id, document_id))
    shapes = SHAPES.values()
    heads = [_json(shape.head(rows)) for shape in shapes]
    match rows.job.type:
        case JobType.SEGMENT:
            name = b"segments"
            blocks = _listed(
                _segments(database, job_id, rows.entry.position),
                [shape.segment for shape in shapes],
            )
        case JobType.PDF_IMAGES | JobType.TRANSFORM:
            name = b"documents"
            blocks = _listed(_documents(database, rows), [shape.document for shape in shapes])
        case _:
            yield tuple(head + b"\n" for head in heads)
            return
    yield tuple(b'%b,"%b":[' % (head[:-1], name) for head in heads)
    async for block in blocks:
        yield block
    yield tuple(b"\n]}\n" for _ in heads)


async def _listed(
    parts: AsyncIterator[list[Row]], entries: Sequence[Callable[[Row], Json]]
) -> AsyncIterator[tuple[bytes, ...]]:
    between = b"\n"
    async for part in parts:
        yield tuple(
            between + b",\n".join([_json(entry(each)) for each in part]) for entry in entries
        )
        between = b",\n"


async def _rows(database: Database, job_id: UUID, document_id: UUID) -> Rows:
    statement = (
        select(Job, JobDocument, Document)
        .join(JobDocument, col(JobDocument.job_id) == col(Job.id))
        .join(Document, col(Document.id) == col(JobDocument.document_id))
        .where(Job.id == job_id, JobDocument.document_id == document_id)
    )
    async with reading(database) as session:
        found = (await session.exec(statement)).first()
    if found is None:
        raise RunLost  # deleted
    return Rows(*found)


def _segments(database: Database, job_id: UUID, position: int) -> AsyncIterator[list[Segment]]:
    statement = select(Segment).where(Segment.job_id == job_id, Segment.position == position)
    return _parts(database, statement, by=col(Segment.ordinal))


def _documents(database: Database, rows: Rows) -> AsyncIterator[list[Document]]:
    statement = select(Document).where(
        Document.produced_by_id == rows.job.id, Document.original_id == rows.document.id
    )
    return _parts(database, statement, by=col(Document.id))


async def _parts(
    database: Database,
    statement: SelectOfScalar[Row],
    *,
    by: Any,  # noqa: ANN401 - a column
) -> AsyncIterator[list[Row]]:
    """Read rows in the order of a column that is unique among them, ROWS_AT_ONCE each time."""
    part = await unbroken(_all(database, statement.order_by(by).limit(ROWS_AT_ONCE)))
    while part:
        yield part
        if len(part) < ROWS_AT_ONCE:
            return
        after = statement.where(by > getattr(part[-1], by.key))
        part = await unbroken(_all(database, after.order_by(by).limit(ROWS_AT_ONCE)))


async def _all(database: Database, statement: SelectOfScalar[Row]) -> list[Row]:
    async with reading(database) as session:
        return list((await session.exec(statement)).all())


def _json(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _full_head(rows: Rows) -> Json:
    job, entry, document = rows
    return {
        "version": VERSION,
        "job": {
            "id": str(job.id),
            "number": job.number,
            "name": job.name,
            "groupId": job.group_id,
            "type": job.type.value,
            "workflow": job.workflow,
            "profile": job.profile,
            "pageSlice": job.page_slice,
        },
        "settings": shown(task_of(job.type, job.settings)),
        "options": _options([*entry.options, *job.options]),
        "document": {
            "id": str(document.id),
            "filename": document.filename,
            "mimeType": document.mime_type,
            "size": document.size,
            "sha256": document.sha256,
            "mediaLength": document.media_length,
            "tags": document.tags,
            "page": document.page,
            "createdAt": document.created_at.isoformat(),
        },
        "status": JobStatus.COMPLETED.value,
        "pageCount": entry.pages_done,
        **_found(job.type, entry),
        "issues": entry.issues,
    }


def _found(type: JobType, entry: JobDocument) -> Json:
    match type:
        case JobType.SEGMENT:
            return {
                "segmentCount": entry.segment_count,
                "segmentsSha256": entry.segments_sha256,
            }
        case JobType.PREDICT:
            return {"prediction": entry.prediction}
    return {}


def _options(options: Sequence[given.Kept]) -> list[Json]:
    return [{"name": each.name, "value": each.value} for each in given.shown(options)]


def _full_segment(segment: Segment) -> Json:
    return {
        "id": str(segment.id),
        "key": segment.key,
        "ordinal": segment.ordinal,
        "status": segment.status.value,
        "page": segment.page,
        "group": segment.headings[0] if segment.headings else None,
        "title": segment.headings[-1] if segment.headings else None,
        "headings": segment.headings,
        "lang": segment.lang,
        "tags": segment.tags,
        "tagScores": segment.tag_scores,
        "boxes": segment.boxes,
        "durationMs": segment.duration_ms,
        "body": segment.body,
    }


def _small_head(rows: Rows) -> Json:
    return {
        "version": VERSION,
        "document": {
            "id": str(rows.document.id),
            "filename": rows.document.filename,
            "mediaLength": rows.document.media_length,
        },
        **({"prediction": rows.entry.prediction} if rows.job.type is JobType.PREDICT else {}),
    }


def _small_segment(segment: Segment) -> Json:
    return {
        "page": segment.page,
        "title": segment.headings[-1] if segment.headings else None,
        "tags": segment.tags,
        "body": segment.body,
    }


def _full_document(document: Document) -> Json:
    return {
        **_small_document(document),
        "size": document.size,
        "sha256": document.sha256,
        "tags": document.tags,
        "createdAt": document.created_at.isoformat(),
    }


def _small_document(document: Document) -> Json:
    return {
        "id": str(document.id),
        "filename": document.filename,
        "mimeType": document.mime_type,
        "page": document.page,
    }


SHAPES = {
    AttachmentType.RESULT: Shape(".json", _full_head, _full_segment, _full_document),
    AttachmentType.RESULT_MIN: Shape(".min.json", _small_head, _small_segment, _small_document),
}
