"""Documents that jobs make of documents: each is there whole, or not at all.

Bytes come before the row that needs them. A file that is made of one page is written under an
expected key, as `attachments` has it. The one file that is made of a whole document grows page by
page over several attempts: its key is the draft of its JobDocument until all of it is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlmodel import col, select

from app.clock import now
from app.db.columns import new_id
from app.db.pages import Page, PageRequest, counts_of, id_of, pages_of
from app.db.work import ReadSession, Work
from app.documents.content import Stored
from app.documents.models import Document, DocumentStatus, FileRemoval
from app.jobs import attachments, runs
from app.jobs.models import Job, JobDocument
from app.jobs.results import PRODUCED_TYPES
from app.jobs.runs import Run, RunDocument

LAST_WORDS = timedelta(minutes=1)
"""A worker that has lost its run writes no longer than that."""
MAX_STEM_CHARS = 230


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was made of a document, its bytes stored under `key`; it has no row yet."""

    key: UUID
    media_type: str
    stored: Stored
    page: int | None = None


async def open_draft(work: Work, run: Run, document: RunDocument) -> UUID:
    """Return the key under which the file that is made of all of this document is written.

    Raises:
        RunLost: the job is no longer this run's.
    """
    await runs.hold(work, run)
    document.draft_id = new_id()
    row = await work.session.get_one(JobDocument, (run.job_id, document.id))
    row.draft_id = document.draft_id
    await work.session.flush()
    return document.draft_id


async def keep_draft(work: Work, run: Run, document: RunDocument, made: Made) -> None:
    """Make the draft, all of whose bytes are there, a document.

    Raises:
        RunLost: the job is no longer this run's.
    """
    await runs.hold(work, run)
    row = await work.session.get_one(JobDocument, (run.job_id, document.id))
    document.draft_id = row.draft_id = None
    await _add(work, run, document, [made])


async def keep(work: Work, run: Run, document: RunDocument, made: Sequence[Made]) -> None:
    """Make files whose keys were expected documents. The job is locked by this run already.

    Raises:
        GivenUp: they took too long.
    """
    if made:
        await attachments.arrived(work, [each.key for each in made])
        await _add(work, run, document, made)


async def drop_drafts(work: Work, job_id: UUID, document_id: UUID | None = None) -> None:
    """Give up what is half written for this job, or for one document of it."""
    draft = col(JobDocument.draft_id)
    of_job = [col(JobDocument.job_id) == job_id, draft.is_not(None)]
    if document_id is not None:
        of_job.append(col(JobDocument.document_id) == document_id)
    due_at = now() + LAST_WORDS
    for row in await work.session.exec(select(JobDocument).where(*of_job)):
        if row.draft_id is not None:
            work.session.add(FileRemoval(key=row.draft_id, due_at=due_at))
            row.draft_id = None
    await work.session.flush()


async def produced_by(
    session: ReadSession, job_ids: Sequence[UUID], *, request: PageRequest
) -> dict[UUID, Page[Document]]:
    """Return a page of the documents that each job made, in the order in which it made them.

    Raises:
        InvalidCursor: `after` was not given out by this list.
    """
    statement = select(Document)
    if request.after is not None:
        statement = statement.where(col(Document.id) > id_of(request.after))
    return await pages_of(
        session,
        Document,
        job_ids,
        parent=col(Document.produced_by_id),
        order=[col(Document.id)],
        request=request,
        rows=statement,
    )


async def count_produced(session: ReadSession, job_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many documents each job made."""
    return await counts_of(session, job_ids, parent=col(Document.produced_by_id))


async def _add(work: Work, run: Run, document: RunDocument, made: Sequence[Made]) -> None:
    job = await work.session.get_one(Job, run.job_id)
    for each in made:
        extension = PRODUCED_TYPES[each.media_type]
        is_picture = each.media_type.startswith("image/")
        work.session.add(
            Document(
                id=each.key,
                application_id=job.application_id,
                filename=_filename(document, each.page, extension),
                mime_type=each.media_type,
                extension=extension,
                size=each.stored.size,
                sha256=each.stored.sha256,
                media_length=1 if is_picture else None,
                examined_at=now() if is_picture else None,
                examine_at=None if is_picture else now(),
                status=DocumentStatus.PROCESSED,
                tags=job.output_tags,
                original_id=document.id,
                produced_by_id=run.job_id,
                # Put off to the time of the job when that ends.
                expires_at=now() + timedelta(seconds=job.ttl_seconds),
                page=each.page,
            )
        )
    await work.session.flush()


def _filename(document: RunDocument, page: int | None, extension: str) -> str:
    stem, dot, _ = document.filename.rpartition(".")
    stem = (stem if dot and stem else document.filename)[:MAX_STEM_CHARS]
    if page is None:
        return f"{stem}.{extension}"
    digits = len(str(document.own_pages or page))
    return f"{stem}-{page:0{digits}}.{extension}"
