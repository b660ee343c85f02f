from typing import Any

import pymupdf
import pytest

from workers.processors.lines import read, readable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("Here\x92s \x93one\x94", "Here\u2019s \u201cone\u201d"),
        ("a\x00b\x1fc\u200bd\ufeff\x81", "abcd"),
    ],
)
def test_control_characters_are_no_text(text: str, expected: str) -> None:
    assert readable(text) == expected


def test_turned_text_has_the_height_that_its_font_does_not_state() -> None:
    with pymupdf.open() as document:
        page = document.new_page()
        page.insert_text((72, 72), "A level line of text", fontname="tiro")
        page.insert_text((300, 400), "A line that runs upwards", fontname="tiro", rotate=90)
        page.insert_text(
            (320, 400), "and one more that does, a longer one", fontname="tiro", rotate=90
        )
        sheet = read(page)
        stated = [line["bbox"] for line in _raw_lines(page)]
    turned = [sheet.box(line.x0, line.y0, line.x1, line.y1) for line in sheet.lines if line.level]
    assert [(box.x0, box.x1) for box in turned] == [
        (round(x0, 1), round(x1, 1)) for x0, _, x1, _ in stated[1:]
    ]
    assert pymupdf.TOOLS.unset_quad_corrections() is False


def _raw_lines(page: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - pymupdf has no types
    blocks = page.get_text("dict")["blocks"]
    return [line for block in blocks for line in block["lines"]]
