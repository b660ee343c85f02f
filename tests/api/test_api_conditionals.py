"""Rules through the API: what is refused, what runs, and what can be read of it afterwards."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from service import CANCEL, CREATE_CONDITIONAL, CREATE_JOB, DELETE, RETRY, Service
from sqlmodel import update

from app.clock import now
from app.db.work import reading, transaction
from app.documents.models import Document
from app.jobs.models import Job
from workers import sweep

pytestmark = pytest.mark.anyio

READ = """
query($id: ID!) {
  job(id: $id) {
    status outcome progress message resultJson
    error { code message }
    waitingOn { kind job { id } }
    executeAfter { id }
    parent { id }
    dependents { totalCount nodes { id } }
    children { totalCount nodes { id status number parent { id } executeAfter { id } } }
    rules { name conditions jobs }
    result { ... on ConditionalResult { rules { name matched jobs { id }
      clauses { field operator expected seen missing truncated holds } } } }
    documents { nodes { document { id } } }
  }
}
"""
PREVIEW = """
query($id: ID!, $rules: [RuleConditionsInput!]!) {
  previewRules(jobId: $id, rules: $rules) {
    __typename
    ... on RulePreview { rules { name matched clauses { field seen missing holds } } }
    ... on Problem { code detail }
    ... on InvalidInput { errors { loc type } }
    ... on Conflict { conflictingJob { id } }
  }
}
"""
SEGMENT: dict[str, Any] = {"segment": {}}


def rule(name: str, conditions: Any, *jobs: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {"name": name, "conditions": conditions, "jobs": list(jobs)}


def job(*document_ids: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the input
    return {"task": SEGMENT, "documentIds": list(document_ids), **more}


async def conditional(service: Service, after: str, *rules: dict[str, Any], **more: Any) -> str:  # noqa: ANN401 - fields of the input
    input = {"executeAfterId": after, "rules": list(rules), **more}
    answer = await service.ask(CREATE_CONDITIONAL, input=input)
    assert answer["__typename"] == "CreateJobSuccess", answer
    id: str = answer["job"]["id"]
    return id


async def read(service: Service, id: str) -> dict[str, Any]:
    found: dict[str, Any] = await service.ask(READ, id=id)
    return found


async def test_rules_that_hold_run_their_jobs_in_order(paced: Service) -> None:
    document = await paced.upload("page Hello")
    other = await paced.upload("page There")
    first = await paced.create("page One\npage Two")
    id = await conditional(
        paced,
        first,
        rule("two segments", {"segmentCount": {"$gte": 2}}, job(document), job(other)),
        rule("many", {"segmentCount": [{"$gt": 2}, {"$lt": 100}]}, job(document)),
        rule("any", {"documents.status": "COMPLETED", "x": None}, job(other, name="the other")),
        groupId="together",
    )
    before = await read(paced, id)
    assert before["waitingOn"] == {"kind": "DEPENDENCY", "job": {"id": first}}
    assert before["result"] is None
    assert (await read(paced, first))["dependents"]["nodes"] == [{"id": id}]
    await paced.work()
    found = await read(paced, id)
    assert (found["status"], found["outcome"], found["progress"]) == ("COMPLETED", "SUCCESS", 100)
    one, two, three = found["children"]["nodes"]
    assert [one["executeAfter"], two["executeAfter"], three["executeAfter"]] == [
        None,
        {"id": one["id"]},
        None,
    ]
    assert {each["parent"]["id"] for each in (one, two, three)} == {id}
    assert found["result"]["rules"] == [
        {
            "name": "two segments",
            "matched": True,
            "jobs": [{"id": one["id"]}, {"id": two["id"]}],
            "clauses": [clause("segmentCount", "$gte", 2, 2)],
        },
        {
            "name": "many",
            "matched": False,
            "jobs": [],
            "clauses": [
                clause("segmentCount", "$gt", 2, 2, holds=False),
                clause("segmentCount", "$lt", 100, 2),
            ],
        },
        {
            "name": "any",
            "matched": True,
            "jobs": [{"id": three["id"]}],
            "clauses": [
                clause("documents.status", "$eq", "COMPLETED", "COMPLETED"),
                clause("x", "$eq", None, None, missing=True),
            ],
        },
    ]
    result = found["resultJson"]
    assert list(result) == ["two segments", "any"]
    assert [each["result_type"] for each in result["two segments"]] == ["SEGMENT", "SEGMENT"]
    assert result["any"][0]["result"] == (await paced.job(three["id"]))["resultJson"]
    assert (await paced.job(three["id"]))["name"] == "the other"
    assert (await paced.job(three["id"]))["groupId"] == "together"
    assert found["rules"][1]["conditions"] == {"segmentCount": [{"$gt": 2}, {"$lt": 100}]}
    assert found["rules"][1]["jobs"][0]["documentIds"] == [document]


def clause(  # noqa: PLR0917
    field: str,
    operator: str,
    expected: object,
    seen: object,
    holds: bool = True,
    missing: bool = False,
) -> dict[str, Any]:
    return {
        "field": field,
        "operator": operator,
        "expected": expected,
        "seen": seen,
        "missing": missing,
        "truncated": False,
        "holds": holds,
    }


async def test_where_no_rule_holds_the_job_is_done(paced: Service) -> None:
    document = await paced.upload("page Hello")
    first = await paced.create("page One")
    id = await conditional(paced, first, rule("never", {"segmentCount": 5}, job(document)))
    last = await paced.create("page Last", executeAfterId=id)
    await paced.work()
    found = await read(paced, id)
    assert (found["status"], found["outcome"], found["resultJson"]) == ("COMPLETED", "SUCCESS", {})
    assert found["children"]["totalCount"] == 0
    assert (await paced.job(last))["status"] == "COMPLETED"


async def test_a_chain_stops_where_a_job_fails(paced: Service) -> None:
    good = await paced.upload("page Hello")
    bad = await paced.upload("fail CORRUPT")
    first = await paced.create("page One")
    broken = rule("broken", {}, job(good), job(bad), job(good))
    mixed = await conditional(paced, first, broken, rule("whole", {}, job(good)))
    lost = await conditional(paced, first, rule("broken", {}, job(bad), job(good)))
    await paced.work()
    found = await read(paced, mixed)
    assert (found["status"], found["outcome"]) == ("COMPLETED", "WARNING")
    states = [each["status"] for each in found["children"]["nodes"]]
    assert states == ["COMPLETED", "FAILED", "FAILED", "COMPLETED"]
    assert [len(each) for each in found["resultJson"].values()] == [1, 1]
    found = await read(paced, lost)
    child = found["children"]["nodes"][0]
    assert (found["status"], found["outcome"], found["resultJson"]) == ("FAILED", "ERROR", None)
    assert found["error"]["code"] == "CORRUPT"
    assert child["id"] in found["error"]["message"]
    assert [each["matched"] for each in found["result"]["rules"]] == [True]


@pytest.mark.parametrize("way", [CANCEL, DELETE])
async def test_children_go_with_their_conditional_job(paced: Service, way: str) -> None:
    hanging = await paced.upload("page One\nhang")
    first = await paced.create("page One")
    id = await conditional(paced, first, rule("r", {}, job(hanging), job(hanging)))
    async with paced.working():
        await paced.event(
            id, lambda event: (event["message"] or "").startswith("Rules that hold, 1 of 1")
        )
        (running, waiting) = (await read(paced, id))["children"]["nodes"]
        after = await paced.create("page After", executeAfterId=running["id"])
        await paced.event(running["id"], lambda event: event["kind"] == "PROGRESS")
        answer = await paced.ask(way, id=id)
    if way == CANCEL:
        found = await read(paced, id)
        assert found["status"] == "CANCELED"
        assert [each["status"] for each in found["children"]["nodes"]] == ["CANCELED", "CANCELED"]
    else:
        assert answer["deletedJobIds"] == [id, running["id"], waiting["id"]]
        assert await read(paced, id) is None
        assert await read(paced, running["id"]) is None
    assert (await paced.job(after))["error"]["code"] == "DEPENDENCY"


async def test_a_job_that_finds_no_document_with_its_tag_names_the_job_it_looked_at(
    paced: Service,
) -> None:
    document = await paced.upload("page Hello")
    first = await paced.create("page One")
    tagged = {"task": SEGMENT, "inputTag": "no such"}
    id = await conditional(paced, first, rule("r", {}, job(document), tagged))
    await paced.work()
    (_, last) = (await read(paced, id))["children"]["nodes"]
    found = await paced.job(last["id"])
    message = f"No document made of those of 'SEGMENT 1' ({first}) has the tag 'no such'."
    assert (found["status"], found["error"]["message"]) == ("FAILED", message)


async def test_diamonds_of_conditional_jobs_end(paced: Service) -> None:
    document = await paced.upload("page Hello")
    first = await paced.create("page One")
    left = await conditional(paced, first, rule("l", {"segmentCount": 1}, job(document)))
    right = await conditional(paced, first, rule("r", {"segmentCount": 2}, job(document)))
    inner = await conditional(paced, left, rule("i", {"l.result.segmentCount": 1}, job(document)))
    last = await conditional(paced, right, rule("n", {"r": None}, job(document)))
    await paced.work()
    found = [await read(paced, id) for id in (left, right, inner, last)]
    assert [each["status"] for each in found] == ["COMPLETED"] * 4
    assert [each["children"]["totalCount"] for each in found] == [1, 0, 1, 1]


async def test_a_document_that_a_rule_names_outlives_the_job_it_came_with(paced: Service) -> None:
    source = await paced.create("page Named")
    document = (await paced.job(source))["documents"]["nodes"][0]["document"]["id"]
    first = await paced.create("page One")
    id = await conditional(paced, first, rule("r", {}, job(document), job(document)))
    assert (await paced.ask(DELETE, id=source))["deletedDocumentIds"] == []
    async with transaction(paced.database) as work:
        await work.session.exec(update(Document).values(expires_at=now() - timedelta(days=1)))
    await sweep.remove_expired(paced.worker())
    await paced.work()
    assert (await read(paced, id))["outcome"] == "SUCCESS"


async def test_a_document_that_is_gone_by_then_fails_its_chain(paced: Service) -> None:
    document, link = await paced.create_upload(1, sha256="0" * 64)
    first = await paced.create("page One")
    id = await conditional(paced, first, rule("r", {}, job(document), job(document)))
    assert (await paced.http.put(link, content=b"a")).status_code == 422
    await paced.work()
    found = await read(paced, id)
    assert (found["status"], found["error"]["code"]) == ("FAILED", "GENERIC")
    assert document in found["error"]["message"]


async def test_what_cannot_work_is_refused_with_the_path_to_it(paced: Service) -> None:
    document = await paced.upload("page Hello")
    first = await paced.create("page One")
    before = await paced.kept()
    whole = job(document)
    refusals: list[tuple[list[dict[str, Any]], str, str]] = [
        ([], "rules", "missing"),
        ([rule("", {}, whole)], "rules.0.name", "string_length"),
        ([rule("a", {}, whole), rule("a", {}, whole)], "rules.1.name", "repeated"),
        ([rule("v1.2", {}, whole)], "rules.0.name", "unreachable"),
        ([rule("a", {}, whole), rule("$a", {}, whole)], "rules.1.name", "unreachable"),
        ([rule("a", {}, job(document, outputTags=["b"]))], "rules.0.jobs.0.outputTags", "unused"),
        ([rule("a", {"x": {"$foo": 1}}, whole)], "rules.0.conditions.x.$foo", "unknown_operator"),
        ([rule("a", {"x": {"$in": 1}}, whole)], "rules.0.conditions.x.$in", "not_a_list"),
        ([rule("a", [], whole)], "rules.0.conditions", "not_an_object"),
        ([rule("a", {})], "rules.0.jobs", "missing"),
        ([rule("a", {}, job())], "rules.0.jobs.0.documentIds", "missing"),
        ([rule("a", {}, whole, job())], "rules.0.jobs.1.documentIds", "missing"),
        ([rule("a", {}, job(document, document))], "rules.0.jobs.0.documentIds.1", "repeated"),
        (
            [rule("a", {}, *(job(*(str(uuid4()) for _ in range(1000))) for _ in range(11)))],
            "rules",
            "too_long",
        ),
        (
            [rule("a", {}, whole, job(document, pageSlice="1-2"))],
            "rules.0.jobs.1.pageSlice",
            "page_slice",
        ),
        (
            [rule("a", {}, job(document, inputTag="t"))],
            "rules.0.jobs.0.inputTag",
            "mixed",
        ),
        (
            [rule("a", {}, {"task": {"segment": {"maxSize": 1}}, "documentIds": [document]})],
            "rules.0.jobs.0.task.segment.maxSize",
            "out_of_range",
        ),
    ]
    many = {f"f{place}": 1 for place in range(100)}
    refusals.append(([rule(f"r{n}", many, whole) for n in range(6)], "rules", "too_long"))
    for rules, path, word in refusals:
        answer = await paced.ask(
            CREATE_CONDITIONAL, input={"executeAfterId": first, "rules": rules}
        )
        assert answer["__typename"] == "InvalidInput", (path, answer)
        assert [(".".join(each["loc"]), each["type"]) for each in answer["errors"]] == [
            (path, word)
        ]
    assert await paced.kept() == before


@pytest.mark.parametrize("id", ["nonsense", "01900000-0000-7000-8000-000000000000"])
async def test_what_is_not_there_is_not_found(paced: Service, id: str) -> None:
    document = await paced.upload("page Hello")
    first = await paced.create("page One")
    for after, rules in (
        (id, [rule("a", {}, job(document))]),
        (first, [rule("a", {}, job(document), job(id))]),
    ):
        answer = await paced.ask(
            CREATE_CONDITIONAL, input={"executeAfterId": after, "rules": rules}
        )
        assert (answer["__typename"], answer["id"]) == ("NotFound", id)
    assert "rules.0.jobs.1.documentIds.0" in answer["detail"]
    answer = await paced.ask(
        CREATE_JOB,
        input={"task": SEGMENT, "documentIds": [document], "executeAfterId": id},
    )
    assert (answer["__typename"], answer["id"]) == ("NotFound", id)


async def test_a_request_that_is_repeated_makes_no_second_job(paced: Service) -> None:
    document = await paced.upload("page Hello")
    first = await paced.create("page One")
    input = {
        "executeAfterId": first,
        "rules": [rule("a", {}, job(document))],
        "idempotencyKey": "once",
    }
    made, again = [await paced.ask(CREATE_CONDITIONAL, input=input) for _ in range(2)]
    assert (made["replayed"], again["replayed"]) == (False, True)
    assert made["job"]["id"] == again["job"]["id"]


async def test_secrets_of_rules_are_sealed_shown_to_nobody_and_wiped(paced: Service) -> None:
    locked = await paced.upload("locked swordfish\npage Open")
    first = await paced.create("page One")
    options = [{"name": "DOC.PASSWORD", "value": "swordfish"}]
    id = await conditional(paced, first, rule("r", {}, job(locked, options=options)))
    assert await kept_of(paced, id, "sealed")
    await paced.work()
    found = await read(paced, id)
    assert found["status"] == "COMPLETED"
    assert found["rules"][0]["jobs"][0]["options"] == [{"name": "DOC.PASSWORD", "value": None}]
    assert not await kept_of(paced, id, "sealed")
    assert not await kept_of(paced, id, "swordfish")


async def kept_of(service: Service, id: str, word: str) -> bool:
    """Return whether a word stands anywhere in the row of a job."""
    async with reading(service.database) as session:
        return word in repr(await session.get_one(Job, UUID(id)))


async def test_a_retry_looks_at_the_rules_again(paced: Service) -> None:
    bad = await paced.upload("fail CORRUPT")
    first = await paced.create("page One")
    id = await conditional(paced, first, rule("r", {"segmentCount": 1}, job(bad)))
    await paced.work()
    assert (await read(paced, id))["status"] == "FAILED"
    again = (await paced.ask(RETRY, id=id))["job"]["id"]
    assert (await read(paced, again))["result"] is None
    await paced.work()
    found = await read(paced, again)
    assert (found["status"], found["children"]["totalCount"]) == ("FAILED", 1)
    assert found["executeAfter"] == {"id": first}
    assert found["result"]["rules"][0]["matched"] is True


async def test_a_preview_says_what_rules_would_come_to(paced: Service) -> None:
    first = await paced.create("page One")
    rules = [
        {"name": "yes", "conditions": {"segmentCount": 1}},
        {"name": "no", "conditions": {"category": "x", "segmentCount": {"$lt": 1}}},
    ]
    answer = await paced.ask(PREVIEW, id=first, rules=rules)
    assert (answer["__typename"], answer["conflictingJob"]["id"]) == ("Conflict", first)
    await paced.work()
    before = await paced.kept()
    answer = await paced.ask(PREVIEW, id=first, rules=rules)
    assert answer["rules"] == [
        {
            "name": "yes",
            "matched": True,
            "clauses": [{"field": "segmentCount", "seen": 1, "missing": False, "holds": True}],
        },
        {
            "name": "no",
            "matched": False,
            "clauses": [
                {"field": "category", "seen": None, "missing": True, "holds": False},
                {"field": "segmentCount", "seen": 1, "missing": False, "holds": False},
            ],
        },
    ]
    assert await paced.kept() == before
    bad = [{"name": "no", "conditions": {"category": {"$size": 1}}}]
    answer = await paced.ask(PREVIEW, id=first, rules=bad)
    assert answer["errors"] == [
        {"loc": ["rules", "0", "conditions", "category", "$size"], "type": "unknown_operator"}
    ]
    answer = await paced.ask(PREVIEW, token=paced.other_token, id=first, rules=rules)
    assert answer["__typename"] == "NotFound"


async def test_the_order_of_keys_is_part_of_what_is_demanded(paced: Service) -> None:
    """It outlives the database, also where that would sort them."""
    document = await paced.upload("page Hello")
    first = await paced.create("page One")
    id = await conditional(paced, first, rule("r", {"x": {"b": 1, "a": 2}}, job(document)))
    found = await read(paced, id)
    assert list(found["rules"][0]["conditions"]["x"]) == ["b", "a"]
    await paced.work()
    result = (await paced.job(first))["resultJson"]
    rules = [{"name": "whole", "conditions": {"documents.0": result["documents"][0]}}]
    answer = await paced.ask(PREVIEW, id=first, rules=rules)
    assert answer["rules"][0]["matched"] is True
