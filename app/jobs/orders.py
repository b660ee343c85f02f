"""In which order jobs are listed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import String, type_coerce
from sqlmodel import col, select

from app.db.ordering import Key, Ordering, SortDirection, by_code_point
from app.errors import FieldError, InvalidInput
from app.jobs.models import Job, JobDocument


class JobOrderField(StrEnum):
    """What jobs can be ordered by."""

    CREATED_AT = "CREATED_AT"
    STARTED_AT = "STARTED_AT"
    FINISHED_AT = "FINISHED_AT"
    TYPE = "TYPE"
    STATUS = "STATUS"
    NAME = "NAME"
    NUMBER = "NUMBER"
    PRIORITY = "PRIORITY"
    APPLICATION = "APPLICATION"
    SUBMITTER = "SUBMITTER"
    DOCUMENT = "DOCUMENT"
    PARENT = "PARENT"


@dataclass(frozen=True, slots=True)
class JobOrder:
    """One of several things by which jobs are ordered."""

    field: JobOrderField
    direction: SortDirection = SortDirection.ASC


_FIRST_DOCUMENT = (
    select(JobDocument.document_id)
    .where(JobDocument.job_id == Job.id)
    .order_by(col(JobDocument.position))
    .limit(1)
    .correlate(Job)  # named, since the list of a document's jobs has both tables
    .scalar_subquery()
)
_F = JobOrderField
_KEYS = {
    key.name: key
    for key in (
        Key(_F.CREATED_AT, col(Job.created_at), datetime),
        Key(_F.STARTED_AT, col(Job.started_at), datetime, nullable=True),
        Key(_F.FINISHED_AT, col(Job.finished_at), datetime, nullable=True),
        Key(_F.TYPE, by_code_point(type_coerce(col(Job.type), String)), str),
        Key(_F.STATUS, by_code_point(type_coerce(col(Job.status), String)), str),
        Key(_F.NAME, by_code_point(col(Job.name)), str),
        Key(_F.NUMBER, col(Job.number), int),
        Key(_F.PRIORITY, col(Job.priority), int),
        Key(_F.APPLICATION, col(Job.application_id), UUID),
        Key(_F.SUBMITTER, col(Job.submitter_id), UUID, nullable=True),
        Key(_F.DOCUMENT, _FIRST_DOCUMENT, UUID, nullable=True),
        Key(_F.PARENT, col(Job.parent_id), UUID, nullable=True),
    )
}
_ID = Key("ID", col(Job.id), UUID)

NEWEST_FIRST = Ordering("jobs", _ID.column, ((_ID, SortDirection.DESC),))


def ordering(orders: Sequence[JobOrder]) -> Ordering:
    """Return the order of a list of jobs; none given: newest first.

    Jobs that are equal in all of them come in the order of their making, in the direction of the
    last one: a table that is turned round comes out turned round.

    Raises:
        InvalidInput: a field is named twice.
    """
    if not orders:
        return NEWEST_FIRST
    fields = [order.field for order in orders]
    for place, field in enumerate(fields):
        if field in fields[:place]:
            message = f"{field} stands in the order twice."
            raise InvalidInput(FieldError(("orderBy", str(place), "field"), message, "repeated"))
    if _F.NUMBER in fields:  # unique in an application, so that nothing behind it decides
        orders = orders[: fields.index(_F.NUMBER) + 1]
        return Ordering(
            "jobs", _ID.column, tuple((_KEYS[order.field], order.direction) for order in orders)
        )
    keys = tuple((_KEYS[order.field], order.direction) for order in orders)
    return Ordering("jobs", _ID.column, (*keys, (_ID, orders[-1].direction)))


def of_document(ordering: Ordering) -> Ordering:
    """Return the same order for a list of the jobs of one document.

    Their ids are then those in the index of the document, which has them in this order already.
    """
    listed = replace(_ID, found_by=col(JobDocument.job_id))
    keys = tuple((listed if key is _ID else key, direction) for key, direction in ordering.keys)
    return replace(ordering, keys=keys)
