"""What callers gave for a document, made ready for the sandbox: its settings, its passwords."""

import logging
from dataclasses import replace
from typing import Any

from app.errors import InvalidInput
from app.failures import ErrorCode, ProcessingFailed
from app.jobs import given, workflows
from app.jobs.options import DocumentOptions, task_of, to_json
from app.jobs.runs import Run, RunDocument
from app.jobs.workflows import Resolved
from app.seals import CannotOpen, Seals

logger = logging.getLogger(__name__)


def settings(run: Run, document: RunDocument) -> dict[str, Any]:
    """Return the settings of the job, changed by the document's own options.

    Raises:
        ProcessingFailed: OPTION, where an option is none any more, or none for this work.
    """
    own = given.open_values(document.options)
    if not own:
        return run.settings
    job = Resolved(task_of(run.type, run.settings), run.workflow, run.profile)
    try:
        return to_json(workflows.task_of_document(job, own))
    except InvalidInput as error:
        raise ProcessingFailed(ErrorCode.OPTION, str(error)) from None


def for_document(run: Run, document: RunDocument, *, seals: Seals) -> DocumentOptions:
    """Return what goes with the document, passwords opened.

    Raises:
        ProcessingFailed: CONFIGURATION, where they were sealed with keys that are not here.
    """
    try:
        found = given.for_document(run.options, document.options, seals=seals)
    except CannotOpen as error:
        logger.error("job %s: its passwords cannot be opened: %s", run.job_id, error)  # noqa: TRY400 - no trace of a secret
        message = f"The worker cannot open the passwords of this job: {error}."
        raise ProcessingFailed(ErrorCode.CONFIGURATION, message) from None
    return replace(found, page_slice=document.page_slice)
