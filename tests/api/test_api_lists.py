"""Lists over the API: what may be asked for together, and what those who poll get."""

from typing import Any
from uuid import uuid4

import pytest
from service import CANCEL, Service
from sqlalchemy import event
from sqlalchemy.engine import Engine

pytestmark = pytest.mark.anyio

JOBS = """
query($filter: JobFilter, $orderBy: [JobOrder!], $first: Int, $after: String, $last: Int,
      $before: String, $offset: Int) {
  jobs(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last,
       before: $before, offset: $offset) {
    nodes { number } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
DOCUMENTS = """
query($filter: DocumentFilter, $first: Int, $after: String, $last: Int, $before: String) {
  documents(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
STATUSES = "query($ids: [ID!]!) { jobStatuses(ids: $ids) { id status progress } }"


def numbers(page: dict[str, Any]) -> list[int]:
    """Return the numbers of the jobs of a page."""
    return [node["number"] for node in page["nodes"]]


def sides(page: dict[str, Any]) -> tuple[bool, bool]:
    """Return whether there is something before a page, and after it."""
    return page["pageInfo"]["hasPreviousPage"], page["pageInfo"]["hasNextPage"]


async def code_of(service: Service, query: str, **variables: Any) -> str:  # noqa: ANN401 - variables
    """Return the code with which a query is refused."""
    (error,) = (await service.post(query, variables))["errors"]
    code: str = error["extensions"]["code"]
    return code


async def test_pages_go_both_ways_in_any_order(service: Service) -> None:
    document = await service.upload("Some text.")
    for name in ("c", "a", "e", "b", "d"):
        await service.create_on(document, name=name)
    order = [{"field": "NAME", "direction": None}]
    end = await service.ask(JOBS, orderBy=order, last=2)
    assert (numbers(end), sides(end)) == ([5, 3], (True, False))
    middle = await service.ask(JOBS, orderBy=order, last=2, before=end["pageInfo"]["startCursor"])
    assert (numbers(middle), sides(middle)) == ([4, 1], (True, True))
    begin = await service.ask(JOBS, orderBy=order, last=2, before=middle["pageInfo"]["startCursor"])
    assert (numbers(begin), sides(begin)) == ([2], (False, True))
    again = await service.ask(JOBS, orderBy=order, first=2, after=begin["pageInfo"]["endCursor"])
    assert again == middle
    skipped = await service.ask(JOBS, orderBy=order, first=2, offset=1)
    assert (numbers(skipped), sides(skipped)) == ([4, 1], (True, True))
    down = [{"field": "TYPE"}, {"field": "NAME", "direction": "DESC"}]
    assert numbers(await service.ask(JOBS, orderBy=down)) == [3, 5, 1, 4, 2]


async def test_nulls_mean_the_defaults_in_lists(service: Service) -> None:
    document = await service.upload("Some text.")
    await service.create_on(document)
    await service.create_on(document)
    names = ("filter", "orderBy", "first", "after", "last", "before", "offset")
    nulls = dict.fromkeys(names)
    fields = "ids numbers groupId types statuses outcomes name applicationId submitterId documentId"
    more = "executeAfterId parentId workflow createdAfter createdBefore"
    empty = {"filter": dict.fromkeys([*fields.split(), *more.split()]), "orderBy": []}
    for variables in ({}, nulls, empty):
        page = await service.ask(JOBS, **variables)
        assert (numbers(page), sides(page)) == ([2, 1], (False, False))
    fields = "ids filename mimeTypes tags originalId createdAfter createdBefore"
    for variables in ({}, nulls | {"filter": dict.fromkeys(fields.split())}):
        page = await service.ask(DOCUMENTS, **variables)
        assert [node["id"] for node in page["nodes"]] == [document]


async def test_what_does_not_go_together_is_refused(service: Service) -> None:
    await service.create_on(await service.upload("Some text."), name="a")
    cursor = (await service.ask(JOBS))["pageInfo"]["endCursor"]
    document = (await service.ask(DOCUMENTS))["pageInfo"]["endCursor"]
    name = [{"field": "NAME"}]
    for variables, code in (
        ({"first": 1, "last": 1}, "INVALID_PAGE"),
        ({"offset": 0, "after": cursor}, "INVALID_PAGE"),
        ({"offset": 0, "before": cursor}, "INVALID_PAGE"),
        ({"offset": 0, "last": 1}, "INVALID_PAGE"),
        ({"offset": -1}, "INVALID_PAGE"),
        ({"first": 0}, "INVALID_PAGE"),
        ({"last": 0}, "INVALID_PAGE"),
        ({"last": 101}, "INVALID_PAGE"),
        ({"after": cursor, "orderBy": name}, "INVALID_CURSOR"),
        ({"last": 1, "before": document}, "INVALID_CURSOR"),
        ({"orderBy": name * 2}, "INVALID_INPUT"),
        ({"orderBy": [{"field": "SIZE"}]}, "BAD_USER_INPUT"),
        ({"filter": {"ids": ["x"] * 1001}}, "INVALID_INPUT"),
    ):
        assert await code_of(service, JOBS, **variables) == code, variables
    for variables, code in (
        ({"first": 1, "last": 1}, "INVALID_PAGE"),
        ({"after": cursor}, "INVALID_CURSOR"),
        ({"filter": {"tags": ["x"] * 101}}, "INVALID_INPUT"),
        ({"filter": {"mimeTypes": ["x"] * 1001}}, "INVALID_INPUT"),
    ):
        assert await code_of(service, DOCUMENTS, **variables) == code, variables


async def test_what_nobody_has_is_not_found(service: Service) -> None:
    await service.create_on(await service.upload("Some text."))
    ids = ("applicationId", "submitterId", "documentId", "executeAfterId", "parentId")
    for name in ids:
        for value in ("malformed", "\0", str(uuid4())):
            assert numbers(await service.ask(JOBS, filter={name: value})) == []
    for name in ("name", "groupId", "workflow"):
        for value in ("a\0b", "\ud800"):
            assert numbers(await service.ask(JOBS, filter={name: value})) == []
    for filter in ({"tags": ["\0"]}, {"filename": "\ud800"}, {"mimeTypes": ["\0"]}, {"ids": ["x"]}):
        assert (await service.ask(DOCUMENTS, filter=filter))["nodes"] == []


async def test_documents_are_found_by_what_they_are(service: Service) -> None:
    text = await service.upload("Some text.", "Ärger 100%.txt", tags=["a", "ö\"'"])
    page = await service.upload("<html><p>Hi</html>", "page.html", tags=["a"])
    for filter, expected in (
        ({"ids": [text, "x"]}, [text]),
        ({"filename": "äRGER"}, [text]),
        ({"filename": "100%"}, [text]),
        ({"filename": "_"}, []),
        ({"filename": "%" * 60_000}, []),
        ({"mimeTypes": ["TEXT/html", "image/png"]}, [page]),
        ({"mimeTypes": []}, []),
        ({"tags": ["a"]}, [page, text]),
        ({"tags": ["a", "ö\"'"]}, [text]),
        ({"tags": ["A"]}, []),
        ({"tags": []}, [page, text]),
        ({"originalId": text}, []),
        ({"createdAfter": "2020-01-01T00:00:00"}, [page, text]),
        ({"createdBefore": "2020-01-01T00:00:00"}, []),
        ({"tags": ["a"], "filename": "PAGE"}, [page]),
    ):
        found = await service.ask(DOCUMENTS, filter=filter)
        assert [node["id"] for node in found["nodes"]] == expected, filter
        assert found["totalCount"] == len(expected)
        theirs = await service.ask(DOCUMENTS, filter=filter, token=service.other_token)
        assert (theirs["nodes"], theirs["totalCount"]) == ([], 0)
    last = await service.ask(DOCUMENTS, last=1)
    assert ([node["id"] for node in last["nodes"]], sides(last)) == ([text], (True, False))
    first = await service.ask(DOCUMENTS, last=1, before=last["pageInfo"]["startCursor"])
    assert ([node["id"] for node in first["nodes"]], sides(first)) == ([page], (False, True))


async def test_statuses_come_in_the_order_asked(service: Service) -> None:
    document = await service.upload("Some text.")
    ids = [await service.create_on(document) for _ in range(2)]
    await service.ask(CANCEL, id=ids[0])
    unknown = str(uuid4())
    asked = [unknown, ids[1], "malformed", ids[0], ids[1]]
    assert await service.ask(STATUSES, ids=asked) == [
        {"id": unknown, "status": None, "progress": None},
        {"id": ids[1], "status": "PENDING", "progress": 0},
        {"id": "malformed", "status": None, "progress": None},
        {"id": ids[0], "status": "CANCELED", "progress": 0},
        {"id": ids[1], "status": "PENDING", "progress": 0},
    ]
    theirs = await service.ask(STATUSES, ids=ids, token=service.other_token)
    assert [each["status"] for each in theirs] == [None, None]
    assert await service.ask(STATUSES, ids=[]) == []


async def test_500_statuses_are_one_query_and_501_are_refused(service: Service) -> None:
    document = await service.upload("Some text.")
    id = await service.create_on(document)
    asked = [id, *(str(uuid4()) for _ in range(499))]
    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM job" in statement:
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        found = await service.ask(STATUSES, ids=asked)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert [each["status"] for each in found] == ["PENDING", *[None] * 499]
    assert len(statements) == 1
    assert await code_of(service, STATUSES, ids=[*asked, id]) == "INVALID_INPUT"


async def test_the_total_is_counted_only_where_it_is_asked_for(service: Service) -> None:
    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "count(job.id)" in statement:
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await service.ask(JOBS)
        assert statements == []
        assert await service.ask("{ jobs { totalCount } }") == {"totalCount": 0}
        assert len(statements) == 1
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_the_latest_job_of_a_document(service: Service) -> None:
    query = """query($type: JobType!, $document: ID) {
      latestJob(type: $type, documentId: $document) { id } }"""
    assert await service.ask(query, type="SEGMENT") is None
    document = await service.upload("Some text.")
    first = await service.create_on(document)
    newest = await service.create_on(await service.upload("Some text."))
    for named, expected in ((document, first), (None, newest)):
        assert await service.ask(query, type="SEGMENT", document=named) == {"id": expected}
    for named in ("malformed", str(uuid4())):
        assert await service.ask(query, type="SEGMENT", document=named) is None
    assert await service.ask(query, type="SEGMENT", token=service.other_token) is None


async def test_nodes_come_in_the_order_asked(service: Service) -> None:
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
    document = await service.upload("Some text.")
    job = await service.create_on(document)
    assert await service.ask(query, ids=[job, "x", document, str(uuid4()), job]) == [
        {"__typename": "Job", "id": job},
        None,
        {"__typename": "Document", "id": document},
        None,
        {"__typename": "Job", "id": job},
    ]
    assert await service.ask(query, ids=[job, document], token=service.other_token) == [None, None]
    assert await code_of(service, query, ids=[job] * 101) == "INVALID_INPUT"


async def test_a_list_that_is_asked_for_wrongly_names_the_values(service: Service) -> None:
    twice = [{"field": "NAME"}, {"field": "NAME"}]
    for variables, loc, msg, type in (
        (
            {"orderBy": twice},
            ["orderBy", "1", "field"],
            "NAME stands in the order twice.",
            "repeated",
        ),
        (
            {"filter": {"ids": ["x"] * 1001}},
            ["filter", "ids"],
            "ids may list at most 1000.",
            "too_long",
        ),
    ):
        (error,) = (await service.post(JOBS, variables))["errors"]
        assert error["message"] == msg
        assert error["extensions"] == {
            "code": "INVALID_INPUT",
            "errors": [{"loc": loc, "msg": msg, "type": type}],
        }


async def test_a_time_is_read_with_any_zone_and_explained_where_it_is_none(
    service: Service,
) -> None:
    await service.create("Some text.")
    for written, found in (
        ("2026-01-01T00:00:00", [1]),
        ("2026-01-01", [1]),
        ("0001-01-01T00:00:00Z", [1]),
        ("9999-12-31T23:59:59.999999+00:00", []),
        ("9999-12-31T23:59:59-00:00", []),
    ):
        assert numbers(await service.ask(JOBS, filter={"createdAfter": written})) == found, written
    for wrong in ("yesterday", "2026-13-01", "", 5, "0001-01-01T00:00:00+14:00"):
        (error,) = (await service.post(JOBS, {"filter": {"createdAfter": wrong}}))["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "a time is written as 2026-01-31T12:00:00Z" in error["message"]
        assert "isoformat" not in error["message"]
