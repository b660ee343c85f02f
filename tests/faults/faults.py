"""What breaks: each fault is one function. It strikes, several times, while the load is at work.

A fault returns when it is lifted: whatever it took away is back, or about to come back by itself.
It counts in `scene.strikes` how often it hit something at work; one that never did proves nothing.
No child may be killed five times within 30 seconds: `docyard up` then stops, on purpose.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import NamedTuple
from urllib.parse import urljoin

import httpx2
from machine import WORKERS, NotInTime, Process, until
from recorder import CREATE_UPLOAD, NoAnswer
from redis.asyncio import Redis
from scenario import Scene

from app.jobs.states import FINISHED

RECOVERY = timedelta(seconds=60)
QUEUED = 100
AT_WORK_ON = (
    "SELECT id, attempt FROM job JOIN job_document ON job_id = id"
    " WHERE document_id = ? AND job.status = 'PROCESSING'"
)


class Held(NamedTuple):
    """A job in the hands of a worker that is stopped."""

    job_id: str
    attempt: int


async def kill_workers(scene: Scene) -> None:
    """Kill workers in the middle of a document: both at once, one, both."""
    for victims in (2, 1, 2):
        if not (busy := await _busy_workers(scene, victims)):
            return
        idle = [each for each in scene.machine.of_role("worker") if each not in busy]
        for worker in [*busy, *idle][:victims]:
            worker.kill()
        scene.strikes += min(victims, len(busy))
        await until("both workers are back", lambda: scene.machine.has_workers(WORKERS))


async def stop_worker(scene: Scene) -> None:
    """Stop a worker until its job has been given to another, then let it go on.

    It goes on at once where its job is canceled or deleted, since it cannot end the work on it
    while it is stopped; then another one is stopped.
    """
    while not scene.strikes and (busy := await _busy_workers(scene)):
        job = await asyncio.to_thread(_stop_at_work, scene, busy[0])
        if job is not None:
            with suppress(NotInTime):  # then no job of a dead worker is ever taken up again
                await until("its job is taken up, or over", partial(_is_let_go, scene, job))
            scene.strikes += _is_taken_up(scene, job)
        _signal(busy[:1], signal.SIGCONT)


async def flush_valkey(scene: Scene) -> None:
    """Forget every ring: once while all jobs wait and nobody works, and again during the work."""
    workers = scene.machine.of_role("worker")
    await asyncio.to_thread(_stop, scene, workers)
    # Not before the last create: every other ring would do for all.
    await until("all jobs are there", lambda: scene.load.made == scene.load.wanted)
    assert scene.load.open_jobs() >= QUEUED
    async with Redis.from_url(f"unix://{_socket(scene)}") as valkey:
        await valkey.flushall()
        scene.strikes += 1
        _signal(workers, signal.SIGCONT)
        for left in (80, 50, 20):
            with suppress(NotInTime):  # then all is stuck, and the rules will say so
                done = partial(_has_left, scene, left)
                await until(f"{left} jobs are left", done, limit=RECOVERY)
            await valkey.flushall()
            scene.strikes += 1


async def kill_valkey(scene: Scene) -> None:
    """Kill Valkey; `docyard up` starts it again."""
    for _ in range(3):
        if not await _busy_workers(scene):
            return
        await _kill(scene, "valkey")
        (valkey,) = scene.machine.of_role("valkey")
        # Killed before that, it passes for one that cannot read its files.
        told = partial(scene.machine.has_told, f"Valkey runs as process {valkey.pid}")
        await until("`docyard up` has seen Valkey answer", told, limit=RECOVERY)


async def kill_api(scene: Scene) -> None:
    """Kill the API while it answers, and while it takes an upload."""
    for _ in range(2):
        if not await _busy_workers(scene):
            return
        await _break_upload(scene)


async def kill_up(scene: Scene) -> None:
    """Kill `docyard up` itself, and start it again on what is left."""
    for _ in range(2):
        if not await _busy_workers(scene):
            return
        scene.machine.kill()
        scene.strikes += 1
        await scene.machine.start()


def _stop(scene: Scene, workers: list[Process]) -> None:
    """Stop workers, none of them in the middle of a write: that would hold up everybody."""
    with scene.machine.no_writes():
        _signal(workers, signal.SIGSTOP)
        for worker in workers:
            worker.wait_stopped()


def _stop_at_work(scene: Scene, worker: Process) -> Held | None:
    """Stop a worker; return the job that it has in hands, None where that cannot be told."""
    _stop(scene, [worker])
    sources = scene.machine.sources_of(worker)
    found = [row for each in sources for row in scene.machine.rows(AT_WORK_ON, each.name)]
    return Held(*found[0]) if len(found) == 1 else None


def _is_taken_up(scene: Scene, held: Held) -> bool:
    """Return whether the job is in the hands of another worker, or was."""
    found = scene.machine.rows("SELECT attempt FROM job WHERE id = ?", held.job_id)
    return bool(found) and found[0][0] > held.attempt


def _is_let_go(scene: Scene, held: Held) -> bool:
    """Return whether the job is taken up by another worker, canceled or deleted."""
    found = scene.machine.rows("SELECT status, attempt FROM job WHERE id = ?", held.job_id)
    return not found or found[0][0] in FINISHED or found[0][1] > held.attempt


def _has_left(scene: Scene, count: int) -> bool:
    return scene.load.open_jobs() <= count


async def _busy_workers(scene: Scene, at_least: int = 1) -> list[Process]:
    """Wait until so many workers have a document open; return them, none where all is done."""

    def found() -> tuple[Process, ...] | bool:
        busy = scene.machine.busy_workers()
        return tuple(busy) if len(busy) >= at_least else scene.load.is_quiet()

    with suppress(NotInTime):  # then all is stuck, and the rules will say so
        answer = await until("documents are open", found, limit=RECOVERY)
        return list(answer) if isinstance(answer, tuple) else []
    return []


async def _kill(scene: Scene, role: str) -> None:
    """Kill the one process of a role; return when it is back."""
    (victim,) = scene.machine.of_role(role)
    victim.kill()
    scene.strikes += 1
    await until(
        f"{role} is back",
        lambda: any(each.pid != victim.pid for each in scene.machine.of_role(role)),
        limit=RECOVERY,
    )


async def _break_upload(scene: Scene) -> None:
    """Kill the API in the middle of a PUT; then go on where it says that it is."""
    sample = scene.load.samples["long.pdf"]
    variables = {"filename": sample.name, "size": len(sample.body)}
    made = (await scene.recorder.ask(CREATE_UPLOAD, variables))["createUpload"]
    document_id = made["document"]["id"]
    # The job waits for the bytes of its document.
    await scene.recorder.create(f"upload {document_id}", [sample], document_ids=[document_id])
    url = urljoin(f"{scene.machine.url}/", made["uploadUrl"])
    dead = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield sample.body[: len(sample.body) // 2]
        await dead.wait()
        raise NoAnswer

    http = scene.recorder.http
    sending = asyncio.create_task(
        http.put(url, content=half(), headers={"content-length": str(len(sample.body))})
    )
    partial = scene.machine.data / "files" / "partial" / document_id.replace("-", "")
    await until("the upload has begun", partial.exists, limit=RECOVERY)
    await _kill(scene, "api")
    dead.set()
    with suppress(httpx2.HTTPError, NoAnswer):
        await sending
    received = partial.stat().st_size
    last, total = len(sample.body) - 1, len(sample.body)
    answer = await http.put(
        url,
        content=sample.body[received:],
        headers={"content-range": f"bytes {received}-{last}/{total}"},
    )
    assert answer.is_success, answer.text


def _signal(processes: list[Process], number: signal.Signals) -> None:
    for process in processes:
        os.kill(process.pid, number)


def _socket(scene: Scene) -> str:
    return str(scene.machine.data / "valkey" / "valkey.sock")
