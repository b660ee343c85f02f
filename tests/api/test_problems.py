"""Every refusal of a mutation has a type of the schema, with the same five fields."""

from typing import Any

import pytest
from strawberry.types.field import StrawberryField

from app import errors
from app.api.problems import HANDLERS
from app.api.schema import schema
from app.errors import AppError, FieldError

EXAMPLES: list[tuple[AppError, str, dict[str, Any]]] = [
    (
        errors.InvalidInput(FieldError(("a", "0"), "Bad.", "bad")),
        "InvalidInput",
        {"loc": ["a", "0"], "msg": "Bad.", "type": "bad"},
    ),
    (errors.UnsupportedFeature(FieldError((), "No.", "unsupported")), "InvalidInput", {}),
    (errors.NotFound("job", "7"), "NotFound", {"id": "7"}),
    (errors.NotFound("job"), "NotFound", {"id": None}),
    (errors.UploadComplete(), "Conflict", {}),
    (
        errors.TooManyJobs(limit=2, retry_after_seconds=5),
        "LimitExceeded",
        {"limit": 2, "retry_after_seconds": 5},
    ),
    (
        errors.FileTooLarge(limit=2**40),
        "LimitExceeded",
        {"limit": 2**40, "retry_after_seconds": None},
    ),
    (errors.Forbidden(needs="WRITE"), "Forbidden", {}),
]


def problem(error: AppError) -> Any:  # noqa: ANN401 - any type of problem
    """Return what the schema makes of an error."""
    (handler,) = [each for each in HANDLERS if isinstance(error, each.exception_type)]
    return handler.handle(error, field=StrawberryField(), info=None)


@pytest.mark.parametrize(
    ("error", "kind", "more"), EXAMPLES, ids=[f"{type(e).__name__} {m}" for e, _, m in EXAMPLES]
)
def test_an_error_becomes_a_problem(error: AppError, kind: str, more: dict[str, Any]) -> None:
    found = problem(error)
    assert type(found).__name__ == kind
    assert (found.code, found.type, found.title) == (error.code, error.type, error.title)
    assert (found.status, found.detail) == (error.status, str(error))
    if kind == "InvalidInput":
        assert len(found.errors) == 1
        found = found.errors[0]
    for name, value in more.items():
        assert getattr(found, name) == value


def test_every_answer_of_a_mutation_can_refuse() -> None:
    mutations = schema._schema.mutation_type
    assert mutations is not None
    problems = {"InvalidInput", "NotFound", "Conflict", "LimitExceeded", "Forbidden"}
    for field in mutations.fields.values():
        members = {member.name for member in field.type.of_type.types}
        assert members & problems, field
        assert "Forbidden" in members
