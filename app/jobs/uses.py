"""Which jobs that have not ended need a document: as long as one does, it is not deleted."""

from typing import Any
from uuid import UUID

from sqlmodel import col, select

from app.db.work import ReadSession
from app.documents.models import Document
from app.jobs.models import Job, JobDocument, RuleDocument
from app.jobs.states import OPEN, JobStatus
from app.jobs.types import JobType


async def needed_by(session: ReadSession, document: Document) -> UUID | None:
    """Return a job that has not ended and needs this document; None where there is none.

    It works on it or makes it, its rules name it, or it will look by a tag for what was made of it.
    """
    used = select(JobDocument.job_id).where(JobDocument.document_id == document.id)
    named = select(RuleDocument.job_id).where(RuleDocument.document_id == document.id)
    after = col(Job.execute_after_id).in_(used)
    # One that waits is given its documents in the moment in which the other job ends.
    draft = col(Job.input_tag).is_not(None) & (col(Job.status) == JobStatus.NEW)
    for needs in (
        col(Job.id).in_(used),
        col(Job.id) == document.produced_by_id,
        col(Job.id).in_(named),
        after & draft,
    ):
        statement = select(Job.id).where(needs, col(Job.status).in_(OPEN)).limit(1)
        found: UUID | None = (await session.exec(statement)).first()
        if found is not None:
            return found
    conditional = (col(Job.type) == JobType.CONDITIONAL) & after & col(Job.status).in_(OPEN)
    for job in await session.exec(select(Job).where(conditional)):
        if any(_looks_by_tag(rule) for rule in job.rules or ()):
            return job.id
    return None


def _looks_by_tag(rule: dict[str, Any]) -> bool:
    """Return whether a rule that may still run has a job with an inputTag."""
    tags = [request["inputTag"] for request in rule["requests"]]
    return rule["matched"] is not False and any(tag is not None for tag in tags)
