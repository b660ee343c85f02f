"""The explorer in a real browser: signed in by a link, used, and never leaving home.

EXPLORER_SCREENSHOT names a file for a picture of it.
"""

import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import BrowserContext, Page, Playwright, async_playwright, expect
from service import Service
from sqlmodel import select

from app.accounts import sign_in
from app.accounts.models import ApiKey
from app.db.work import reading, transaction
from app.web import has_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE_MS = 30_000
SCREENSHOT = os.environ.get("EXPLORER_SCREENSHOT")

# On one line each: at a line's end the editor begins to help.
CREATE = (
    "mutation Create($ids: [ID!]!)"
    " { createJob(input: { task: { segment: {} }, documentIds: $ids })"
    " { ... on CreateJobSuccess { job { id status } } ... on Problem { code detail } } }"
)
WATCH = "subscription Watch($id: ID!) { jobEvents(jobId: $id) { seq kind status } }"
WHO = "{ viewer { scope } }"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is here"),
    pytest.mark.skipif(not has_page(), reason="the explorer is not built"),
    pytest.mark.parametrize("kind_of_database", ["sqlite"], indirect=True),
]


@pytest.fixture(scope="module")
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as playwright:
        yield playwright


@pytest.fixture
async def browser(playwright: Playwright, tmp_path: Path) -> AsyncIterator[BrowserContext]:
    """A browser that nobody has used."""
    context = await playwright.chromium.launch_persistent_context(
        tmp_path / "profile", executable_path=CHROMIUM, headless=True, args=FLAGS
    )
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


