"""`python -m workers`: one worker process, until it is told to stop."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, cast

from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.exceptions import RedisError, WatchError

from app import lifeline, logs
from app.jobs.queue import QUEUE, RUN_JOB, Channel, connection_pool, queue_client
from app.seals import forbid_core_dumps
from app.settings import SettingError, Settings
from workers import sweep
from workers.context import WorkerContext, open_context
from workers.run_job import run_job

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
READ_LIMIT = 1000
"""Rings that are looked at in one go: more than all slots of the largest fleet."""
FAREWELL_SECONDS = 3.0
"""How long a worker that stops waits for a Redis that has gone; else it would for two minutes."""
OVERTIME = timedelta(minutes=2)
"""Ours ends a job long before arq does."""


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = Settings.read()
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.set_up(settings.log_level)
    lifeline.watch()
    forbid_core_dumps()
    if not settings.secret_keys:
        logger.warning("DOCYARD_SECRET_KEYS is not set: jobs with passwords fail on this worker")
    gc.collect()
    gc.freeze()  # to go through all that was imported takes as long as ten pages do, each time
    try:
        asyncio.run(serve(settings))
    except SettingError as error:  # an address that is none
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


async def serve(settings: Settings) -> None:
    """Work until the process is told to stop; then give back what is in hand."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with open_context(settings) as context:
        if not await context.bell.ping():
            logger.warning("Redis (DOCYARD_REDIS_URL) does not answer; there is no work until then")
        worker = arq_worker(context)
        logger.info("worker %s begins", context.worker_id)
        work: tuple[Coroutine[Any, Any, object], ...] = (
            worker.async_run(),
            sweep.sweep_for_ever(context),
            sweep.beat_for_ever(context),
            hear_cancels(context),
            hear_rings(context, worker),
            stop.wait(),
        )
        tasks = [asyncio.create_task(each) for each in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await close(worker)
            except (RedisError, OSError) as error:  # the jobs in hand were given back before
                logger.warning("Redis went before this worker: %s", type(error).__name__)
            with contextlib.suppress(Exception):
                await sweep.leave(context)


class QueueWorker(Worker):
    """arq's worker, which would end where Redis goes while it looks at a ring."""

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Answer these rings, as far as there are free slots."""
        try:
            await super().start_jobs(job_ids)
        except WatchError:
            # Counted as begun by arq, and not begun; the ring is still in the queue, if any is.
            self._release_sem_dec_counter_on_complete()
            logger.warning("Redis went while a ring was to be answered")


def arq_worker(context: WorkerContext, *, burst: bool = False) -> Worker:
    """Return arq's worker on our queue. With `burst` it ends when the queue is empty."""
    settings = context.settings
    client = queue_client(connection_pool(settings.redis_url, patient=True))
    return QueueWorker(
        functions=[func(cast("WorkerCoroutine", run_job), name=RUN_JOB)],
        redis_pool=client,
        queue_name=QUEUE,
        ctx={"worker": context},
        burst=burst,
        max_jobs=settings.worker_slots,
        job_timeout=settings.max_job_timeout + OVERTIME,
        keep_result=0,
        poll_delay=POLL_SECONDS,
        queue_read_limit=READ_LIMIT,
        max_tries=1_000_000,
        handle_signals=False,
        log_results=False,
        health_check_interval=15,
        job_serializer=client.job_serializer,
        job_deserializer=client.job_deserializer,
    )


async def close(worker: Worker) -> None:
    """Stop the jobs in hand, then arq.

    arq's own close passes on that a job's task was canceled, as if we were, and stops half-way.
    """
    running = list(worker.tasks.values())
    for task in running:
        task.cancel()
    await asyncio.gather(*worker.job_tasks.values(), return_exceptions=True)  # what is ours of them
    async with asyncio.timeout(FAREWELL_SECONDS):
        await asyncio.gather(*running, return_exceptions=True)
        worker.tasks.clear()
        await worker.close()


async def hear_cancels(context: WorkerContext) -> None:
    """Make the heartbeat of a canceled job look at its row at once."""
    async for message in context.bell.listen(Channel.CANCELS):
        nudges = (
            context.nudges.values() if message is None else [context.nudges.get(message.job_id)]
        )
        for nudge in nudges:
            if nudge is not None:
                nudge.set()


async def hear_rings(context: WorkerContext, worker: Worker) -> None:
    """Have an idle worker look into the queue as soon as something is there, without polling."""
    async for _ in context.bell.listen(Channel.RINGS):
        if context.free_slots > 0:
            # What arq does each POLL_SECONDS; it may do so twice at once, as two workers may.
            await worker._poll_iteration()  # noqa: SLF001 - arq has no name for it


if __name__ == "__main__":
    sys.exit(main())
