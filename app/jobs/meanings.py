"""What the status of a job means for that job now, in one sentence for a person."""

from app.jobs.models import Job
from app.jobs.states import MEANINGS
from app.jobs.states import JobStatus as S
from app.jobs.types import JobOutcome, JobType


def meaning(job: Job) -> str:
    """Return what the status of a job means for it now."""
    match job.status:
        case S.PENDING if job.waits_for_job:
            return "The job is accepted and waits for the job that it comes after."
        case S.PENDING if job.waits_for_data:
            return "The job is accepted and waits for the bytes of its documents."
        case S.PENDING if job.attempt:
            return "The job was interrupted and waits to be taken up again."
        case S.PROCESSING if job.type is JobType.CONDITIONAL:
            return "The rules of the job are looked at, and the jobs of those that hold are run."
        case S.COMPLETED if job.outcome is JobOutcome.WARNING:
            return "The job has ended and its result is ready, but a part failed or has issues."
    return MEANINGS[job.status]
