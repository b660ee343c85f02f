"""Lists of jobs: every filter, every order, pages both ways, the same on both databases."""

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha512
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, delete, update
from world import World, caller_of

from app.db.columns import new_id
from app.db.ordering import SortDirection
from app.db.pages import PageRequest, cursor
from app.db.work import reading, transaction
from app.errors import InvalidCursor, InvalidInput
from app.jobs import queries
from app.jobs.filters import JobFilter
from app.jobs.models import Job, JobDocument
from app.jobs.orders import JobOrder, JobOrderField, ordering
from app.jobs.states import JobStatus
from app.jobs.types import JobOutcome, JobPriority, JobType

pytestmark = pytest.mark.anyio

S, F, UP, DOWN = JobStatus, JobOrderField, SortDirection.ASC, SortDirection.DESC
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_MOMENT, LAST_MOMENT = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
NOTES = [*range(0x1D160, 0x1D165), *range(0x1D1BD, 0x1D1C1)]
NAMES = ["zebra", "Zebra", "äpfel", "Äpfel", "apple", "_under", "ZZ top", "zz-top", "Ω", "😀", ""]


async def listed(
    world: World,
    where: JobFilter | None = None,
    *orders: JobOrder,
    request: PageRequest | None = None,
) -> list[UUID]:
    """List jobs by their ids, all on one page where none is asked for."""
    async with reading(world.database) as session:
        page = await queries.listing(
            session,
            caller=world.caller,
            where=where or JobFilter(),
            request=request or PageRequest(100),
            ordering=ordering(orders),
        )
    return [placed.row.id for placed in page.rows]


async def pages(
    world: World,
    *orders: JobOrder,
    size: int,
    backwards: bool = False,
    between: Callable[[], Any] | None = None,
) -> list[list[UUID]]:
    """Go through a list page by page, from either end, and do something between pages."""
    found: list[list[UUID]] = []
    request = PageRequest(size, backwards=backwards)
    while True:
        async with reading(world.database) as session:
            page = await queries.listing(
                session,
                caller=world.caller,
                where=JobFilter(),
                request=request,
                ordering=ordering(orders),
            )
        found.append([placed.row.id for placed in page.rows])
        more, other = page.has_next, page.has_previous
        if backwards:
            more, other = other, more
        assert other is (len(found) > 1)
        if not more:
            return found
        edge = page.rows[0 if backwards else -1].cursor
        request = PageRequest(
            size,
            after=None if backwards else edge,
            before=edge if backwards else None,
            backwards=backwards,
        )
        if between is not None:
            await between()


@pytest.fixture
async def jobs(world: World) -> list[Job]:
    """Jobs that differ in everything they can be ordered by, some without a value."""
    document = await world.document()
    found = []
    for place, name in enumerate(NAMES * 2):
        ended = place % 3 > 0
        id = await world.job(
            S.COMPLETED if ended else [S.NEW, S.PENDING][place % 2],
            name=name,
            priority=JobPriority(place % 3),
            created_at=BEGUN + timedelta(microseconds=place % 5),
            started_at=BEGUN + timedelta(microseconds=-place) if ended else None,
            finished_at=BEGUN + timedelta(seconds=place % 4) if ended else None,
            submitter_id=world.caller.api_key_id if place % 2 else None,
            parent_id=UUID(int=place % 4) if place % 4 else None,
        )
        if place % 5:
            async with transaction(world.database) as work:
                work.session.add(JobDocument(job_id=id, document_id=document, position=0))
        found.append(await world.row(id))
    return found


async def key_of(world: World, job: Job, field: JobOrderField) -> Any:  # noqa: ANN401 - of any column
    """Return what a job is ordered by."""
    if field is F.DOCUMENT:
        rows = await world.documents(job.id)
        return rows[0].document_id if rows else None
    name = {F.APPLICATION: "application_id", F.SUBMITTER: "submitter_id", F.PARENT: "parent_id"}
    return getattr(job, name.get(field, field.value.lower()))


