"""What five job APIs do, done here: one test for each row of the README's table."""

import re
from pathlib import Path

import porting_documents  # noqa: F401 - it registers what it shows
import pytest
from porting import (
    HELVIA,
    LEIA,
    PDF_TOOLS,
    PORTS,
    REAL,
    REKO,
    SEGMENT,
    SYNTHO,
    Port,
    Row,
    done,
    port,
)
from service import (
    ADD_DATA,
    CANCEL,
    CREATE_CONDITIONAL,
    CREATE_JOB,
    DELETE,
    START,
    Service,
)

pytestmark = pytest.mark.anyio

README = Path(__file__).parent.parent.parent / "README.md"


@port((HELVIA, "POST /jobs"))
async def accept_a_document(service: Service) -> None:
    task = {
        "segment": {
            "docType": "", "maxSize": 5000, "useTags": [], "maxTags": 1, "processImages": False,
            "pdfParsingBackend": "PYMUPDF", "enableOcr": False, "ocrBackend": None,
            "forceFullPageOcr": False,
        }
    }  # fmt: skip
    id = await done(service, task=task)
    job = await service.job(id)
    assert job["status"] == "COMPLETED"
    assert job["documents"]["nodes"][0]["document"]["id"]
    given = {name: value for name, value in task["segment"].items() if value is not None}
    assert given.items() <= job["settings"].items()


@port((HELVIA, "GET /jobs/"), (PDF_TOOLS, "listJobs"))
async def list_jobs(service: Service) -> None:
    assert (await service.ask("{ jobs { totalCount nodes { id } } }"))["nodes"] == []
    ids = [await service.create("page One") for _ in range(2)]
    listed = await service.ask("{ jobs { totalCount nodes { id } } }")
    assert listed == {"totalCount": 2, "nodes": [{"id": id} for id in reversed(ids)]}


@port((HELVIA, "GET /jobs/{jobid}"), (LEIA, "GET /job/{job_id}"), (PDF_TOOLS, "getJobInfo"))
async def read_a_job(service: Service) -> None:
    query = """query($id: ID!) { job(id: $id) {
      status message progress submitterIp createdAt updatedAt finishedAt durationMs
      settings resultJson error { code message }
    } }"""
    id = await done(service)
    job = await service.ask(query, id=id)
    assert (job["status"], job["progress"], job["message"]) == ("COMPLETED", 100, None)
    assert job["submitterIp"] == "127.0.0.1"
    assert job["settings"]["maxSize"] == 5000
    assert job["createdAt"] < job["finishedAt"]
    assert await service.ask(query, id="nobody") is None


@port((HELVIA, "PATCH /jobs/{jobid}"), (PDF_TOOLS, "cancelJob"))
async def cancel_a_job(service: Service) -> None:
    id = await service.create("page One")
    answer = await service.ask(CANCEL, id=id)
    assert (answer["changed"], answer["job"]["status"]) == (True, "CANCELED")


@port((SYNTHO, "PUT /jobs/{job_id}/cancel/"))
async def cancel_too_late(service: Service) -> None:
    answer = await service.ask(CANCEL, id=await done(service))
    assert (answer["changed"], answer["job"]["status"]) == (False, "COMPLETED")
    assert answer["reason"] == "The job had already ended: COMPLETED."


@port(
    (HELVIA, "DELETE /jobs/{jobid}"),
    (PDF_TOOLS, "deleteJob"),
    (REKO, "DELETE /jobs/delete"),
    (SYNTHO, "DELETE /jobs/{job_id}/delete/"),
)
async def delete_a_job(service: Service) -> None:
    id = await done(service)
    document = (await service.job(id))["documents"]["nodes"][0]["document"]["id"]
    answer = await service.ask(DELETE, id=id)
    assert (answer["lastStatus"], answer["deletedDocumentIds"]) == ("COMPLETED", [document])
    assert service.stored() == []
    assert (await service.ask(DELETE, id=id))["code"] == "NOT_FOUND"
    running = await service.create("page One")
    assert (await service.ask(DELETE, id=running))["canceledFirst"] is True


