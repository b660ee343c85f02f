import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from graphql_endpoint import BEARER, BROKEN, ODD, World, endpoint, schema

from app.api.transport import GraphQLApp

pytestmark = pytest.mark.anyio

JSON = "application/json"
PREFLIGHT = {"GraphQL-Require-Preflight": "1"}
GRAPHQL = "application/graphql-response+json"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[tuple[str, World]]:
    world = World()
    limits: dict[str, Any] = {"request_limit_bytes": 60_000, "json_limit_bytes": 20_000}
    async with endpoint(world, **limits) as address:
        yield address, world


@pytest.fixture
def world(server: tuple[str, World]) -> World:
    server[1].renew()
    return server[1]


@pytest.fixture
async def client(server: tuple[str, World]) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"http://{server[0]}", headers=BEARER) as client:
        yield client


def refused(code: str, message: str) -> dict[str, object]:
    return {"errors": [{"message": message, "extensions": {"code": code}}]}


async def post(client: httpx2.AsyncClient, accept: str = JSON, **body: object) -> httpx2.Response:
    return await client.post("/graphql", json=body, headers={"Accept": accept})


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("*/*", JSON),
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}, {JSON};q=0.9, */*", GRAPHQL),
        (f"{JSON}, {GRAPHQL};q=0.5", JSON),
        (f"{GRAPHQL};q=0", JSON),
        ("text/html", JSON),
    ],
)
async def test_an_answer_has_the_media_type_that_was_asked_for(
    client: httpx2.AsyncClient, accept: str, answered: str
) -> None:
    answer = await post(client, accept, query="{ hello }")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{answered}; charset=utf-8"
    assert answer.json()["data"] == {"hello": "hi"}


@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (GRAPHQL, 400)])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": "{ hello"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ unknown }"}, "GRAPHQL_VALIDATION_FAILED"),
        (
            {"query": "query ($n: Int!) { double(number: $n) }", "variables": {"n": "x"}},
            "BAD_USER_INPUT",
        ),
    ],
)
async def test_a_request_error_has_no_data(
    client: httpx2.AsyncClient, accept: str, status: int, body: dict[str, object], code: str
) -> None:
    answer = await post(client, accept, **body)
    assert answer.status_code == status
    assert list(answer.json()) == ["errors"]
    assert [error["extensions"] for error in answer.json()["errors"]] == [{"code": code}]


async def test_a_null_that_a_nullable_variable_brings_is_the_callers_fault(
    client: httpx2.AsyncClient,
) -> None:
    query = "query ($n: Int = 1) { double(number: $n) }"
    answer = await post(client, query=query, variables={"n": None})
    assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("3", "A request must be a JSON object."),
        ('"x"', "A request must be a JSON object."),
        ("[]", "Batches are not taken; send one operation in a request."),
        ("{", "The request is not valid JSON: "),
        ("\xff", "The request is not valid JSON: it is not in UTF-8."),
        ("[" * 15_000, "The request is not valid JSON: it nests too deeply."),
        (
            '{"variables": {"n": ' + "1" * 5_000 + "}}",
            "The request is not valid JSON: a number is too long.",
        ),
        (
            '{"variables": {"n": NaN}}',
            "The request is not valid JSON: NaN is not a number in JSON.",
        ),
        ('{"variables": {"n": -1e999}}', "The request is not valid JSON: a number is too large."),
        ("{}", "The request has no query."),
        ('{"query": null}', "The request has no query."),
        ('{"query": 3}', "query must be a string."),
        ('{"query": "{hello}", "variables": []}', "variables must be an object."),
        ('{"query": "{hello}", "extensions": 1}', "extensions must be an object."),
        ('{"query": "{hello}", "operationName": {}}', "operationName must be a string."),
        ('{"query": "fragment F on Query {hello}"}', "The document holds no operation."),
        (
            '{"query": "query A {hello} query B {whoami}"}',
            "The document has several operations; name one of them in operationName.",
        ),
        (
            '{"query": "query A {hello} query B {whoami}", "operationName": ""}',
            "The document has several operations; name one of them in operationName.",
        ),
        (
            '{"query": "query A {hello}", "operationName": "C"}',
            'The document holds no operation named "C".',
        ),
    ],
)
async def test_a_malformed_request_is_refused(
    client: httpx2.AsyncClient, body: str, message: str
) -> None:
    answer = await client.post(
        "/graphql", content=body.encode("latin-1"), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["extensions"] == {"code": "BAD_REQUEST"}
    assert error["message"].startswith(message)


async def test_many_wrong_values_are_the_callers_fault(client: httpx2.AsyncClient) -> None:
    query = "mutation ($a: [Attached!]!) { uploadAll(attached: $a) }"
    answer = await post(client, accept=GRAPHQL, query=query, variables={"a": [{}] * 60})
    assert answer.status_code == 400
    assert {error["extensions"]["code"] for error in answer.json()["errors"]} == {"BAD_USER_INPUT"}


async def test_a_hash_for_a_document_is_refused_as_clients_know_it(
    client: httpx2.AsyncClient,
) -> None:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}
    by_get = {"extensions": json.dumps(extensions)}
    refusal = refused("PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported")
    for answer in (
        await client.post("/graphql", json={"extensions": extensions}),
        await client.get("/graphql", params=by_get),
    ):
        assert (answer.status_code, answer.json()) == (400, refusal)
    answer = await post(client, query="{ hello }", extensions=extensions)
    assert answer.json()["data"] == {"hello": "hi"}


async def test_the_named_one_of_several_operations_is_run(client: httpx2.AsyncClient) -> None:
    query = "query A { hello } query B { whoami }"
    answer = await post(client, query=query, operationName="B")
    assert answer.json()["data"] == {"whoami": "good"}


async def test_a_body_that_is_no_json_is_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.post(
        "/graphql", content="{hello}", headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 415
    assert answer.json() == refused(
        "UNSUPPORTED_MEDIA_TYPE",
        "Send the request as application/json, or as multipart/form-data with files.",
    )


async def test_a_subscription_needs_a_stream(client: httpx2.AsyncClient) -> None:
    query = "subscription { count(to: 1) }"
    for answer in (
        await post(client, query=query),
        await client.get("/graphql", params={"query": query}),
    ):
        assert answer.status_code == 400
        assert answer.json() == refused(
            "SUBSCRIPTION_NEEDS_STREAM",
            "Subscriptions need a websocket with the protocol graphql-transport-ws, or a request "
            "with Accept: text/event-stream.",
        )


async def test_a_query_may_come_by_get(client: httpx2.AsyncClient) -> None:
    params = {"query": "query($n: Int!) { double(number: $n) }", "variables": '{"n": 4}'}
    assert (await client.get("/graphql", params=params)).json()["data"] == {"double": 8}


async def test_get_refuses_mutations(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/graphql", params={"query": "mutation { upload(file: null) }"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == refused("METHOD_NOT_ALLOWED", "A mutation needs POST.")


async def test_get_variables_must_be_json(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/graphql", params={"query": "{ hello }", "variables": "{"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}


async def test_other_methods_are_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.put("/graphql", json={"query": "{ hello }"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert answer.json() == refused("METHOD_NOT_ALLOWED", "GraphQL takes GET and POST.")


async def test_a_browser_finds_no_page(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/graphql", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 404
    assert answer.json() == refused(
        "NOT_FOUND", "There is no page here; send GraphQL by POST. The explorer is at /graphiql."
    )


@pytest.mark.parametrize("header", ["", "dy_good", "Basic dy_good", "Bearer", "Bearer dy_bad"])
async def test_a_request_without_a_good_token_is_not_read(
    client: httpx2.AsyncClient, world: World, header: str
) -> None:
    answer = await client.post(
        "/graphql", content=b"x" * 100_000, headers={"Authorization": header, "Content-Type": JSON}
    )
    assert answer.status_code == 401  # not 413: the body is too large, but nobody has looked
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
    assert world.ips == []


async def test_the_context_knows_the_address_and_the_id_of_the_request(
    client: httpx2.AsyncClient, world: World
) -> None:
    answer = await client.post(
        "/graphql", json={"query": "{ requestId }"}, headers={"X-Request-Id": "from-proxy.1"}
    )
    assert answer.headers["x-request-id"] == "from-proxy.1"
    assert answer.json()["data"] == {"requestId": "from-proxy.1"}
    assert world.ips == ["127.0.0.1"]


@pytest.mark.parametrize("given", ["a b", "x" * 65, "<script>"])
async def test_a_strange_request_id_is_replaced(client: httpx2.AsyncClient, given: str) -> None:
    answer = await client.post(
        "/graphql", json={"query": "{ requestId }"}, headers={"X-Request-Id": given}
    )
    assert answer.headers["x-request-id"] == answer.json()["data"]["requestId"] != given


async def test_a_bug_is_masked_and_logged_once_without_the_document(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await post(client, query="{ a: boom secretAlias: boom hello }")
    request_id = answer.headers["x-request-id"]
    assert answer.status_code == 200
    assert answer.json()["data"] == {"a": None, "secretAlias": None, "hello": "hi"}
    for error, name in zip(answer.json()["errors"], ("a", "secretAlias"), strict=True):
        assert error["message"] == (
            f"Something went wrong on our side. The request id is {request_id}."
        )
        assert error["path"] == [name]
        assert error["extensions"] == {"code": "INTERNAL", "requestId": request_id}
    [record] = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.getMessage() == f"Request {request_id} met a bug (and 1 more)"
    assert "RuntimeError: secret dsn" in caplog.text
    assert "secretAlias" not in caplog.text


async def test_a_null_made_by_a_bug_keeps_its_data_entry(client: httpx2.AsyncClient) -> None:
    answer = await post(client, GRAPHQL, query="{ mustBoom }")
    assert answer.status_code == 200
    assert answer.json()["data"] is None
    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL"


@pytest.mark.parametrize("query", ["{ double(number: 2000000000) }", "{ hello nothing }"])
async def test_a_result_that_cannot_be_written_is_a_bug_of_ours(
    client: httpx2.AsyncClient, query: str
) -> None:
    answer = await post(client, query=query)
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert "2000000000" not in answer.text


async def test_a_refusal_keeps_its_text_and_code(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await post(client, query="{ forbidden }")
    [error] = answer.json()["errors"]
    assert error["message"] == "This needs a key with the scope admin."
    assert error["extensions"] == {"code": "FORBIDDEN"}
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


async def test_a_callers_mistake_is_not_logged(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await post(client, query="{ unknown }")
    await post(client, query="{ unknown")
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("token", [BROKEN, ODD])
async def test_a_bug_before_the_operation_is_masked(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    answer = await client.post(
        "/graphql", json={"query": "{ hello }"}, headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 500
    request_id = answer.headers["x-request-id"]
    [error] = answer.json()["errors"]
    assert error["extensions"] == {"code": "INTERNAL", "requestId": request_id}
    assert "secret" not in answer.text
    assert "RuntimeError: secret dsn" in caplog.text
    assert token not in caplog.text


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1_000):
        yield b" " * 1_000


async def test_a_request_that_is_too_large_is_refused(client: httpx2.AsyncClient) -> None:
    headers = {"Content-Type": JSON}
    for content in (b" " * 5_000_000, chunks(5_000_000)):
        answer = await client.post("/graphql", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json() == refused(
            "REQUEST_TOO_LARGE", "A request of this kind may have at most 20000 bytes."
        )
    assert (await post(client, query="{ hello }")).status_code == 200


async def test_an_answer_tells_what_it_cost(client: httpx2.AsyncClient) -> None:
    answer = await post(client, query="{ hello query { hello } __typename }")
    assert answer.json()["extensions"] == {"cost": 3}


UPLOAD_FILE = "mutation ($file: Upload!) { upload(file: $file) }"


async def send_files(
    client: httpx2.AsyncClient, operations: object, paths: object, **files: bytes
) -> httpx2.Response:
    data = {"operations": json.dumps(operations), "map": json.dumps(paths)}
    parts = {name: (f"{name}.txt", content) for name, content in files.items()}
    return await client.post(
        "/graphql", data=data, files=parts or {"none": ("none", b"")}, headers=PREFLIGHT
    )


async def test_a_file_comes_with_its_mutation_and_is_closed_after_it(
    client: httpx2.AsyncClient, world: World
) -> None:
    operations = {"query": UPLOAD_FILE, "variables": {"file": None}}
    answer = await send_files(client, operations, {"one": ["variables.file"]}, one=b"text")
    assert answer.json()["data"] == {"upload": "text"}
    assert [file.file.closed for file in world.files] == [True]


async def test_files_find_their_places_in_lists_and_objects(client: httpx2.AsyncClient) -> None:
    query = "mutation ($all: [Attached!]!) { uploadAll(attached: $all) }"
    variables = {"all": [{"note": "a", "file": None}, {"note": "b", "file": None}]}
    paths = {"x": ["variables.all.1.file"], "y": ["variables.all.0.file"]}
    answer = await send_files(
        client, {"query": query, "variables": variables}, paths, x=b"one", y=b"two"
    )
    assert answer.json()["data"] == {"uploadAll": ["a: two", "b: one"]}


@pytest.mark.parametrize(
    ("operations", "paths"),
    [
        (3, {"one": ["variables.file"]}),
        ([], {"one": ["variables.file"]}),
        ({"query": UPLOAD_FILE}, [1]),
        ({"query": UPLOAD_FILE}, 1),
        ({"query": UPLOAD_FILE}, {"one": 5}),
        ({"query": UPLOAD_FILE}, {"one": [5]}),
        ({"query": UPLOAD_FILE}, {"two": ["variables.file"]}),
        ({"query": UPLOAD_FILE}, {"operations": ["variables.file"]}),
        ({"query": UPLOAD_FILE}, {"one": ["variables.file"]}),
        ({"query": None}, {"one": ["query"]}),
        ({"query": UPLOAD_FILE, "variables": None}, {"one": ["variables"]}),
        ({"query": UPLOAD_FILE, "variables": {"file": "x"}}, {"one": ["variables.file"]}),
        ({"query": UPLOAD_FILE, "variables": {"file": [None]}}, {"one": ["variables.file.-1"]}),
        ({"query": UPLOAD_FILE, "variables": {"file": [None]}}, {"one": ["variables.file.1"]}),
        ({"query": UPLOAD_FILE, "variables": {"file": None}}, {"one": ["variables.file.x"]}),
    ],
)
async def test_a_malformed_upload_is_refused(
    client: httpx2.AsyncClient, world: World, operations: object, paths: object
) -> None:
    answer = await send_files(client, operations, paths, one=b"text")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}
    assert world.files == []


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=b"])
async def test_a_form_that_is_none_is_refused(
    client: httpx2.AsyncClient, content_type: str
) -> None:
    answer = await client.post(
        "/graphql", content=b"nothing", headers={"Content-Type": content_type, **PREFLIGHT}
    )
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}


@pytest.mark.parametrize("header", ["Apollo-Require-Preflight", "X-Requested-With"])
async def test_a_form_of_a_strange_page_is_refused(
    client: httpx2.AsyncClient, world: World, header: str
) -> None:
    operations = json.dumps({"query": UPLOAD_FILE, "variables": {"file": None}})
    request = {
        "data": {"operations": operations, "map": '{"one": ["variables.file"]}'},
        "files": {"one": ("one.txt", b"text")},
    }
    for headers in ({}, {header: ""}):
        answer = await client.post("/graphql", headers=headers, **request)  # type: ignore[arg-type]
        assert answer.status_code == 400
        assert answer.json() == refused(
            "PREFLIGHT_REQUIRED",
            "A request with files needs the header GraphQL-Require-Preflight: 1.",
        )
    assert world.files == []
    answer = await client.post("/graphql", headers={header: "1"}, **request)  # type: ignore[arg-type]
    assert answer.json()["data"] == {"upload": "text"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "gzip"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": 'application/json; charset="latin-1"'},
    ],
)
async def test_a_body_in_another_encoding_is_refused(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.post(
        "/graphql", content=b'{"query": "{ hello }"}', headers={"Content-Type": JSON, **headers}
    )
    assert answer.status_code == 415
    assert answer.json()["errors"][0]["extensions"] == {"code": "UNSUPPORTED_MEDIA_TYPE"}


async def test_the_charset_may_be_named(client: httpx2.AsyncClient) -> None:
    for charset in ("utf-8", '"UTF-8"'):
        headers = {"Content-Type": f"application/json; charset={charset}"}
        answer = await client.post("/graphql", content=b'{"query": "{ hello }"}', headers=headers)
        assert answer.json()["data"] == {"hello": "hi"}


async def test_an_upload_that_is_too_large_is_refused(
    client: httpx2.AsyncClient, world: World
) -> None:
    operations = {"query": UPLOAD_FILE, "variables": {"file": None}}
    paths = {"one": ["variables.file"]}
    assert (await send_files(client, operations, paths, one=b"x" * 50_000)).status_code == 200
    answer = await send_files(client, operations, paths, one=b"x" * 60_000)
    assert answer.status_code == 413
    assert answer.json()["errors"][0]["extensions"] == {"code": "REQUEST_TOO_LARGE"}
    assert len(world.files) == 1


async def test_text_is_not_taken_for_a_file(client: httpx2.AsyncClient, world: World) -> None:
    answer = await post(client, query=UPLOAD_FILE, variables={"file": "text"})
    [error] = answer.json()["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert "A file is expected; send it as multipart/form-data." in error["message"]
    assert world.files == []


async def test_loaders_begin_empty_in_each_request(
    client: httpx2.AsyncClient, world: World
) -> None:
    for _ in range(2):
        assert (await post(client, query="{ a: loaded b: loaded }")).status_code == 200
    assert world.loads == ["key", "key"]


async def test_a_wildcard_is_not_an_origin() -> None:
    with pytest.raises(ValueError, match="allowed_origins must name each origin"):
        GraphQLApp(
            schema,
            authenticate=None,  # type: ignore[arg-type]
            revoked=None,  # type: ignore[arg-type]
            make_context=None,  # type: ignore[arg-type]
            allowed_origins=["*"],
        )