async def sorted_by(world: World, jobs: Sequence[Job], *orders: JobOrder) -> list[UUID]:
    """Sort jobs in Python as the list is to be: least significant key first, each sort stable."""
    # The id as UUID and as hexadecimal text have one order.
    found = sorted(jobs, key=lambda job: job.id, reverse=orders[-1].direction is DOWN)
    for order in reversed(orders):
        keys = {job.id: await key_of(world, job, order.field) for job in found}
        known = [job for job in found if keys[job.id] is not None]
        by = {id: str(key) if isinstance(key, UUID) else key for id, key in keys.items()}
        down = order.direction is DOWN
        known.sort(key=lambda job: by[job.id], reverse=down)
        found = known + [job for job in found if keys[job.id] is None]
    return [job.id for job in found]


async def test_each_order_goes_both_ways_and_nulls_come_last(world: World, jobs: list[Job]) -> None:
    for order in itertools.starmap(JobOrder, itertools.product(JobOrderField, (UP, DOWN))):
        expected = await sorted_by(world, jobs, order)
        assert await listed(world, None, order) == expected, order
        for backwards in (False, True):
            found = await pages(world, order, size=7, backwards=backwards)
            assert [len(page) for page in found] == [7, 7, 7, 1]
            if backwards:
                found.reverse()
            assert list(itertools.chain(*found)) == expected, order


async def test_several_orders_hold_one_after_the_other(world: World, jobs: list[Job]) -> None:
    for orders in (
        (JobOrder(F.STATUS, DOWN), JobOrder(F.FINISHED_AT), JobOrder(F.NAME, DOWN)),
        (JobOrder(F.SUBMITTER), JobOrder(F.PARENT, DOWN), JobOrder(F.PRIORITY)),
        (JobOrder(F.PRIORITY, DOWN), JobOrder(F.NUMBER), JobOrder(F.NAME)),
    ):
        expected = await sorted_by(world, jobs, *orders)
        for backwards in (False, True):
            found = await pages(world, *orders, size=4, backwards=backwards)
            if backwards:
                found.reverse()
            assert list(itertools.chain(*found)) == expected, orders


async def test_without_an_order_the_newest_come_first(world: World, jobs: list[Job]) -> None:
    assert await listed(world) == [job.id for job in reversed(jobs)]
    assert await listed(world, request=PageRequest(3, offset=2)) == [
        job.id for job in jobs[-3:-6:-1]
    ]


async def test_pages_go_on_from_their_place_when_jobs_come_and_go(
    world: World, jobs: list[Job]
) -> None:
    expected = await sorted_by(world, jobs, JobOrder(F.NAME))
    first, rest = expected[:10], expected[10:]

    async def change() -> None:
        # What the cursor stands for goes, and others come before it and at the same place.
        async with transaction(world.database) as work:
            await work.session.exec(delete(JobDocument))
            await work.session.exec(delete(Job).where(col(Job.id).in_(first)))
        await world.job(S.NEW, name="")

    found = await pages(world, JobOrder(F.NAME), size=10, between=change)
    assert list(itertools.chain(*found)) == first + rest


async def test_a_job_that_moved_comes_where_it_is_now(world: World, jobs: list[Job]) -> None:
    order = JobOrder(F.PRIORITY)
    expected = await sorted_by(world, jobs, order)

    async def change() -> None:
        async with transaction(world.database) as work:
            moved = update(Job).where(col(Job.id) == expected[0]).values(priority=2)
            await work.session.exec(moved)

    found = await pages(world, order, size=8, between=change)
    assert list(itertools.chain(*found)).count(expected[0]) == 2


@pytest.mark.usefixtures("jobs")
async def test_between_two_cursors_lies_what_lies_between(world: World) -> None:
    async with reading(world.database) as session:
        page = await queries.listing(
            session, caller=world.caller, where=JobFilter(), request=PageRequest(100)
        )
    ids = [placed.row.id for placed in page.rows]
    after, before = page.rows[3].cursor, page.rows[10].cursor
    for size, backwards, expected in ((100, False, ids[4:10]), (2, True, ids[8:10])):
        request = PageRequest(size, after, before, backwards=backwards)
        assert await listed(world, request=request) == expected


