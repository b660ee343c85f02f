"""Tables of jobs, their documents, segments, attachments and events; of workers and keys."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    FetchedValue,
    Index,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from app.clock import now
from app.db.columns import (
    BigId,
    JsonValue,
    OrderedJson,
    Word,
    folded,
    index_of_known,
    new_id,
    words,
)
from app.failures import ErrorCode
from app.jobs.states import FINISHED, JobStatus
from app.jobs.types import (
    AttachmentType,
    EventKind,
    JobOutcome,
    JobPriority,
    JobType,
    SegmentStatus,
    Severity,
)

DEFAULT_TTL = timedelta(days=30)
MAX_DOCUMENTS = 1000
"""How many documents one job may have."""


class Job(SQLModel, table=True):
    """One job. Every change of `status` is made by `jobs.events.move`, conditionally."""

    __table_args__ = (
        UniqueConstraint("application_id", "number"),
        CheckConstraint(f"status IN ({words(JobStatus)})", name="status_known"),
        CheckConstraint(
            f"(finished_at IS NOT NULL) = (status IN ({words(FINISHED)}))",
            name="finished_at_iff_finished",
        ),
        CheckConstraint(
            "lease_until IS NULL OR status = 'PROCESSING'", name="lease_while_processing"
        ),
        CheckConstraint("(outcome IS NOT NULL) = (finished_at IS NOT NULL)", name="outcome_at_end"),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress_is_percent"),
        # The claim: of each application and priority the oldest job that may be taken up.
        Index(
            "ix_job_turn",
            "application_id",
            "priority",
            "queued_at",
            "id",
            "due_at",
            sqlite_where=text("status = 'PENDING' AND waits_for_data IS 0 AND waits_for_job IS 0"),
            postgresql_where=text(
                "status = 'PENDING' AND waits_for_data IS false AND waits_for_job IS false"
            ),
        ),
        # Lists, newest first: all of an application, and by each thing that a filter holds equal.
        # The application stands in each, since SQLite keeps no statistics and takes the index of
        # which it can use most columns.
        # With the name, which is searched in every row: the rows themselves are much longer.
        Index("ix_job_application_name", "application_id", "id", "name_folded"),
        Index("ix_job_application_created_at", "application_id", "created_at", "id"),
        Index("ix_job_application_status", "application_id", "status", "id"),
        Index("ix_job_application_type", "application_id", "type", "id"),
        Index("ix_job_submitter", "submitter_id", "application_id", "id"),
        index_of_known("ix_job_group", "group_id", "application_id", "id"),
        index_of_known("ix_job_outcome", "outcome", "application_id", "id"),
        index_of_known("ix_job_workflow", "workflow", "application_id", "id"),
        index_of_known("ix_job_execute_after", "execute_after_id", "application_id", "id"),
        index_of_known("ix_job_parent", "parent_id", "application_id", "id"),
        index_of_known("ix_job_retry_of", "retry_of_id"),
        index_of_known("ix_job_finished", "finished_at", "application_id"),
        # Those in the hands of a worker: few, however many jobs there are.
        Index(
            "ix_job_lease",
            "application_id",
            "lease_until",
            sqlite_where=text("lease_until IS NOT NULL"),
            postgresql_where=text("lease_until IS NOT NULL"),
        ),
        # What the sweep looks for: waits that are over, jobs whose time is up.
        Index("ix_job_give_up", "status", "give_up_at"),
        Index("ix_job_expires_at", "expires_at"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    application_id: UUID = Field(foreign_key="application.id", ondelete="CASCADE")
    number: int
    name: str = Field(max_length=255)
    # For searches in any case. The databases fold letters in ways of their own.
    name_folded: str = Field(default=None, sa_column=folded("name"))
    group_id: str | None = Field(default=None, max_length=255)
    type: JobType = Field(sa_type=Word(JobType))
    status: JobStatus = Field(sa_type=Word(JobStatus))
    message: str | None = None
    outcome: JobOutcome | None = Field(default=None, sa_type=Word(JobOutcome))
    error_code: ErrorCode | None = Field(default=None, sa_type=Word(ErrorCode))
    error_message: str | None = None
    error_document_id: UUID | None = None
    settings: dict[str, Any] = Field(sa_type=JsonValue)
    workflow: str | None = Field(default=None, max_length=100)
    profile: str | None = Field(default=None, max_length=100)
    # As given, in their order: {"name", "value"}, or {"name", "sealed"} where the value is secret.
    options: list[dict[str, Any]] = Field(default_factory=list, sa_type=JsonValue)
    # The job that has to be COMPLETED first, the conditional job it is a child of, and the job it
    # repeats. No foreign keys: a job remembers where it came from when those are gone.
    execute_after_id: UUID | None = None
    parent_id: UUID | None = None
    retry_of_id: UUID | None = None
    # CONDITIONAL only, as jobs.conditionals writes them; the order of keys is part of a condition.
    rules: list[dict[str, Any]] | None = Field(default=None, sa_type=OrderedJson)
    input_tag: str | None = Field(default=None, max_length=100)
    output_tags: list[str] = Field(default_factory=list, sa_type=JsonValue)
    page_slice: str | None = Field(default=None, max_length=255)
    result: dict[str, Any] | list[Any] | None = Field(default=None, sa_type=OrderedJson)
    priority: int = Field(default=JobPriority.NORMAL)
    progress: int = 0
    pages_done: int = 0
    total_size: int = Field(default=0, sa_type=BigInteger)
    event_seq: int = 0
    # Where a document's bytes are still to come; such a job is not claimed.
    waits_for_data: bool = False
    # Where the job it comes after has not ended; such a job is not claimed either.
    waits_for_job: bool = False
    # When it was started: the age by which the queue is ordered.
    queued_at: datetime | None = None
    # Until when it may wait for its first worker, or, as a draft, for its start.
    give_up_at: datetime | None = None
    queue_timeout_seconds: int | None = None
    due_at: datetime = Field(default_factory=now)
    attempt: int = 0
    charged_attempts: int = 0
    max_attempts: int
    worker_id: UUID | None = None
    lease_until: datetime | None = None
    attempt_started_at: datetime | None = None
    attempt_pages: int = 0
    duration_ms: int | None = None
    timeout_seconds: int
    # How long it is kept once it has ended.
    ttl_seconds: int = round(DEFAULT_TTL.total_seconds())
    submitter_id: UUID | None = Field(default=None, foreign_key="api_key.id", ondelete="SET NULL")
    submitter_ip: str | None = Field(default=None, max_length=64)
    created_at: datetime = Field(default_factory=now)
    updated_at: datetime = Field(default_factory=now)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None


class Turn(SQLModel, table=True):
    """When a worker last took up a job of an application."""

    application_id: UUID = Field(foreign_key="application.id", primary_key=True, ondelete="CASCADE")
    served_at: datetime = Field(default_factory=now)


class JobDocument(SQLModel, table=True):
    """One document inside one job, with its own fate."""

    __tablename__ = "job_document"
    __table_args__ = (
        UniqueConstraint("job_id", "position"),
        # The jobs of a document, newest first.
        Index("ix_job_document_document", "document_id", "job_id"),
        CheckConstraint(f"status IN ({words(JobStatus)})", name="status_known"),
        CheckConstraint(
            "(failure_code IS NOT NULL) = (status = 'FAILED')", name="failure_if_failed"
        ),
    )

    job_id: UUID = Field(foreign_key="job.id", primary_key=True, ondelete="CASCADE")
    document_id: UUID = Field(foreign_key="document.id", primary_key=True)
    position: int
    # It came with the job, and goes with it where no other job uses it.
    owned: bool = False
    status: JobStatus = Field(default=JobStatus.PENDING, sa_type=Word(JobStatus))
    pages_done: int = 0
    pages_total: int | None = None
    segment_count: int = 0
    # Chained over the bodies in their order, so that it can go on after a lost worker.
    segments_sha256: str | None = Field(default=None, max_length=64)
    checkpoint: dict[str, Any] | None = Field(default=None, sa_type=JsonValue)
    # Under which the file that is made of all of it is written; a document once it is whole.
    draft_id: UUID | None = None
    # Of PREDICT: category, accuracy, score, scores, evidencePages.
    prediction: dict[str, Any] | None = Field(default=None, sa_type=JsonValue)
    # Its own, which come before those of the job; written as `Job.options` are.
    options: list[dict[str, Any]] = Field(default_factory=list, sa_type=JsonValue)
    issues: list[dict[str, Any]] = Field(default_factory=list, sa_type=JsonValue)
    failure_code: ErrorCode | None = Field(default=None, sa_type=Word(ErrorCode))
    failure_message: str | None = None
    # The job that has done it before, while its work is to be taken over; no foreign key, as above.
    taken_from_id: UUID | None = None


class RuleDocument(SQLModel, table=True):
    """A document that the rules of a conditional job name: it is kept for jobs that may come."""

    __tablename__ = "rule_document"

    job_id: UUID = Field(foreign_key="job.id", primary_key=True, ondelete="CASCADE")
    document_id: UUID = Field(foreign_key="document.id", primary_key=True, index=True)


class Segment(SQLModel, table=True):
    """One segment; never changed once it is there."""

    __table_args__ = (
        UniqueConstraint("job_id", "position", "ordinal"),
        CheckConstraint(f"status IN ({words(SegmentStatus)})", name="status_known"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE")
    document_id: UUID = Field(foreign_key="document.id", index=True)
    # Of its document in the job; with `ordinal` it gives the order of reading.
    position: int
    ordinal: int
    key: str = Field(max_length=64)
    status: SegmentStatus = Field(
        default=SegmentStatus.COMPLETED,
        sa_type=Word(SegmentStatus),
    )
    body: str
    page: int
    headings: list[str] = Field(default_factory=list, sa_type=JsonValue)
    tags: list[str] = Field(default_factory=list, sa_type=JsonValue)
    tag_scores: list[dict[str, Any]] = Field(default_factory=list, sa_type=JsonValue)
    lang: str | None = Field(default=None, max_length=8)
    boxes: list[dict[str, Any]] = Field(default_factory=list, sa_type=JsonValue)
    created_at: datetime = Field(default_factory=now)
    duration_ms: int | None = None


class Attachment(SQLModel, table=True):
    """A file that belongs to a job: result, log, report. Its bytes are stored under its id.

    A log has none: it is rendered from the events.
    """

    __table_args__ = (CheckConstraint(f"type IN ({words(AttachmentType)})", name="type_known"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    job_id: UUID = Field(foreign_key="job.id", index=True, ondelete="CASCADE")
    document_id: UUID | None = Field(
        default=None, foreign_key="document.id", ondelete="SET NULL", index=True
    )
    type: AttachmentType = Field(sa_type=Word(AttachmentType))
    filename: str = Field(max_length=255)
    mime_type: str = Field(max_length=255)
    size: int = Field(sa_type=BigInteger)
    sha256: str = Field(max_length=64)
    created_at: datetime = Field(default_factory=now)


class JobEvent(SQLModel, table=True):
    """One line of a job's log. `seq` counts 1, 2, 3, given out under the job's row lock."""

    __tablename__ = "job_event"
    __table_args__ = (
        UniqueConstraint("job_id", "seq"),
        Index("ix_job_event_feed", "application_id", "transaction_id", "id"),
        # What is to be forgotten: few rows of the largest table.
        Index(
            "ix_job_event_deleted",
            "at",
            sqlite_where=text("kind = 'DELETED'"),
            postgresql_where=text("kind = 'DELETED'"),
        ),
        # Else a number is given out again once the newest events are gone, and whoever has read
        # so far misses what has it now.
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    # No foreign key: the DELETED event outlives its job.
    job_id: UUID
    application_id: UUID = Field(foreign_key="application.id", ondelete="CASCADE")
    seq: int
    # Filled by the database; orders a feed over many jobs where commits overtake each other.
    transaction_id: int | None = Field(
        default=None, sa_column=Column(BigInteger, FetchedValue(), nullable=False)
    )
    kind: EventKind = Field(sa_type=Word(EventKind))
    at: datetime = Field(default_factory=now)
    status: JobStatus = Field(sa_type=Word(JobStatus))
    progress: int
    message: str | None = None
    severity: Severity | None = Field(default=None, sa_type=Word(Severity))
    document_id: UUID | None = None
    attachment_id: UUID | None = None


class Worker(SQLModel, table=True):
    """One running worker process; kept by its heartbeat."""

    id: UUID = Field(default_factory=new_id, primary_key=True)
    started_at: datetime = Field(default_factory=now)
    last_seen_at: datetime = Field(default_factory=now)
    running: int = 0
    capacity: int


class IdempotencyKey(SQLModel, table=True):
    """A key that a caller gave a request for a job, so that repeating it makes no second one."""

    __tablename__ = "idempotency_key"

    application_id: UUID = Field(foreign_key="application.id", primary_key=True, ondelete="CASCADE")
    key: str = Field(primary_key=True, max_length=255)
    # Of all that was asked for; files by their bytes.
    request_sha256: str = Field(max_length=64)
    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE", index=True)
    created_at: datetime = Field(default_factory=now, index=True)
