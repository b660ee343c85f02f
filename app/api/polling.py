"""For those who poll: how many jobs stand, at the price of one query, and the newest of a kind."""

from collections.abc import Sequence

import strawberry

from app.api.context import Context
from app.api.filters import JobFilter
from app.api.jobs import Job
from app.api.pages import id_or_none
from app.api.vocabulary import JobStatus
from app.errors import FieldError, InvalidInput
from app.jobs import queries

MAX_STATUSES = 500


@strawberry.type(description="How one job stands.")
class JobStatusEntry:
    id: strawberry.ID = strawberry.field(description="The id as it was asked for.")
    status: JobStatus | None = strawberry.field(
        description="Where it is in its life; null where there is no such job."
    )
    progress: int | None = strawberry.field(
        description="Percent, 0 to 100; null where there is no such job."
    )


async def job_statuses(context: Context, ids: Sequence[strawberry.ID]) -> list[JobStatusEntry]:
    """Return how jobs stand, in the order asked.

    Raises:
        InvalidInput: these are too many.
    """
    if len(ids) > MAX_STATUSES:
        message = f"ids may list at most {MAX_STATUSES}."
        raise InvalidInput(FieldError(("ids",), message, "too_long"))
    keys = [id_or_none(id) for id in ids]
    async with context.reading() as session:
        found = await queries.statuses(
            session, caller=context.caller, ids={key for key in keys if key is not None}
        )
    context.spend(len(ids))
    entries = []
    for id, key in zip(ids, keys, strict=True):
        status, progress = found.get(key, (None, None)) if key else (None, None)
        entries.append(JobStatusEntry(id=id, status=status, progress=progress))
    return entries


async def latest_job(context: Context, given: JobFilter) -> Job | None:
    """Return the newest of some jobs; None: there is none."""
    where = JobFilter.of(given)
    async with context.reading() as session:
        row = await queries.newest(session, caller=context.caller, where=where)
    return None if row is None else Job.from_row(row)