@pytest.mark.usefixtures("jobs")
async def test_a_cursor_of_another_order_is_refused(world: World) -> None:
    async with reading(world.database) as session:
        for orders in itertools.product((F.NAME, F.FINISHED_AT, F.NUMBER), (UP, DOWN)):
            page = await queries.listing(
                session,
                caller=world.caller,
                where=JobFilter(),
                request=PageRequest(1),
                ordering=ordering([JobOrder(*orders)]),
            )
            (place,) = page.rows
            for others in itertools.product((F.NAME, F.FINISHED_AT, F.NUMBER), (UP, DOWN)):
                request = PageRequest(1, place.cursor)
                if others == orders:
                    await listed(world, None, JobOrder(*others), request=request)
                    continue
                with pytest.raises(InvalidCursor):
                    await listed(world, None, JobOrder(*others), request=request)
            for request in (
                PageRequest(1, after=place.cursor),
                PageRequest(1, before=place.cursor, backwards=True),
            ):
                with pytest.raises(InvalidCursor):
                    await listed(world, request=request)


async def test_jobs_of_several_states_come_in_one_order(world: World, jobs: list[Job]) -> None:
    where = JobFilter(statuses=[S.COMPLETED, S.NEW, S.CANCELED, S.NEW])
    wanted = [job for job in jobs if job.status is not S.PENDING]
    assert 0 < len(wanted) < len(jobs)
    for orders in (
        (),
        (JobOrder(F.NAME),),
        (JobOrder(F.NUMBER, DOWN),),
        (JobOrder(F.FINISHED_AT),),
    ):
        newest_first = [job.id for job in reversed(wanted)]
        expected = await sorted_by(world, wanted, *orders) if orders else newest_first
        assert await listed(world, where, *orders) == expected
        for offset in (0, 5):
            request = PageRequest(4, offset=offset)
            part = expected[offset : offset + 4]
            assert await listed(world, where, *orders, request=request) == part
        request = PageRequest(4, backwards=True)
        assert await listed(world, where, *orders, request=request) == expected[-4:]
        async with reading(world.database) as session:
            page = await queries.listing(
                session,
                caller=world.caller,
                where=where,
                request=PageRequest(6),
                ordering=ordering(orders),
            )
        request = PageRequest(4, page.rows[-1].cursor)
        assert await listed(world, where, *orders, request=request) == expected[6:10]


async def test_a_field_stands_in_an_order_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        ordering([JobOrder(F.NAME), JobOrder(F.TYPE), JobOrder(F.NAME, DOWN)])
    assert [(error.loc, error.type) for error in refused.value.errors] == [
        (("orderBy", "2", "field"), "repeated")
    ]


async def test_each_filter_finds_what_it_says(world: World) -> None:
    document, other_document = await world.document(), await world.document()
    prerequisite, parent = new_id(), new_id()
    plain = await world.create(document, name="Plain")
    full = await world.job(
        S.COMPLETED,
        name="ÄRGER Straße",
        outcome=JobOutcome.WARNING,
        group_id="g",
        workflow="w",
        submitter_id=world.caller.api_key_id,
        execute_after_id=prerequisite,
        parent_id=parent,
        created_at=BEGUN,
    )
    stranger = await caller_of(world.database, "others")
    later, soon = BEGUN + timedelta(microseconds=1), BEGUN - timedelta(microseconds=1)
    both = [full, plain]
    for where, expected in (
        (JobFilter(), both),
        (JobFilter(ids=[full, new_id()]), [full]),
        (JobFilter(ids=[]), []),
        (JobFilter(numbers=[1, 1001, 9]), both),
        (JobFilter(numbers=[1]), [plain]),
        (JobFilter(group_id="g"), [full]),
        (JobFilter(group_id="G"), []),
        (JobFilter(types=[JobType.SEGMENT]), both),
        (JobFilter(types=[]), []),
        (JobFilter(statuses=[S.COMPLETED]), [full]),
        (JobFilter(statuses=[S.COMPLETED, S.PENDING]), both),
        (JobFilter(outcomes=[JobOutcome.WARNING, JobOutcome.ERROR]), [full]),
        (JobFilter(outcomes=[JobOutcome.SUCCESS]), []),
        (JobFilter(name="ärger"), [full]),
        (JobFilter(name="STRASSE"), [full]),
        (JobFilter(name="A\u0308RGER"), [full]),
        (JobFilter(name="lai"), [plain]),
        (JobFilter(name="pl_in"), []),
        (JobFilter(name="%"), []),
        (JobFilter(name="%" * 60_000), []),
        (JobFilter(name=""), both),
        (JobFilter(application_id=world.caller.application_id), both),
        (JobFilter(application_id=stranger.application_id), []),
        (JobFilter(submitter_id=world.caller.api_key_id), both),
        (JobFilter(submitter_id=stranger.api_key_id), []),
        (JobFilter(document_id=document), [plain]),
        (JobFilter(document_id=other_document), []),
        (JobFilter(execute_after_id=prerequisite), [full]),
        (JobFilter(execute_after_id=parent), []),
        (JobFilter(parent_id=parent), [full]),
        (JobFilter(workflow="w"), [full]),
        (JobFilter(created_after=BEGUN), [plain]),
        (JobFilter(created_after=soon, created_before=later), [full]),
        (JobFilter(created_before=BEGUN), []),
        (JobFilter(created_after=FIRST_MOMENT, created_before=LAST_MOMENT), both),
        (JobFilter(name="straße", statuses=[S.COMPLETED], group_id="g"), [full]),
        (JobFilter(name="straße", statuses=[S.PENDING]), []),
    ):
        assert await listed(world, where) == expected, where
        async with reading(world.database) as session:
            found = await queries.count(session, caller=world.caller, where=where)
            none = await queries.count(session, caller=stranger, where=where)
        assert (found, none) == (len(expected), 0), where


