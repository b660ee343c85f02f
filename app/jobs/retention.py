"""How long jobs and documents are kept, and what becomes of them when that time is over.

A job is kept for its ttlSeconds from its end, and as long as one that comes after it is open. A
document is kept for its own time, and as long as a job uses it or may come to use it by its rules;
when a job ends, the times of its documents are put off to its own.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, union
from sqlalchemy.orm import aliased
from sqlmodel import col, exists, select, update

from app.clock import now
from app.db.work import ReadSession, Work
from app.documents import commands as documents
from app.documents.models import Document, DocumentStatus
from app.documents.store import Store
from app.jobs.models import Job, JobDocument, RuleDocument
from app.jobs.states import OPEN

AT_ONCE = 100
"""What one step of the sweep takes up at most."""


async def keep(work: Work, jobs: Sequence[Job]) -> None:
    """Say until when jobs that have just ended are kept, and their documents with them."""
    ends: dict[datetime, list[UUID]] = defaultdict(list)
    for job in jobs:
        if job.finished_at is not None:
            job.expires_at = job.finished_at + timedelta(seconds=job.ttl_seconds)
            ends[job.expires_at].append(job.id)
    for expires_at, ids in ends.items():
        used = select(col(JobDocument.document_id)).where(col(JobDocument.job_id).in_(ids))
        named = select(col(RuleDocument.document_id)).where(col(RuleDocument.job_id).in_(ids))
        made = select(col(Document.id)).where(col(Document.produced_by_id).in_(ids))
        # Those that somebody holds are left: whoever makes a new job on a document holds it, and
        # may wait for this job in turn. That is safe, since what a job uses is never removed.
        sooner = (
            select(Document.id)
            .where(
                col(Document.id).in_(union(used, named, made)),
                col(Document.expires_at) < expires_at,
            )
            .with_for_update(skip_locked=True)
        )
        await work.session.exec(
            update(Document)
            .where(col(Document.id).in_(sooner))
            .values(expires_at=expires_at)
            .execution_options(synchronize_session=False)
        )
    await work.session.flush()


async def expired_jobs(session: ReadSession) -> Sequence[UUID]:
    """Return the ids of jobs whose time is over, oldest first, AT_ONCE at most."""
    statement = select(Job.id).where(_is_over()).order_by(col(Job.expires_at)).limit(AT_ONCE)
    return (await session.exec(statement)).all()


async def is_over(session: ReadSession, job_id: UUID) -> bool:
    """Return whether the time of a job is over."""
    statement = select(Job.id).where(Job.id == job_id, _is_over())
    return (await session.exec(statement)).first() is not None


async def has_expired_documents(session: ReadSession) -> bool:
    """Return whether there are documents whose time is over and that no job uses."""
    statement = select(Document.id).where(col(Document.expires_at) < now(), ~_in_use()).limit(1)
    return (await session.exec(statement)).first() is not None


async def remove_documents(work: Work, *, store: Store) -> int:
    """Remove documents whose time is over and that no job uses; return how many, AT_ONCE at most.

    Several workers may do this at once: what one of them holds the others leave.
    """
    expired = select(Document.id).where(col(Document.expires_at) < now(), ~_in_use())
    locked = expired.order_by(col(Document.expires_at)).limit(AT_ONCE)
    ids = (await work.session.exec(locked.with_for_update(skip_locked=True))).all()
    # Asked again under the lock: a job may have been made on one of them just before.
    free = select(Document.id).where(col(Document.id).in_(ids), ~_in_use())
    unused = (await work.session.exec(free)).all()
    await documents.delete(work, unused, store=store)
    return len(unused)


def _is_over() -> ColumnElement[bool]:
    parent, later = aliased(Job), aliased(Job)
    # The conditional job that a child belongs to has yet to look at what came of it, and so has one
    # that comes after it.
    parents = exists().where(col(parent.id) == col(Job.parent_id), col(parent.status).in_(OPEN))
    afters = exists().where(col(later.execute_after_id) == col(Job.id), col(later.status).in_(OPEN))
    return (col(Job.expires_at) < now()) & ~parents & ~afters


def _in_use() -> ColumnElement[bool]:
    used = exists().where(col(JobDocument.document_id) == col(Document.id))
    named = exists().where(col(RuleDocument.document_id) == col(Document.id))
    made = exists().where(col(Job.id) == col(Document.produced_by_id))
    return used | named | made | (col(Document.status) == DocumentStatus.NEW)
