import time

import pytest
import strawberry
from graphql import get_introspection_query, parse
from graphql_endpoint import schema
from strawberry.types import ExecutionResult

from app.api.extensions import (
    CACHED_CHARS,
    Documents,
    Schema,
    _read_document,
    checked_document,
    public_errors,
)
from app.api.limits import QueryLimits, excesses

pytestmark = pytest.mark.anyio

SMALL = QueryLimits(depth=3, fields=6, aliases=2)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def excess(text: str, limits: QueryLimits = SMALL) -> list[str]:
    errors = excesses(parse(text), limits)
    assert all(error.extensions == {"code": "QUERY_TOO_COMPLEX"} for error in errors)
    return [error.message for error in errors]


DEPTH = "The operation exceeds the limit of 3 depth."
FIELDS = "The operation exceeds the limit of 6 fields."
ALIASES = "The operation exceeds the limit of 2 aliases."


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("{ a { b { c } } }", []),
        ("{ a { b { c { d } } } }", [DEPTH]),
        ("{ a { ... { b { ... on T { c { d } } } } } }", [DEPTH]),
        ("{ ...F } fragment F on T { a { ...G } } fragment G on T { b { c { d } } }", [DEPTH]),
        ("{ a b c d e f }", []),
        ("{ a b c d e f g }", [FIELDS]),
        ("{ a b c d e f __typename }", []),
        ("{ x { ...F } y { ...F } } fragment F on T { a b }", []),
        ("{ x { ...F } y { ...F } } fragment F on T { a b c }", [FIELDS]),
        ("{ a: a b: a }", []),
        ("{ a: a b: a c: a }", [ALIASES]),
        ("{ ...F x { ...F } } fragment F on T { a: a b: a }", [ALIASES]),
        ("{ a { b { c { d { e { f { g } } } } } } }", [DEPTH, FIELDS]),
        ("query A { a } query B { a { b { c { d } } } }", [DEPTH]),
        ("{ __schema { types { fields { type { name } } } } }", []),
        ("{ a: __schema { b: types { c: name } } }", [ALIASES]),
        ("{ ...Missing }", []),
        ("{ ...F } fragment F on T { a ...F }", []),
        ("{ ...F } fragment F on T { a ...G } fragment G on T { b ...F }", []),
    ],
)
def test_what_an_operation_costs(text: str, messages: list[str]) -> None:
    assert excess(text) == messages


def doubled(count: int) -> str:
    chain = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(count))
    return f"{{ ...F0 }} {chain} fragment F{count} on Query {{ hello }}"


@pytest.mark.parametrize("count", [20, 60, 100])
def test_doubled_fragments_are_measured_in_one_pass(count: int) -> None:
    # Walked at each spread, as Strawberry's limits do, 2 to the power of 60 fields take for ever.
    document = parse(doubled(count))
    before = time.perf_counter()
    assert [e.message for e in excesses(document, QueryLimits())] == [
        "The operation exceeds the limit of 500 fields."
    ]
    assert time.perf_counter() - before < 1


def test_a_chain_of_fragments_longer_than_the_stack_is_refused() -> None:
    chain = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(2_000))
    [error] = excesses(parse(f"{{ ...F0 }} {chain}"), QueryLimits())
    assert error.message == "The document nests its fragments too deeply."
    assert error.extensions == {"code": "QUERY_TOO_COMPLEX"}


async def run(text: str) -> ExecutionResult:
    return await schema.execute(text)


async def codes(text: str) -> list[object]:
    errors = public_errors((await run(text)).errors or (), request_id="1")
    return [error["extensions"]["code"] for error in errors]


@pytest.mark.parametrize(
    "text",
    [
        doubled(60),
        "{" + " hello" * 4_000 + "}",
        "#\n" * 1_001 + "{ hello }",
        "{ hello }" + " " * 256 * 1024,
        "{ query" * 1_900 + "}" * 1_900,
        "{ hello(a: " + "[" * 1_500 + "]" * 1_500 + ") }",
    ],
    ids=["fragments", "tokens", "comments", "length", "nested fields", "nested lists"],
)
async def test_a_document_that_asks_for_too_much_is_refused(text: str) -> None:
    before = time.perf_counter()
    assert await codes(text) == ["QUERY_TOO_COMPLEX"]
    assert time.perf_counter() - before < 2


async def test_the_largest_document_within_the_limits_is_checked_quickly() -> None:
    text = "{" + " query { hello }" * 250 + "}"  # the worst for the rule that compares fields
    before = time.perf_counter()
    assert await codes(text) == []
    assert time.perf_counter() - before < 2


async def test_introspection_is_within_the_limits() -> None:
    result = await run(get_introspection_query(input_value_deprecation=True))
    assert result.errors is None


async def test_nested_introspection_is_refused() -> None:
    nested = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
    assert await codes(nested) == ["GRAPHQL_VALIDATION_FAILED"]


async def test_a_document_is_read_once() -> None:
    text = "query ReadOnce { hello }"
    before = _read_document.cache_info()
    for _ in range(3):
        assert (await run(text)).data == {"hello": "hi"}
    after = _read_document.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)


async def test_what_is_wrong_with_a_document_is_told_each_time() -> None:
    for _ in range(3):
        assert await codes("query ToldAgain { unknown }") == ["GRAPHQL_VALIDATION_FAILED"]
        assert await codes("query ToldAgain { unknown") == ["GRAPHQL_PARSE_FAILED"]


async def test_a_long_document_is_not_kept() -> None:
    before = _read_document.cache_info()
    text = "query Long { hello }" + " " * CACHED_CHARS
    assert checked_document(schema._schema, text, QueryLimits()).errors == ()
    assert _read_document.cache_info() == before


async def test_limits_are_those_of_the_schema() -> None:
    @strawberry.type
    class Query:
        a: int = 1

    strict = Schema(Query, extensions=[lambda: Documents(QueryLimits(aliases=0))])
    refused = await strict.execute("{ b: a }")
    assert [error.message for error in refused.errors or ()] == [
        "The operation exceeds the limit of 0 aliases."
    ]
    assert (await strict.execute("{ a }", root_value=Query())).data == {"a": 1}
