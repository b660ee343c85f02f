"""Rules say what MongoDB would: its answers as a table, their consequences, a second mind."""

import json
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mongomock.filtering import filter_applies

from app.errors import InvalidInput
from app.jobs.conditions import (
    MAX_CHARS,
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_VALUES,
    OPERATORS,
    parse,
)
from app.jobs.models import MAX_DOCUMENTS
from app.jobs.rules import Clause, judge
from app.jobs.values import TooCostly

# Conditions, and documents that MongoDB finds with them and does not find.
ANSWERS: list[tuple[Any, list[Any], list[Any]]] = [
    # Equality, and the three ways to write it.
    ({"a": 1}, [{"a": 1}, {"a": 1.0}], [{"a": True}, {"a": "1"}, {"a": 2}, {}]),
    ({"a": {"$eq": 1}}, [{"a": 1}, {"a": 1.0}], [{"a": True}]),
    ({"a": [1]}, [{"a": 1}, {"a": [0, 1]}], [{"a": [0]}, {"a": True}]),
    ({"a": True}, [{"a": True}], [{"a": 1}, {"a": 1.0}, {"a": "true"}]),
    ({"a": 0}, [{"a": 0}, {"a": -0.0}], [{"a": False}, {"a": ""}, {"a": None}, {}]),
    ({"a": 9007199254740993}, [{"a": 9007199254740993}], [{"a": 9007199254740992.0}]),
    ({"a": "x"}, [{"a": "x"}], [{"a": "X"}, {"a": ["y"]}]),
    ({}, [{}, {"a": 1}, [], 7, None], []),
    # Null and missing.
    ({"a": None}, [{}, {"a": None}, {"a": [1, None]}], [{"a": 0}, {"a": []}, {"a": {}}]),
    ({"a": {"$ne": None}}, [{"a": 0}, {"a": []}, {"a": {}}], [{}, {"a": None}, {"a": [1, None]}]),
    ({"a": {"$in": [None, 1]}}, [{}, {"a": None}, {"a": 1}], [{"a": 2}, {"a": []}]),
    ({"a": {"$nin": [None, 1]}}, [{"a": 2}, {"a": []}], [{}, {"a": None}, {"a": 1}]),
    ({"a": {"$gte": None}}, [{}, {"a": None}], [{"a": 0}, {"a": False}]),
    ({"a": {"$lte": None}}, [{}, {"a": None}], [{"a": 0}, {"a": False}]),
    ({"a": {"$gt": None}}, [], [{}, {"a": None}, {"a": 0}]),
    ({"a": {"$lt": None}}, [], [{}, {"a": None}, {"a": -1}]),
    ({"a": {"$ne": 1}}, [{}, {"a": None}, {"a": True}], [{"a": 1}, {"a": 1.0}, {"a": [1]}]),
    ({"a": {"$nin": [1]}}, [{}, {"a": None}, {"a": True}], [{"a": 1.0}, {"a": [2, 1]}]),
    ({"a": {"$nin": []}}, [{}, {"a": 1}], []),
    ({"a": {"$in": []}}, [], [{}, {"a": 1}, {"a": []}]),
    ({"a": {"$gt": 1}}, [{"a": 2}, {"a": 1.5}], [{}, {"a": None}]),
    # Types do not compare with each other.
    ({"a": {"$gt": 1}}, [{"a": [0, 2]}], [{"a": "2"}, {"a": True}, {"a": {"b": 2}}, {"a": [1]}]),
    ({"a": {"$lt": "b"}}, [{"a": "a"}, {"a": ""}, {"a": "B"}], [{"a": 1}, {"a": "b"}, {"a": None}]),
    ({"a": {"$gt": "10"}}, [{"a": "9"}], [{"a": 11}, {"a": "1"}]),
    ({"a": {"$gt": "z"}}, [{"a": "é"}, {"a": "\U0001f600"}], [{"a": "Z"}]),
    ({"a": {"$gt": False}}, [{"a": True}], [{"a": False}, {"a": 1}]),
    # Lists: any element, or the whole.
    ({"a": {"$gt": 1, "$lt": 0}}, [{"a": [-1, 2]}], [{"a": [0.5]}, {"a": 2}]),
    (
        {"a": {"$eq": [1, 2]}},
        [{"a": [1, 2]}, {"a": [[1, 2], 3]}],
        [{"a": [2, 1]}, {"a": [1, 2, 3]}],
    ),
    ({"a": {"$eq": []}}, [{"a": []}, {"a": [[]]}], [{}, {"a": None}, {"a": [1]}]),
    ({"a": [[1, 2]]}, [{"a": [1, 2]}], [{"a": [1]}]),
    ({"a": {"$in": [[1], "x"]}}, [{"a": [1]}, {"a": ["x"]}, {"a": "x"}], [{"a": 1}, {"a": [2]}]),
    (
        {"a": {"$gt": [1, 2]}},
        [{"a": [1, 3]}, {"a": [1, 2, 0]}, {"a": [[2]]}],
        [{"a": [1]}, {"a": 9}],
    ),
    ({"a": {"$lt": [{}]}}, [{"a": []}, {"a": ["z"]}, {"a": [[]]}], [{"a": [[[0]]]}, {"a": [True]}]),
    # Objects: whole, in their order.
    (
        {"a": {"b": 1, "c": 2}},
        [{"a": {"b": 1, "c": 2.0}}],
        [{"a": {"c": 2, "b": 1}}, {"a": {"b": 1}}],
    ),
    ({"a": {}}, [{"a": {}}, {"a": [{}]}], [{"a": {"b": 1}}, {"a": []}, {}]),
    ({"a": {"$eq": {"$gt": 1}}}, [{"a": {"$gt": 1}}], [{"a": 2}]),
    ({"a": {"$in": [{"b": 1}]}}, [{"a": {"b": 1}}, {"a": [{"b": 1}]}], [{"a": {"b": 1, "c": 1}}]),
    (
        {"a": {"$gt": {"b": 1}}},
        [{"a": {"b": 2}}, {"a": {"b": 1, "c": 0}}, {"a": {"b": "0"}}],
        [{"a": {}}],
    ),
    ({"a": {"$gt": {"b": 1}}}, [{"a": {"c": 0}}, {"a": {"a": ""}}], [{"a": {"a": 9}}]),
    # Dotted names.
    (
        {"a.b": 1},
        [{"a": {"b": 1}}, {"a": [{"b": 1}, 7]}],
        [{"a.b": 1}, {"a": 1}, {"a": [[{"b": 1}]]}],
    ),
    ({"a.b": None}, [{}, {"a": {}}, {"a": 4}, {"a": [{"b": 3}, {}]}], [{"a": []}, {"a": [1]}]),
    ({"a.b": {"$ne": None}}, [{"a": []}, {"a": [[]]}, {"a": [{"b": 3}]}], [{"a": 4}, {"a": [{}]}]),
    (
        {"a.0": 1},
        [{"a": [1, 2]}, {"a": {"0": 1}}, {"a": [{"0": 1}]}],
        [{"a": [2, 1]}, {"a": [[1]]}],
    ),
    ({"a.0.b": 1}, [{"a": [{"b": 1}]}, {"a": {"0": {"b": 1}}}], [{"a": [{"b": 2}, {"b": 1}]}]),
    ({"a.00": 1}, [{"a": {"00": 1}}], [{"a": [1]}]),
    ({"a.0": None}, [{"a": 4}, {"a": [None]}, {"a": [{"b": 1}]}], [{"a": []}, {"a": [4]}]),
    ({"a.b": [{"$gt": 1}, {"$lt": 3}]}, [{"a": [{"b": 0}, {"b": 9}]}], [{"a": [{"b": 1}]}]),
    ({"a.b": {"$gt": [0]}}, [{"a": [{"b": [1]}]}], [{"a": [{"b": 1}]}]),
    # A result that is a list itself.
    ({"category": "x"}, [[{"category": "x"}, {"category": "y"}]], [[{"category": "y"}], [], "x"]),
    ({"1.category": "y"}, [[{"category": "x"}, {"category": "y"}]], [[{"category": "y"}]]),
    # All of them.
    ({"a": 1, "b": {"$gte": 0.5}}, [{"b": 0.5, "a": 1}], [{"a": 1, "b": 0.4}, {"a": 1}, {"b": 1}]),
    ({"a": ["x", {"$ne": "y"}]}, [{"a": "x"}, {"a": ["x"]}], [{"a": ["x", "y"]}, {"a": "z"}]),
]

