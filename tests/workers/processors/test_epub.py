from pathlib import Path

import pytest
from papers import EPUB, bodies, epub, run

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.results import Issue


def code_of(source: Path) -> ErrorCode:
    with pytest.raises(ProcessingFailed) as caught:
        run(source, EPUB)
    return caught.value.failure.code


def test_chapters_are_read_in_the_order_of_the_spine(tmp_path: Path) -> None:
    source = epub(
        tmp_path,
        {"z.xhtml": "<h1>\u00c4</h1><p>First.</p>", "a.xhtml": "<h2>B</h2><ul><li>x</li></ul>"},
    )
    assert bodies(source, EPUB) == ["# \u00c4\n\nFirst.", "## B\n\n- x"]


def test_an_archive_that_unpacks_without_measure_is_too_large(tmp_path: Path) -> None:
    source = epub(tmp_path, {"a.xhtml": "<p>x</p>"}, extra={"OPS/bomb": b"\0" * (3 << 20)})
    assert code_of(source) is ErrorCode.TOO_LARGE


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and no more", b"<html>"])
def test_what_is_no_archive_is_corrupt(tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "book.epub"
    source.write_bytes(data)
    assert code_of(source) is ErrorCode.CORRUPT


def test_encrypted_chapters_ask_for_a_password(tmp_path: Path) -> None:
    listed = b'<encryption><CipherReference URI="OPS/a.xhtml"/></encryption>'
    source = epub(tmp_path, {"a.xhtml": "<p>x</p>"}, extra={"META-INF/encryption.xml": listed})
    assert code_of(source) is ErrorCode.PASSWORD


def test_a_chapter_that_is_missing_does_not_cost_the_others(tmp_path: Path) -> None:
    source = epub(tmp_path, {"a.xhtml": "<p>One.</p>", "b.xhtml": "<p>Two.</p>"})
    source.write_bytes(source.read_bytes().replace(b"OPS/b.xhtml", b"OPS/c.xhtml"))
    pages = run(source, EPUB)
    failed = Issue("PAGE_FAILED", "The chapter could not be read and was left out.", 2)
    assert [page.issues for page in pages] == [(), (failed,)]
    assert [part.body for page in pages for part in page.segments] == ["One."]
