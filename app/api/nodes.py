"""Anything by its id."""

from app.api.accounts import ApiKey, Application
from app.api.context import Context
from app.api.documents import Document
from app.api.jobs import Job
from app.api.pages import Node, id_or_none
from app.api.results import Segment
from app.jobs import queries


async def node_of(context: Context, id: str) -> Node | None:
    """Return the thing that has this id; None where there is none, or it is not the caller's."""
    key = id_or_none(id)
    if key is None:
        return None
    loaders = context.loaders
    if (job := await loaders.jobs.load(key)) is not None:
        return Job.from_row(job)
    if (document := await loaders.documents.load(key)) is not None:
        return Document.from_row(document)
    async with context.reading() as session:
        segment = await queries.segment_by_id(session, caller=context.caller, id=key)
    if segment is not None:
        return Segment.from_row(segment)
    if (application := await loaders.applications.load(key)) is not None:
        return Application.from_row(application)
    api_key = await loaders.api_keys.load(key)
    return None if api_key is None else ApiKey.from_row(api_key)
