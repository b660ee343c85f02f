"""Workflows resolve to the task that `task` would name, or say what there is."""

import math
from typing import Any

import pytest

from app.errors import FieldError, InvalidInput
from app.jobs import workflows
from app.jobs.given import GivenOption
from app.jobs.option_specs import (
    COMMON,
    CUSTOM_META,
    MAX_PASSWORDS,
    OptionSpec,
    check_options,
)
from app.jobs.options import (
    Category,
    ImageFormat,
    PdfBackend,
    PdfImagesOptions,
    SegmentOptions,
    Task,
    TransformOptions,
    TransformOutput,
)
from app.jobs.types import OptionType
from app.jobs.workflows import (
    WORKFLOWS,
    Resolved,
    resolve,
    specs,
    task_of_document,
)


def ask(*options: tuple[str, Any], **more: Any) -> Resolved:  # noqa: ANN401 - of resolve
    asked = {"task": None, "workflow": None, "profile": None, **more}
    return resolve(given=[GivenOption(*each) for each in options], **asked)


def refusal(*options: tuple[str, Any], **more: Any) -> list[FieldError]:  # noqa: ANN401 - of resolve
    with pytest.raises(InvalidInput) as caught:
        ask(*options, **more)
    return list(caught.value.errors)


def passwords(count: int) -> list[tuple[str, str]]:
    return [("DOC.PASSWORD", f"{number}") for number in range(count)]


@pytest.mark.parametrize(
    ("asked", "options", "task"),
    [
        ({}, [], SegmentOptions()),
        ({"workflow": "Segment"}, [], SegmentOptions()),
        ({"profile": "search"}, [], SegmentOptions(max_size=1000)),
        (
            {"workflow": "Page images", "profile": "screen"},
            [("PDF_IMAGES.QUALITY", 50)],
            PdfImagesOptions(dpi=96, format=ImageFormat.JPEG, quality=50),
        ),
        ({"workflow": "Convert to text"}, [], TransformOptions(TransformOutput.TEXT)),
        (
            {"workflow": "Segment", "profile": "search"},
            [("SEGMENT.MAX_SIZE", 300.0), ("SEGMENT.DOC_TYPE", "letter")],
            SegmentOptions(max_size=300, doc_type="letter"),
        ),
    ],
    ids=["nothing", "its name", "its profile", "pictures", "text", "its options"],
)
def test_a_workflow_comes_to_the_same_task(
    asked: dict[str, str], options: list[tuple[str, Any]], task: Task
) -> None:
    found = ask(*options, **asked)
    workflow, profile = asked.get("workflow", "Segment"), asked.get("profile", "default")
    assert found == Resolved(task, workflow, profile)


def test_every_profile_of_every_workflow_can_be_asked_for_and_has_a_name_of_its_own() -> None:
    assert len({each.name for each in WORKFLOWS}) == len(WORKFLOWS)
    for workflow in WORKFLOWS:
        names = {profile.name for profile in workflow.profiles}
        assert len(names) == len(workflow.profiles) >= 1
        for profile in workflow.profiles:
            found = specs(workflow, profile)
            assert len({spec.name for spec in found}) == len(found)
            needed = [
                (spec.name, "one, other") for spec in found if spec.name.endswith("CATEGORIES")
            ]
            task = ask(*needed, workflow=workflow.name, profile=profile.name).task
            for spec in found:
                if spec.field is not None and spec.default is not None:
                    assert (
                        ask(
                            *needed,
                            (spec.name, spec.default),
                            workflow=workflow.name,
                            profile=profile.name,
                        ).task
                        == task
                    )


@pytest.mark.parametrize(
    ("asked", "loc", "type", "named"),
    [
        ({"workflow": "Nothing"}, ("workflow",), "unknown", "Segment"),
        ({"profile": "nothing"}, ("profile",), "unknown", "default, search, reading"),
        ({"task": SegmentOptions(), "workflow": "Segment"}, ("workflow",), "unexpected", "exclude"),
        ({"task": SegmentOptions(), "profile": "default"}, ("profile",), "unexpected", "exclude"),
    ],
    ids=["workflow", "profile", "both", "a task and a profile"],
)
def test_a_name_that_is_none_is_refused_and_those_that_are_named(
    asked: dict[str, Any], loc: tuple[str, ...], type: str, named: str
) -> None:
    (error,) = refusal(**asked)
    assert (error.loc, error.type) == (loc, type)
    assert named in error.msg


