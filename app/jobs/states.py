"""The states of a job: one table of moves, and the one rule of who may make them."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job is in its life."""

    NEW = "NEW"
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


S = JobStatus

MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    S.NEW: frozenset({S.PENDING, S.FAILED, S.CANCELED}),
    S.PENDING: frozenset({S.PROCESSING, S.FAILED, S.CANCELED}),
    # Back to PENDING: the worker was lost or stopped, and another one goes on.
    S.PROCESSING: frozenset({S.COMPLETED, S.FAILED, S.CANCELED, S.PENDING}),
    S.COMPLETED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELED: frozenset(),
}
FINISHED = frozenset({S.COMPLETED, S.FAILED, S.CANCELED})
OPEN = frozenset(S) - FINISHED

MEANINGS: dict[JobStatus, str] = {
    S.NEW: "The job takes data and has not been started.",
    S.PENDING: "The job is accepted and waits for its turn.",
    S.PROCESSING: "A worker is at it.",
    S.COMPLETED: "The job has ended and its result is ready.",
    S.FAILED: "The job has ended without a result.",
    S.CANCELED: "The job was canceled.",
}


def sources(target: JobStatus) -> frozenset[JobStatus]:
    """Return the states from which a job may move to `target`."""
    return frozenset(status for status, targets in MOVES.items() if target in targets)
