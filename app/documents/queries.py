"""Reading documents; only those of the caller's application are there."""

from uuid import UUID

import sqlalchemy
from sqlmodel import col, func, select

from app.accounts.caller import Caller
from app.db.ordering import Key, Ordering, Placed, SortDirection
from app.db.pages import Page, PageRequest
from app.db.work import ReadSession
from app.documents.filters import DocumentFilter
from app.documents.models import Document

_ID = Key("ID", col(Document.id), UUID)
NEWEST_FIRST = Ordering("documents", col(Document.id), ((_ID, SortDirection.DESC),))


async def by_id(session: ReadSession, *, caller: Caller, id: UUID) -> Document | None:
    """Return one document, None where there is none."""
    document = await session.get(Document, id)
    return document if document and document.application_id == caller.application_id else None


async def listing(
    session: ReadSession, *, caller: Caller, where: DocumentFilter, request: PageRequest
) -> Page[Placed[Document]]:
    """Return a page of the documents with their places, newest first.

    Raises:
        InvalidCursor: a cursor was not given out by this list.
    """
    statement = where.apply(sqlalchemy.select(Document), caller=caller)
    return await NEWEST_FIRST.read_page(session, [statement], request)


async def count(session: ReadSession, *, caller: Caller, where: DocumentFilter) -> int:
    """Return how many documents there are."""
    statement = where.apply(select(func.count(col(Document.id))), caller=caller)
    return (await session.exec(statement)).one()
