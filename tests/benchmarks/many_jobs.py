"""A database of very many jobs, written in bulk: no work was done on any of them."""

import json
import random
import sqlite3
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.db.columns import fold
from app.db.engine import Database
from app.db.work import transaction
from app.jobs.options import SegmentOptions, to_json

BATCH = 20_000
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
KEYS_AN_APPLICATION = 20
JOBS_A_DOCUMENT = 5
GROUPS = 5_000


@dataclass
class Many:
    """So many jobs of 20 applications, of which the first has nine in ten.

    One in ten jobs uses the same document, one in twenty comes after the same job, and one in
    twenty is a child of the same job: what is common has to be as fast as what is rare.
    """

    jobs: int
    dice: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - not a secret
    applications: list[UUID] = field(default_factory=list)
    keys: list[list[UUID]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make ids for what the jobs refer to."""
        self.applications = [self.id(place) for place in range(20)]
        self.keys = [[self.id(place) for place in range(KEYS_AN_APPLICATION)] for _ in range(20)]
        self.documents = [self.id(place) for place in range(self.jobs // JOBS_A_DOCUMENT + 1)]
        self.first_jobs = [self.id(place) for place in range(2)]

    def id(self, milliseconds: int) -> UUID:
        """Make a UUID of version 7 for that time."""
        time = int(BEGUN.timestamp() * 1000) + milliseconds
        head = (time << 80) | (7 << 76) | (self.dice.getrandbits(12) << 64)
        return UUID(int=head | (2 << 62) | self.dice.getrandbits(62))

    def tables(self) -> dict[str, Iterator[dict[str, Any]]]:
        """Give the rows of each table, in an order in which they can be written."""
        return {
            "application": self._applications(),
            "api_key": self._keys(),
            "document": self._documents(),
            "job": self._jobs(),
            "job_document": self._job_documents(),
        }

    def _applications(self) -> Iterator[dict[str, Any]]:
        for place, id in enumerate(self.applications):
            yield {
                "id": id,
                "name": f"application {place}",
                "max_open_jobs": self.jobs,
                "last_job_number": self.jobs,
                "created_at": BEGUN,
            }

    def _keys(self) -> Iterator[dict[str, Any]]:
        for application, keys in zip(self.applications, self.keys, strict=True):
            for id in keys:
                yield {
                    "id": id,
                    "application_id": application,
                    "name": "key",
                    "prefix": "dy_",
                    "token_hash": id.hex,
                    "scope": "WRITE",
                    "created_at": BEGUN,
                }

    def _documents(self) -> Iterator[dict[str, Any]]:
        for place, id in enumerate(self.documents):
            yield {
                "id": id,
                "application_id": self.applications[0 if place % 10 else place // 10 % 20],
                "filename": f"paper {place}.pdf",
                "filename_folded": f"paper {place}.pdf",
                "size": 100_000,
                "sha256": "0" * 64,
                "status": "PROCESSED",
                "tags": "[]",
                "created_at": BEGUN,
            }

    def _jobs(self) -> Iterator[dict[str, Any]]:
        """Give the jobs, a hundred a second of the clock, in the order of their making."""
        settings = json.dumps(to_json(SegmentOptions()))
        self.job_ids: list[UUID] = []
        numbers = [0] * len(self.applications)
        for place in range(self.jobs):
            owner = 0 if place % 10 else place // 10 % 20
            numbers[owner] += 1
            id = self.id(10_000 + 10 * place)
            self.job_ids.append(id)
            yield self._job(place, id=id, owner=owner, number=numbers[owner], settings=settings)

    def _job(
        self, place: int, *, id: UUID, owner: int, number: int, settings: str
    ) -> dict[str, Any]:
        dice = self.dice
        name = f"{''.join(dice.choices(string.ascii_letters, k=8))} {place}"
        created = BEGUN + timedelta(milliseconds=10_000 + 10 * place)
        open_ = place > self.jobs - 2_000
        status = "PENDING" if open_ else dice.choices(("COMPLETED", "FAILED"), (97, 3))[0]
        outcome = dice.choices(("SUCCESS", "WARNING"), (95, 5))[0]
        started = created + timedelta(seconds=dice.expovariate(1 / 30))
        return {
            "id": id,
            "application_id": self.applications[owner],
            "number": number,
            "name": name,
            "name_folded": fold(name),
            "group_id": f"group {dice.randrange(GROUPS)}" if dice.random() < 0.5 else None,
            "type": "SEGMENT",
            "status": status,
            "outcome": None if open_ else "ERROR" if status == "FAILED" else outcome,
            "error_code": "CORRUPT" if status == "FAILED" else None,
            "settings": settings,
            "options": "[]",
            "output_tags": "[]",
            "result": None if open_ else json.dumps({"segmentCount": 120, "pageCount": 12}),
            "workflow": "default" if dice.random() < 0.3 else None,
            "execute_after_id": self.first_jobs[0] if place % 20 == 3 else None,
            "parent_id": self.first_jobs[1] if place % 20 == 7 else None,
            "priority": dice.choices((0, 1, 2), (1, 8, 1))[0],
            "progress": 0 if open_ else 100,
            "pages_done": 12,
            "total_size": 100_000,
            "event_seq": 5,
            "waits_for_data": False,
            "waits_for_job": False,
            "due_at": created,
            "attempt": 1,
            "charged_attempts": 0,
            "max_attempts": 3,
            "attempt_pages": 0,
            "timeout_seconds": 3600,
            "ttl_seconds": 2_592_000,
            "submitter_id": self.keys[owner][0 if dice.random() < 0.9 else place % 19],
            "created_at": created,
            "updated_at": created,
            "started_at": None if open_ else started,
            "finished_at": None if open_ else started + timedelta(seconds=3),
            "expires_at": None if open_ else created + timedelta(days=30),
        }

    def _job_documents(self) -> Iterator[dict[str, Any]]:
        for place, job_id in enumerate(self.job_ids):
            common = place % 10 == 1
            yield {
                "job_id": job_id,
                "document_id": self.documents[0 if common else 1 + place // JOBS_A_DOCUMENT],
                "position": 0,
                "owned": False,
                "status": "COMPLETED",
                "pages_done": 12,
                "segment_count": 120,
                "options": "[]",
                "issues": "[]",
            }


async def write(database: Database, many: Many) -> None:
    """Write the rows into a migrated, empty database; its indexes are made after them."""
    if database.is_sqlite:
        _write_sqlite(str(database.url.database), many)
        return
    async with transaction(database) as work:
        connection = await work.session.connection()
        indexes = await connection.execute(text(INDEXES))
        definitions = [definition for name, definition in indexes.all()]
        for definition in definitions:
            name = definition.split(" INDEX ")[1].split(" ")[0]
            await connection.execute(text(f"DROP INDEX {name}"))
        driver: Any = (await connection.get_raw_connection()).driver_connection
        for table, rows in many.tables().items():
            while batch := list(islice(rows, BATCH)):
                await driver.copy_records_to_table(
                    table,
                    columns=list(batch[0]),
                    records=[tuple(row.values()) for row in batch],
                )
        for definition in definitions:
            await connection.execute(text(definition))
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE"))


INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND indexname LIKE 'ix\\_%'
"""


def _write_sqlite(path: str, many: Many) -> None:
    with sqlite3.connect(path) as connection:
        made = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND name GLOB 'ix_*'"
        indexes = connection.execute(made).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for table, rows in many.tables().items():
            while batch := list(islice(rows, BATCH)):
                names = ", ".join(batch[0])
                places = ", ".join("?" * len(batch[0]))
                connection.executemany(
                    f"INSERT INTO {table} ({names}) VALUES ({places})",  # noqa: S608 - our own names
                    [tuple(map(_for_sqlite, row.values())) for row in batch],
                )
        for _, sql in indexes:
            connection.execute(sql)
    connection.close()


def _for_sqlite(value: object) -> object:
    match value:
        case UUID():
            return value.hex
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S.%f")
        case _:
            return value
