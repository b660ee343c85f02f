"""Locked PDFs: which password opens one, and that no text repeats it."""

from pathlib import Path

import pytest
from papers import CORPUS, PDF, Paper, bodies, run

from app.failures import ErrorCode, Failure, ProcessingFailed
from app.jobs.options import DocumentOptions
from app.jobs.results import Issue
from app.jobs.types import Severity
from workers.processors.opening import open_pdf


def locked(folder: Path, *, user: str = "user key", owner: str = "owner key") -> Path:
    paper = Paper()
    paper.line(72, 72, "Behind a lock.")
    return paper.save(folder, user_password=user, owner_password=owner)


def failure(source: Path, *passwords: str) -> Failure:
    with pytest.raises(ProcessingFailed) as caught:
        open_pdf(source, passwords)
    assert caught.value.__cause__ is None
    return caught.value.failure


@pytest.mark.parametrize(
    ("passwords", "fitting"),
    [
        (["user key"], 1),
        (["owner key"], 1),
        (["", "wrong", "user key", "user key"], 3),
        ([f"wrong {number}" for number in range(63)] + ["user key"], 64),
    ],
    ids=["the user's", "the owner's", "the first that fits", "the last of many"],
)
def test_each_password_is_tried_in_its_order(
    tmp_path: Path, passwords: list[str], fitting: int
) -> None:
    opened = open_pdf(locked(tmp_path), passwords)
    assert opened.password == fitting
    assert opened.issues() == (
        Issue(
            "PASSWORD_USED", f"Password {fitting} opened this file.", None, severity=Severity.INFO
        ),
    )


def test_the_empty_password_comes_first_and_is_not_worth_telling(tmp_path: Path) -> None:
    opened = open_pdf(locked(tmp_path, user=""), ["owner key"])
    assert (opened.password, opened.issues()) == (None, ())


@pytest.mark.parametrize(
    ("passwords", "message"),
    [
        ([], "The PDF needs a password."),
        (["guess"], "The PDF needs a password, and the password does not fit."),
        (["", "guess"], "The PDF needs a password, and none of the 2 passwords fits."),
    ],
    ids=["none", "one", "several"],
)
def test_where_no_password_fits_the_answer_repeats_none(
    tmp_path: Path, passwords: list[str], message: str
) -> None:
    assert failure(locked(tmp_path), *passwords) == Failure(ErrorCode.PASSWORD, message)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("libreoffice-writer-password.pdf", "openpassword"),
        ("libreoffice-writer-password.pdf", "permissionpassword"),
        ("password-2206.01062_pg3.pdf", "1234"),
    ],
)
def test_locked_files_from_other_programs_open(name: str, password: str) -> None:
    source = CORPUS / "pdf" / name
    if not source.exists():
        pytest.skip("no corpus here")
    assert open_pdf(source, ["wrong", password]).password == 2


def test_a_locked_pdf_is_segmented_and_no_page_repeats_a_password(tmp_path: Path) -> None:
    given = DocumentOptions(("wrong key", "user key"))
    source = locked(tmp_path)
    assert bodies(source, PDF, given=given) == ["Behind a lock."]
    (page,) = run(source, PDF, given=given)
    assert [issue.message for issue in page.issues] == ["Password 2 opened this file."]
    assert " key" not in repr((page.issues, page.checkpoint, given))