TABLE = [
    (conditions, document, answer)
    for conditions, found, others in ANSWERS
    for answer, documents in ((True, found), (False, others))
    for document in documents
]


def holds(conditions: object, document: object) -> bool:
    return judge(parse(conditions), document).matched


@pytest.mark.parametrize(("conditions", "document", "answer"), TABLE, ids=repr)
def test_a_rule_finds_what_mongodb_finds(
    conditions: object, document: object, answer: bool
) -> None:
    assert holds(conditions, document) is answer


REFUSED: list[tuple[Any, str, str]] = [
    ({"a": {"$regex": "x"}}, "a.$regex", "unknown_operator"),
    ({"a": [1, {"$gt": 0, "$not": 1}]}, "a.1.$not", "unknown_operator"),
    ({"$or": [{"a": 1}]}, "$or", "unknown_operator"),
    ({"a": {"$in": "x"}}, "a.$in", "not_a_list"),
    ({"a": {"$nin": {"b": 1}}}, "a.$nin", "not_a_list"),
    ({"a": {"$in": [1, {"$gt": 1}]}}, "a.$in.1", "nested_operator"),
    ({"a": {"$gt": 1, "b": 2}}, "a.b", "mixed"),
    ({"a": []}, "a", "empty"),
    ([{"a": 1}], "", "not_an_object"),
    (None, "", "not_an_object"),
    ({"a": float("inf")}, "a", "out_of_range"),
    ({"a": {"$lt": 10**400}}, "a.$lt", "out_of_range"),
    ({"a": {"$eq": ["x", "\0"]}}, "a.$eq.1", "unreadable"),
    ({"a": "\ud800"}, "a", "unreadable"),
    ({"a": "x" * (MAX_CHARS + 1)}, "a", "too_large"),
    ({"a": {"$in": [1] * MAX_VALUES}}, "a.$in", "too_large"),
    ({f"f{n}": 1 for n in range(MAX_CONDITIONS + 1)}, "", "too_long"),
    ({".".join("a" * (MAX_DEPTH + 1)): 1}, ".".join("a" * (MAX_DEPTH + 1)), "too_deep"),
]


