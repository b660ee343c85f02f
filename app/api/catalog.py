"""The error catalogue in the schema: every code that a caller can meet, from where it is raised."""

import strawberry

from app.api.answers import ADVICE, HTTP_STATUS, MEANINGS, Code
from app.errors import problem_type, refusals
from app.failures import FAILURES, RETRYABLE


@strawberry.type(description="One code, and what it means.")
class ErrorCatalogEntry:
    code: str = strawberry.field(description="The code; it never changes its meaning.")
    type: str = strawberry.field(description="The URI reference that stands for it.")
    title: str = strawberry.field(description="What kind of problem it is, for a person.")
    status: int = strawberry.field(description="The HTTP status it has, or would have.")
    meaning: str = strawberry.field(description="What is wrong.")
    retryable: bool = strawberry.field(description="Whether the same may succeed later.")
    what_to_do: str = strawberry.field(description="What the caller can do about it.")


def catalog() -> list[ErrorCatalogEntry]:
    """Return every code once: refusals, what GraphQL and HTTP refuse, why work fails.

    A code that is both a refusal and a failure means the same in both, and is told as a refusal.
    """
    entries = [*_refused(), *_transport(), *_failed()]
    return list({entry.code: entry for entry in reversed(entries)}.values())[::-1]


def _refused() -> list[ErrorCatalogEntry]:
    return [
        ErrorCatalogEntry(
            code=kind.code,
            type=problem_type(kind.code),
            title=kind.title,
            status=kind.status,
            meaning=kind.meaning,
            retryable=kind.retryable,
            what_to_do=kind.what_to_do,
        )
        for kind in refusals()
    ]


def _transport() -> list[ErrorCatalogEntry]:
    return [
        ErrorCatalogEntry(
            code=code.value,
            type=problem_type(code),
            title=code.replace("_", " ").capitalize().replace("Graphql", "GraphQL"),
            status=HTTP_STATUS[code],
            meaning=MEANINGS[code],
            retryable=False,
            what_to_do=ADVICE[code],
        )
        for code in Code
    ]


def _failed() -> list[ErrorCatalogEntry]:
    return [
        ErrorCatalogEntry(
            code=code.value,
            type=problem_type(code),
            title=kind.title,
            status=kind.status,
            meaning=kind.meaning,
            retryable=code in RETRYABLE,
            what_to_do=kind.what_to_do,
        )
        for code, kind in FAILURES.items()
    ]
