"""Files that belong to jobs: their rows, and bytes that get a row only once all of them are there.

Bytes are written before their row is, outside of any transaction. Meanwhile a FileRemoval that is
due later stands for them; `keep` takes it away in the commit that adds the row. Whatever stops the
work before that leaves bytes that the sweep removes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlmodel import col, delete, select

from app.accounts.caller import Caller
from app.clock import now
from app.db.columns import new_id
from app.db.pages import Page, PageRequest, counts_of, id_of, pages_of
from app.db.work import ReadSession, Work
from app.documents import commands as documents
from app.documents.models import FileRemoval
from app.documents.store import Store
from app.jobs.models import Attachment, Job
from app.jobs.types import AttachmentType

WRITING_TIME = timedelta(hours=1)
"""Bytes that take longer to write are given up."""
STORED = frozenset(AttachmentType) - {AttachmentType.LOG}
"""The log is rendered from the events of its job; there are no bytes of it to keep or to remove."""

Types = frozenset[AttachmentType]


class GivenUp(Exception):
    """Bytes took too long to write and may be gone by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file whose bytes are stored under `key` and that has no row yet."""

    key: UUID
    type: AttachmentType
    filename: str
    mime_type: str
    size: int
    sha256: str


def expect(work: Work, *, files: int) -> list[UUID]:
    """Return keys under which files may be written now, in the order of lists."""
    keys = sorted(new_id() for _ in range(files))
    due_at = now() + WRITING_TIME
    work.session.add_all(FileRemoval(key=key, due_at=due_at) for key in keys)
    return keys


async def keep(
    work: Work, written: Sequence[Written], *, job_id: UUID, document_id: UUID | None
) -> None:
    """Make files attachments of a job.

    Raises:
        GivenUp: they took too long.
    """
    if not written:
        return
    await arrived(work, [file.key for file in written])
    for file in written:
        work.session.add(
            Attachment(
                id=file.key,
                job_id=job_id,
                document_id=document_id,
                type=file.type,
                filename=file.filename,
                mime_type=file.mime_type,
                size=file.size,
                sha256=file.sha256,
            )
        )
    await work.session.flush()


async def arrived(work: Work, keys: Sequence[UUID]) -> None:
    """Note that rows need the bytes of these expected keys from now on.

    Raises:
        GivenUp: they took too long.
    """
    waiting = delete(FileRemoval).where(
        col(FileRemoval.key).in_(keys), col(FileRemoval.due_at) > now()
    )
    if (await work.session.exec(waiting)).rowcount != len(keys):
        raise GivenUp


async def give_up(work: Work, keys: Collection[UUID], *, store: Store) -> None:
    """Have the bytes of these keys removed, as far as no attachment has come of them."""
    statement = select(FileRemoval.key).where(col(FileRemoval.key).in_(keys)).with_for_update()
    await documents.remove_files(work, (await work.session.exec(statement)).all(), store=store)


async def remove(work: Work, *, job_id: UUID, store: Store) -> int:
    """Have the bytes of all attachments of a job removed; return how many bytes that frees."""
    return await _remove(work, Attachment.job_id == job_id, store=store)


async def remove_about(work: Work, *, document_id: UUID, store: Store) -> None:
    """Remove what is attached to jobs about one document, with its bytes."""
    about = col(Attachment.document_id) == document_id
    await _remove(work, about, store=store)
    await work.session.exec(delete(Attachment).where(about))


async def _remove(work: Work, which: Any, *, store: Store) -> int:  # noqa: ANN401 - a condition
    statement = select(Attachment.id, Attachment.size).where(
        which, col(Attachment.type).in_(STORED)
    )
    found = (await work.session.exec(statement)).all()
    await documents.remove_files(work, [id for id, _ in found], store=store)
    return sum(size for _, size in found)


async def by_ids(
    session: ReadSession, ids: Sequence[UUID], *, caller: Caller
) -> dict[UUID, Attachment | None]:
    """Return each of these attachments, None for one that is not there or not the caller's."""
    statement = (
        select(Attachment)
        .join(Job, col(Job.id) == col(Attachment.job_id))
        .where(col(Attachment.id).in_(ids), Job.application_id == caller.application_id)
    )
    found = {row.id: row for row in await session.exec(statement)}
    return {id: found.get(id) for id in ids}


async def of_documents(
    session: ReadSession, keys: Sequence[tuple[UUID, UUID]], *, type: AttachmentType
) -> dict[tuple[UUID, UUID], Attachment | None]:
    """Return what is attached of this type for each document of a job, None where nothing is.

    keys: job and document.
    """
    statement = select(Attachment).where(
        col(Attachment.job_id).in_({job_id for job_id, _ in keys}),
        col(Attachment.document_id).in_({document_id for _, document_id in keys}),
        col(Attachment.type) == type,
    )
    found = {(row.job_id, row.document_id): row for row in await session.exec(statement)}
    return {key: found.get(key) for key in keys}


async def of_jobs(
    session: ReadSession,
    job_ids: Sequence[UUID],
    *,
    types: Types | None = None,
    request: PageRequest,
) -> dict[UUID, Page[Attachment]]:
    """Return a page of the attachments of each job, oldest first.

    Raises:
        InvalidCursor: `after` was not given out by this list.
    """
    statement = select(Attachment)
    if types is not None:
        statement = statement.where(col(Attachment.type).in_(types))
    if request.after is not None:
        statement = statement.where(col(Attachment.id) > id_of(request.after))
    return await pages_of(
        session,
        Attachment,
        job_ids,
        parent=col(Attachment.job_id),
        order=[col(Attachment.id)],
        request=request,
        rows=statement,
    )


async def count(
    session: ReadSession, job_ids: Sequence[UUID], *, types: Types | None = None
) -> dict[UUID, int]:
    """Return how many attachments each job has."""
    where = [] if types is None else [col(Attachment.type).in_(types)]
    return await counts_of(session, job_ids, parent=col(Attachment.job_id), where=where)


async def types_of(
    session: ReadSession, job_ids: Sequence[UUID]
) -> dict[UUID, list[AttachmentType]]:
    """Return which types of attachments each job has, in the order of the types."""
    job_id, type = col(Attachment.job_id), col(Attachment.type)
    statement = select(job_id, type).where(job_id.in_(job_ids)).distinct()
    there = set((await session.exec(statement)).all())
    return {id: [type for type in AttachmentType if (id, type) in there] for id in job_ids}
