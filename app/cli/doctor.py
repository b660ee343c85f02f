"""`docyard doctor`: what works on this machine and what does not."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.db.migration import is_current
from app.documents.store import store_for
from app.embedded import supervisor, valkey
from app.embedded.database import open_database
from app.embedded.folder import Folder, keeps_database, keeps_files, needs_valkey
from app.errors import AppError
from app.jobs.extras import EXTRAS
from app.settings import MIB, SettingError, Settings, unread_variables
from app.terminal import CommandFailed, printable
from app.web import has_page

ANSWER_SECONDS = 5.0
UNFOLDED = 1000
NO_FILE = UUID(int=0)
CONFINEMENT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. essential: without it the service does not do its work."""

    name: str
    holds: bool
    detail: str
    essential: bool = True


def examine(settings: Settings) -> int:
    """Look at everything, print a table; return 1 where something essential fails, else 0."""
    findings = [settings_finding(), *folder_findings(settings), keys_finding(settings)]
    findings += asyncio.run(service_findings(settings))
    findings.append(explorer_finding())
    findings += extra_findings()
    findings += confinement_findings()
    width = None if sys.stdout.isatty() else UNFOLDED  # for grep, a line each
    Console(width=width).print(table(findings))
    return int(any(found.essential and not found.holds for found in findings))


def settings_finding() -> Finding:
    """Look for variables that were meant as settings and are read by nobody."""
    unread = sorted(unread_variables(os.environ))
    detail = f"nobody reads {', '.join(unread)}" if unread else "can be read"
    return Finding("settings", not unread, detail, essential=False)


def folder_findings(settings: Settings) -> Iterator[Finding]:
    """Look at the data folder and its space, where anything is kept there."""
    if not (keeps_database(settings) or keeps_files(settings) or needs_valkey(settings)):
        return
    try:
        folder = Folder(settings.data_dir)
        folder.open()
        (folder.path / ".doctor").touch()
        (folder.path / ".doctor").unlink()
        yield Finding("data folder", holds=True, detail=f"{folder.path} takes files")
        free = shutil.disk_usage(folder.path).free
        detail = (
            f"{free // MIB} MiB free; files are refused below {settings.free_disk_bytes // MIB}"
        )
        yield Finding("disk space", holds=free > settings.free_disk_bytes, detail=detail)
    except (SettingError, OSError) as error:
        yield Finding("data folder", holds=False, detail=str(error))


def keys_finding(settings: Settings) -> Finding:
    """Look where the keys that sign links come from; make none."""
    name = "keys that sign links"
    if settings.secret_keys:
        return Finding(name, holds=True, detail="DOCYARD_SECRET_KEYS")
    if keeps_database(settings):
        return Finding(name, holds=True, detail="in the data folder; the first start makes one")
    return Finding(name, holds=False, detail="DOCYARD_SECRET_KEYS is not set")


async def service_findings(settings: Settings) -> list[Finding]:
    """Look at the database, the server that rings, and the store outside of the data folder."""
    found = [await database_finding(settings), await redis_finding(settings)]
    return found if keeps_files(settings) else [*found, await store_finding(settings)]


async def database_finding(settings: Settings) -> Finding:
    """Look whether the database answers and is up to date."""
    if keeps_database(settings) and not (settings.data_dir / "docyard.db").exists():
        return Finding("database", holds=True, detail="none yet; the first start makes it")
    try:
        async with asyncio.timeout(ANSWER_SECONDS), open_database(settings) as database:
            current = await is_current(database)
    except (SettingError, CommandFailed) as error:
        return Finding("database", holds=False, detail=str(error))
    except Exception as error:  # noqa: BLE001 - drivers raise what they like
        return Finding("database", holds=False, detail=f"{type(error).__name__}: {error}")
    detail = "answers, up to date" if current else "not up to date; run `docyard migrate`"
    return Finding("database", holds=current, detail=detail)


async def redis_finding(settings: Settings) -> Finding:
    """Look whether the server answers, or can be started."""
    if needs_valkey(settings) and not await valkey.Valkey(settings.data_dir).answers():
        try:
            program = valkey.program()
        except CommandFailed as error:
            return Finding("Valkey", holds=False, detail=str(error))
        return Finding("Valkey", holds=True, detail=f"not running; `docyard up` starts {program}")
    client = Redis.from_url(
        valkey.Valkey(settings.data_dir).url if needs_valkey(settings) else settings.redis_url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
    )
    try:
        await client.ping()
    except (RedisError, OSError, ValueError) as error:
        return Finding("Redis", holds=False, detail=str(error))
    finally:
        await client.aclose()
    return Finding("Redis", holds=True, detail="answers")


async def store_finding(settings: Settings) -> Finding:
    """Look whether the place of the files answers."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await store_for(settings).received(NO_FILE)
    except TimeoutError:
        return Finding("store", holds=False, detail="does not answer")
    except (SettingError, AppError, OSError) as error:
        return Finding("store", holds=False, detail=str(error))
    return Finding("store", holds=True, detail="answers")


def explorer_finding() -> Finding:
    """Look whether the page at /graphiql was built when this was installed."""
    built = has_page()
    detail = "built" if built else "not built: no Node.js, or no npm registry, at the installation"
    return Finding("explorer", holds=built, detail=detail, essential=False)


def extra_findings() -> Iterator[Finding]:
    """Look which extras are installed."""
    for extra in EXTRAS:
        detail = extra.purpose if extra.installed else f"for {extra.purpose}: {extra.how}"
        yield Finding(f"extra: {extra.name}", extra.installed, detail, essential=False)


def confinement_findings() -> list[Finding]:
    """Look how well documents are locked in here, by trying it in a process of its own."""
    try:
        tried = subprocess.run(  # noqa: S603 - our own module
            supervisor.module("workers.confinement"),
            capture_output=True,
            text=True,
            timeout=CONFINEMENT_SECONDS,
            check=False,
        )
        found = [
            Finding(f"confinement: {test['name']}", test["holds"], test["detail"], essential=False)
            for test in json.loads(tried.stdout or "[]")
        ]
    except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        return [Finding("confinement", holds=False, detail=f"could not be tried: {error}")]
    if tried.returncode != 0 and not found:
        words = tried.stderr.strip().rpartition("\n")[2]
        return [Finding("confinement", holds=False, detail=f"could not be tried: {words}")]
    return found


def table(findings: list[Finding]) -> Table:
    """Return what was found as a table."""
    made = Table("", "what", "found", box=None, pad_edge=False)
    made.columns[2].overflow = "fold"
    for found in findings:
        if found.holds:
            mark = Text("ok", "green")
        else:
            mark = Text("FAILS", "bold red") if found.essential else Text("weak", "yellow")
        made.add_row(mark, Text(found.name), Text(printable(found.detail)))
    return made