@port((LEIA, "GET /job"))
async def find_jobs(service: Service) -> None:
    ids = [await service.create("page One", name=name) for name in ("b", "a", "c")]
    await service.ask(CANCEL, id=ids[2])
    query = """query($filter: JobFilter, $orderBy: [JobOrder!], $offset: Int, $first: Int) {
      jobs(filter: $filter, orderBy: $orderBy, offset: $offset, first: $first) {
        totalCount nodes { name } } }"""
    by_name = [{"field": "STATUS", "direction": "DESC"}, {"field": "NAME", "direction": "ASC"}]
    found = await service.ask(query, orderBy=by_name)
    assert [each["name"] for each in found["nodes"]] == ["a", "b", "c"]
    found = await service.ask(query, orderBy=by_name, offset=1, first=1)
    assert (found["totalCount"], found["nodes"]) == (3, [{"name": "b"}])
    found = await service.ask(query, filter={"statuses": ["CANCELED"], "types": ["SEGMENT"]})
    assert found["nodes"] == [{"name": "c"}]


@port((LEIA, "GET /job/{job_ids}/status"))
async def statuses_of_many(service: Service) -> None:
    first = await done(service)
    second = await service.create("page Two")
    query = "query($ids: [ID!]!) { jobStatuses(ids: $ids) { id status progress } }"
    found = await service.ask(query, ids=[second, "nobody", first])
    assert [(each["id"], each["status"]) for each in found] == [
        (second, "PENDING"), ("nobody", None), (first, "COMPLETED"),
    ]  # fmt: skip


@port((LEIA, "DELETE /job/{job_id}"))
async def cancel_fails_what_waits(service: Service) -> None:
    first = await service.create("page One")
    second = await service.create("page Two", executeAfterId=first)
    third = await service.create("page Three", executeAfterId=second)
    await service.ask(CANCEL, id=first)
    assert (await service.job(first))["status"] == "CANCELED"
    for id in (second, third):
        job = await service.job(id)
        assert (job["status"], job["error"]["code"]) == ("FAILED", "DEPENDENCY")


@port((LEIA, "POST /job/conditional/{execute_after_id}"))
async def run_on_a_condition(service: Service) -> None:
    document = await service.upload("page One")
    first = await service.create_on(document)
    rules = [
        {
            "name": name,
            "conditions": {"segmentCount": condition},
            "jobs": [{"task": SEGMENT, "documentIds": [document]}],
        }
        for name, condition in (("some", [{"$gte": 1}, {"$lt": 10}]), ("none", 0))
    ]
    answer = await service.ask(CREATE_CONDITIONAL, input={"executeAfterId": first, "rules": rules})
    await service.work()
    query = "query($id: ID!) { job(id: $id) { status outcome resultJson } }"
    job = await service.ask(query, id=answer["job"]["id"])
    assert (job["status"], job["outcome"]) == ("COMPLETED", "SUCCESS")
    ((rule, results),) = job["resultJson"].items()
    assert (rule, len(results), results[0]["result"]["segmentCount"]) == ("some", 1, 1)


@port((LEIA, "POST /job/{job_id}/start"), (PDF_TOOLS, "startJob"))
async def start_later(service: Service) -> None:
    document = await service.upload("page One")
    id = await service.create_on(document, start=False)
    assert (await service.job(id))["status"] == "NEW"
    assert (await service.ask(START, id=id))["job"]["status"] == "PENDING"
    assert (await service.ask(START, id=id))["code"] == "JOB_STARTED"


@port((PDF_TOOLS, "createJob"))
async def create_by_workflow(service: Service) -> None:
    input = {
        "workflow": "Segment",
        "profile": "default",
        "name": "merged",
        "options": [{"name": "DOC.PASSWORD", "value": word} for word in ("a", "b")],
        "start": False,
    }
    id = (await service.ask(CREATE_JOB, input=input))["job"]["id"]
    query = "query($id: ID!) { job(id: $id) { name workflow profile options { name value } } }"
    assert await service.ask(query, id=id) == {
        "name": "merged", "workflow": "Segment", "profile": "default",
        "options": [{"name": "DOC.PASSWORD", "value": None}] * 2,
    }  # fmt: skip
    unknown = await service.ask(CREATE_JOB, input={"workflow": "Nothing", "start": False})
    assert unknown["__typename"] == "InvalidInput"
    assert "Segment" in unknown["detail"]


