"""RESULT and RESULT_MIN: what came of one document of a job, as JSON, streamed from its rows.

RESULT holds everything that is known; RESULT_MIN what it takes to show and to search the text.
Only documents that are COMPLETED have them. The README shows both shapes; `version` counts up when
one of them changes in a way that readers must know of.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple
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
from app.jobs.types import AttachmentType

VERSION = 1
MEDIA_TYPE = "application/json"
SEGMENTS_AT_ONCE = 100
MAX_STEM_CHARS = 240

Json = dict[str, Any]


class Rows(NamedTuple):
    """One document of a job."""

    job: Job
    entry: JobDocument
    document: Document


class Shape(NamedTuple):
    """One of the two files: its ending, what stands before the segments, and each segment."""

    ending: str
    head: Callable[[Rows], Json]
    segment: Callable[[Segment], Json]


def filename(type: AttachmentType, document: str) -> str:
    """Return the name of the file with the result of a document of this name."""
    return document[:MAX_STEM_CHARS] + SHAPES[type].ending


async def content(
    database: Database, type: AttachmentType, *, job_id: UUID, document_id: UUID
) -> AsyncIterator[bytes]:
    """Give the bytes of the file, block by block; memory does not grow with the document."""
    shape = SHAPES[type]
    rows = await unbroken(_rows(database, job_id, document_id))
    yield _json(shape.head(rows))[:-1] + b',"segments":['
    between = b"\n"
    async for part in _segments(database, job_id, rows.entry.position):
        yield b"".join(
            (between if place == 0 else b",\n") + _json(shape.segment(segment))
            for place, segment in enumerate(part)
        )
        between = b",\n"
    yield b"\n]}\n"


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


async def _segments(
    database: Database, job_id: UUID, position: int
) -> AsyncIterator[list[Segment]]:
    last = 0
    while True:
        statement = (
            select(Segment)
            .where(
                Segment.job_id == job_id,
                Segment.position == position,
                col(Segment.ordinal) > last,
            )
            .order_by(col(Segment.ordinal))
            .limit(SEGMENTS_AT_ONCE)
        )
        part = await unbroken(_all(database, statement))
        if not part:
            return
        yield part
        last = part[-1].ordinal


async def _all(database: Database, statement: SelectOfScalar[Segment]) -> list[Segment]:
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
        },
        "settings": shown(task_of(job.type, job.settings)),
        "options": _options([*entry.options, *job.options]),
        "document": {
            "id": str(document.id),
            "filename": document.filename,
            "mimeType": document.mime_type,
            "size": document.size,
            "sha256": document.sha256,
            "mediaLength": _media_length(rows),
            "tags": document.tags,
            "page": document.page,
            "createdAt": document.created_at.isoformat(),
        },
        "status": JobStatus.COMPLETED.value,
        "pageCount": entry.pages_done,
        "segmentCount": entry.segment_count,
        "segmentsSha256": entry.segments_sha256,
        "issues": entry.issues,
    }


def _options(options: Sequence[given.Kept]) -> list[Json]:
    return [{"name": each.name, "value": each.value} for each in given.shown(options)]


def _media_length(rows: Rows) -> int | None:
    return rows.document.media_length or rows.entry.pages_total


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
            "mediaLength": _media_length(rows),
        },
    }


def _small_segment(segment: Segment) -> Json:
    return {
        "page": segment.page,
        "title": segment.headings[-1] if segment.headings else None,
        "tags": segment.tags,
        "body": segment.body,
    }


SHAPES = {
    AttachmentType.RESULT: Shape(".json", _full_head, _full_segment),
    AttachmentType.RESULT_MIN: Shape(".min.json", _small_head, _small_segment),
}
