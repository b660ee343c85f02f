"""The page at /graphiql as it is served, and how a browser is signed in."""

import asyncio
import gzip
import logging
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx2
import pytest
from service import Service, serve_app
from sqlmodel import col, select, update
from starlette.applications import Starlette

from app.accounts import sign_in
from app.accounts.models import ApiKey, SignInCode
from app.api.context import Services
from app.api.explorer import SIGN_IN_LIMIT_BYTES, explorer_routes
from app.clock import now
from app.db.work import reading, transaction
from app.web import DIST, has_page

pytestmark = pytest.mark.anyio

JAVASCRIPT = "text/javascript; charset=utf-8"
VIEWER = "{ viewer { scope expiresAt application { id } } }"


async def code_of(service: Service) -> str:
    """Make a code for the application of the tests."""
    viewer = await service.ask(VIEWER)
    async with transaction(service.database) as work:
        return await sign_in.create_code(work, application_id=UUID(viewer["application"]["id"]))


async def send(service: Service, **body: Any) -> httpx2.Response:  # noqa: ANN401 - options of httpx2
    return await service.http.post(f"{service.url}/graphiql/sign-in", **body)


async def keys(service: Service) -> int:
    async with reading(service.database) as session:
        return len((await session.exec(select(ApiKey.id))).all())


@pytest.mark.skipif(not has_page(), reason="the explorer is not built")
async def test_the_page_and_its_files_come_from_here_alone(service: Service) -> None:
    page = await service.http.get(f"{service.url}/graphiql")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src")
    named = re.findall(r'(?:src|href)="(.*?)"', page.text)
    assert named
    assert all(name.startswith("./graphiql/") for name in named)
    script = next(name for name in named if name.endswith(".js"))
    asset = await service.http.get(f"{service.url}{script.removeprefix('.')}")
    assert asset.status_code == 200
    assert "javascript" in asset.headers["content-type"]
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["x-content-type-options"] == "nosniff"
    for stranger in ("graphiql/missing.js", "graphiql/../index.html", "graphiql/%2e%2e/index.html"):
        answer = await service.http.get(f"{service.url}/{stranger}")
        assert answer.status_code == 404


async def test_files_go_out_packed_to_who_takes_them_so(tmp_path: Path) -> None:
    content = b"export const words = 'many words';" * 100
    made = tmp_path / "graphiql" / "index-1.js"
    made.parent.mkdir()
    made.write_bytes(content)
    made.with_name("index-1.js.gz").write_bytes(gzip.compress(content))
    made.with_name("small-1.js").write_bytes(b"0")
    routes = explorer_routes(cast("Services", None), dist=tmp_path)
    async with serve_app(Starlette(routes=routes)) as url, httpx2.AsyncClient() as http:

        async def ask(name: str, takes: str, **headers: str) -> httpx2.Response:
            wanted = {"accept-encoding": takes, **headers}
            return await http.get(f"{url}/graphiql/{name}", headers=wanted)

        packed = [
            await ask("index-1.js", takes) for takes in ("br, gzip", "*;q=0.5", "x, GZIP;q=1")
        ]
        plain = [await ask("index-1.js", takes) for takes in ("identity", "gzip;q=0, *", "br")]
        small = await ask("small-1.js", "gzip")
        again = await ask("index-1.js", "gzip", **{"if-none-match": packed[0].headers["etag"]})
        part = await ask("index-1.js", "identity", range="bytes=0-5")
        head = await http.head(f"{url}/graphiql/index-1.js", headers={"accept-encoding": "gzip"})
    assert {answer.content for answer in (*packed, *plain)} == {content}
    assert {answer.headers["vary"] for answer in (*packed, *plain, small)} == {"Accept-Encoding"}
    assert [answer.headers.get("content-encoding") for answer in packed] == ["gzip"] * 3
    assert [answer.headers.get("content-encoding") for answer in (*plain, small)] == [None] * 4
    assert len({answer.headers["etag"] for answer in packed + plain}) == 2
    assert {answer.headers["content-type"] for answer in packed + plain} == {JAVASCRIPT}
    assert (again.status_code, again.headers.get("content-encoding")) == (304, None)
    assert (part.status_code, part.content) == (206, b"export")
    assert head.headers["content-length"] == packed[0].headers["content-length"]