@port((PDF_TOOLS, "addData"))
async def add_data(service: Service) -> None:
    id = (await service.ask(CREATE_JOB, input={"start": False}))["job"]["id"]
    data = [{"source": {"file": None}, "filename": "input.txt"}]
    file = {"variables.data.0.source.file": ("x.txt", b"page One")}
    added = await service.send_files(ADD_DATA, {"id": id, "data": data}, file)
    assert [each["filename"] for each in added["documents"]] == ["input.txt"]
    await service.ask(START, id=id)
    late = await service.send_files(ADD_DATA, {"id": id, "data": data}, file)
    assert late["__typename"] == "Conflict"


@port((PDF_TOOLS, "getJobResult"))
async def wait_for_the_result(service: Service) -> None:
    id = await service.create("page One", "fail PASSWORD")
    async with service.working():
        events = await service.events(id)
    assert events[-1]["status"] == "COMPLETED"
    query = """query($id: ID!) { job(id: $id) { outcome error { code }
      issues { code severity message }
      documents { nodes { failure { code } } }
      attachments { nodes { type filename } } } }"""
    job = await service.ask(query, id=id)
    assert (job["outcome"], job["error"]) == ("WARNING", None)
    failures = [each["failure"] for each in job["documents"]["nodes"]]
    assert failures == [None, {"code": "PASSWORD"}]
    assert {"RESULT", "RESULT_MIN", "LOG"} == {n["type"] for n in job["attachments"]["nodes"]}


@port((PDF_TOOLS, "getJobResultData"))
async def fetch_the_result(service: Service) -> None:
    id = await done(service)
    query = """query($id: ID!) { job(id: $id) {
      attachments(types: [RESULT]) { nodes { id url size mimeType } } } }"""
    (file,) = (await service.ask(query, id=id))["attachments"]["nodes"]
    answer = await service.http.get(file["url"])
    assert (answer.status_code, len(answer.content)) == (200, file["size"])
    assert answer.json()["segments"][0]["body"] == "One"
    read = "query($id: ID!) { attachment(id: $id) { size } }"
    assert await service.ask(read, id=file["id"]) == {"size": file["size"]}


@port((PDF_TOOLS, "listWorkflows"))
async def list_workflows(service: Service) -> None:
    query = "{ workflows { name isDefault profiles { name isDefault options { name type } } } }"
    found = await service.ask(query)
    assert [each["isDefault"] for each in found].count(True) == 1
    for workflow in found:
        assert [each["isDefault"] for each in workflow["profiles"]].count(True) == 1
        for profile in workflow["profiles"]:
            assert "DOC.PASSWORD" in {option["name"] for option in profile["options"]}


@port((PDF_TOOLS, "getServiceStatus"))
async def status_of_the_service(service: Service) -> None:
    await service.create("page One")
    query = "{ service { version status startedAt queueLength jobCounts { status count } } }"
    found = await service.ask(query)
    counts = {each["status"]: each["count"] for each in found["jobCounts"]}
    assert (found["status"], found["queueLength"], counts["PENDING"]) == ("WARNING", 1, 1)


@port((REKO, "POST /upload/gen"))
async def upload_by_links(service: Service) -> None:
    texts = [b"page One", b"page Two"]
    uploads = [await service.create_upload(len(text)) for text in texts]
    id = await service.create_on(*(document for document, _ in uploads))
    assert (await service.job(id))["waitingOn"]["kind"] == "DATA"
    for text, (_, link) in zip(texts, uploads, strict=True):
        assert (await service.http.put(link, content=text)).status_code == 200
    await service.work()
    assert (await service.job(id))["status"] == "COMPLETED"