@pytest.mark.parametrize(("conditions", "path", "word"), REFUSED, ids=lambda each: str(each)[:40])
def test_what_is_no_condition_is_refused_with_the_path_to_it(
    conditions: object, path: str, word: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(conditions, loc=("rules", "0", "conditions"))
    prefix = "rules.0.conditions"
    assert [(".".join(error.loc), error.type) for error in refused.value.errors] == [
        (f"{prefix}.{path}" if path else prefix, word)
    ]


def test_a_value_counts_once_towards_what_a_rule_may_hold() -> None:
    half = list(range(MAX_VALUES // 2 - 4))
    assert holds({"a": {"$in": half}, "b": {"$nin": half}}, {"a": 1, "b": -1})


def test_every_bad_spot_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse({"a": {"$foo": 1}, "b": 2, "c": {"$in": 3}})
    assert [error.loc[1:] for error in refused.value.errors] == [("a", "$foo"), ("c", "$in")]


def test_each_clause_tells_what_it_saw() -> None:
    document = {
        "accuracy": 0.4,
        "documents": [{"status": "FAILED"}, {"status": "COMPLETED"}, {"pages": 3}],
        "tags": ["x", "y"],
    }
    conditions = {
        "accuracy": [{"$gte": 0.5}, {"$lt": 1}],
        "documents.status": "FAILED",
        "documents.0.status": {"$ne": "FAILED"},
        "documents.2.pages": 3,
        "tags": {"$in": ["y"]},
        "category": {"$ne": "x"},
    }
    verdict = judge(parse(conditions), document)
    assert verdict.matched is False
    seen = ["FAILED", "COMPLETED", None]
    assert verdict.clauses == (
        Clause("accuracy", "$gte", 0.5, 0.4, missing=False, cut=False, holds=False),
        Clause("accuracy", "$lt", 1, 0.4, missing=False, cut=False, holds=True),
        Clause("documents.status", "$eq", "FAILED", seen, missing=False, cut=False, holds=True),
        Clause(
            "documents.0.status", "$ne", "FAILED", "FAILED", missing=False, cut=False, holds=False
        ),
        Clause("documents.2.pages", "$eq", 3, 3, missing=False, cut=False, holds=True),
        Clause("tags", "$in", ["y"], ["x", "y"], missing=False, cut=False, holds=True),
        Clause("category", "$ne", "x", None, missing=True, cut=False, holds=True),
    )


def test_of_much_that_was_seen_the_beginning_is_kept() -> None:
    verdict = judge(parse({"a": 1}), {"a": [["x" * 90, n] for n in range(1000)]})
    (clause,) = verdict.clauses
    assert clause.cut
    assert clause.seen[:2] == [["x" * 90, 0], ["x" * 90, 1]]
    assert len(json.dumps(clause.seen)) < 4000


AGREED = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, 1.5, -0.0, 2.0**60]),
    st.sampled_from(["", "a", "b", "ab", "é", "1"]),
)
SCALARS = st.one_of(st.none(), st.booleans(), AGREED)
NAMES = st.sampled_from(["a", "b", "0", "1"])


