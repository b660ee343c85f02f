"""Load, fault, check: one run of a service from its start to its end, written down as a history."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import evidence
from history import Breach, History, check
from load import MIXED, Load
from machine import WORKERS, Machine, until
from recorder import Recorder
from sample_files import Sample

from app.api.live import LOOK_SECONDS
from app.clock import now

LIMIT = timedelta(seconds=120)
"""From the end of a fault to quiet; generous, as the machine may be slow and the jobs are many."""
GRACE = timedelta(seconds=5)
"""Lease and sweep are 2.5 s together."""
NEVER = ("database is locked", "OperationalError", "IntegrityError", "Task exception was never")


LAST_WORDS = timedelta(seconds=LOOK_SECONDS + 15)
"""For watchers, to hear of the end: where Redis did not tell them, they look for themselves."""
UNFINISHED_UPLOADS = "SELECT id FROM document WHERE status = 'NEW'"

Kinds = tuple[tuple[str, ...], ...]


@dataclass
class Scene:
    """What a fault gets to work with. strikes: how often it hit something at work."""

    machine: Machine
    recorder: Recorder
    load: Load
    strikes: int = 0


Fault = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Report:
    """What came of a run, for people."""

    history: History
    breaches: list[Breach]
    strikes: int

    def figures(self) -> str:
        """Return the figures in one line."""
        found = self.history
        took = (found.quiet_at - found.lifted_at).total_seconds()
        created = [call for call in found.calls if call.kind == "CREATE"]
        answers = [call.answer.value for call in created]
        again = sum(job.attempt > 1 for job in found.jobs)
        lost = sum("is lost" in breach.what for breach in self.breaches)
        ended = [each.total_seconds() for each in found.work_ended.values() if each is not None]
        return (
            f"strikes {self.strikes}; creates: {answers.count('OK')} ok,"
            f" {answers.count('UNKNOWN')} unknown, {answers.count('REFUSED')} refused;"
            f" jobs there {len(found.jobs)}, lost {lost}, taken up again {again};"
            f" watchers {len(found.watches)} over"
            f" {sum(watch.connections for watch in found.watches)} connections;"
            f" cancels ended work within {max(ended, default=0):.2f} s;"
            f" quiet {took:.2f} s after the fault; breaches {len(self.breaches)}"
        )


async def play(
    folder: Path, samples: dict[str, Sample], fault: Fault, *, jobs: int, kinds: Kinds = MIXED
) -> Report:
    """Run a service under load and fault, from its start to its end; return what is to be said."""
    machine = Machine(folder)
    recorder = Recorder(machine)
    scene = Scene(machine, recorder, Load(machine, recorder, samples, jobs, kinds))
    try:
        await machine.start()
        async with scene.load:
            history = await _suffer(scene, fault)
        await _gather_evidence(scene, history)
        history.remains = await machine.stop()
    finally:
        await recorder.close()
        machine.clear()
    history.complaints = tuple(
        line for line in machine.lines() if any(never in line for never in NEVER)
    )
    return Report(history, check(history), scene.strikes)


async def _suffer(scene: Scene, fault: Fault) -> History:
    """Make the undisturbed runs, then the load with the fault in it; return when all is quiet."""
    load, recorder = scene.load, scene.recorder
    await load.undisturbed()
    references = evidence.references(await evidence.jobs(recorder), load.samples)
    await load.share()
    clients = asyncio.create_task(load.run())
    await fault(scene)
    await until("all workers work", lambda: scene.machine.has_workers(WORKERS))
    lifted_at = now()
    await load.quiet(limit=LIMIT)
    quiet_at = now()
    try:
        async with asyncio.timeout(LAST_WORDS.total_seconds()):
            await clients
    except TimeoutError:
        pass  # what a watcher has not received by now is missed
    await load.quiet(limit=LAST_WORDS)  # the last client may have deleted a job
    return History(
        limit=LIMIT,
        grace=GRACE,
        lifted_at=lifted_at,
        quiet_at=quiet_at,
        calls=recorder.calls,
        sightings=recorder.sightings,
        watches=recorder.watches,
        references=references,
        work_ended=load.work_ended,
        bustle=load.bustle(),
    )


async def _gather_evidence(scene: Scene, history: History) -> None:
    machine = scene.machine
    history.jobs = await evidence.jobs(scene.recorder)
    history.ghosts = evidence.ghosts(machine)
    history.store = machine.store()
    machine.expire_uploads()
    await until("unfinished uploads are given up", lambda: not machine.rows(UNFINISHED_UPLOADS))
    await until("their bytes are removed", lambda: not scene.load.bustle())
    history.store_later = machine.store()