@port((REKO, "GET /jobs/get"))
async def results_of_each_document(service: Service) -> None:
    id = await done(service, "page One", "fail CORRUPT")
    query = """query($id: ID!) { job(id: $id) { status documents { nodes {
      document { filename size url } mediaLength failure { code }
      full { url size } min { url size } } } } }"""
    job = await service.ask(query, id=id)
    good, bad = job["documents"]["nodes"]
    assert (job["status"], good["mediaLength"], good["failure"]) == ("COMPLETED", 1, None)
    assert good["min"]["size"] < good["full"]["size"]
    for file in (good["full"], good["min"]):
        assert (await service.http.get(file["url"])).status_code == 200
    assert (bad["failure"], bad["full"], bad["min"]) == ({"code": "CORRUPT"}, None, None)


@port((REKO, "GET /jobs/list"))
async def light_list(service: Service) -> None:
    await done(service, name="mine")
    query = """{ jobs { nodes { number name totalSize createdAt status outcome
      statusMeaning } } }"""
    (job,) = (await service.ask(query))["nodes"]
    assert (job["number"], job["name"], job["totalSize"]) == (1, "mine", len("page One"))
    assert job["statusMeaning"] == "The job has ended and its result is ready."
    assert (await service.ask(query, token=service.other_token))["nodes"] == []


@port((SYNTHO, "GET /jobs/{engine_id}/latest/"))
async def latest_job(service: Service) -> None:
    query = """query($type: JobType!, $engine: String) {
      latestJob(type: $type, groupId: $engine) { id } }"""
    assert await service.ask(query, type="SEGMENT") is None
    engines = ("one", "one", "two")
    ids = [await service.create("page One", groupId=engine) for engine in engines]
    for engine, newest in (("one", ids[1]), ("two", ids[2]), (None, ids[2])):
        assert await service.ask(query, type="SEGMENT", engine=engine) == {"id": newest}
    assert await service.ask(query, type="SEGMENT", engine="three") is None
    assert await service.ask(query, type="SEGMENT", engine="\0") is None


@port((SYNTHO, "GET /jobs/{engine_id}/list/"))
async def jobs_of_a_group(service: Service) -> None:
    ids = [await service.create("page One", groupId=group) for group in ("one", "two")]
    query = "query($filter: JobFilter) { jobs(filter: $filter) { nodes { id } } }"
    found = await service.ask(query, filter={"groupId": "one", "types": ["SEGMENT"]})
    assert found["nodes"] == [{"id": ids[0]}]


@port((SYNTHO, "GET /jobs/{job_id}/"))
async def read_with_the_clock(service: Service) -> None:
    id = await done(service)
    query = "query($id: ID!) { job(id: $id) { now settings attachmentTypes updatedAt } }"
    job = await service.ask(query, id=id)
    assert job["now"] > job["updatedAt"]
    assert set(job["attachmentTypes"]) == {"RESULT", "RESULT_MIN", "LOG"}
    assert job["settings"]["maxSize"] == 5000


@port((SYNTHO, "GET /jobs/{job_id}/download_log/"))
async def read_the_log(service: Service) -> None:
    id = await done(service)
    query = """query($id: ID!) { job(id: $id) { log
      attachments(types: [LOG]) { nodes { url filename } } } }"""
    job = await service.ask(query, id=id)
    lines = job["log"].splitlines()
    assert "The job was accepted." in lines[0]
    assert "The job is done." in lines[-1]
    (file,) = job["attachments"]["nodes"]
    assert (await service.http.get(file["url"])).text.splitlines() == lines


def rows() -> list[Row]:
    """Read the first two columns of the README's table."""
    table = README.read_text().split("<!-- coming -->")[1].split("<!-- /coming -->")[0]
    return re.findall(r"^\| ([^|]+?) \| `([^`]+)` \|", table, re.MULTILINE)


def test_every_row_is_shown_and_nothing_else_is() -> None:
    assert sorted(rows()) == sorted(PORTS)


SHOWN = list(dict.fromkeys(PORTS.values()))


@pytest.mark.parametrize("show", SHOWN, ids=lambda show: show.__name__)
async def test_it_can_be_done_here(paced: Service, service: Service, show: Port) -> None:
    await show(service if show in REAL else paced)
