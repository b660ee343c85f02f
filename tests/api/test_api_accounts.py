"""The viewer, its keys, and who is not let in."""

from datetime import timedelta

import pytest
from service import Service
from sqlmodel import col, update

from app.accounts.models import ApiKey
from app.accounts.tokens import new_token, token_hash
from app.clock import now
from app.db.work import transaction

pytestmark = pytest.mark.anyio

VIEWER = """{ viewer {
  scope expiresAt apiKey { name prefix scope revokedAt }
  application { name email maxOpenJobs openJobs apiKeys { prefix scope } }
} }"""


async def test_the_viewer_sees_itself_and_its_keys(service: Service) -> None:
    await service.create("Some text.")
    viewer = await service.ask(VIEWER)
    prefixes = [token[:11] for token in (service.token, service.read_token)]
    assert viewer == {
        "scope": "ADMIN",
        "expiresAt": None,
        "apiKey": {"name": "test", "prefix": prefixes[0], "scope": "ADMIN", "revokedAt": None},
        "application": {
            "name": "ours",
            "email": None,
            "maxOpenJobs": 50,
            "openJobs": 1,
            "apiKeys": [
                {"prefix": prefixes[0], "scope": "ADMIN"},
                {"prefix": prefixes[1], "scope": "READ"},
            ],
        },
    }
    other = await service.ask(VIEWER, token=service.other_token)
    assert (other["application"]["name"], other["application"]["openJobs"]) == ("others", 0)


async def test_keys_are_for_those_who_may_do_all(service: Service) -> None:
    answer = await service.post(VIEWER, token=service.read_token)
    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert error["message"] == "This needs a key with the scope ADMIN."
    assert error["path"] == ["viewer", "application", "apiKeys"]


async def test_a_key_is_seen_by_itself_and_by_those_who_may_do_all(service: Service) -> None:
    node = "query($id: ID!) { node(id: $id) { id } }"
    viewer = "{ viewer { apiKey { id } } }"
    admin = (await service.ask(viewer))["apiKey"]["id"]
    reader = (await service.ask(viewer, token=service.read_token))["apiKey"]["id"]
    assert await service.ask(node, id=reader) == {"id": reader}
    assert await service.ask(node, id=reader, token=service.read_token) == {"id": reader}
    refused = await service.post(node, {"id": admin}, token=service.read_token)
    assert refused["data"] == {"node": None}
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_nobody_is_let_in_without_a_good_key(service: Service) -> None:
    hashed = token_hash(service.read_token)
    ours = update(ApiKey).where(col(ApiKey.token_hash) == hashed)
    past = now() - timedelta(seconds=1)
    for token, statement in (
        (new_token(), None),
        (service.read_token, ours.values(expires_at=past)),
        (service.read_token, ours.values(expires_at=None, revoked_at=past)),
    ):
        if statement is not None:
            async with transaction(service.database) as work:
                await work.session.exec(statement)
        answer = await service.http.post(
            f"{service.url}/graphql",
            json={"query": "{ viewer { scope } }"},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 401
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_the_service_tells_of_itself(service: Service) -> None:
    await service.create("Some text.")
    found = await service.ask("""{ service {
      version license sourceUrl status queueLength startedAt now
      jobCounts { status count } capabilities { name available } workers { id }
    } }""")
    assert found["license"] == "AGPL-3.0-or-later"
    assert found["sourceUrl"] == f"{service.url}/source"
    assert (found["status"], found["queueLength"], found["workers"]) == ("WARNING", 1, [])
    assert found["startedAt"] < found["now"]
    counts = {each["status"]: each["count"] for each in found["jobCounts"]}
    assert counts == {
        "NEW": 0,
        "PENDING": 1,
        "PROCESSING": 0,
        "COMPLETED": 0,
        "FAILED": 0,
        "CANCELED": 0,
    }
    assert {each["name"]: each["available"] for each in found["capabilities"]} == {
        "ocr": False,
        "layout": False,
        "tagging": False,
        "predict": True,
    }
