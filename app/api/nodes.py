"""Anything by its id."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from app.api.accounts import ApiKey, Application
from app.api.attachments import attachment_of
from app.api.context import Context
from app.api.documents import Document
from app.api.jobs import Job
from app.api.pages import Node, id_or_none
from app.api.results import Segment
from app.api.vocabulary import Scope
from app.errors import FieldError, InvalidInput
from app.jobs import queries

MAX_NODES = 100


async def nodes_of(context: Context, ids: Sequence[str]) -> list[Node | None]:
    """Return the things that have these ids, in their order; loaders read them together.

    Raises:
        InvalidInput: these are too many.
    """
    if len(ids) > MAX_NODES:
        message = f"ids may list at most {MAX_NODES}."
        raise InvalidInput(FieldError(("ids",), message, "too_long"))
    context.spend(len(ids))
    return await asyncio.gather(*(node_of(context, id) for id in ids))


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
    if (application := await loaders.applications.load(key)) is not None:
        return Application.from_row(application)
    if (attachment := await attachment_of(context, key)) is not None:
        return attachment
    return await _api_key(context, key) or await _segment(context, key)


async def _segment(context: Context, id: UUID) -> Segment | None:
    row = await context.loaders.gather(queries.segments_by_id, id, caller=context.caller)
    return None if row is None else Segment.from_row(row)


async def _api_key(context: Context, id: UUID) -> ApiKey | None:
    row = await context.loaders.api_keys.load(id)
    if row is None:
        return None
    if id != context.caller.api_key_id:
        context.caller.require(Scope.ADMIN)  # as for Application.apiKeys
    return ApiKey.from_row(row)
