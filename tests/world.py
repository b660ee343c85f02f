"""What tests of the middle stand on: a database, a bell, an application, and jobs in any state."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlmodel import select

from app.accounts import commands as accounts
from app.accounts.caller import Caller
from app.accounts.models import Scope
from app.clock import now
from app.db.engine import Database
from app.db.work import reading, transaction
from app.documents import commands as uploads
from app.documents.models import Document, DocumentStatus
from app.documents.store import LocalStore
from app.jobs import creation, recording, runs
from app.jobs.creation import GivenDocument, JobRequest
from app.jobs.models import Job, JobDocument, Segment
from app.jobs.options import SegmentOptions, to_json
from app.jobs.queue import Doorbell
from app.jobs.results import Page
from app.jobs.results import Segment as Piece
from app.jobs.runs import Run
from app.jobs.states import FINISHED, JobStatus
from app.jobs.types import JobOutcome, JobType

LEASE = timedelta(seconds=15)


@dataclass
class World:
    """One application and all that its jobs need."""

    database: Database
    bell: Doorbell
    store: LocalStore
    caller: Caller
    numbers: list[int] = field(default_factory=list)

    async def document(self, status: DocumentStatus = DocumentStatus.PROCESSED) -> UUID:
        """Make a document without bytes."""
        here = status is DocumentStatus.PROCESSED
        async with transaction(self.database) as work:
            document = Document(
                application_id=self.caller.application_id,
                filename="a.txt",
                status=status,
                size=7 if here else None,
                sha256="0" * 64 if here else None,
            )
            work.session.add(document)
        return document.id

    async def announce(self, size: int | None, sha256: str | None = None) -> UUID:
        """Announce a document whose bytes are to come; size: None where a request brings them."""
        async with transaction(self.database) as work:
            document = await uploads.announce(
                work,
                application_id=self.caller.application_id,
                filename="a.txt",
                tags=[],
                upload_expires_at=now() + timedelta(hours=1),
                size=size,
                sha256=sha256,
            )
        return document.id

    async def create(self, *documents: UUID, owned: bool = False, **more: Any) -> UUID:  # noqa: ANN401 - of JobRequest
        """Create a job as a caller does; on a new document where none is given."""
        ids = documents or (await self.document(),)
        request = JobRequest(
            **{
                "task": SegmentOptions(),
                "documents": [GivenDocument(id, owned) for id in ids],
                "ttl": timedelta(days=30),
                "timeout": timedelta(minutes=1),
                "max_attempts": 3,
                **more,
            }
        )
        async with transaction(self.database) as work:
            job = await creation.create(work, self.bell, caller=self.caller, request=request)
        return job.id

    async def job(self, status: JobStatus, **more: Any) -> UUID:  # noqa: ANN401 - columns of Job
        """Write a job in any state, without documents and events."""
        self.numbers.append(len(self.numbers) + 1001)
        ended = status in FINISHED
        async with transaction(self.database) as work:
            job = Job(
                **{
                    "application_id": self.caller.application_id,
                    "number": self.numbers[-1],
                    "name": "made",
                    "type": JobType.SEGMENT,
                    "status": status,
                    "settings": to_json(SegmentOptions()),
                    "max_attempts": 3,
                    "timeout_seconds": 60,
                    "finished_at": now() if ended else None,
                    "queued_at": None if status is JobStatus.NEW else now(),
                    "outcome": JobOutcome.SUCCESS if ended else None,
                    "lease_until": now() + LEASE if status is JobStatus.PROCESSING else None,
                    **more,
                }
            )
            work.session.add(job)
        return job.id

    async def claim(self) -> Run | None:
        """Take up the best job that is due."""
        async with transaction(self.database) as work:
            return await runs.claim(work, self.bell, worker_id=uuid4(), lease=LEASE)

    async def claimed(self) -> Run:
        """Take up the best job that is due, which is there."""
        run = await self.claim()
        assert run is not None
        return run

    async def record(self, run: Run, *numbers: int, total: int = 5, document: int = 0) -> None:
        """Record pages of one segment each."""
        pages = [
            Page(number, total, (Piece(f"page {number}", number),), (), {"done": number})
            for number in numbers
        ]
        async with transaction(self.database) as work:
            await recording.record_pages(work, self.bell, run, run.documents[document], pages)

    async def row(self, id: UUID) -> Job:
        """Read a job."""
        async with reading(self.database) as session:
            return await session.get_one(Job, id)

    async def documents(self, id: UUID) -> Sequence[JobDocument]:
        """Read the documents of a job in their order."""
        async with reading(self.database) as session:
            statement = select(JobDocument).where(JobDocument.job_id == id)
            return (await session.exec(statement.order_by("position"))).all()

    async def segments(self, id: UUID) -> list[tuple[int, int, str]]:
        """Read position, ordinal and body of the segments of a job."""
        async with reading(self.database) as session:
            statement = select(Segment.position, Segment.ordinal, Segment.body)
            rows = await session.exec(statement.where(Segment.job_id == id))
            return sorted((position, ordinal, body) for position, ordinal, body in rows)


async def caller_of(database: Database, name: str) -> Caller:
    """Make an application with a key."""
    async with transaction(database) as work:
        application = await accounts.create_application(work, name=name, max_open_jobs=1000)
        key, _ = await accounts.create_key(
            work, application_id=application.id, name="test", scope=Scope.ADMIN
        )
    return Caller(application.id, key.id, key.scope, None)
