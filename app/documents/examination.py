"""Which documents are to be looked at for their length: one after the other, each twice at most.

`Document.examine_at` is when a worker may take it up, None where there is nothing to do. Whoever
takes it up moves that time on as far as the look may last; so a document whose worker was killed is
taken up once more, and one that kills its second worker, too, is left alone.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlmodel import col, exists, func, select, update

from app.clock import now
from app.db.work import ReadSession, Work
from app.documents.models import Document

LEASE = timedelta(minutes=5)
"""Longer than a look takes, with the time it may take to fetch the bytes."""


@dataclass(frozen=True, slots=True)
class Examination:
    """A document that a worker has taken up."""

    document_id: UUID
    mime_type: str


async def claim(work: Work) -> Examination | None:
    """Take up the document that has waited longest, None where none waits."""
    moment = now()
    waiting = select(Document).where(col(Document.examine_at) <= moment)
    oldest = waiting.order_by(col(Document.examine_at)).limit(1)
    document = (await work.session.exec(oldest.with_for_update(skip_locked=True))).first()
    if document is None:
        return None
    again = document.examined_at is not None
    document.examined_at = moment
    document.examine_at = None if again else moment + LEASE
    await work.session.flush()
    return Examination(document.id, document.mime_type or "")


async def finish(work: Work, examination: Examination, *, media_length: int | None) -> None:
    """Note the length of a document; None where it cannot be told, and is not looked for again."""
    await work.session.exec(
        update(Document)
        .where(col(Document.id) == examination.document_id)
        .values(
            media_length=func.coalesce(col(Document.media_length), media_length), examine_at=None
        )
    )


async def put_back(work: Work, examination: Examination) -> None:
    """Leave a document to another worker, as if nobody had taken it up."""
    await work.session.exec(
        update(Document)
        .where(col(Document.id) == examination.document_id, col(Document.media_length).is_(None))
        .values(examined_at=None, examine_at=now())
    )


async def waits(session: ReadSession) -> bool:
    """Return whether a document waits for a worker."""
    statement = select(exists().where(col(Document.examine_at) <= now()))
    return (await session.exec(statement)).one()
