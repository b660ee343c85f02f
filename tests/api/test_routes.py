"""HTTP beside GraphQL: health, the source, origins, and the address that links begin with."""

import asyncio
import inspect
import io
import shutil
import tarfile
from pathlib import Path

import pytest
from service import CANCEL, DOCUMENT, Service, reach, serve
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

import app.api.schema

pytestmark = pytest.mark.anyio

BESIDE = ("README.md", "pyproject.toml")


async def test_the_process_lives_and_is_ready(service: Service) -> None:
    live = await service.http.get(f"{service.url}/livez")
    assert (live.status_code, live.json()) == (200, {"alive": True})
    ready = await service.http.get(f"{service.url}/readyz")
    parts = {"database": True, "redis": True, "store": True}
    assert (ready.status_code, ready.json()) == (200, parts)


async def test_a_part_that_is_down_is_named(service: Service, tmp_path: Path) -> None:
    nowhere = f"sqlite:///{tmp_path}/missing/docyard.db"
    dead = "postgresql://nobody@127.0.0.1:1/none"
    well = {"database": True, "redis": True, "store": True}
    for change, status, down in (
        # Without Redis the API serves, and the sweep finds the work.
        ({"redis_url": "redis://127.0.0.1:1/0"}, 200, "redis"),
        ({"database_url": nowhere}, 503, "database"),
        ({"database_url": dead}, 503, "database"),
    ):
        async with serve(service.settings.model_copy(update=change)) as url:
            answer = await service.http.get(f"{url}/readyz")
            assert (answer.status_code, answer.json()) == (status, {**well, down: False})
            assert (await service.http.get(f"{url}/livez")).status_code == 200


