from pathlib import Path

from papers import TEXT, bodies, segments


def write(folder: Path, text: str) -> Path:
    source = folder / "text.txt"
    source.write_text(text, encoding="utf-8")
    return source


def test_paragraphs_stand_between_empty_lines_and_keep_their_lines(tmp_path: Path) -> None:
    source = write(tmp_path, "One\ntwo.\r\n\r\n\r\n    Indented.\n# not a heading\n- an item\n")
    assert bodies(source, TEXT) == ["One\ntwo.\n\nIndented.\n\\# not a heading\n- an item"]


def test_titles_are_underlined_or_in_capitals(tmp_path: Path) -> None:
    source = write(tmp_path, "THE STORY\n\nOnce.\n\nPart two\n========\n\nTwice.\n")
    assert [(part.headings, part.place) for part in segments(source, TEXT)] == [
        (("THE STORY",), "c0"),
        (("Part two",), "c18"),
    ]


def test_columns_made_of_spaces_are_kept_as_code(tmp_path: Path) -> None:
    source = write(tmp_path, "Name      Age\nAda       36\n")
    assert bodies(source, TEXT) == ["```\nName      Age\nAda       36\n```"]


def test_a_megabyte_without_a_line_end_is_cut(tmp_path: Path) -> None:
    source = write(tmp_path, "word " * 200_000)
    found = bodies(source, TEXT, max_size=100_000)
    assert max(map(len, found)) <= 100_000
    assert sum(body.count("word") for body in found) == 200_000
