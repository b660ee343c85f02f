import time

import pytest
from graphql import OperationDefinitionNode, get_introspection_query, parse
from graphql_endpoint import schema
from strawberry.types import ExecutionResult

from app.api.answers import public_errors
from app.api.extensions import (
    CACHED_CHARS,
    QueryRules,
    _read_document,
    checked_document,
)
from app.api.limits import (
    FREE_UNITS,
    PAGE_SIZES,
    WEIGHTS,
    QueryLimits,
    excesses,
    price,
    units,
)
from app.api.schema import schema as whole

pytestmark = pytest.mark.anyio

SMALL = QueryLimits(depth=3, fields=6, root_fields=7, aliases=2)


def excess(text: str, limits: QueryLimits = SMALL) -> list[str]:
    errors = excesses(schema._schema, parse(text), limits)
    assert all(error.extensions == {"code": "QUERY_TOO_COMPLEX"} for error in errors)
    return [error.message for error in errors]


DEPTH = "The operation exceeds the limit of 3 depth."
FIELDS = "The operation exceeds the limit of 6 fields."
ROOTS = "The operation exceeds the limit of 7 root fields."
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
        ("{ a b c d e f ...F } fragment F on Query { g h }", [FIELDS, ROOTS]),
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
    before = time.process_time()
    assert [e.message for e in excesses(schema._schema, document, QueryLimits())][:2] == [
        "The operation exceeds the limit of 500 fields.",
        "The operation exceeds the limit of 50 root fields.",
    ]
    assert time.process_time() - before < 0.1


def test_a_chain_of_fragments_longer_than_the_stack_is_refused() -> None:
    chain = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(2_000))
    [error] = excesses(schema._schema, parse(f"{{ ...F0 }} {chain}"), QueryLimits())
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
        "{" + " hello" * 51 + "}",
        "{" + " hello" * 4_000 + "}",
        "#\n" * 1_001 + "{ hello }",
        "{ hello }" + " " * 256 * 1024,
        "{ query" * 1_900 + "}" * 1_900,
        "{ hello(a: " + "[" * 1_500 + "]" * 1_500 + ") }",
    ],
    ids=["fragments", "roots", "tokens", "comments", "length", "nested fields", "nested lists"],
)
async def test_a_document_that_asks_for_too_much_is_refused(text: str) -> None:
    before = time.process_time()
    assert set(await codes(text)) == {"QUERY_TOO_COMPLEX"}
    assert time.process_time() - before < 2


async def test_the_largest_document_within_the_limits_is_checked_quickly() -> None:
    text = (
        "{" + f" query {{ {'query { hello } ' * 5} }}" * 45 + "}"
    )  # the worst for the rule that compares fields
    before = time.process_time()
    assert await codes(text) == []
    assert time.process_time() - before < 2


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
    assert checked_document(schema._schema, text, QueryRules()).errors == ()
    assert _read_document.cache_info() == before


async def test_limits_are_those_of_the_schema() -> None:
    strict = schema.ruled(QueryRules(QueryLimits(aliases=0)))
    refused = await strict.execute("{ b: hello }")
    assert [error.message for error in refused.errors or ()] == [
        "The operation exceeds the limit of 0 aliases."
    ]
    assert (await strict.execute("{ hello }")).data == {"hello": "hi"}


LISTED = "documents(statuses: $s) { totalCount }"
SIZED, ORDERED = "query ($n: Int) ", "query ($o: [JobOrder!]) "
JOBS = "{ nodes { id name documents(first: 3) { totalCount nodes { status } } } }"


