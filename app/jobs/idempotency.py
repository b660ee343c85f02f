"""Keys that callers give their requests, so that a request that is repeated makes no second job."""

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from sqlmodel import col, select

from app.accounts.caller import Caller
from app.accounts.models import Application
from app.clock import now
from app.db.work import Work
from app.errors import AppError, IdempotencyKeyReused
from app.jobs import creation
from app.jobs.creation import JobRequest
from app.jobs.models import IdempotencyKey, Job
from app.jobs.queue import Doorbell

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


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request that came with a key."""

    key: str
    request: Fingerprint


Asked = tuple[JobRequest, Keyed | None]


@dataclass(frozen=True, slots=True)
class Made:
    """A job that was made, or, as a replay, the one that the same request made before."""

    job: Job
    replayed: bool = False


async def create_all(
    work: Work,
    bell: Doorbell,
    *,
    caller: Caller,
    requests: Sequence[Asked],
) -> list[Made | AppError]:
    """Make jobs as `creation.create_all` does, those with a key once: each outcome, in their order.

    Refused is also a key that belongs to another request.
    """
    outcomes: list[Made | AppError] = []
    for block in _blocks(requests):
        known = await _known(work, caller, [keyed for _, keyed in block if keyed])
        new = [each for each in block if each[1] is None or each[1].key not in known]
        jobs = await creation.create_all(
            work, bell, caller=caller, requests=[request for request, _ in new]
        )
        made = [job if isinstance(job, AppError) else Made(job) for job in jobs]
        pairs = zip(new, made, strict=True)
        keep = [(key, each.job) for (_, key), each in pairs if key and isinstance(each, Made)]
        await remember(work, caller=caller, made=keep)
        others = iter(made)
        outcomes += [(key and known.get(key.key)) or next(others) for _, key in block]
    return outcomes


async def replayed(work: Work, *, caller: Caller, key: str, request: Fingerprint) -> Job | None:
    """Return the job that the same request made before; None where the key is new or forgotten.

    Holds the application until the transaction ends: of many requests at once one makes a job.

    Raises:
        IdempotencyKeyReused: the key belongs to another request.
    """
    before = (await _known(work, caller, [Keyed(key, request)])).get(key)
    if isinstance(before, AppError):
        raise before
    return None if before is None else before.job


async def remember(work: Work, *, caller: Caller, made: Sequence[tuple[Keyed, Job]]) -> None:
    """Keep keys with the jobs that their requests made."""
    if not made:
        return
    work.session.add_all(
        IdempotencyKey(
            application_id=caller.application_id,
            key=asked.key,
            request_sha256=asked.request.hashes[0],
            job_id=job.id,
        )
        for asked, job in made
    )
    await work.session.flush()


async def _known(work: Work, caller: Caller, asked: Sequence[Keyed]) -> dict[str, Made | AppError]:
    """Return what is known of keys, none of them twice: a replay, or that it is another request."""
    if not asked:
        return {}
    application = select(Application.id).where(Application.id == caller.application_id)
    # Not its key: workers refer to it with every event, and hold jobs that we may ask for.
    await work.session.exec(application.with_for_update(key_share=True))
    # Both at once: a deletion of the job takes the key along.
    statement = (
        select(IdempotencyKey, Job)
        .join(Job, col(Job.id) == col(IdempotencyKey.job_id))
        .where(
            IdempotencyKey.application_id == caller.application_id,
            col(IdempotencyKey.key).in_([each.key for each in asked]),
        )
    )
    hashes = {each.key: each.request.hashes for each in asked}
    found: dict[str, Made | AppError] = {}
    for row, job in await work.session.exec(statement):
        if row.created_at < now() - KEPT:
            await work.session.delete(row)
        elif row.request_sha256 in hashes[row.key]:
            found[row.key] = Made(job, replayed=True)
        else:
            found[row.key] = IdempotencyKeyReused(row.job_id)
    await work.session.flush()
    return found


def _blocks(requests: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
    """Give requests in blocks: where a key comes again, what it made before has to be known."""
    begun, keys = 0, set[str]()
    for place, (_, keyed) in enumerate(requests):
        if keyed is None:
            continue
        if keyed.key in keys:
            yield requests[begun:place]
            begun, keys = place, set()
        keys.add(keyed.key)
    yield requests[begun:]