@pytest.mark.parametrize(
    ("option", "field", "named"),
    [
        (("SEGMENT.SIZE", 1), "name", "SEGMENT.MAX_SIZE, SEGMENT.DOC_TYPE, DOC.PASSWORD"),
        (("doc.password", "x"), "name", "DOC.PASSWORD"),
        (("META.author", "x"), "name", "META.AUTHOR"),
        (("META.<NAME>", "x"), "name", "META.<NAME>"),
        (("SEGMENT.MAX_SIZE", "300"), "value", "SEGMENT.MAX_SIZE takes a number."),
        (("SEGMENT.MAX_SIZE", True), "value", "SEGMENT.MAX_SIZE takes a number."),
        (("SEGMENT.MAX_SIZE", 300.5), "value", "SEGMENT.MAX_SIZE takes a whole number."),
        (("SEGMENT.MAX_SIZE", math.inf), "value", "SEGMENT.MAX_SIZE takes a whole number."),
        (("SEGMENT.MAX_SIZE", 5), "value", "SEGMENT.MAX_SIZE must be 100 to 100000 characters."),
        (("SEGMENT.DOC_TYPE", None), "value", "SEGMENT.DOC_TYPE takes a string."),
        (("DOC.PASSWORD", 12345), "value", "DOC.PASSWORD takes a string."),
        (("DOC.PASSWORD", "12345" * 999), "value", "DOC.PASSWORD has at most 1,000 characters"),
        (("META.TITLE", ["x"]), "value", "META.TITLE takes a string."),
        (("META.TITLE", "a\0"), "value", "META.TITLE has at most 10,000 characters"),
    ],
    ids=str,
)
def test_a_bad_option_is_refused_without_repeating_its_value(
    option: tuple[str, Any], field: str, named: str
) -> None:
    (error,) = refusal(("META.ROOM", "1"), option)
    assert (error.loc, error.type) == (("options", "1", field), "option")
    assert named in error.msg
    assert "12345" not in error.msg


def test_a_field_that_has_no_default_must_be_set() -> None:
    (error,) = refusal(workflow="Predict")
    assert (error.loc, error.type) == (("options",), "option")
    assert error.msg == "The option PREDICT.CATEGORIES must be set."
    (error,) = refusal(("PREDICT.CATEGORIES", "a, a"), workflow="Predict")
    assert (error.loc, error.type) == (("options", "0", "value"), "option")


def test_only_passwords_may_be_repeated() -> None:
    assert ask(*passwords(MAX_PASSWORDS)).task == SegmentOptions()
    for name, value in (("META.ROOM", "1"), ("SEGMENT.MAX_SIZE", 300)):
        (error,) = refusal((name, value), (name, value))
        assert (error.loc, error.type) == (("options", "1", "name"), "option")
    (error,) = refusal(*passwords(MAX_PASSWORDS + 1))
    assert error.msg == "At most 64 passwords can be tried on one document."


def test_beside_a_task_stand_passwords_and_metadata_only() -> None:
    task = SegmentOptions(max_size=700)
    options = [*passwords(2), ("META.AUTHOR", "A"), ("META.ROOM", "1")]
    assert ask(*options, task=task) == Resolved(task)
    (error,) = refusal(("SEGMENT.MAX_SIZE", 300), task=task)
    assert error.loc == ("options", "0", "name")
    assert "DOC.PASSWORD, META.AUTHOR, META.TITLE" in error.msg


def test_a_document_changes_the_task_of_its_job_for_itself() -> None:
    job = ask(("SEGMENT.MAX_SIZE", 300), ("SEGMENT.DOC_TYPE", "letter"))
    own = [GivenOption("SEGMENT.MAX_SIZE", 400), GivenOption("META.TITLE", "T")]
    assert task_of_document(job, own) == SegmentOptions(max_size=400, doc_type="letter")
    assert job.task == SegmentOptions(max_size=300, doc_type="letter")
    with pytest.raises(InvalidInput):
        task_of_document(Resolved(SegmentOptions()), own)


def test_the_passwords_of_a_document_and_its_job_count_together() -> None:
    own = [GivenOption("DOC.PASSWORD", "x")] * 4
    workflows.check_document(ask(), own, job_passwords=60, loc=("data", "0", "options"))
    with pytest.raises(InvalidInput) as caught:
        workflows.check_document(ask(), own, job_passwords=61, loc=("data", "0", "options"))
    assert caught.value.errors[0].loc == ("data", "0", "options")


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (OptionSpec("A", OptionType.BOOLEAN, "", kind=bool), True, True),
        (OptionSpec("A", OptionType.NUMBER, "", kind=float), 1, 1.0),
        (OptionSpec("A", OptionType.STRING, "", kind=PdfBackend), "PYMUPDF", PdfBackend.PYMUPDF),
        (OptionSpec("A", OptionType.STRING, "", listed=True), "a, b,", ("a", "b")),
        (
            OptionSpec("A", OptionType.STRING, "", kind=Category, listed=True),
            "a,b",
            (Category("a"), Category("b")),
        ),
    ],
    ids=["truth", "number", "word", "list", "categories"],
)
def test_a_value_becomes_what_its_field_holds(
    kind: OptionSpec, value: object, found: object
) -> None:
    ((_, read),) = check_options([GivenOption("A", value)], [kind], loc=(), of="It")
    assert (read, type(read)) == (found, type(found))


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (OptionSpec("A", OptionType.BOOLEAN, "", kind=bool), 1, "A takes true or false."),
        (OptionSpec("A", OptionType.NUMBER, "", kind=float), 10**400, "A takes a number."),
        (
            OptionSpec("A", OptionType.STRING, "", kind=PdfBackend),
            "X",
            "A is one of: PYMUPDF, PYMUPDF_LAYOUT.",
        ),
    ],
    ids=["truth", "number", "word"],
)
def test_a_value_of_another_type_is_told_what_it_should_be(
    kind: OptionSpec, value: object, message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_options([GivenOption("A", value)], [kind], loc=(), of="It")
    assert [error.msg for error in caught.value.errors] == [message]


def test_secret_options_show_no_value_anywhere() -> None:
    assert "hush" not in repr(GivenOption("DOC.PASSWORD", "hush"))
    assert [spec.name for spec in (*COMMON, CUSTOM_META) if spec.secret] == ["DOC.PASSWORD"]
