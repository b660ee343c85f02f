"""Options as callers give them to a job or a document: kept, shown, opened for the work, wiped.

A row keeps them in their order, each as {"name", "value"}; where the value is secret as {"name",
"sealed"} until the job ends, and as {"name", "wiped": true} from then on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import String, cast
from sqlmodel import col, select

from app.db.work import Work
from app.jobs.models import Job, JobDocument
from app.jobs.options import DocumentOptions
from app.seals import Seals

PASSWORD = "DOC.PASSWORD"  # noqa: S105 - the name of an option
META = "META."
SECRET = frozenset({PASSWORD})
"""Options whose values are shown to nobody."""

Kept = Mapping[str, Any]
"""An option as a row keeps it."""


@dataclass(frozen=True, slots=True)
class GivenOption:
    """An option by its name, and the JSON value that was given for it."""

    name: str
    value: Any = field(repr=False)


def kept(options: Iterable[GivenOption], *, seals: Seals) -> list[dict[str, Any]]:
    """Return options as a row keeps them, in their order, secret values sealed."""
    return [
        {"name": option.name, "sealed": seals.seal(option.value)}
        if option.name in SECRET
        else {"name": option.name, "value": option.value}
        for option in options
    ]


def shown(options: Iterable[Kept]) -> list[GivenOption]:
    """Return options as callers see them: the value of a secret one is None."""
    return [GivenOption(option["name"], option.get("value")) for option in options]


def open_values(options: Iterable[Kept]) -> list[GivenOption]:
    """Return those options whose values are no secret."""
    return [GivenOption(option["name"], option["value"]) for option in options if "value" in option]


def count_passwords(options: Iterable[Kept]) -> int:
    """Return how many passwords are among these options."""
    return sum(option["name"] == PASSWORD for option in options)


def for_document(job: Sequence[Kept], own: Sequence[Kept], *, seals: Seals) -> DocumentOptions:
    """Return what goes with a document to its work, by the options of its job and its own.

    Its own passwords are tried first, then those of the job. What META says of the document
    replaces what it says of the job.

    Raises:
        CannotOpen: a password was sealed with a key that is not here.
    """
    passwords = [
        seals.open(option["sealed"])
        for option in (*own, *job)
        if option["name"] == PASSWORD and "sealed" in option
    ]
    metadata = {
        option["name"].removeprefix(META): option["value"]
        for option in (*job, *own)
        if option["name"].startswith(META)
    }
    return DocumentOptions(tuple(passwords), metadata)


def were_wiped(options: Iterable[Kept]) -> bool:
    """Return whether a secret was among these options that is gone: they cannot be used again."""
    return any("wiped" in option for option in options)


def of_rules(job: Job) -> list[Sequence[Kept]]:
    """Return the options of all jobs in the rules of a conditional job, and of their documents."""
    requests = [request for rule in job.rules or () for request in rule["requests"]]
    documents = [document for request in requests for document in request["documents"]]
    return [each["options"] for each in (*requests, *documents)]


async def wipe(work: Work, jobs: Sequence[Job]) -> None:
    """Forget the secrets of jobs that have ended, of their documents and of their rules."""
    for job in jobs:
        if _are_sealed(job.options):
            job.options = _wiped(job.options)
        if job.rules:
            job.rules = [
                {**rule, "requests": _without_secrets(rule["requests"])} for rule in job.rules
            ]
    for row in await work.session.exec(_with_secrets([job.id for job in jobs])):
        row.options = _wiped(row.options)
    await work.session.flush()


def _without_secrets(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return the same value, with every option in it that is sealed wiped."""
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    if isinstance(value, dict):
        if value.keys() == {"name", "sealed"}:
            return _wiped([value])[0]
        return {name: _without_secrets(each) for name, each in value.items()}
    return value


def _with_secrets(job_ids: Sequence[UUID]) -> Any:  # noqa: ANN401 - a select of rows; its type would say less
    # By their text: a job may have a thousand documents, and hardly one has a password of its own.
    return select(JobDocument).where(
        col(JobDocument.job_id).in_(job_ids),
        cast(col(JobDocument.options), String).contains('"sealed"'),
    )


def _are_sealed(options: Iterable[Kept]) -> bool:
    return any("sealed" in option for option in options)


def _wiped(options: Iterable[Kept]) -> list[dict[str, Any]]:
    return [
        {"name": option["name"], "wiped": True} if "sealed" in option else dict(option)
        for option in options
    ]