@pytest.mark.skipif(not has_page(), reason="the explorer is not built")
def test_every_file_that_is_worth_it_was_packed_when_the_page_was_built() -> None:
    files = {path.name: path for path in (DIST / "graphiql").iterdir()}
    plain = [name for name, path in files.items() if path.suffix != ".gz"]
    large = [name for name in plain if files[name].stat().st_size >= 1024]
    assert large
    for name in large:
        assert gzip.decompress(files[f"{name}.gz"].read_bytes()) == files[name].read_bytes()


@pytest.mark.parametrize("path", ["/", "/graphiql/"])
async def test_who_comes_near_the_page_is_led_to_it(service: Service, path: str) -> None:
    answer = await service.http.get(f"{service.url}{path}")
    assert answer.status_code == 307
    assert answer.next_request is not None
    assert answer.next_request.url == f"{service.url}/graphiql"


async def test_without_its_files_the_page_says_how_to_build_it(tmp_path: Path) -> None:
    routes = explorer_routes(cast("Services", None), dist=tmp_path)
    async with serve_app(Starlette(routes=routes)) as url, httpx2.AsyncClient() as http:
        page = await http.get(f"{url}/graphiql")
        asset = await http.get(f"{url}/graphiql/index.js")
    assert page.status_code == 503
    assert "pip install --force-reinstall --no-deps ." in page.text
    assert asset.status_code == 404


async def test_a_code_becomes_a_key_that_ends_and_only_once(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    code, before = await code_of(service), await keys(service)
    answers = await asyncio.gather(*(send(service, json={"code": code}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403, 403, 403]
    (good,) = (answer for answer in answers if answer.status_code == 200)
    assert good.headers["cache-control"] == "no-store"
    assert await keys(service) == before + 1
    token = good.json()["token"]
    viewer = await service.ask(VIEWER, token=token)
    assert viewer["scope"] == "ADMIN"
    assert viewer["application"] == (await service.ask(VIEWER))["application"]
    ends = datetime.fromisoformat(viewer["expiresAt"])
    assert ends == datetime.fromisoformat(good.json()["expiresAt"])
    assert timedelta(hours=11, minutes=59) < ends - now() <= sign_in.KEY_LIFETIME
    assert code not in caplog.text
    assert token not in caplog.text


async def test_a_code_is_no_key_and_is_kept_as_a_hash(service: Service) -> None:
    code = await code_of(service)
    answer = await service.post(VIEWER, token=code)
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    async with reading(service.database) as session:
        (row,) = (await session.exec(select(SignInCode))).all()
    assert code not in str(row)


async def test_a_code_that_has_expired_is_refused_and_cleared_away(service: Service) -> None:
    code, before = await code_of(service), await keys(service)
    async with transaction(service.database) as work:
        await work.session.exec(update(SignInCode).values(expires_at=now()))
    answer = await send(service, json={"code": code})
    assert (answer.status_code, answer.json()["code"]) == (403, "SIGN_IN_REFUSED")
    assert await keys(service) == before
    await code_of(service)
    async with reading(service.database) as session:
        assert len((await session.exec(select(col(SignInCode.code_hash)))).all()) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"content": b"{}", "headers": {"content-type": "application/json"}}, 422),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422),
        ({"json": {"code": 3}}, 422),
        ({"json": ["code"]}, 422),
        ({"json": {"code": "never was"}}, 403),
        ({"json": {"code": "x" * SIGN_IN_LIMIT_BYTES}}, 413),
        ({"content": b'{"code": "a"}', "headers": {"content-type": "text/plain"}}, 422),
        ({"data": {"code": "a"}}, 422),
    ],
    ids=["empty", "cut", "number", "list", "unknown", "long", "text", "form"],
)
async def test_anything_but_a_code_is_refused(
    service: Service, body: dict[str, Any], status: int
) -> None:
    assert (await send(service, **body)).status_code == status


async def test_signing_out_makes_the_key_worthless(service: Service) -> None:
    signed_in = await send(service, json={"code": await code_of(service)})
    headers = {"authorization": f"Bearer {signed_in.json()['token']}"}
    url = f"{service.url}/graphiql/sign-in"
    answers = [await service.http.delete(url, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 401]
    answer = await service.post(VIEWER, token=signed_in.json()["token"])
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
