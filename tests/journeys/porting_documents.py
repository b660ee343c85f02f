"""What other job APIs do with documents, with what is made of them, and with who asks."""

from typing import Any

import pymupdf
from porting import HELVIA, LEIA, REKO, done, port
from service import DELETE_DOCUMENT, DOCUMENT, SEGMENTS, TAG, Service

LIST = """query($filter: DocumentFilter) {
  documents(filter: $filter) { totalCount nodes { id filename size mimeType status } }
}"""


@port((LEIA, "POST /document"))
async def upload_a_document(service: Service) -> None:
    upload = """mutation($file: Upload!, $tags: [String!], $ttl: Int) {
      uploadDocument(file: $file, tags: $tags, ttlSeconds: $ttl) {
        ... on UploadDocumentSuccess { document { filename extension tags createdAt expiresAt } }
        ... on InvalidInput { errors { loc } }
      } }"""
    file = {"variables.file": ("a.txt", b"page One")}
    given = {"file": None, "tags": ["mine"], "ttl": 60}
    document = (await service.send_files(upload, given, file))["document"]
    assert (document["filename"], document["extension"]) == ("a.txt", "txt")
    assert document["tags"] == ["mine"]
    assert document["createdAt"] < document["expiresAt"]
    refused = await service.send_files(upload, {**given, "ttl": 59}, file)
    assert refused == {"errors": [{"loc": ["ttlSeconds"]}]}


@port((HELVIA, "GET /documents/"), (LEIA, "GET /document"))
async def find_documents(service: Service) -> None:
    ids = [await service.upload("page One", name, tags=[name[0]]) for name in ("a.txt", "b.txt")]
    listed = await service.ask(LIST)
    assert [node["id"] for node in listed["nodes"]] == ids[::-1]
    assert {node["status"] for node in listed["nodes"]} == {"PROCESSED"}
    for filter in ({"tags": ["a"]}, {"filename": "A.TXT"}, {"ids": ids[:1]}):
        found = await service.ask(LIST, filter={**filter, "mimeTypes": ["text/plain"]})
        assert (found["totalCount"], found["nodes"][0]["id"]) == (1, ids[0])
    assert (await service.ask(LIST, token=service.other_token))["nodes"] == []


@port((HELVIA, "GET /documents/{documentid}"), (LEIA, "GET /document/{document_id}"))
async def read_a_document(service: Service) -> None:
    id = await service.upload("page One", "a.txt")
    document = await service.ask(DOCUMENT, id=id)
    assert (document["filename"], document["size"], document["mimeType"]) == (
        "a.txt", 8, "text/plain",
    )  # fmt: skip
    assert await service.ask(DOCUMENT, id="nobody") is None


@port(
    (LEIA, "GET /document/{document_id}/file_contents"),
    (REKO, "GET /jobs/get-object-url"),
)
async def link_to_a_file(service: Service) -> None:
    id = await service.upload("page One")
    link = (await service.ask(DOCUMENT, id=id))["url"]
    assert (await service.http.get(link)).content == b"page One"
    assert await service.ask(DOCUMENT, token=service.other_token, id=id) is None


@port((LEIA, "DELETE /document/{document_id}"))
async def delete_a_document(service: Service) -> None:
    id = await service.upload("page One")
    job = await service.create_on(id)
    refused = await service.ask(DELETE_DOCUMENT, id=id)
    assert (refused["__typename"], refused["conflictingJob"]) == ("Conflict", {"id": job})
    await service.work()
    assert (await service.ask(DELETE_DOCUMENT, id=id))["deletedId"] == id
    assert await service.ask(DOCUMENT, id=id) is None
    assert service.stored() == []
    assert (await service.job(job))["status"] == "COMPLETED"


@port(
    (LEIA, "POST /document/{document_id}/tag/{tag}"),
    (LEIA, "DELETE /document/{document_id}/tag/{tag}"),
)
async def tag_a_document(service: Service) -> None:
    id = await service.upload("page One", tags=["a"])
    assert (await service.ask(TAG, id=id, add=["b"]))["document"]["tags"] == ["a", "b"]
    assert (await service.ask(TAG, id=id, remove=["a"]))["document"]["tags"] == ["b"]