def values(scalars: st.SearchStrategy[Any], *, nested: bool = True) -> st.SearchStrategy[Any]:
    def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        elements = inner if nested else inner.filter(lambda each: not isinstance(each, list))
        return st.lists(elements, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)

    return st.recursive(scalars, wider, max_leaves=8)


FIELDS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
EXPECTED = values(SCALARS)
OPERANDS = st.one_of(
    st.tuples(st.sampled_from(sorted(OPERATORS - {"$in", "$nin"})), EXPECTED),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(EXPECTED, max_size=3)),
)
CLAUSES = OPERANDS.map(lambda pair: {pair[0]: pair[1]})
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(sorted(OPERATORS)) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(FIELDS, st.lists(CLAUSES, min_size=1, max_size=4), values(SCALARS))
def test_a_list_is_the_conjunction_of_its_items(
    field: str, items: list[object], document: object
) -> None:
    each = [holds({field: item}, document) for item in items]
    assert holds({field: items}, document) is all(each)


@settings(max_examples=150, deadline=None)
@given(FIELDS, EXPECTED, values(SCALARS))
def test_ne_is_not_eq(field: str, expected: object, document: object) -> None:
    equal = holds({field: {"$eq": expected}}, document)
    assert holds({field: {"$ne": expected}}, document) is not equal
    assert (
        holds({field: [expected]} if expected == {} else {field: [{"$eq": expected}]}, document)
        is equal
    )


@settings(max_examples=150, deadline=None)
@given(FIELDS, st.lists(EXPECTED, max_size=4), values(SCALARS))
def test_nin_is_not_in_and_in_is_any_eq(field: str, expected: list[Any], document: object) -> None:
    found = holds({field: {"$in": expected}}, document)
    assert holds({field: {"$nin": expected}}, document) is not found
    assert found is any(holds({field: {"$eq": each}}, document) for each in expected)


@settings(max_examples=150, deadline=None)
@given(FIELDS, EXPECTED, values(SCALARS))
def test_gte_is_gt_or_eq(field: str, expected: object, document: object) -> None:
    for wide, narrow in (("$gte", "$gt"), ("$lte", "$lt")):
        either = holds({field: {narrow: expected}}, document) or holds(
            {field: {"$eq": expected}}, document
        )
        assert holds({field: {wide: expected}}, document) is either


@settings(max_examples=150, deadline=None)
@given(ANYTHING, ANYTHING)
def test_any_json_is_judged_or_refused(conditions: object, document: object) -> None:
    with suppress(InvalidInput):
        verdict = judge(parse(conditions), document)
        assert verdict.matched is all(clause.holds for clause in verdict.clauses)


# Where mongomock and MongoDB part: true and 1 are one to mongomock, null is not what is missing,
# elements of lists in lists are looked at, and a place in a list hides a field of that name. So
# these are asked for AGREED scalars only.
AGREED_FIELDS = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(".".join)


