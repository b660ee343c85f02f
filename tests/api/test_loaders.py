"""No query a row: how much is read depends on what is asked, not on how many rows there are."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from service import Service
from sqlalchemy import Connection, Engine, event
from sqlmodel import col, func, select
from world import World

from app.accounts import commands as accounts
from app.accounts.models import Scope
from app.db.columns import new_id
from app.db.pages import PageRequest, cursor
from app.db.work import reading, transaction
from app.jobs import queries
from app.jobs.models import Job, JobDocument

pytestmark = pytest.mark.anyio

EVERYTHING = """
query($first: Int!) {
  jobs(first: $first) {
    totalCount
    nodes {
      id status waitingOn { kind position } progressDetail { done total } issues { code }
      error { document { id } } submitter { id }
      application { id openJobs apiKeys { id } } retryOf { id } retriedBy { id }
      executeAfter { id } parent { id } dependents(first: 2) { totalCount nodes { id } }
      children(first: 2) { totalCount nodes { id } }
      documents(first: 2) {
        totalCount
        nodes { status mediaLength full { id } min { id }
          document { id filename original { id } producedBy { id }
            jobs(first: 2) { totalCount nodes { id } } } }
      }
      result { ... on SegmentResult {
        segmentCount segments(first: 2) { totalCount nodes { id document { id } } }
      } }
      events(first: 2) { totalCount nodes { seq document { id } job { id } attachment { id } } }
      log(tailBytes: 100) attachmentTypes
      attachments(first: 2) { totalCount nodes { id job { id } document { id } } }
    }
  }
}
"""


@contextmanager
def statements() -> Iterator[list[str]]:
    """Note every SELECT of every engine of this process."""
    seen: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def repeat(world: World, id: UUID, *, until: int) -> None:
    """Write a job again and again, with its documents, until there are so many."""
    job, documents = await world.row(id), await world.documents(id)
    async with transaction(world.database) as work:
        there = (await work.session.exec(select(func.count(col(Job.id))))).one()
        for number in range(job.number + there, job.number + until):
            copy = Job(**job.model_dump() | {"id": new_id(), "number": number})
            work.session.add(copy)
            await work.session.flush()
            rows = [JobDocument(**each.model_dump() | {"job_id": copy.id}) for each in documents]
            work.session.add_all(rows)


async def test_a_hundred_jobs_take_as_many_statements_as_two(
    service: Service, world: World
) -> None:
    async with transaction(world.database) as work:
        _, token = await accounts.create_key(
            work, application_id=world.caller.application_id, name="test", scope=Scope.ADMIN
        )
    original = await world.create(*[await world.document() for _ in range(3)])
    read = {}
    for jobs in (2, 100):
        await repeat(world, original, until=jobs)
        await service.post("{ viewer { scope } }", token=token)  # which notes that it was used
        with statements() as seen:
            answer = await service.post(EVERYTHING, {"first": 100}, token=token)
        assert "errors" not in answer
        assert len(answer["data"]["jobs"]["nodes"]) == jobs
        read[jobs] = len(seen)
    assert read[100] == read[2], seen


async def test_pages_of_many_lists_are_those_of_each(world: World) -> None:
    first, second, none = [await world.create(await world.document()) for _ in range(3)]
    for _ in range(2):
        run = await world.claimed()
        await world.record(run, *range(1, 4))
    found = []
    for limit, after in ((2, None), (2, "0 1"), (5, None), (5, "0 3")):
        place = None if after is None else cursor(*after.split())
        request = PageRequest(limit, place)
        async with reading(world.database) as session:
            together = await queries.segments_of(session, [first, second, none], request=request)
            for id, page in together.items():
                alone = (await queries.segments_of(session, [id], request=request))[id]
                assert [row.id for row in page.rows] == [row.id for row in alone.rows]
                assert page.has_next == alone.has_next
            found.append([len(page.rows) for page in together.values()])
    assert found == [[2, 2, 0], [2, 2, 0], [3, 3, 0], [0, 0, 0]]
