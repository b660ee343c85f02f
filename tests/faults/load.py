"""What clients do while something breaks: create, watch, cancel and delete jobs."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Self
from uuid import UUID

from history import CANCEL_TIME
from machine import LOOK_SECONDS, REMOVALS, Machine, NotInTime, until
from recorder import Recorder
from sample_files import Sample

from app.jobs.states import FINISHED

CLIENTS = 4
WATCHED, CANCELED, DELETED = 4, 10, 7
"""Every so many-th job is; a canceled one is long and has a file of its own."""
LONG = ("long.pdf",)
MIXED: tuple[tuple[str, ...], ...] = (
    LONG,
    ("short.pdf",),
    ("medium.pdf", "notes.md"),
    ("plain.txt",),
    ("locked.pdf",),
    ("short.pdf", "locked.pdf"),
    ("medium.pdf",),
    ("garbage.pdf",),
    ("notes.md",),
    ("long.pdf", "short.pdf"),
)
UNEXAMINED = (
    "SELECT id FROM document WHERE examine_at IS NOT NULL"
    " AND (examined_at IS NULL"
    " OR examined_at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-11 seconds'))"
)
"""Whoever takes one up looks at it for ten seconds at most; one whose worker was killed rests."""
UNFINISHED = "SELECT id FROM job WHERE status NOT IN ('COMPLETED', 'FAILED', 'CANCELED')"


@dataclass
class Load:
    """Some jobs, and the clients that care for them.

    Each job is asked for until it is acknowledged, each time under another name. `shared`:
    documents that were uploaded once and are used again.
    """

    machine: Machine
    recorder: Recorder
    samples: dict[str, Sample]
    wanted: int
    kinds: Sequence[tuple[str, ...]] = MIXED
    shared: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    work_ended: dict[str, timedelta | None] = field(default_factory=dict)
    made: int = 0

    async def __aenter__(self) -> Self:
        """Look at everything, from now to the end of the block."""
        self._stack = AsyncExitStack()
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        lookers = [group.create_task(each()) for each in (self._look_at_rows, self._look_over_api)]
        for looker in lookers:
            self._stack.callback(looker.cancel)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def undisturbed(self) -> None:
        """Run every sample by itself, and wait for the end."""
        create = self.recorder.create
        samples = self.samples.values()
        await asyncio.gather(*(create(f"{each.name}, undisturbed", [each]) for each in samples))
        await until("the undisturbed runs are done", lambda: not self.open_jobs())

    async def share(self) -> None:
        """Upload each file once, so that jobs can be made on documents."""
        for kind in set(self.kinds):
            files = [self.samples[name] for name in kind]
            self.shared[kind] = list(await asyncio.gather(*map(self.recorder.upload, files)))

    async def run(self) -> None:
        """Create all jobs, and see each through."""
        numbers = iter(range(self.wanted))

        async def client(group: asyncio.TaskGroup) -> None:
            for number in numbers:
                await self._create(number, group)

        async with asyncio.TaskGroup() as group:
            await asyncio.gather(*(client(group) for _ in range(CLIENTS)))

    async def quiet(self, *, limit: timedelta) -> bool:
        """Wait until every job is final and no sandbox works; return whether that came in time."""
        try:
            await until("all is quiet", self.is_quiet, limit=limit)
        except NotInTime:
            return False
        return True

    def is_quiet(self) -> bool:
        """Return whether there is nothing left to do, for jobs or for documents."""
        waiting = self.open_jobs() or self.machine.rows(UNEXAMINED)
        return self.made == self.wanted and not (waiting or self.bustle())

    def open_jobs(self) -> int:
        """Return how many jobs are not final."""
        return len(self.machine.rows(UNFINISHED))

    def bustle(self) -> tuple[str, ...]:
        """Return what goes on though no job needs it, besides looks at new documents."""
        working = [f"the sandbox child {each.pid} works" for each in self.machine.children()]
        removals = self.machine.rows(REMOVALS)
        return (*working, *(f"{key} waits to be removed" for (key,) in removals))

    async def _create(self, number: int, group: asyncio.TaskGroup) -> None:
        kind = self.kinds[number % len(self.kinds)]
        files = [self.samples[name] for name in kind]
        anew = number % CANCELED == 0 or (number + number // len(self.kinds)) % 2 == 0
        ids = [] if anew else self.shared[kind]
        job_id, tries = None, 0
        while job_id is None:
            if tries:
                await asyncio.sleep(LOOK_SECONDS)  # as any client waits that was not answered
            tries += 1
            name = f"{number}, try {tries}"
            job_id = await self.recorder.create(name, files, document_ids=ids)
        self.made += 1
        if number % WATCHED == 0:
            group.create_task(self.recorder.watch(job_id))
        if number % CANCELED == 0:
            group.create_task(self._cancel(job_id, name))
        elif number % DELETED == 3:
            group.create_task(self._delete(job_id, name, at_work=bool(number % 2)))

    async def _cancel(self, job_id: str, name: str) -> None:
        """Cancel a job in the middle of its work; measure how long its file stays open."""
        await until(f"{name} is at work", lambda: self._is_at_work(job_id))
        if not await self.recorder.cancel(job_id, name):
            return
        began = monotonic()
        query = "SELECT document_id FROM job_document WHERE job_id = ? AND owned"
        found = self.machine.rows(query, UUID(job_id).hex)
        sources = [self.machine.source(document_id) for (document_id,) in found]
        try:
            await until(
                "nobody reads the file of a canceled job",
                lambda: not any(self.machine.has_open(source) for source in sources),
                limit=2 * CANCEL_TIME,
            )
        except NotInTime:
            self.work_ended[job_id] = None
        else:
            self.work_ended[job_id] = timedelta(seconds=monotonic() - began)

    async def _delete(self, job_id: str, name: str, *, at_work: bool) -> None:
        if at_work:
            await until(f"{name} is at work", lambda: self._is_at_work(job_id))
        await self.recorder.delete(job_id, name)

    def _is_at_work(self, job_id: str) -> bool:
        query = "SELECT pages_done, status FROM job WHERE id = ?"
        found = self.machine.rows(query, UUID(job_id).hex)
        return not found or found[0][0] > 0 or found[0][1] in FINISHED

    async def _look_at_rows(self) -> None:
        while True:
            self.recorder.look_at_rows()
            self.machine.look()
            await asyncio.sleep(2 * LOOK_SECONDS)

    async def _look_over_api(self) -> None:
        while True:
            await self.recorder.look_over_api()
            await asyncio.sleep(10 * LOOK_SECONDS)