async def test_a_store_that_is_gone_is_named(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    settings = service.settings.model_copy(update={"store_url": f"file://{folder}"})
    async with serve(settings) as url:
        shutil.rmtree(folder)
        answer = await service.http.get(f"{url}/readyz")
        assert (answer.status_code, answer.json()["store"]) == (503, False)


async def test_a_bug_beside_graphql_is_masked_and_has_the_id_of_its_request(
    service: Service,
) -> None:
    dead = {"database_url": "postgresql://nobody@127.0.0.1:1/none"}
    headers = {"Authorization": "Bearer dy_x", "X-Request-Id": "of-mine"}
    async with serve(service.settings.model_copy(update=dead)) as url:
        answer = await service.http.get(f"{url}/metrics", headers=headers)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "of-mine"
    assert (answer.status_code, answer.json()) == (500, {
        "type": "urn:docyard:problem:internal",
        "title": "Internal error",
        "status": 500,
        "detail": "Something went wrong on our side. The request id is of-mine.",
        "code": "INTERNAL",
        "requestId": "of-mine",
    })  # fmt: skip


async def test_what_passes_says_when_to_come_back(service: Service) -> None:
    _, link = await service.create_upload(1)
    full = service.settings.model_copy(update={"free_disk_bytes": 2**62})
    async with serve(full) as url:
        answer = await service.http.put(link.replace(service.url, url), content=b"x")
    assert (answer.status_code, answer.json()["code"]) == (507, "STORAGE_FULL")
    assert answer.headers["retry-after"] == "60"
    assert answer.headers["x-request-id"]


async def test_prometheus_reads_the_figures_with_an_admins_key(service: Service) -> None:
    await service.create("Some text.")
    await service.create("More text.")
    await service.work()
    await service.create("Text that waits.")
    url = f"{service.url}/metrics"
    for token, status in ((None, 401), (service.read_token, 403)):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = await service.http.get(url, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
    answer = await service.http.get(url, headers={"Authorization": f"Bearer {service.token}"})
    assert answer.status_code == 200
    lines = answer.text.splitlines()
    for line in (
        "docyard_jobs_created_total 3.0",
        "docyard_jobs_ended_total 2.0",
        'docyard_jobs_open{status="PENDING",type="SEGMENT"} 1.0',
        "docyard_queue_length 1.0",
        "docyard_workers 0.0",
        'docyard_part_up{part="database"} 1.0',
    ):
        assert line in lines
    (waited,) = (line for line in lines if line.startswith("docyard_queue_oldest_seconds "))
    assert float(waited.split()[1]) > 0
    seen = 'docyard_http_requests_total{method="GET",route="metrics",status="403"}'
    assert any(line.startswith(seen) for line in lines)


async def test_no_word_of_a_stranger_becomes_a_label(service: Service) -> None:
    assert (await service.http.request("BREW", f"{service.url}/livez")).status_code == 405
    headers = {"Authorization": f"Bearer {service.token}"}
    lines = (await service.http.get(f"{service.url}/metrics", headers=headers)).text
    assert 'docyard_http_requests_total{method="other",route="livez",status="405"}' in lines
    assert "BREW" not in lines


async def test_who_watches_does_not_make_requests_look_slow(service: Service) -> None:
    headers = {"Authorization": f"Bearer {service.token}"}

    async def figure(name: str) -> float:
        lines = (await service.http.get(f"{service.url}/metrics", headers=headers)).text
        (line,) = (line for line in lines.splitlines() if line.startswith(f"{name} "))
        return float(line.split()[1])

    id = await service.create("Some text.")
    timed = 'docyard_http_request_seconds_count{route="graphql"}'
    before = await figure(timed)
    watched = f'subscription {{ jobEvents(jobId: "{id}") {{ seq }} }}'
    async with service.http.stream(
        "POST",
        f"{service.url}/graphql",
        json={"query": watched},
        headers={**headers, "Accept": "text/event-stream"},
    ) as answer:
        lines = answer.aiter_lines()
        while await anext(lines) != "event: next":
            pass
        assert await figure("docyard_event_streams") == 1
        await service.ask(CANCEL, id=id)
        assert [line async for line in lines][-3:] == ["event: complete", "data:", ""]
    async with asyncio.timeout(10):  # noted once the answers are out
        while await figure("docyard_event_streams") or await figure(timed) == before:
            pass
    assert await figure(timed) == before + 1  # the cancel


async def test_the_source_that_runs_is_offered(service: Service) -> None:
    answer = await service.http.get(f"{service.url}/source")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/gzip"
    with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:gz") as archive:
        names = archive.getnames()
        schema = archive.extractfile("docyard/app/api/schema.py")
        assert schema is not None
        assert schema.read() == inspect.getsource(app.api.schema).encode()
        license = archive.extractfile("docyard/LICENSE")
        assert license is not None
        assert b"GNU AFFERO GENERAL PUBLIC LICENSE" in license.read()
        readme, project = (archive.extractfile(f"docyard/{name}") for name in BESIDE)
        assert readme is not None
        assert readme.read().startswith(b"# Docyard")
        assert project is not None
        assert project.read().startswith(b"[build-system]")
    assert {"docyard/workers/run_job.py", "docyard/app/web/src/main.jsx"} < set(names)
    assert {name.rpartition(".")[2] for name in names} == {
        *("py", "mako", "docyard/LICENSE", "md", "toml"),
        *("js", "jsx", "css", "html", "svg", "json", "npmrc"),
    }
    made = {"__pycache__", "dist", "node_modules"}
    assert not any(made & set(name.split("/")) for name in names)


@pytest.mark.parametrize("path", ["/graphql", "/files/x", "/uploads/x"])
async def test_only_pages_of_allowed_origins_may_call(service: Service, path: str) -> None:
    for origin, allowed in (
        ("https://app.example", "https://app.example"),
        ("https://app.example.evil", None),
        ("null", None),
    ):
        answer = await service.http.options(
            service.url + path,
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,traceparent,x-apollo-client",
            },
        )
        assert answer.status_code == (400 if allowed is None else 200)
        assert answer.headers.get("access-control-allow-origin") == allowed
        plain = await service.http.get(service.url + path, headers={"Origin": origin})
        assert plain.headers.get("access-control-allow-origin") == allowed
        assert "access-control-allow-credentials" not in answer.headers


async def test_links_begin_with_the_public_address(service: Service) -> None:
    change = {"public_url": "https://docs.example/api/"}
    settings = service.settings.model_copy(update=change)
    async with serve(settings) as url, reach(url, settings, service.sandbox) as public:
        id = await public.upload("Some text.")
        link = (await public.ask(DOCUMENT, id=id))["url"]
        assert link.startswith(f"https://docs.example/api/files/{id}?expires=")
        _, upload = await public.create_upload(1)
        assert upload.startswith("https://docs.example/api/uploads/")
        source = await public.ask("{ service { sourceUrl } }")
        assert source["sourceUrl"] == "https://docs.example/api/source"


async def test_pages_of_the_public_address_may_open_a_websocket(service: Service) -> None:
    settings = service.settings.model_copy(update={"public_url": "https://docs.example/api/"})
    async with serve(settings) as url:
        address, protocols = (
            f"{url}/graphql".replace("http", "ws"),
            [Subprotocol("graphql-transport-ws")],
        )
        ours = Origin("https://docs.example")
        async with connect(address, subprotocols=protocols, origin=ours) as socket:
            assert socket.subprotocol == protocols[0]
        with pytest.raises(InvalidStatus):
            await connect(address, subprotocols=protocols, origin=Origin("https://docs.other"))


async def test_a_route_takes_its_own_methods_only(service: Service) -> None:
    for method, path in (("POST", "/livez"), ("GET", "/uploads/x"), ("PUT", "/files/x")):
        answer = await service.http.request(method, service.url + path)
        assert answer.status_code == 405
    assert (await service.http.get(f"{service.url}/nothing")).status_code == 404


async def test_the_schema_is_kept_back_where_that_is_set(service: Service) -> None:
    change = {"introspection": False, "field_suggestions": False}
    settings = service.settings.model_copy(update=change)
    told = {"{ __schema { description } }": None, "{ vewer { scope } }": "Did you mean 'viewer'?"}
    async with serve(settings) as url, reach(url, settings, service.sandbox) as closed:
        for query, hint in told.items():
            open_answer, closed_answer = await service.post(query), await closed.post(query)
            assert closed_answer["errors"][0]["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}
            assert (hint is None) == ("errors" not in open_answer)
            assert hint is None or hint in open_answer["errors"][0]["message"]
            assert "Did you mean" not in closed_answer["errors"][0]["message"]
