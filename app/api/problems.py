"""Refusals as data: each kind of error of the middle as a type of the schema (RFC 9457)."""

from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import strawberry
from strawberry.types.field import StrawberryField

from app import errors
from app.api.context import Info
from app.api.vocabulary import BigInt

if TYPE_CHECKING:
    from app.api.jobs import Job

JobLater = Annotated["Job", strawberry.lazy("app.api.jobs")]

P = TypeVar("P", bound="Problem")


@strawberry.interface(
    description="An expected refusal of a mutation. Ask for these fields on every answer."
)
class Problem:
    code: str = strawberry.field(description="A stable word; the README explains each.")
    type: str = strawberry.field(description="A stable URI reference for this kind of problem.")
    title: str = strawberry.field(description="What kind of problem it is, for a person.")
    status: int = strawberry.field(description="The HTTP status this problem would have.")
    detail: str = strawberry.field(description="What is wrong here, and what to do.")


@strawberry.type(description="One bad value in the input.")
class FieldError:
    loc: list[str] = strawberry.field(description="The path to the value in the input.")
    msg: str = strawberry.field(description="What is wrong with it, for a person.")
    type: str = strawberry.field(description="A stable word for what is wrong with it.")


@strawberry.type(description="A value in the request is missing, malformed or out of range.")
class InvalidInput(Problem):
    errors: list[FieldError] = strawberry.field(description="The bad values.")


@strawberry.type(description="There is nothing with this id, or it is not yours.")
class NotFound(Problem):
    id: strawberry.ID | None = strawberry.field(description="The id that was asked for.")


@strawberry.type(description="The thing is there, but its state forbids this.")
class Conflict(Problem):
    job_id: strawberry.Private[UUID | None]

    @strawberry.field(
        description="The job that is in the way; null for none, and where it is gone."
    )
    async def conflicting_job(self, info: Info) -> JobLater | None:
        from app.api.jobs import job_of  # noqa: PLC0415 - jobs and their refusals name each other

        return await job_of(info.context, self.job_id)


@strawberry.type(description="Too many, too large or too fast.")
class LimitExceeded(Problem):
    limit: BigInt | None = strawberry.field(description="The limit that was met.")
    retry_after_seconds: int | None = strawberry.field(
        description="When to try again; null where waiting does not help."
    )


@strawberry.type(description="The scope of the key is too small.")
class Forbidden(Problem):
    pass


def _base(kind: type[P], error: errors.AppError, **more: Any) -> P:  # noqa: ANN401 - fields of P
    return kind(
        code=error.code,
        type=error.type,
        title=error.title,
        status=error.status,
        detail=str(error),
        **more,
    )


def problem_of(error: errors.AppError) -> Problem:
    """Return a refusal as data.

    Raises:
        AppError: the error itself, where it is none that is given back as data.
    """
    match error:
        case errors.InvalidInput():
            found = [
                FieldError(loc=list(each.loc), msg=each.msg, type=each.type)
                for each in error.errors
            ]
            return _base(InvalidInput, error, errors=found)
        case errors.NotFound():
            id = None if error.id is None else strawberry.ID(error.id)
            return _base(NotFound, error, id=id)
        case errors.Conflict():
            return _base(Conflict, error, job_id=error.job_id)
        case errors.LimitExceeded():
            limit = None if error.limit is None else BigInt(error.limit)
            retry = error.retry_after_seconds
            return _base(LimitExceeded, error, limit=limit, retry_after_seconds=retry)
        case errors.Forbidden():
            return _base(Forbidden, error)
    raise error


class AsData:
    """Gives refusals of one kind back as data, where a field takes this type of problem."""

    def __init__(self, exception_type: type[errors.AppError], error_type: type[Problem]) -> None:
        self.exception_type = exception_type
        self.error_type = error_type

    def handle(
        self,
        exception: errors.AppError,
        *,
        field: StrawberryField,
        info: Any,  # noqa: ANN401
    ) -> Problem:
        return problem_of(exception)


HANDLERS = [
    AsData(errors.InvalidInput, InvalidInput),
    AsData(errors.NotFound, NotFound),
    AsData(errors.Conflict, Conflict),
    AsData(errors.LimitExceeded, LimitExceeded),
    AsData(errors.Forbidden, Forbidden),
]
