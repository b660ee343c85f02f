"""What a status means is said for the job at hand."""

from typing import Any

import pytest

from app.jobs.meanings import meaning
from app.jobs.models import Job
from app.jobs.states import MEANINGS, JobStatus
from app.jobs.types import JobOutcome, JobType

S = JobStatus


def of(status: JobStatus, **more: Any) -> str:  # noqa: ANN401 - columns of Job
    return meaning(Job(**{"type": JobType.SEGMENT, "status": status, "attempt": 0, **more}))


@pytest.mark.parametrize("status", JobStatus)
def test_a_status_means_what_it_always_does_where_nothing_is_special(status: JobStatus) -> None:
    outcome = JobOutcome.SUCCESS if status is S.COMPLETED else None
    assert of(status, outcome=outcome) == MEANINGS[status]


def test_what_is_special_is_said() -> None:
    assert [
        of(S.PENDING, waits_for_job=True, waits_for_data=True),
        of(S.PENDING, waits_for_data=True),
        of(S.PENDING, attempt=1),
        of(S.PROCESSING, type=JobType.CONDITIONAL),
        of(S.COMPLETED, outcome=JobOutcome.WARNING),
    ] == [
        "The job is accepted and waits for the job that it comes after.",
        "The job is accepted and waits for the bytes of its documents.",
        "The job was interrupted and waits to be taken up again.",
        "The rules of the job are looked at, and the jobs of those that hold are run.",
        "The job has ended and its result is ready, but a part failed or has issues.",
    ]
