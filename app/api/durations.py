"""Durations as callers give them: whole seconds within bounds."""

from datetime import timedelta

from app.errors import FieldError, InvalidInput

MIN_TTL_SECONDS, MAX_TTL_SECONDS = 60, 10 * 365 * 24 * 3600


def seconds(value: int | None, loc: str, *, least: int, most: int) -> timedelta | None:
    """Return a duration, None where none is given.

    Raises:
        InvalidInput: it is out of range.
    """
    if value is None:
        return None
    if not least <= value <= most:
        message = f"{loc} must be {least} to {most}."
        raise InvalidInput(FieldError((loc,), message, "out_of_range"))
    return timedelta(seconds=value)


def ttl(value: int | None) -> timedelta | None:
    """Return how long something is to be kept, None where nothing is said.

    Raises:
        InvalidInput: it is less than a minute, or more than ten years.
    """
    return seconds(value, "ttlSeconds", least=MIN_TTL_SECONDS, most=MAX_TTL_SECONDS)
