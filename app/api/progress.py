"""How far a job is, and why it is not running yet, in the schema."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from app.api.context import Context, Info
from app.api.vocabulary import ProgressUnit, WaitKind
from app.jobs import models, queries
from app.jobs.waits import waits

if TYPE_CHECKING:
    from app.api.jobs import Job

JobLater = Annotated["Job", strawberry.lazy("app.api.jobs")]


@strawberry.type(description="How far a job is.")
class Progress:
    unit: ProgressUnit = strawberry.field(
        description="What is counted. A text is counted by its pieces of 64 KiB."
    )
    done: int = strawberry.field(description="How many are done.")
    total: int | None = strawberry.field(
        description="How many there are in all; null until the length of every document is known."
    )
    rate_per_second: float | None = strawberry.field(
        description="How many are done in a second; null until that can be told."
    )
    eta_seconds: int | None = strawberry.field(
        description="Seconds left at this rate; null where that cannot be told, and at the end."
    )


@strawberry.type(description="Why a job is not running yet.")
class Wait:
    kind: WaitKind = strawberry.field(description="What it waits for.")
    detail: str = strawberry.field(description="One sentence for a person.")
    position: int | None = strawberry.field(
        description="Place in the queue; 1 is the next. Null beyond the first 1,000."
    )
    until: datetime | None = strawberry.field(
        description="The time it waits for; of a draft the time when it is given up; else null."
    )
    job_id: strawberry.Private[UUID | None]

    @strawberry.field(
        description="The job it waits for; null where it waits for none, or that is gone."
    )
    async def job(self, info: Info) -> JobLater | None:
        from app.api.jobs import job_of  # noqa: PLC0415 - jobs and their waits name each other

        return await job_of(info.context, self.job_id)


async def progress_of(context: Context, row: models.Job) -> Progress | None:
    """Return how far a job is; None where there is nothing to count."""
    pages = await context.loaders.gather(queries.pages_in_all, row.id)
    found = queries.progress_of(row, pages)
    if found is None:
        return None
    return Progress(
        unit=ProgressUnit.PAGES,
        done=found.done,
        total=found.total,
        rate_per_second=found.rate_per_second,
        eta_seconds=found.eta_seconds,
    )


async def wait_of(context: Context, row: models.Job) -> Wait | None:
    """Return why a job is not running yet; None once it runs or has ended."""
    found = await context.loaders.gather(waits, row.id, ageing=context.services.settings.ageing)
    if found is None:
        return None
    return Wait(
        kind=found.kind,
        detail=found.detail,
        position=found.position,
        until=found.until,
        job_id=found.job_id,
    )