@port((HELVIA, "GET /documents/{documentid}/segments"))
async def segments_of_a_document(service: Service) -> None:
    id = await done(service, "page One\npage Two", "page Other")
    job = await service.job(id)
    query = """query($id: ID!, $document: ID) { job(id: $id) { result { ... on SegmentResult {
      segments(documentId: $document) { nodes { body page lang ordinal status } } } } } }"""
    document = job["documents"]["nodes"][0]["document"]["id"]
    found = (await service.ask(query, id=id, document=document))["result"]["segments"]["nodes"]
    assert [(each["ordinal"], each["body"]) for each in found] == [(1, "One"), (2, "Two")]
    async with service.subscribe(SEGMENTS, id=id) as stream:
        assert [each["node"]["body"] async for each in stream] == ["One", "Two", "Other"]


@port((HELVIA, "GET /documents/{documentid}/segments/{segmentid}"))
async def one_segment(service: Service) -> None:
    id = await done(service, "page One\npage Two")
    query = """query($id: ID!) { job(id: $id) { result { ... on SegmentResult {
      segments { nodes { id } } } } } }"""
    _, second = (await service.ask(query, id=id))["result"]["segments"]["nodes"]
    read = "query($id: ID!) { node(id: $id) { ... on Segment { ordinal body document { id } } } }"
    segment = await service.ask(read, id=second["id"])
    assert (segment["ordinal"], segment["body"]) == (2, "Two")
    assert await service.ask(read, token=service.other_token, id=second["id"]) is None


@port((LEIA, "POST /document/{document_ids}/transform/text"), real=True)
async def make_a_text(service: Service) -> None:
    id = await done(service, "Some text.", task={"transform": {"output": "TEXT"}})
    query = """query($id: ID!) { job(id: $id) { status result { ... on TransformResult {
      documents { nodes { filename mimeType } } } } } }"""
    job = await service.ask(query, id=id)
    assert job["status"] == "COMPLETED"
    assert [each["mimeType"] for each in job["result"]["documents"]["nodes"]] == ["text/plain"]


@port((LEIA, "POST /document/{document_ids}/transform/image"), real=True)
async def make_pictures(service: Service) -> None:
    file = pymupdf.open()
    for _ in range(3):
        file.new_page(width=100, height=100)
    document = await service.upload(file.tobytes(), "a.pdf")
    id = await service.create_on(
        document, task={"pdfImages": {"dpi": 36}}, outputTags=["page"], pageSlice="0,-1"
    )
    await service.work()
    query = """query($id: ID!) { job(id: $id) { result { ... on PdfImagesResult { images { nodes {
      page tags mimeType original { id } } } } } } }"""
    images = (await service.ask(query, id=id))["result"]["images"]["nodes"]
    made: dict[str, Any] = {"tags": ["page"], "mimeType": "image/png", "original": {"id": document}}
    assert images == [{"page": 1, **made}, {"page": 3, **made}]


@port((LEIA, "POST /model/{model_id}/apply/{document_ids}"), real=True)
async def classify(service: Service) -> None:
    categories = [{"name": "cooking"}, {"name": "animals", "description": "Birds and beasts."}]
    id = await done(
        service, "Ducks and geese are birds.", task={"predict": {"categories": categories}}
    )
    query = """query($id: ID!) { job(id: $id) { resultJson result { ... on PredictResult {
      predictions { nodes { category accuracy score } } } } } }"""
    job = await service.ask(query, id=id)
    (found,) = job["result"]["predictions"]["nodes"]
    assert found["category"] == "animals"
    assert found.items() <= job["resultJson"].items()


@port((REKO, "POST /upload/complete-multipart"))
async def send_in_parts(service: Service) -> None:
    id, link = await service.create_upload(8)
    for first, part in ((0, b"page"), (4, b" One")):
        headers = {"Content-Range": f"bytes {first}-{first + 3}/8"}
        answer = await service.http.put(link, content=part, headers=headers)
    assert (answer.json()["status"], answer.json()["documentId"]) == ("PROCESSED", id)


@port((LEIA, "GET /whoami"), (REKO, "GET /user/profile"))
async def who_am_i(service: Service) -> None:
    query = "{ viewer { application { id name openJobs createdAt } scope expiresAt } }"
    ours, theirs = [
        await service.ask(query, token=token) for token in (service.token, service.other_token)
    ]
    assert (ours["application"]["name"], ours["scope"]) == ("ours", "ADMIN")
    assert ours["application"]["id"] != theirs["application"]["id"]


@port((LEIA, "GET /health"))
async def health(service: Service) -> None:
    answer = await service.http.get(f"{service.url}/readyz")
    assert answer.status_code == 200
