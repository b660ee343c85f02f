"""Every error has one stable code, and says what it means and what to do."""

import inspect

import pytest

from app import errors
from app.errors import AppError, FieldError

CLASSES = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, AppError) and error is not AppError
]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.code)
def test_an_error_explains_itself(error: type[AppError]) -> None:
    assert error.code == error.code.upper()
    assert 400 <= error.status <= 599
    for sentence in (error.meaning, error.what_to_do):
        assert sentence
        assert sentence.endswith((".", "..."))


def test_no_two_errors_share_a_code() -> None:
    assert len({error.code for error in CLASSES}) == len(CLASSES)


def test_an_error_makes_its_own_message_and_type() -> None:
    error = errors.TooManyJobs(limit=3, retry_after_seconds=5)
    assert str(error) == "The application has as many open jobs as it may have: 3."
    assert error.type == "urn:docyard:problem:too-many-jobs"
    assert (error.limit, error.retry_after_seconds, error.retryable) == (3, 5, True)


def test_invalid_input_tells_of_all_its_errors() -> None:
    error = errors.InvalidInput(
        FieldError(("a",), "A is bad.", "bad"), FieldError(("b",), "B is bad.", "bad")
    )
    assert str(error) == "A is bad. B is bad."
    assert [each.loc for each in error.errors] == [("a",), ("b",)]