async def test_the_name_that_is_longest_when_folded_fits_into_the_index(world: World) -> None:
    # Of each comes three characters of four bytes, and PostgreSQL has 2,704 bytes for an entry.
    dice = b"".join(sha512(bytes([place])).digest() for place in range(4))
    name = "".join(chr(NOTES[number % len(NOTES)]) for number in dice[:255])
    id = await world.job(S.NEW, name=name)
    assert len((await world.row(id)).name_folded.encode()) == 255 * 12
    for part in (name, name[100:]):
        assert await listed(world, JobFilter(name=part)) == [id]


async def test_the_jobs_of_a_document_come_in_any_order(world: World) -> None:
    document = await world.document()
    ids = [await world.create(document, name=name) for name in ("b", "a", "c")]
    await world.create(name="another")
    where = JobFilter(document_id=document)
    assert await listed(world, where) == ids[::-1]
    assert await listed(world, where, JobOrder(F.NAME)) == [ids[1], ids[0], ids[2]]
    assert await listed(world, where, JobOrder(F.DOCUMENT, DOWN)) == ids[::-1]
    async with reading(world.database) as session:
        page = await queries.listing(
            session, caller=world.caller, where=where, request=PageRequest(1)
        )
    # A place in the list of all jobs is one in the list of some.
    request = PageRequest(9, page.rows[0].cursor)
    assert await listed(world, where, request=request) == ids[1::-1]
    assert (await listed(world, request=request))[-2:] == ids[1::-1]


async def test_old_cursors_and_forged_ones_are_refused(world: World, jobs: list[Job]) -> None:
    async with reading(world.database) as session:
        page = await queries.listing(
            session, caller=world.caller, where=JobFilter(), request=PageRequest(1)
        )
    good = page.rows[0].cursor
    assert len(await listed(world, request=PageRequest(100, good))) == len(jobs) - 1
    for bad in (cursor(jobs[0].id.hex), good[:-1], good + "A", good.lower(), "", "[]" * 3000):
        with pytest.raises(InvalidCursor):
            await listed(world, request=PageRequest(1, bad))


async def test_the_newest_job_of_a_type_is_the_latest(world: World) -> None:
    document = await world.document()
    first = await world.create(document)
    newest = await world.create()
    stranger = await caller_of(world.database, "others")
    for caller, document_id, expected in (
        (world.caller, None, newest),
        (world.caller, document, first),
        (world.caller, new_id(), None),
        (stranger, None, None),
        (stranger, document, None),
    ):
        async with reading(world.database) as session:
            where = JobFilter(types=[JobType.SEGMENT], document_id=document_id)
            job = await queries.newest(session, caller=caller, where=where)
        assert (job and job.id) == expected
