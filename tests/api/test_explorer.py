"""The page at /graphiql as it is served, and how a browser is signed in."""

import asyncio
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
from app.web import has_page

pytestmark = pytest.mark.anyio

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
