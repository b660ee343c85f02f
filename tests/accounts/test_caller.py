"""Who is let in: keys that are good, until they are revoked or expire."""

import asyncio
from datetime import timedelta
from itertools import product

import pytest
from sqlmodel import col, delete, select, update

from app.accounts import commands
from app.accounts.caller import Caller, authenticate, revoked
from app.accounts.models import ApiKey, Scope
from app.accounts.tokens import PREFIX_CHARS, new_token, token_hash
from app.clock import now
from app.db.engine import Database
from app.db.work import reading, transaction
from app.errors import Forbidden, Unauthenticated

pytestmark = pytest.mark.anyio


async def new_key(database: Database, *, lifetime: timedelta | None = None) -> tuple[ApiKey, str]:
    """Make an application with a key."""
    async with transaction(database) as work:
        application = await commands.create_application(work, name="ours", max_open_jobs=1)
        return await commands.create_key(
            work, application_id=application.id, name="k", scope=Scope.WRITE, lifetime=lifetime
        )


async def stored(database: Database) -> ApiKey:
    """Read the only key."""
    async with reading(database) as session:
        return (await session.exec(select(ApiKey))).one()


async def test_a_key_stands_for_its_application(database: Database) -> None:
    key, token = await new_key(database, lifetime=timedelta(hours=1))
    caller = await authenticate(database, token)
    assert caller == Caller(key.application_id, key.id, Scope.WRITE, key.expires_at)
    assert (await stored(database)).last_used_at is not None


@pytest.mark.parametrize("token", [None, "", "dy_unknown", "\ud800", "é\0"])
async def test_what_is_no_key_is_refused(database: Database, token: str | None) -> None:
    await new_key(database)
    with pytest.raises(Unauthenticated):
        await authenticate(database, token)
    assert (await stored(database)).last_used_at is None


async def test_a_key_that_was_revoked_is_refused_for_good(database: Database) -> None:
    key, token = await new_key(database)
    for _ in range(2):
        async with transaction(database) as work:
            await commands.revoke_key(work, key.id)
    first = (await stored(database)).revoked_at
    assert first is not None
    async with transaction(database) as work:
        await commands.revoke_key(work, key.id)
    assert (await stored(database)).revoked_at == first
    with pytest.raises(Unauthenticated):
        await authenticate(database, token)


async def test_a_key_that_expired_is_refused(database: Database) -> None:
    _, token = await new_key(database, lifetime=timedelta(0))
    with pytest.raises(Unauthenticated):
        await authenticate(database, token)


async def test_the_use_of_a_key_is_noted_to_the_minute(database: Database) -> None:
    _, token = await new_key(database)
    for age, noted in ((timedelta(seconds=30), False), (timedelta(seconds=90), True)):
        then = now() - age
        async with transaction(database) as work:
            await work.session.exec(update(ApiKey).values(last_used_at=then))
        await authenticate(database, token)
        assert ((await stored(database)).last_used_at != then) is noted


async def test_while_the_use_of_a_key_cannot_be_noted_only_one_waits(database: Database) -> None:
    _, token = await new_key(database)
    async with transaction(database) as work:
        await work.session.exec(update(ApiKey).values(name="locked"))
        calls = {asyncio.create_task(authenticate(database, token)) for _ in range(3)}
        while len(calls) > 1:
            done, calls = await asyncio.wait(calls, timeout=20, return_when="FIRST_COMPLETED")
            assert done
        assert (await stored(database)).last_used_at is None
    await asyncio.gather(*calls)
    assert (await stored(database)).last_used_at is not None


async def test_only_the_hash_of_a_key_is_kept(database: Database) -> None:
    key, token = await new_key(database)
    row = await stored(database)
    assert token.startswith("dy_")
    assert row.prefix == token[:PREFIX_CHARS]
    assert row.token_hash == token_hash(token)
    assert token not in str(row.model_dump())
    assert key.id == row.id


def test_keys_are_never_the_same() -> None:
    assert len({new_token() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(("has", "needs"), list(product(Scope, Scope)))
def test_a_scope_includes_those_before_it(has: Scope, needs: Scope) -> None:
    order = ["READ", "WRITE", "ADMIN"]
    allowed = order.index(has) >= order.index(needs)
    assert has.includes(needs) is allowed


async def test_a_scope_that_is_too_small_is_refused_by_name(database: Database) -> None:
    _, token = await new_key(database)
    caller = await authenticate(database, token)
    caller.require(Scope.READ)
    caller.require(Scope.WRITE)
    with pytest.raises(Forbidden, match=r"^This needs a key with the scope ADMIN\.$"):
        caller.require(Scope.ADMIN)


async def test_the_first_application_is_the_oldest(database: Database) -> None:
    async with transaction(database) as work:
        assert await commands.first_application(work) is None
    first, _ = await new_key(database)
    await new_key(database)
    async with transaction(database) as work:
        found = await commands.first_application(work)
    assert found is not None
    assert found.id == first.application_id


async def test_it_is_told_whose_key_was_taken_back(database: Database) -> None:
    callers = []
    for _ in range(3):
        _, token = await new_key(database)
        callers.append(await authenticate(database, token))
    kept, taken, gone = callers
    assert await revoked(database, callers) == set()
    async with transaction(database) as work:
        await commands.revoke_key(work, taken.api_key_id)
        await work.session.exec(delete(ApiKey).where(col(ApiKey.id) == gone.api_key_id))
    assert await revoked(database, callers) == {taken, gone}
    assert await revoked(database, [kept]) == set()
