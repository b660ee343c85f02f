"""A page of another origin in a real browser: allowed, it can do everything; else nothing."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from service import Service, reach, serve, serve_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from app.settings import Settings
from workers.sandbox import Sandbox

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
PATIENCE_SECONDS = 60
PAGE = Path(__file__).with_name("page_of_another_origin.html")
TEXT = "# Title\n\nSome text.\n"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is here"),
    pytest.mark.parametrize("kind_of_database", ["sqlite"], indirect=True),
]


class Visit:
    """A page on a server of its own, and what it finds out about the service."""

    def __init__(self) -> None:
        self.service: Service | None = None
        self.found: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.app = Starlette(
            routes=[Route("/", self._page), Route("/found", self._note, methods=["POST"])]
        )

    async def _page(self, _request: Request) -> Response:
        assert self.service is not None
        given = {"url": self.service.url, "token": self.service.token, "text": TEXT}
        return HTMLResponse(PAGE.read_text().replace('"GIVEN"', json.dumps(given)))

    async def _note(self, request: Request) -> Response:
        self.found.put_nowait(await request.json())
        return Response()

    async def by(self, address: str, profile: Path) -> dict[str, Any]:
        """Open the page under an address; return what it found."""
        browser = await asyncio.create_subprocess_exec(
            str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", address,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return await asyncio.wait_for(self.found.get(), PATIENCE_SECONDS)
        finally:
            browser.terminate()
            await browser.wait()


@asynccontextmanager
async def visit(settings: Settings, sandbox: Sandbox) -> AsyncIterator[tuple[Visit, str]]:
    """Serve the page and a service that allows its origin."""
    visit = Visit()
    async with serve_app(visit.app) as origin:
        allowing = settings.model_copy(update={"allowed_origins": (origin,)})
        async with serve(allowing) as url, reach(url, allowing, sandbox) as service:
            visit.service = service
            yield visit, origin


async def test_a_page_of_an_allowed_origin_can_do_everything(
    settings: Settings, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with visit(settings, sandbox) as (page, origin):
        assert page.service is not None
        async with page.service.working():
            found = await page.by(origin, tmp_path / "profile")
    assert found == {
        "query": "ADMIN",
        "upload": TEXT,
        "put": {"status": 200, "receivedBytes": len(TEXT)},
        "range": {"status": 206, "text": "Title", "range": f"bytes 2-6/{len(TEXT)}"},
        "websocket": ["PENDING", "PROCESSING", "COMPLETED"],
        "stream": ["PENDING", "PROCESSING", "COMPLETED"],
        "refusal": "UNAUTHENTICATED",
    }


async def test_a_page_of_any_other_origin_can_do_nothing(
    settings: Settings, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with visit(settings, sandbox) as (page, origin):
        stranger = origin.replace("127.0.0.1", "localhost")
        found = await page.by(stranger, tmp_path / "profile")
        assert page.service is not None
        assert (await page.service.kept())["Document"] == 0
    assert set(found.values()) == {"failed"}
