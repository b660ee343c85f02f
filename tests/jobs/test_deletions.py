"""A deletion takes all that belongs to a job along, and leaves nothing of it anywhere."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from service import (
    ADD_DATA,
    CREATE_JOB,
    DELETE,
    DELETE_DOCUMENT,
    EVENTS,
    START,
    Service,
    local_store,
)
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlmodel import SQLModel, col, select, update
from world import World

from app.db.work import reading, transaction
from app.documents.models import Document, FileRemoval
from app.jobs import deletions
from app.jobs.models import Job, JobDocument, JobEvent
from app.jobs.states import JobStatus
from app.jobs.types import EventKind
from workers import sweep

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("done", [True, False])
async def test_a_marker_is_nowhere_after_the_deletion(service: Service, done: bool) -> None:
    marker = f"marker{uuid4().hex}"
    await service.create("A job that stays.")
    id = await plant(service, marker)
    if done:
        await service.work()
        assert (await service.job(id))["status"] == "COMPLETED"
    before = await found(service, marker)
    assert {"job", "document", "job_document", "idempotency_key", "files"} <= before
    assert not done or {"segment", "job_event"} <= before
    assert ("database" in before) is service.database.is_sqlite
    answer = await service.ask(DELETE, id=id)
    assert (answer["deletedId"], answer["canceledFirst"]) == (id, not done)
    assert len(answer["deletedDocumentIds"]) == 1
    assert answer["freedBytes"] > 0
    assert await found(service, marker) == set()
    again = await service.ask(DELETE, id=id)
    assert (again["__typename"], again["code"]) == ("NotFound", "NOT_FOUND")


async def test_a_marker_is_nowhere_after_the_deletion_of_its_document(service: Service) -> None:
    marker = f"marker{uuid4().hex}"
    content = f"# {marker}\n\n" + f"A text with {marker} in it. " * 300
    id = await service.upload(content, f"{marker} 'a'.txt", tags=[marker])
    first = await service.create_on(id)
    second = await service.create_on(start=False)
    document = {"source": {"documentId": id}}
    assert (await service.ask(ADD_DATA, id=second, data=[document]))["job"]
    await service.ask(START, id=second)
    await service.work()
    places = {"document", "segment", "job_event", "attachment", "files"}
    assert places <= await found(service, marker)
    answer = await service.ask(DELETE_DOCUMENT, id=id)
    assert answer == {"__typename": "DeleteDocumentSuccess", "deletedId": id}
    await sweep.remove_files(worker := service.worker())
    await sweep.wipe(worker)
    assert await found(service, marker) == set()
    for job in (first, second):
        assert (await service.job(job))["status"] == "COMPLETED"


async def test_children_go_along_and_what_is_open_is_canceled_first(world: World) -> None:
    parent = await world.job(JobStatus.PROCESSING, lease_until=None)
    document = await world.document()
    first, second = [await world.create(document, owned=True) for _ in range(2)]
    third = await world.create()
    async with transaction(world.database) as work:
        for id, above in ((first, parent), (second, parent), (third, parent)):
            await work.session.exec(update(Job).where(col(Job.id) == id).values(parent_id=above))
    stays = await world.create()
    gone = await delete(world, parent)
    assert gone.status is JobStatus.CANCELED
    assert gone.canceled_first is True
    assert gone.job_ids[0] == parent
    assert set(gone.job_ids) == {parent, first, second, third}
    # Both children use it, and they go together.
    assert gone.document_ids == [document]
    assert gone.freed_bytes == 7
    async with reading(world.database) as session:
        assert (await session.exec(select(Job.id))).all() == [stays]
        told = select(JobEvent.job_id).where(JobEvent.kind == EventKind.DELETED)
        assert set(await session.exec(told)) == set(gone.job_ids)


async def test_what_another_job_uses_stays_and_what_the_job_made_goes(world: World) -> None:
    shared, own, given = [await world.document() for _ in range(3)]
    id = await world.create(shared, own, owned=True)
    await world.create(shared)
    made, used = [await world.document() for _ in range(2)]
    async with transaction(world.database) as work:
        from_it = col(Document.id).in_((made, used))
        await work.session.exec(update(Document).where(from_it).values(produced_by_id=id))
    await world.create(used)
    async with transaction(world.database) as work:
        work.session.add(JobDocument(job_id=id, document_id=given, position=2))
    gone = await delete(world, id)
    assert set(gone.document_ids) == {own, made}
    async with reading(world.database) as session:
        assert set(await session.exec(select(Document.id))) == {shared, given, used}


async def test_many_documents_take_as_many_statements_as_few(world: World) -> None:
    counts, statements = [], []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:  # noqa: ANN401
        statements.append(statement)

    for many in (2, 40):
        made = [await world.document() for _ in range(many)]
        id = await world.create(*made, owned=True)
        event.listen(Engine, "before_cursor_execute", note)
        try:
            gone = await delete(world, id)
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        assert gone.document_ids == made
        counts.append(len(statements))
        statements.clear()
    assert counts[0] == counts[1]
    async with reading(world.database) as session:
        assert (await session.exec(select(Document.id))).all() == []
        assert len((await session.exec(select(FileRemoval.key))).all()) == 42


async def test_watchers_of_a_running_job_are_told_and_their_stream_ends(paced: Service) -> None:
    id = await paced.create("page One\nhang")
    async with paced.working(), paced.subscribe(EVENTS, id=id) as events:
        await paced.progress(id, 1)
        await paced.ask(DELETE, id=id)
        seen = [event["kind"] async for event in events]
    assert seen[-1] == "DELETED"


async def plant(service: Service, marker: str) -> str:
    """Create a job that carries a marker wherever a caller may write; return its id."""
    own: dict[str, Any] = {
        "source": {"file": None},
        "filename": f"{marker}.txt",
        "tags": [marker],
        "options": [{"name": "META.AUTHOR", "value": marker}],
    }
    input = {
        "task": {"segment": {"docType": marker}},
        "data": [own],
        "name": marker,
        "groupId": marker,
        "idempotencyKey": marker,
        "options": [
            {"name": "META.TITLE", "value": marker},
            {"name": "DOC.PASSWORD", "value": marker},
        ],
    }
    content = f"# {marker}\n\n" + f"A text with {marker} in it. " * 300
    answer = await service.send_files(
        CREATE_JOB,
        {"input": input},
        {"variables.input.data.0.source.file": (f"{marker}.txt", content.encode())},
    )
    assert answer["__typename"] == "CreateJobSuccess", answer
    id: str = answer["job"]["id"]
    return id


async def found(service: Service, marker: str) -> set[str]:
    """Return where a marker is: names of tables, `database`, `valkey`, `files`."""
    places = set()
    async with reading(service.database) as session:
        for table in SQLModel.metadata.sorted_tables:
            rows = (await (await session.connection()).execute(table.select())).all()
            if marker in str(rows):
                places.add(table.name)
    if service.database.is_sqlite and await in_file(service, marker):
        places.add("database")
    if await in_valkey(service.bell.url, marker):
        places.add("valkey")
    store = local_store(service.settings)
    for path in store.root.rglob("*"):
        if marker in path.name or (path.is_file() and marker.encode() in path.read_bytes()):
            places.add("files")
    return places


async def in_file(service: Service, marker: str) -> bool:
    """Return whether a marker is in the bytes of the SQLite file, or beside it."""
    await sweep.wipe(service.worker())
    path = urlsplit(service.settings.database_url).path
    content = b""
    for suffix in ("", "-wal"):
        with open(path + suffix, "rb") as file:  # noqa: ASYNC230, PTH123 - a file of a megabyte
            content += file.read()
    return marker.encode() in content


async def in_valkey(url: str, marker: str) -> bool:
    """Return whether a marker is in a key or a value of Valkey."""
    read = {
        b"string": lambda redis, key: redis.get(key),
        b"zset": lambda redis, key: redis.zrange(key, 0, -1),
        b"hash": lambda redis, key: redis.hgetall(key),
        b"list": lambda redis, key: redis.lrange(key, 0, -1),
        b"set": lambda redis, key: redis.smembers(key),
        b"stream": lambda redis, key: redis.xrange(key),
    }
    async with Redis.from_url(url) as redis:
        content = [
            (key, await read[await redis.type(key)](redis, key)) async for key in redis.scan_iter()
        ]
    return marker in str(content)


async def delete(world: World, id: UUID) -> deletions.Deleted:
    """Delete a job."""
    async with transaction(world.database) as work:
        return await deletions.delete(
            work, world.bell, caller=world.caller, job_id=id, store=world.store
        )
