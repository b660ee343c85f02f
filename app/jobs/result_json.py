"""`resultJson`: what came of a job as one JSON value, which rules and callbacks stand on.

Counts, ids and predictions, never the text of documents. One shape for each type of job:

SEGMENT: `segmentCount`, `pageCount`, and for each document `documentId`, `status`, `segmentCount`,
`pageCount`, `segmentsSha256`. PREDICT: for one document its prediction (`category`, `accuracy`,
`score`, `scores`, `evidencePages`, `documentId`), for several the list of theirs. PDF_IMAGES and
TRANSFORM: `documentCount`, `pageCount`, `documentIds` of the first 1,000 that were made, and for
each document `documentId`, `status`, `documentCount`, `pageCount`.

CONDITIONAL, which `families` writes: for each rule that held a list of its jobs that were done, in
their order, each with `result_type` (the type of the job) and `result`.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlmodel import col, func, select

from app.db.work import Work
from app.documents.models import Document
from app.jobs.models import JobDocument
from app.jobs.types import JobType

MOST_IDS = 1000

Json = dict[str, Any]


async def result_json(
    work: Work, *, job_id: UUID, type: JobType, rows: Sequence[JobDocument]
) -> Json | list[Json]:
    """Return the result of a job that ends now; rows: all of its documents, in their order."""
    match type:
        case JobType.SEGMENT:
            return _segments(rows)
        case JobType.PREDICT:
            return _predictions(rows)
        case JobType.PDF_IMAGES | JobType.TRANSFORM:
            return await _documents(work, job_id, rows)
    raise NotImplementedError(type)


def _segments(rows: Sequence[JobDocument]) -> Json:
    return {
        "segmentCount": sum(row.segment_count for row in rows),
        "pageCount": sum(row.pages_done for row in rows),
        "documents": [
            {
                "documentId": str(row.document_id),
                "status": row.status.value,
                "segmentCount": row.segment_count,
                "pageCount": row.pages_done,
                "segmentsSha256": row.segments_sha256,
            }
            for row in rows
        ],
    }


def _predictions(rows: Sequence[JobDocument]) -> Json | list[Json]:
    found = [
        {**row.prediction, "documentId": str(row.document_id)}
        for row in rows
        if row.prediction is not None
    ]
    return found[0] if len(rows) == 1 else found


async def _documents(work: Work, job_id: UUID, rows: Sequence[JobDocument]) -> Json:
    made = col(Document.produced_by_id) == job_id
    original = col(Document.original_id)
    counting = select(original, func.count()).where(made).group_by(original)
    counts: dict[UUID | None, int] = dict((await work.session.exec(counting)).all())
    first = select(Document.id).where(made).order_by(col(Document.id)).limit(MOST_IDS)
    ids = (await work.session.exec(first)).all()
    return {
        "documentCount": sum(counts.values()),
        "pageCount": sum(row.pages_done for row in rows),
        "documentIds": [str(id) for id in ids],
        "documents": [
            {
                "documentId": str(row.document_id),
                "status": row.status.value,
                "documentCount": counts.get(row.document_id, 0),
                "pageCount": row.pages_done,
            }
            for row in rows
        ],
    }
