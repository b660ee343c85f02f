"""Reading documents; only those of the caller's application are there."""

from uuid import UUID

from sqlmodel import col, func, select

from app.accounts.caller import Caller
from app.db.pages import Page, PageRequest, id_of, page
from app.db.work import ReadSession
from app.documents.models import Document


async def by_id(session: ReadSession, *, caller: Caller, id: UUID) -> Document | None:
    """Return one document, None where there is none."""
    document = await session.get(Document, id)
    return document if document and document.application_id == caller.application_id else None


async def listing(session: ReadSession, *, caller: Caller, request: PageRequest) -> Page[Document]:
    """Return a page of the documents, newest first.

    Raises:
        InvalidCursor: `after` was not given out by this list.
    """
    statement = select(Document).where(Document.application_id == caller.application_id)
    if request.after is not None:
        statement = statement.where(col(Document.id) < id_of(request.after))
    statement = statement.order_by(col(Document.id).desc()).limit(request.first + 1)
    return page(list((await session.exec(statement)).all()), request)


async def count(session: ReadSession, *, caller: Caller) -> int:
    """Return how many documents there are."""
    statement = select(func.count()).where(Document.application_id == caller.application_id)
    return (await session.exec(statement)).one()
