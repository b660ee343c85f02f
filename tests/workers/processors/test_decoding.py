from pathlib import Path

import pytest

from workers.processors.decoding import lines

TEXT = "caf\u00e9 \u20ac5\nsecond line\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_text_is_read_in_any_of_the_usual_encodings(tmp_path: Path, encoding: str) -> None:
    source = tmp_path / "text"
    source.write_bytes(TEXT.encode(encoding))
    assert list(lines(source, 1000)) == ["caf\u00e9 \u20ac5\n", "second line\n"]


def test_bytes_that_cp1252_does_not_know_are_read_as_latin_1(tmp_path: Path) -> None:
    source = tmp_path / "text"
    source.write_bytes(b"\x81 \xe9")
    assert list(lines(source, 1000)) == ["\x81 \u00e9"]


def test_a_line_that_is_too_long_comes_in_parts(tmp_path: Path) -> None:
    source = tmp_path / "text"
    source.write_text("abcdef\ngh", encoding="utf-8")
    assert list(lines(source, 4)) == ["abcd", "ef\n", "gh"]
