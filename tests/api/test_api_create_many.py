"""createJobs, and idempotency keys: one request makes one job, however often it is sent."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from service import CREATE_JOB, DELETE, Service
from sqlmodel import func, select, update

from app.accounts.models import Application
from app.clock import now
from app.db.columns import new_id
from app.db.work import reading, transaction
from app.jobs.models import IdempotencyKey

pytestmark = pytest.mark.anyio

CREATE_JOBS = """
mutation($inputs: [CreateJobInput!]!) {
  createJobs(inputs: $inputs) {
    __typename
    ... on CreateJobsSuccess { results {
      __typename
      ... on CreateJobSuccess { replayed job { id number } }
      ... on Problem { code }
      ... on InvalidInput { errors { loc type } }
    } }
    ... on Problem { code }
    ... on InvalidInput { errors { loc type } }
  }
}
"""
TASK: dict[str, Any] = {"task": {"segment": {}}}


async def keys(service: Service) -> int:
    """Count the keys that are kept."""
    async with reading(service.database) as session:
        return (await session.exec(select(func.count()).select_from(IdempotencyKey))).one()


async def create(
    service: Service,
    text: str = "page One",
    filename: str = "a.txt",
    **more: Any,  # noqa: ANN401 - fields of the input
) -> Any:  # noqa: ANN401 - JSON
    """Create a job on a file."""
    file = {"variables.input.data.0.source.file": (filename, text.encode())}
    data = [{"source": {"file": None}}]
    return await service.send_files(CREATE_JOB, {"input": {**TASK, "data": data, **more}}, file)


async def test_jobs_that_are_refused_do_not_stop_the_others(service: Service) -> None:
    files = {
        f"variables.inputs.{place}.data.0.source.file": (f"{place}.txt", b"page One")
        for place in (0, 1, 3)
    }
    given = {**TASK, "data": [{"source": {"file": None}}]}
    inputs = [
        given,
        {**given, "task": {"segment": {"maxSize": 1}}},
        {**TASK, "documentIds": ["nonsense"]},
        {**given, "name": "the last"},
        {**TASK, "start": False},
    ]
    answer = await service.send_files(CREATE_JOBS, {"inputs": inputs}, files)
    results = answer["results"]
    assert [each.get("code") for each in results] == [
        None, "INVALID_INPUT", "NOT_FOUND", None, None,
    ]  # fmt: skip
    assert [each["job"]["number"] for each in results if "job" in each] == [1, 2, 3]
    assert results[1]["errors"] == [{"loc": ["task", "segment", "maxSize"], "type": "out_of_range"}]
    kept = await service.kept()
    assert (kept["Job"], kept["Document"], kept["files"], kept["numbers"]) == (3, 2, 2, 3)
    await service.work()
    job = await service.job(results[3]["job"]["id"])
    assert (job["name"], job["status"]) == ("the last", "COMPLETED")


async def test_what_fails_in_the_database_is_undone_by_itself(service: Service) -> None:
    async with transaction(service.database) as work:
        await work.session.exec(update(Application).values(max_open_jobs=2))
    inputs = [{**TASK, "start": False}] * 4
    answer = await service.ask(CREATE_JOBS, inputs=inputs)
    codes = [each.get("code") for each in answer["results"]]
    assert codes == [None, None, "TOO_MANY_JOBS", "TOO_MANY_JOBS"]
    kept = await service.kept()
    assert (kept["Job"], kept["JobEvent"], kept["numbers"]) == (2, 2, 2)


async def test_files_of_a_job_that_has_no_room_are_not_kept(service: Service) -> None:
    async with transaction(service.database) as work:
        await work.session.exec(update(Application).values(max_open_jobs=1))
    files = {
        f"variables.inputs.{place}.data.0.source.file": (f"{place}.txt", b"page One")
        for place in range(2)
    }
    inputs = [{**TASK, "data": [{"source": {"file": None}}]}] * 2
    answer = await service.send_files(CREATE_JOBS, {"inputs": inputs}, files)
    assert [each.get("code") for each in answer["results"]] == [None, "TOO_MANY_JOBS"]
    kept = await service.kept()
    assert (kept["Job"], kept["Document"], kept["files"], kept["numbers"]) == (1, 1, 1, 1)
    await service.work()
    job = await service.job(answer["results"][0]["job"]["id"])
    assert (job["status"], job["totalSize"]) == ("COMPLETED", 8)


async def test_more_than_500_at_once_are_refused_whole(service: Service) -> None:
    answer = await service.ask(CREATE_JOBS, inputs=[{**TASK, "start": False}] * 501)
    assert (answer["code"], answer["errors"]) == (
        "INVALID_INPUT", [{"loc": ["inputs"], "type": "too_long"}],
    )  # fmt: skip
    assert (await service.kept())["Job"] == 0
    assert (await service.ask(CREATE_JOBS, inputs=[]))["results"] == []


async def test_the_same_request_brings_back_the_first_job(service: Service) -> None:
    first = await create(service, idempotencyKey="k")
    kept = await service.kept()
    again = await create(service, idempotencyKey="k")
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert again["job"]["id"] == first["job"]["id"]
    assert await service.kept() == kept
    await service.work()
    later = await create(service, idempotencyKey="k")
    assert later["job"] == {**first["job"], "status": "COMPLETED"}


async def test_null_is_the_same_request_as_left_out(service: Service) -> None:
    document = await service.upload("page One")
    input = {"task": {"segment": {}}, "documentIds": [document], "idempotencyKey": "a"}
    first = await service.ask(CREATE_JOB, input=input)
    nulls = {"task": {"segment": {"maxSize": None, "docType": None}}, "start": None}
    again = await service.ask(CREATE_JOB, input={**input, **nulls, "priority": None, "data": None})
    assert (again["replayed"], again["job"]["id"]) == (True, first["job"]["id"])


async def test_another_request_with_the_key_is_a_conflict(service: Service) -> None:
    first = await create(service, idempotencyKey="k")
    kept = await service.kept()
    others = [
        await create(service, "page Two", idempotencyKey="k"),
        await create(service, idempotencyKey="k", filename="b.txt"),
        await create(service, idempotencyKey="k", name="named"),
        await create(service, idempotencyKey="k", task={"segment": {"maxSize": 999}}),
    ]
    assert {each["code"] for each in others} == {"IDEMPOTENCY_KEY_REUSED"}
    assert [each["conflictingJob"] for each in others] == [{"id": first["job"]["id"]}] * 4
    assert await service.kept() == kept


async def test_200_at_once_make_one_job(service: Service) -> None:
    document = await service.upload("page One")
    input = {**TASK, "documentIds": [document], "idempotencyKey": "k"}
    answers = await asyncio.gather(*(service.ask(CREATE_JOB, input=input) for _ in range(200)))
    assert [each["__typename"] for each in answers] == ["CreateJobSuccess"] * 200
    assert len({each["job"]["id"] for each in answers}) == 1
    assert [each["replayed"] for each in answers].count(False) == 1
    kept = await service.kept()
    assert (kept["Job"], kept["numbers"]) == (1, 1)


async def test_nothing_is_kept_of_a_key_whose_request_was_refused(service: Service) -> None:
    bad = await create(service, idempotencyKey="k", task={"segment": {"maxSize": 1}})
    gone = await service.ask(
        CREATE_JOB, input={**TASK, "documentIds": ["nonsense"], "idempotencyKey": "k"}
    )
    assert (bad["code"], gone["code"], await keys(service)) == ("INVALID_INPUT", "NOT_FOUND", 0)
    assert (await create(service, idempotencyKey="k"))["replayed"] is False


async def test_keys_of_applications_are_apart(service: Service) -> None:
    ours = await service.ask(CREATE_JOB, input={**TASK, "start": False, "idempotencyKey": "k"})
    theirs = await service.ask(
        CREATE_JOB,
        token=service.other_token,
        input={**TASK, "start": False, "idempotencyKey": "k", "name": "theirs"},
    )
    assert (ours["replayed"], theirs["replayed"]) == (False, False)


async def test_a_key_is_forgotten_after_24_hours_and_with_its_job(service: Service) -> None:
    input = {**TASK, "start": False, "idempotencyKey": "k"}
    first = await service.ask(CREATE_JOB, input=input)
    async with transaction(service.database) as work:
        old = now() - timedelta(hours=24, seconds=1)
        await work.session.exec(update(IdempotencyKey).values(created_at=old))
    second = await service.ask(CREATE_JOB, input=input)
    assert (second["replayed"], second["job"]["number"]) == (False, 2)
    await service.ask(DELETE, id=second["job"]["id"])
    third = await service.ask(CREATE_JOB, input={**input, "name": "another"})
    assert (third["replayed"], third["job"]["number"]) == (False, 3)
    assert first["job"]["number"] == 1


@pytest.mark.parametrize("key", ["k" * 256, "a\nb"])
async def test_a_key_that_cannot_be_kept_is_refused(service: Service, key: str) -> None:
    answer = await service.ask(CREATE_JOB, input={**TASK, "start": False, "idempotencyKey": key})
    assert [(each["loc"], each["type"]) for each in answer["errors"]] == [
        (["idempotencyKey"], "string_length")
    ]


async def test_many_with_one_key_make_one_job(service: Service) -> None:
    inputs = [{**TASK, "start": False, "idempotencyKey": "k"}] * 3
    answer = await service.ask(CREATE_JOBS, inputs=inputs)
    assert [each["replayed"] for each in answer["results"]] == [False, True, True]
    assert (await service.kept())["Job"] == 1


async def test_a_key_that_comes_again_belongs_to_the_first_request_that_made_a_job(
    service: Service,
) -> None:
    draft = {**TASK, "start": False}
    inputs = [
        {**TASK, "documentIds": [str(new_id())], "idempotencyKey": "k"},
        {**draft, "name": "first", "idempotencyKey": "k"},
        draft,
        {**draft, "name": "other", "idempotencyKey": "k"},
        {**draft, "name": "first", "idempotencyKey": "k"},
    ]
    results = (await service.ask(CREATE_JOBS, inputs=inputs))["results"]
    assert [each.get("code") or (each["replayed"], each["job"]["number"]) for each in results] == [
        "NOT_FOUND", (False, 1), (False, 2), "IDEMPOTENCY_KEY_REUSED", (True, 1),
    ]  # fmt: skip
