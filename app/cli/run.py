"""`docyard run`: files in, segments out."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from app.cli.client import Client, ServiceGone
from app.cli.progress import Bar, Lines, progress
from app.cli.reach import Reach
from app.cli.readout import names, whole_file, write_json, write_markdown, write_text
from app.embedded.endpoint import Endpoint
from app.settings import Settings
from app.terminal import CommandFailed, tell

FINISHED = frozenset({"COMPLETED", "FAILED", "CANCELED"})
LOST_SECONDS = 60.0
PAUSE_SECONDS = 0.2
WRONG_USE = 2
WITH_WARNING = 3
SIGNALED = 128


@dataclass(frozen=True, slots=True)
class Request:
    """What `docyard run` is asked to do. max_size: characters a segment."""

    files: Sequence[Path]
    max_size: int
    named: Endpoint | None
    as_json: bool
    out: Path | None
    quiet: bool


def run(settings: Settings, request: Request) -> int:
    """Split the files into segments and hand them over; return the exit status.

    0: all is well. 1: the job failed. 3: a part of it failed.

    Raises:
        CommandFailed: it could not be done.
    """
    for file in request.files:
        if not file.is_file() or not os.access(file, os.R_OK):
            raise CommandFailed(f"{file} is not a file that can be read.", status=WRONG_USE)
    if request.out is not None:
        try:
            request.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = f"--out: {request.out} cannot be made: {error.strerror}."
            raise CommandFailed(why, status=WRONG_USE) from None
    return asyncio.run(_run(settings, request))


async def _run(settings: Settings, request: Request) -> int:
    told: list[int] = []
    task = asyncio.current_task()

    def terminate(number: int) -> None:
        told.append(number)
        if task is not None:
            task.cancel()

    # SIGINT is asyncio's: it cancels this task and comes out of asyncio.run as KeyboardInterrupt.
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, terminate, number)
    try:
        async with Reach(settings, request.named) as reach:
            return await Run(reach, request).result()
    except asyncio.CancelledError:
        if told:
            return SIGNALED + told[0]
        raise


class Run:
    """One job, from the files to what is handed over."""

    def __init__(self, reach: Reach, request: Request) -> None:
        self._reach = reach
        self._request = request
        self._document_ids: list[str] = []
        self._cursor: str | None = None

    async def result(self) -> int:
        """Do it; return the exit status."""
        with progress(quiet=self._request.quiet) as shown:
            job_id = await self._submit(shown)
            try:
                await self._watch(job_id, shown)
            except asyncio.CancelledError:
                with suppress(CommandFailed):
                    async with Client(await self._reach.endpoint()) as client:
                        await client.cancel(job_id)
                raise
        async with Client(await self._reach.endpoint()) as client:
            job = await client.job(job_id)
            await self._hand_over(client, job)
        tell_troubles(job)
        return exit_status(job)

    async def _submit(self, shown: Bar | Lines) -> str:
        shown.say("Looking for the service")
        async with Client(await self._reach.endpoint()) as client:
            for file in self._request.files:
                shown.say(f"Uploading {file.name}")
                self._document_ids.append(await client.upload(file))
            return await client.create_job(self._document_ids, max_size=self._request.max_size)

    async def _watch(self, job_id: str, shown: Bar | Lines) -> None:
        """Follow the job to its end, over broken connections and new starts of the service."""
        heard = time.monotonic()
        while True:
            try:
                async with Client(await self._reach.endpoint()) as client:
                    events = client.events(job_id, after=self._cursor)
                    async with aclosing(events):
                        async for event in events:
                            heard = time.monotonic()
                            self._cursor = event["cursor"]
                            shown.show(event)
                            if event["status"] in FINISHED:
                                return
                    if (await client.job(job_id))["status"] in FINISHED:
                        return
            except ServiceGone:
                if time.monotonic() - heard > LOST_SECONDS:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _hand_over(self, client: Client, job: dict[str, Any]) -> None:
        if self._request.out is not None:
            await self._write_files(client, job, self._request.out)
        elif self._request.as_json:
            set_encoding("utf-8", "strict")  # what JSON is written in
            await write_json(job, client.segments(job["id"]), sys.stdout)
        else:
            set_encoding(None, "replace")
            await write_text(client.segments(job["id"]), sys.stdout)
        sys.stdout.flush()

    async def _write_files(self, client: Client, job: dict[str, Any], out: Path) -> None:
        written = zip(names(self._request.files), self._document_ids, strict=True)
        for name, document_id in written:
            with whole_file(out / f"{name}.segments.json") as file:
                await write_json(job, client.segments(job["id"], document_id=document_id), file)
            with whole_file(out / f"{name}.md") as file:
                await write_markdown(client.segments(job["id"], document_id=document_id), file)
            if not self._request.quiet:
                tell(f"{out / name}.segments.json, {out / name}.md")


def tell_troubles(job: dict[str, Any]) -> None:
    """Say on standard error what failed and what is worth a warning."""
    if job["status"] == "CANCELED":
        tell("docyard: The job was canceled.")
    elif job["error"] is not None:
        tell(f"docyard: The job failed ({job['error']['code']}): {job['error']['message']}")
    for entry in job["documents"]:
        if (failure := entry["failure"]) is not None:
            name = entry["document"]["filename"]
            tell(f"docyard: {name} failed ({failure['code']}): {failure['message']}")
    for issue in job["issues"]:
        page = "" if issue["page"] is None else f" (page {issue['page']})"
        tell(f"docyard: {issue['severity'].lower()}{page}: {issue['message']}")


def exit_status(job: dict[str, Any]) -> int:
    """Return 0 for SUCCESS, 3 for WARNING, 1 for whatever did not complete."""
    if job["status"] != "COMPLETED":
        return 1
    return WITH_WARNING if job["outcome"] == "WARNING" else 0


def set_encoding(encoding: str | None, errors: str) -> None:
    """Make standard output take any character."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding=encoding, errors=errors)