class Explorer:
    """The page, used as a person does."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.session = page.get_by_role("banner")
        self.response = page.locator(".graphiql-response .view-lines")
        page.on("console", lambda line: self._note(line.type, line.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("websocket", lambda opened: self.hosts.add(urlsplit(opened.url).netloc))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    async def open(self, url: str) -> None:
        await self.page.goto(url)
        await self.page.locator(".graphiql-query-editor .view-lines").wait_for()

    async def run(self, query: str, variables: dict[str, Any] | None = None) -> None:
        """Run an operation in a new tab."""
        await self.page.get_by_role("button", name="New tab").click()
        await self._write(".graphiql-query-editor", query)
        await self._write_tool("Variables", json.dumps(variables or {}))
        await self.page.locator(".graphiql-execute-button").click()

    async def stop(self) -> None:
        await self.page.locator(".graphiql-execute-button[aria-label^=Stop]").click()

    async def sign_in(self, key: str) -> None:
        await self.page.get_by_label("API key").fill(key)
        await self.page.get_by_role("button", name="Sign in").click()

    async def write_headers(self, headers: dict[str, str]) -> None:
        await self._write_tool("Headers", json.dumps(headers))
        await self.page.locator(".graphiql-execute-button").click()

    async def _write_tool(self, name: str, text: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()
        await self._write(".graphiql-editor-tool .graphiql-editor:visible", text)

    async def _write(self, editor: str, text: str) -> None:
        await self.page.locator(f"{editor} .view-lines").click()
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.press("Delete")
        await self.page.keyboard.insert_text(text)

    async def answer(self, *words: str) -> str:
        """Wait until the answer says this; return all that is shown of it."""
        for word in words:
            await expect(self.response).to_contain_text(word, timeout=PATIENCE_MS)
        shown = await self.response.inner_text()
        return shown.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture
async def explorer(browser: BrowserContext) -> Explorer:
    return Explorer(browser.pages[0])


async def link(service: Service) -> str:
    """Return a link as `docyard up` prints it."""
    async with reading(service.database) as session:
        key = (await session.exec(select(ApiKey))).first()
    assert key is not None
    async with transaction(service.database) as work:
        code = await sign_in.create_code(work, application_id=key.application_id)
    return f"{service.url}/graphiql#code={code}"


async def test_a_person_runs_a_query_a_mutation_and_a_subscription(
    service: Service, explorer: Explorer
) -> None:
    document = await service.upload("# One\n\nText.\n")
    await explorer.open(await link(service))
    await expect(explorer.session).to_contain_text("Signed in until")
    await explorer.run(WHO)
    await explorer.answer('"ADMIN"')
    await explorer.run(CREATE, {"ids": [document]})
    created = await explorer.answer('"PENDING"')
    (id,) = re.findall(r'"id": "(.+?)"', created)
    await explorer.run(WATCH, {"id": id})
    await explorer.answer('"seq": 1', '"PENDING"')
    await service.work()
    await explorer.answer('"COMPLETED"')
    if SCREENSHOT is not None:
        await explorer.page.screenshot(path=SCREENSHOT)
    assert explorer.complaints == []
    assert explorer.hosts == {urlsplit(service.url).netloc}


async def test_the_key_of_a_link_is_kept_by_the_tab_alone(
    service: Service, explorer: Explorer
) -> None:
    address = await link(service)
    await explorer.open(address)
    assert explorer.page.url == f"{service.url}/graphiql"
    kept = await explorer.page.evaluate(
        "() => JSON.stringify([{...sessionStorage}, document.cookie])"
    )
    (token,) = re.findall(r"dy_[\w-]+", kept)
    others = "() => JSON.stringify([{...localStorage}, history.state, document.body.innerHTML])"
    assert token not in await explorer.page.evaluate(others)
    await explorer.page.reload()
    await expect(explorer.session).to_contain_text("Signed in until")
    await explorer.page.get_by_role("button", name="Sign out").click()
    await expect(explorer.session).to_contain_text("You are not signed in.")
    await explorer.open(address)
    await expect(explorer.session).to_contain_text("was used already")


async def test_a_key_can_be_typed_in_and_files_are_sent_with_it(
    service: Service, explorer: Explorer, tmp_path: Path
) -> None:
    paper = tmp_path / "paper.md"
    paper.write_text("# One\n\nText.\n")
    await explorer.open(f"{service.url}/graphiql")
    await explorer.sign_in("dy_unknown")
    told = explorer.session.get_by_role("status").first  # read aloud when it changes
    await expect(told).to_contain_text("The service refuses this key")
    await explorer.sign_in(service.token)
    await expect(explorer.session).to_contain_text("Signed in by a key.")
    await explorer.page.get_by_label("Upload a file").set_input_files(paper)
    await expect(explorer.session).to_contain_text("paper.md is document")
    id = await explorer.session.locator("code").inner_text()
    answer = await service.ask("query($id: ID!) { document(id: $id) { filename } }", id=id)
    assert answer == {"filename": "paper.md"}
    await explorer.page.get_by_role("button", name="Sign out").click()
    await expect(explorer.session).to_contain_text("You are not signed in.")
    assert await service.ask(WHO) == {"scope": "ADMIN"}  # the key is theirs, and goes on


async def test_a_subscription_ends_where_its_key_is_refused(
    service: Service, explorer: Explorer
) -> None:
    await explorer.open(await link(service))
    await explorer.run("subscription { events { cursor } }")
    await explorer.stop()
    await explorer.write_headers({"Authorization": "Bearer dy_unknown"})
    await explorer.answer("Socket closed with event 4403 Forbidden")
    await expect(explorer.session).to_contain_text("Signed in until")


async def test_a_key_in_the_headers_goes_before_the_key_of_the_link(
    service: Service, explorer: Explorer
) -> None:
    await explorer.open(await link(service))
    await explorer.run(WHO)
    await explorer.answer('"ADMIN"')
    await explorer.write_headers({"authorization": f"Bearer {service.read_token}"})
    await explorer.answer('"READ"')
    await explorer.write_headers({"Authorization": "Bearer dy_unknown"})
    await explorer.answer("UNAUTHENTICATED")
    await expect(explorer.session).to_contain_text("Signed in until")


async def test_the_editors_follow_the_theme_of_the_system(
    service: Service, explorer: Explorer
) -> None:
    await explorer.open(await link(service))
    editor = explorer.page.locator(".graphiql-query-editor .monaco-editor").first
    await expect(editor).to_have_class(re.compile(r"\bvs\b(?!-)"), timeout=PATIENCE_MS)
    await explorer.page.emulate_media(color_scheme="dark")
    await expect(editor).to_have_class(re.compile(r"\bvs-dark\b"), timeout=PATIENCE_MS)