@pytest.mark.parametrize(
    ("text", "variables", "cost"),
    [
        ("{ service { version __typename } }", None, 2),
        ("{ service { queueLength } }", None, 51),
        ('{ job(id: "1") { id resultJson waitingOn { position } } }', None, 1 + 1 + 10 + 20 + 100),
        ("{ jobs(first: 5) { totalCount nodes { id } } }", None, 1 + 10 + 5 * 2),
        ("{ jobs(first: 5) { edges { cursor node { id } } } }", None, 1 + 5 * 4),
        ("{ jobs { nodes { id } } }", None, 1 + 20 * 2),
        ('{ job(id: "1") { events { nodes { seq } } } }', None, 1 + 1 + 100 * 2),
        ("{ jobs(first: 7) " + JOBS + " }", None, 1 + 7 * (1 + 2 + 1 + 10 + 3 * 2)),
        (
            "{ jobs(first: 7) { ...J } } fragment J on JobConnection " + JOBS,
            None,
            1 + 7 * (1 + 2 + 1 + 10 + 3 * 2),
        ),
        (SIZED + "{ jobs(first: $n) { nodes { id } } }", None, 1 + 1 * 2),
        (SIZED + "{ jobs(first: $n) { nodes { id } } }", {"n": 5}, 1 + 5 * 2),
        (SIZED + "{ jobs(first: $n) { nodes { id } } }", {"n": 5.0}, 1 + 5 * 2),
        (SIZED + "{ jobs(first: $n) { nodes { id } } }", {}, 1 + 20 * 2),
        (SIZED + "{ jobs(first: $n) { nodes { id } } }", {"n": "x"}, 1 + 20 * 2),
        ("query ($n: Int = 9) { jobs(first: $n) { nodes { id } } }", {}, 1 + 9 * 2),
        ("{ jobs(first: 2147483648) { nodes { id } } }", None, 1 + 500 * 2),
        ("{ jobs(first: -1) { nodes { id } } }", None, 1 + 1 * 2),
        ('mutation { cancelJob(id: "1") { __typename } }', None, 50),
        ("{ __schema { types { name } } }", None, 1002),
        ("{ ...Missing unknown { first } }", None, 2),
        ("{ jobs(first: 5, orderBy: [" + 4 * "{ field: NAME } " + "]) { totalCount } }", None, 11),
        ("{ jobs(first: 5, orderBy: [" + 9 * "{ field: NAME } " + "]) { totalCount } }", None, 33),
        (ORDERED + "{ jobs(orderBy: $o) { totalCount } }", {"o": [{"field": "NAME"}] * 4}, 11),
        (ORDERED + "{ jobs(orderBy: $o) { totalCount } }", {"o": [{"field": "NAME"}] * 9}, 33),
        (
            "query ($s: [JobStatus!]) { jobs(first: 9) { nodes { " + LISTED + " } } }",
            {"s": ["NEW"] * 501},
            1 + 9 * (1 + 1 + 10 + (502 - 100) // 4),
        ),
    ],
)
def test_what_an_operation_is_worth(
    text: str, variables: dict[str, object] | None, cost: int
) -> None:
    document = parse(text)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    found = price(whole._schema, document, operation, variables)
    heavy = sum(map(units, (variables or {}).values())) > FREE_UNITS
    assert (found.cost, found.fixed) == (cost, "$n" not in text and not heavy)


@pytest.mark.parametrize("value", [[{}] * 100_000, [[[]]] * 500_000, {"a": ["x"] * 1_000_000}])
async def test_more_than_can_be_read_in_time_is_refused_before_it_is_read(value: object) -> None:
    text = "mutation ($i: [CreateJobInput!]!) { createJobs(inputs: $i) { __typename } }"
    assert (await whole.execute(text, {"i": []})).errors != []  # the document is known by now
    before = time.process_time()
    result = await whole.execute(text, {"i": value})
    assert time.process_time() - before < 1
    assert result.errors is not None
    assert [error.extensions["code"] for error in result.errors] == ["QUERY_TOO_COMPLEX"]  # type: ignore[index]


async def test_page_sizes_in_variables_count_when_they_are_known() -> None:
    inner = "documents(first: $n) { nodes { status document { id } } }"
    text = SIZED + "{ jobs(first: $n) { nodes { " + inner + " } } }"
    result = await whole.execute(text, {"n": 200})
    assert result.errors is not None
    (error,) = result.errors
    cost = 1 + 200 * (1 + 1 + 200 * 4)
    assert error.message == (
        f"The operation costs {cost}; the limit is 50000. "
        "Ask for smaller pages (`first`), or send less at once."
    )
    assert error.extensions == {"code": "QUERY_TOO_COMPLEX", "cost": cost, "limit": 50000}


def test_what_has_a_weight_or_a_page_size_is_in_the_schema() -> None:
    for coordinate in [*WEIGHTS, *PAGE_SIZES]:
        kind, _, name = coordinate.rpartition(".")
        if kind:
            assert name in whole._schema.type_map[kind].fields  # type: ignore[attr-defined]


async def test_introspection_is_off_where_it_is_set_off() -> None:
    closed = schema.ruled(QueryRules(introspection=False))
    for text in ("{ __schema { types { name } } }", '{ __type(name: "Query") { name } }'):
        for error in (await closed.execute(text)).errors or ():
            assert error.extensions == {"code": "GRAPHQL_VALIDATION_FAILED"}
            assert "introspection has been disabled" in error.message
    assert (await closed.execute("{ __typename hello }")).data == {
        "__typename": "Query",
        "hello": "hi",
    }


async def test_errors_do_not_guess_names_where_that_is_set_off() -> None:
    quiet = whole.ruled(QueryRules(suggestions=False))
    variable = "query ($f: JobFilter) { jobs(filter: $f) { totalCount } }"
    for text, variables in (
        ("{ vewer { scope } }", None),
        ("{ jobs(filter: {statuses: PENDIN}) { totalCount } }", None),
        (variable, {"f": {"statuses": ["PENDIN"]}}),
        (variable, {"f": {"statusses": []}}),
        ("subscription ($f: ID!) { jobEvents(jobID: $f) { seq } }", {"f": "1"}),
    ):
        guessing = [e.message for e in (await whole.execute(text, variables)).errors or ()]
        silent = [e.message for e in (await quiet.execute(text, variables)).errors or ()]
        assert any("Did you mean" in message for message in guessing)
        assert silent
        assert not any("Did you mean" in message for message in silent)
