"""Keys that callers give their requests, so that a request that is repeated makes no second job."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from sqlmodel import col, select

from app.accounts.caller import Caller
from app.accounts.models import Application
from app.clock import now
from app.db.work import Work
from app.errors import IdempotencyKeyReused
from app.jobs.models import IdempotencyKey, Job

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A request in a form that tells whether another one is the same, and nothing else of it.

    Keyed, because a request may hold a password: whoever reads the rows cannot try passwords.
    """

    hashes: tuple[str, ...]

    @classmethod
    def of(cls, request: Any, *, keys: Sequence[bytes]) -> Self:  # noqa: ANN401 - any JSON
        """Return the fingerprint of a request. keys: the first is used, all are recognised."""
        body = json.dumps(request, sort_keys=True, default=str).encode()
        return cls(tuple(hmac.new(key, body, hashlib.sha256).hexdigest() for key in keys))


async def replayed(work: Work, *, caller: Caller, key: str, request: Fingerprint) -> Job | None:
    """Return the job that the same request made before; None where the key is new or forgotten.

    Holds the application until the transaction ends: of many requests at once one makes a job.

    Raises:
        IdempotencyKeyReused: the key belongs to another request.
    """
    application = select(Application.id).where(Application.id == caller.application_id)
    # Not its key: workers refer to it with every event, and hold jobs that we may ask for.
    await work.session.exec(application.with_for_update(key_share=True))
    # Both at once: a deletion of the job takes the key along.
    statement = (
        select(IdempotencyKey, Job)
        .join(Job, col(Job.id) == col(IdempotencyKey.job_id))
        .where(IdempotencyKey.application_id == caller.application_id, IdempotencyKey.key == key)
    )
    found = (await work.session.exec(statement)).first()
    if found is None:
        return None
    row, job = found
    if row.created_at < now() - KEPT:
        await work.session.delete(row)
        await work.session.flush()
        return None
    if row.request_sha256 not in request.hashes:
        raise IdempotencyKeyReused(row.job_id)
    return job


async def remember(work: Work, *, caller: Caller, key: str, request: Fingerprint, job: Job) -> None:
    """Keep the key with the job that its request made."""
    work.session.add(
        IdempotencyKey(
            application_id=caller.application_id,
            key=key,
            request_sha256=request.hashes[0],
            job_id=job.id,
        )
    )
    await work.session.flush()
