"""What is to be listed, and in which order, in the schema. Null means any, as what is left out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self, TypeVar
from uuid import UUID

import strawberry

from app.api.pages import NOBODY, id_or_none
from app.api.tasks import Given
from app.api.vocabulary import JobOrderField, JobOutcome, JobStatus, JobType, SortDirection
from app.characters import UNREADABLE
from app.documents.commands import MAX_TAGS
from app.documents.filters import DocumentFilter as OfDocuments
from app.errors import FieldError, InvalidInput
from app.jobs.filters import JobFilter as OfJobs
from app.jobs.orders import JobOrder as Order

Value = TypeVar("Value")

MAX_LISTED = 1000
"""How many values a filter may list: each is a parameter of the query."""


@strawberry.input(
    description="Which jobs to list; every field that is given must hold. `ids` and `numbers` may "
    "list 1,000 each."
)
class JobFilter(Given):
    ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="One of these."
    )
    numbers: list[int] | None = strawberry.field(
        default=strawberry.UNSET, description="One of these numbers."
    )
    group_id: str | None = strawberry.field(default=strawberry.UNSET, description="In this group.")
    types: list[JobType] | None = strawberry.field(
        default=strawberry.UNSET, description="Of one of these types."
    )
    statuses: list[JobStatus] | None = strawberry.field(
        default=strawberry.UNSET, description="In one of these states."
    )
    outcomes: list[JobOutcome] | None = strawberry.field(
        default=strawberry.UNSET, description="Ended in one of these ways."
    )
    name: str | None = strawberry.field(
        default=strawberry.UNSET, description="Whose name contains this, in any case."
    )
    application_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Of this application; only yours has any for you."
    )
    submitter_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Submitted with the key of this id."
    )
    document_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="That use this document."
    )
    execute_after_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="That come after this job."
    )
    parent_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Started by the rules of this job."
    )
    workflow: str | None = strawberry.field(
        default=strawberry.UNSET, description="Of the workflow with this name."
    )
    created_after: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Created later."
    )
    created_before: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Created earlier."
    )

    @classmethod
    def of(cls, given: Self | None) -> OfJobs:
        """Return the filter of the middle; all without one.

        Raises:
            InvalidInput: a list is too long.
        """
        return OfJobs() if given is None else given._filter()  # noqa: SLF001 - its own

    def _filter(self) -> OfJobs:
        """Read it. What cannot be stored is what nobody has."""
        _check_lengths(ids=self.ids, numbers=self.numbers)
        if any(UNREADABLE.search(word or "") for word in (self.group_id, self.name, self.workflow)):
            return OfJobs(ids=())
        return OfJobs(
            ids=_ids(self.ids),
            numbers=self.numbers,
            group_id=self.group_id,
            types=_each_once(self.types),
            statuses=_each_once(self.statuses),
            outcomes=_each_once(self.outcomes),
            name=self.name,
            application_id=_id(self.application_id),
            submitter_id=_id(self.submitter_id),
            document_id=_id(self.document_id),
            execute_after_id=_id(self.execute_after_id),
            parent_id=_id(self.parent_id),
            workflow=self.workflow,
            created_after=self.created_after,
            created_before=self.created_before,
        )


@strawberry.input(
    description="One of the things by which jobs are ordered. Words are ordered by their letters "
    "as Unicode numbers them, capitals first; jobs without a value come last in both directions."
)
class JobOrder(Given):
    field: JobOrderField = strawberry.field(description="What they are ordered by.")
    direction: SortDirection | None = strawberry.field(
        default=SortDirection.ASC, description="Which end comes first."
    )

    def order(self) -> Order:
        """Return the order of the middle."""
        return Order(self.field, self.direction or SortDirection.ASC)


@strawberry.input(description="Which documents to list; every field that is given must hold.")
class DocumentFilter(Given):
    ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="One of these."
    )
    filename: str | None = strawberry.field(
        default=strawberry.UNSET, description="Whose name contains this, in any case."
    )
    mime_types: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="Of one of these types, as `mimeType` writes them."
    )
    tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="That carry all of these tags."
    )
    original_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Made from this document."
    )
    created_after: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Created later."
    )
    created_before: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Created earlier."
    )

    @classmethod
    def of(cls, given: Self | None) -> OfDocuments:
        """Return the filter of the middle; all without one.

        Raises:
            InvalidInput: a list is too long.
        """
        return OfDocuments() if given is None else given._filter()  # noqa: SLF001 - its own

    def _filter(self) -> OfDocuments:
        """Read it. What cannot be stored is what nobody has."""
        _check_lengths(ids=self.ids, mimeTypes=self.mime_types, tags=self.tags)
        words = [self.filename or "", *(self.tags or ())]
        if any(UNREADABLE.search(word) for word in words):
            return OfDocuments(ids=())
        mime_types = self.mime_types
        if mime_types is not None:
            mime_types = [kind.lower() for kind in mime_types if not UNREADABLE.search(kind)]
        return OfDocuments(
            ids=_ids(self.ids),
            filename=self.filename,
            mime_types=_each_once(mime_types),
            tags=_each_once([tag.strip() for tag in self.tags or ()]) or (),
            original_id=_id(self.original_id),
            created_after=self.created_after,
            created_before=self.created_before,
        )


def _check_lengths(**listed: Sequence[object] | None) -> None:
    for name, values in listed.items():
        limit = MAX_TAGS if name == "tags" else MAX_LISTED
        if values is not None and len(values) > limit:
            message = f"{name} may list at most {limit}."
            raise InvalidInput(FieldError(("filter", name), message, "too_long"))


def _each_once(values: Sequence[Value] | None) -> list[Value] | None:
    return None if values is None else list(dict.fromkeys(values))


def _ids(given: Sequence[str] | None) -> list[UUID] | None:
    return None if given is None else [id for id in map(id_or_none, given) if id]


def _id(given: str | None) -> UUID | None:
    return None if given is None else id_or_none(given) or NOBODY
