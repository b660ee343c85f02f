"""What breaks: each fault is one function. It strikes, several times, while the load is at work.

A fault returns when it is lifted: whatever it took away is back, or about to come back by itself.
It counts in `scene.strikes` how often it hit something at work; one that never did proves nothing.
No child may be killed five times within 30 seconds: `docyard up` then stops, on purpose.
"""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from urllib.parse import urljoin

import asyncio
import httpx2
from machine import Process, until
from recorder import CREATE_UPLOAD, NoAnswer
from redis.asyncio import Redis
from redis.exceptions import RedisError
from scenario import Scene

RECOVERY = timedelta(seconds=30)
QUEUED = 100


async def kill_workers(scene: Scene) -> None:
    """Kill workers in the middle of a document: both at once, one, both."""
    for victims in (2, 1, 2):
        if not (busy := await _busy_workers(scene)):
            return
        idle = [each for each in scene.machine.of_role("worker") if each not in busy]
        for worker in [*busy, *idle][:victims]:
            worker.kill()
        scene.strikes += min(victims, len(busy))
        await until("both workers are back", lambda: scene.machine.has_workers(2), limit=RECOVERY)


async def flush_valkey(scene: Scene) -> None:
    """Forget every ring: while nobody works and all jobs wait, and again while they are worked on."""
    workers = scene.machine.of_role("worker")
    _signal(workers, signal.SIGSTOP)
    pending = "SELECT id FROM job WHERE status = 'PENDING'"
    await until("jobs are queued", lambda: len(scene.machine.rows(pending)) >= QUEUED)
    async with Redis.from_url(f"unix://{_socket(scene)}") as valkey:
        await valkey.flushall()
        scene.strikes += 1
        _signal(workers, signal.SIGCONT)
        for _ in range(3):
            if not await _busy_workers(scene):
                return
            await valkey.flushall()
            scene.strikes += 1


async def kill_valkey(scene: Scene) -> None:
    """Kill Valkey; `docyard up` starts it again."""
    async with Redis.from_url(f"unix://{_socket(scene)}") as valkey:

        async def answers() -> bool:
            with suppress(RedisError, OSError):
                return bool(await valkey.ping())
            return False

        for _ in range(3):
            if not await _busy_workers(scene):
                return
            await _kill(scene, "valkey")
            await until("Valkey answers", answers, limit=RECOVERY)


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


async def _busy_workers(scene: Scene) -> list[Process]:
    """Wait until documents are open; return their workers, none where all is done."""
    found: list[Process] = await until(
        "a document is open", lambda: scene.machine.busy_workers() or scene.load.is_quiet()
    )
    return found if isinstance(found, list) else []


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
