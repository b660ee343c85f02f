"""Removing jobs and documents with all that belongs to them.

With a job go its segments, files, events and keys, the children of a conditional job, and the
documents that came with it or from it where no other job uses them. One event stays for a day: it
tells watchers that the job is gone.

With a document goes what jobs that have ended found in it: its place among their documents, its
segments, predictions and files, and what their logs say of it. The jobs stay, with their status and
their result as it was at their end, which holds numbers and ids only. What was made of it are
documents of their own: those stay. Jobs that have not ended keep what they need.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlmodel import col, select
from sqlmodel import delete as delete_rows

from app.accounts.caller import Caller
from app.db.batches import batches
from app.db.work import Work
from app.documents import commands as documents
from app.documents.models import Document, DocumentStatus
from app.documents.store import Store
from app.errors import DocumentInUse, UploadBusy
from app.jobs import (
    attachments,
    commands,
    dependents,
    events,
    families,
    log,
    production,
    retention,
    uses,
)
from app.jobs.models import Job, JobDocument, RuleDocument, Segment
from app.jobs.queue import Doorbell
from app.jobs.states import JobStatus


@dataclass(slots=True)
class Deleted:
    """What went with a job. job_ids: its own first, then those of its children."""

    status: JobStatus
    canceled_first: bool
    job_ids: list[UUID] = field(default_factory=list)
    document_ids: list[UUID] = field(default_factory=list)
    freed_bytes: int = 0


async def delete(
    work: Work, bell: Doorbell, *, caller: Caller, job_id: UUID, store: Store
) -> Deleted:
    """Delete a job with all that belongs to it; what of it has not ended is canceled first.

    Raises:
        NotFound: there is no such job.
    """
    await _hold_uploads(work, job_id)
    job, children = await commands.find_family(work, caller=caller, job_id=job_id)
    return await _remove(work, bell, job, children, store=store)


async def expire(work: Work, bell: Doorbell, job_id: UUID, *, store: Store) -> None:
    """Delete a job whose time is over; not where somebody else holds it just now."""
    job = await work.session.get(
        Job, job_id, with_for_update={"skip_locked": True}, populate_existing=True
    )
    # Asked again under the lock: a job may have been made after it just before.
    if job is not None and await retention.is_over(work.session, job_id):
        await _remove(work, bell, job, await families.children_of(work, job_id), store=store)


async def delete_document(work: Work, *, caller: Caller, document_id: UUID, store: Store) -> None:
    """Delete a document, with what jobs that have ended found in it.

    Raises:
        NotFound: there is no such document.
        DocumentInUse: a job that has not ended needs it.
        UploadBusy: it is just coming in with a request.
    """
    document = await documents.find(work, caller=caller, document_id=document_id)
    if document.status is DocumentStatus.NEW and document.announced_size is None:
        raise UploadBusy
    job_id = await uses.needed_by(work.session, document)
    if job_id is not None:
        raise DocumentInUse(job_id)
    # Events first: the deletion of a job that used it takes them before its documents.
    await events.forget(work, document)
    await attachments.remove_about(work, document_id=document_id, store=store)
    gone = delete_rows(JobDocument).where(col(JobDocument.document_id) == document_id)
    job_ids = (await work.session.exec(gone.returning(col(JobDocument.job_id)))).scalars().all()
    for rows in (Segment, RuleDocument):
        await work.session.exec(delete_rows(rows).where(col(rows.document_id) == document_id))
    await documents.delete(work, [document_id], store=store)
    for batch in batches(job_ids):
        await log.measure_again(work, batch)


async def _remove(
    work: Work, bell: Doorbell, job: Job, children: Sequence[Job], *, store: Store
) -> Deleted:
    text = "The job was deleted."
    stopped = await commands.stop(work, bell, job.id, children=children, text=text)
    jobs = [job, *children]
    await dependents.deleted(work, bell, jobs, stopped=stopped)
    gone = Deleted(job.status, canceled_first=bool(stopped), job_ids=[each.id for each in jobs])
    doomed = await _documents_of(work, gone.job_ids)
    for each in jobs:
        gone.freed_bytes += await attachments.remove(work, job_id=each.id, store=store)
        await production.drop_drafts(work, each.id)
        await events.last(work, bell, each)
        await work.session.delete(each)
    await work.session.flush()
    for id, size in doomed.items():
        gone.freed_bytes += size or await store.received(id)
    gone.document_ids += doomed
    await documents.delete(work, gone.document_ids, store=store)
    return gone


async def _hold_uploads(work: Work, job_id: UUID) -> None:
    """Hold the documents of a job that are still to come, before the job itself.

    An upload that completes holds its document and then asks for the jobs that wait for it.
    """
    owned = select(JobDocument.document_id).where(JobDocument.job_id == job_id)
    coming = select(Document.id).where(
        col(Document.id).in_(owned), col(Document.status) == DocumentStatus.NEW
    )
    await work.session.exec(coming.order_by(col(Document.id)).with_for_update())


async def _documents_of(work: Work, job_ids: Sequence[UUID]) -> dict[UUID, int | None]:
    """Return what came with jobs or from them, and no other job uses: documents and their sizes."""
    owned = select(JobDocument.document_id).where(
        col(JobDocument.job_id).in_(job_ids), col(JobDocument.owned)
    )
    theirs = col(Document.id).in_(owned) | col(Document.produced_by_id).in_(job_ids)
    candidates = select(Document.id, Document.size).where(theirs).order_by(col(Document.id))
    # Locked first, then looked at: a job that is being created holds them until it is there.
    found = (await work.session.exec(candidates.with_for_update())).all()
    used: set[UUID] = set()
    for use in (JobDocument, RuleDocument):
        elsewhere = select(use.document_id).where(
            col(use.document_id).in_(select(Document.id).where(theirs)),
            col(use.job_id).not_in(job_ids),
        )
        used |= set(await work.session.exec(elsewhere))
    return {id: size for id, size in found if id not in used}