@settings(max_examples=150, deadline=None)
@given(
    AGREED_FIELDS,
    st.sampled_from(sorted(OPERATORS - {"$in", "$nin"})),
    values(AGREED, nested=False),
    st.dictionaries(st.sampled_from("ab"), values(AGREED, nested=False), max_size=2),
)
def test_mongomock_agrees(field: str, operator: str, expected: object, document: object) -> None:
    conditions = {field: {operator: expected}}
    assert holds(conditions, document) is bool(filter_applies(conditions, document))


@settings(max_examples=100, deadline=None)
@given(
    AGREED_FIELDS,
    st.sampled_from(["$in", "$nin"]),
    st.lists(AGREED, max_size=4),
    st.dictionaries(st.sampled_from("ab"), values(AGREED, nested=False), max_size=2),
)
def test_mongomock_agrees_on_lists(
    field: str, operator: str, expected: list[Any], document: object
) -> None:
    conditions = {field: {operator: expected}}
    assert holds(conditions, document) is bool(filter_applies(conditions, document))


def nested(depth: int) -> object:
    """Lists and objects in which every part of a.0.0.0... leads on in two ways."""
    below = nested(depth - 1) if depth else 1
    return [{"0": below}, {"0": below}] if depth else below


HEAVY: list[tuple[Any, Any]] = [
    ({"a.b": -1}, [{"a": {"b": n}} for n in range(100_000)]),
    ({"a": -1}, {"a": list(range(100_000))}),
    ({"a": {"$in": list(range(900))}}, {"a": [str(n) for n in range(9000)]}),
    ({"a": {"$in": ["x" * 9000]}}, {"a": ["x" * 8996 + f"{n:04}" for n in range(9000)]}),
    ({"a": {"$gt": "x" * 9000}}, {"a": ["x" * 8996 + f"{n:04}" for n in range(9000)]}),
    ({"a": {f"k{n}": n for n in range(400)}}, {"a": [{f"k{n}": n for n in range(399)}] * 200}),
    ({".".join(["0"] * 16): 1}, nested(16)),
    ({f"f{n}.a": {"$ne": 1} for n in range(100)}, [{f"f{n}": {"a": 2}} for n in range(100)]),
]


@pytest.mark.parametrize(("conditions", "document"), HEAVY, ids=range(len(HEAVY)))
def test_a_rule_takes_less_than_fifty_milliseconds_or_is_refused(
    conditions: object, document: object
) -> None:
    took = []
    for _ in range(3):
        began = time.process_time()
        with suppress(TooCostly):
            holds(conditions, document)
        took.append(time.process_time() - began)
    assert min(took) < 0.05


def test_the_result_of_a_job_with_as_many_documents_as_one_may_have_can_be_judged() -> None:
    one = {"category": "invoice", "accuracy": 0.9, "score": 0.8, "scores": [{"score": 0.8}]}
    conditions = {
        "category": {"$in": ["letter", "order"]},
        "accuracy": [{"$gte": 2}, {"$lt": 3}],
        "score": {"$gt": 1},
        "scores.score": {"$ne": 0.5},
    }
    assert not holds(conditions, [one] * MAX_DOCUMENTS)


def test_lines_of_json_are_answered_one_by_one() -> None:
    lines = [
        b'{"conditions": {"a": {"$gte": 0.5}}, "document": {"a": 0.7}}',
        b'{"document": {"a": true}, "conditions": {"a": 1}}',
        b'{"conditions": {"a": {"$foo": 1}}, "document": {}}',
        b'{"conditions": {"a": NaN}, "document": {}}',
        b'{"conditions": {}}',
        b"[" * 100_000,
        b"\xff",
        b"",
        b'"' + b"x" * 3_000_000 + b'"',
        b'{"conditions": {}, "document": null}',
    ]
    done = subprocess.run(
        [sys.executable, "-m", "app.jobs.rules"],
        input=b"\n".join(lines),
        capture_output=True,
        check=True,
    )
    answers = done.stdout.decode().splitlines()
    assert done.stderr == b""
    assert len(answers) == len(lines)
    assert [answer if answer in {"true", "false"} else answer[:6] for answer in answers] == (
        ["true", "false"] + ["error:"] * 7 + ["true"]
    )
    assert answers[2].startswith("error: 'conditions.a.$foo': '$foo' is no operator")
