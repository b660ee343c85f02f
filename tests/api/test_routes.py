"""HTTP beside GraphQL: health, the source, origins, and the address that links begin with."""

import inspect
import io
import tarfile
from pathlib import Path

import pytest
from service import DOCUMENT, Service, reach, serve

import app.api.schema

pytestmark = pytest.mark.anyio


async def test_the_process_lives_and_is_ready(service: Service) -> None:
    live = await service.http.get(f"{service.url}/livez")
    assert (live.status_code, live.json()) == (200, {"alive": True})
    ready = await service.http.get(f"{service.url}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"database": True, "redis": True})


async def test_a_part_that_is_down_is_named(service: Service, tmp_path: Path) -> None:
    nowhere = f"sqlite:///{tmp_path}/missing/docyard.db"
    dead = "postgresql://nobody@127.0.0.1:1/none"
    for change, parts in (
        ({"redis_url": "redis://127.0.0.1:1/0"}, {"database": True, "redis": False}),
        ({"database_url": nowhere}, {"database": False, "redis": True}),
        ({"database_url": dead}, {"database": False, "redis": True}),
    ):
        async with serve(service.settings.model_copy(update=change)) as url:
            answer = await service.http.get(f"{url}/readyz")
            assert (answer.status_code, answer.json()) == (503, parts)
            assert (await service.http.get(f"{url}/livez")).status_code == 200


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
    assert "docyard/workers/run_job.py" in names
    assert {name.rpartition(".")[2] for name in names} == {
        *("py", "mako", "docyard/LICENSE", "docyard/PKG-INFO")
    }
    assert not any("__pycache__" in name for name in names)


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
                "Access-Control-Request-Headers": "authorization",
            },
        )
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


async def test_a_route_takes_its_own_methods_only(service: Service) -> None:
    for method, path in (("POST", "/livez"), ("GET", "/uploads/x"), ("PUT", "/files/x")):
        answer = await service.http.request(method, service.url + path)
        assert answer.status_code == 405
    assert (await service.http.get(f"{service.url}/nothing")).status_code == 404
