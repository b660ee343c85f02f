from pathlib import Path

import pytest
from papers import LOREM, PDF, Paper, bodies, segments

from workers.processors.pdf import sample


def test_at_most_24_pages_are_looked_at_first_spread_over_the_document() -> None:
    assert sample(3) == [1, 2, 3]
    assert sample(24) == list(range(1, 25))
    assert len(sample(117)) == 24
    assert sample(117)[:3] == [1, 6, 11]
    assert sample(117)[-1] == 117


def test_two_columns_are_read_one_after_the_other_below_a_title_over_both(tmp_path: Path) -> None:
    paper = Paper()
    paper.line(150, 80, "A title over both columns", size=20, font="hebo")
    left = (
        "The left column speaks of the sea and of the ships that sail on it from port to port. " * 3
    )
    right = (
        "The right column speaks of the hills and of all the paths that lead over them again. " * 3
    )
    paper.text(72, 120, 215, left)
    paper.text(308, 120, 215, right)
    paper.text(72, 420, 450, LOREM)
    assert bodies(paper.save(tmp_path), PDF) == [
        f"# A title over both columns\n\n{left.strip()}\n\n{right.strip()}\n\n{LOREM}"
    ]


def test_bullets_and_numbers_become_lists_with_their_depth(tmp_path: Path) -> None:
    paper = Paper()
    y = paper.lines(72, 80, ["What there is to do:"])
    for x, mark, text in [
        (72, "1.", "Write the plan and read it once more"),
        (90, "\u2022", "alone in the morning"),
        (90, "\u2022", "with others at noon"),
        (72, "2.", "Do it"),
    ]:
        paper.line(x, y, mark)
        paper.line(x + 16, y, text)
        y += 14
    assert bodies(paper.save(tmp_path), PDF) == [
        (
            "What there is to do:\n\n1. Write the plan and read it once more\n"
            "    - alone in the morning\n    - with others at noon\n2. Do it"
        )
    ]


def grid(paper: Paper, rows: list[list[str]], *, x: float, y: float, width: float) -> None:
    columns, height = len(rows[0]), 20.0
    for place in range(len(rows) + 1):
        paper.rule(x, y + place * height, x + columns * width, y + place * height)
    for place in range(columns + 1):
        paper.rule(x + place * width, y, x + place * width, y + len(rows) * height)
    for down, row in enumerate(rows):
        for across, text in enumerate(row):
            paper.line(x + across * width + 4, y + down * height + 14, text, size=10)


def test_ruling_lines_make_a_table_with_escaped_cells(tmp_path: Path) -> None:
    paper = Paper()
    paper.text(72, 80, 450, LOREM)
    grid(paper, [["Name", "Age"], ["Ada | Eve", "36"], ["Bob", ""]], x=72, y=160, width=120)
    paper.text(72, 260, 450, LOREM)
    table = "| Name | Age |\n| --- | --- |\n| Ada \\| Eve | 36 |\n| Bob |  |"
    assert bodies(paper.save(tmp_path), PDF) == [f"{LOREM}\n\n{table}\n\n{LOREM}"]


def test_a_table_without_vertical_rules_is_read_by_the_gaps_between_its_columns(
    tmp_path: Path,
) -> None:
    paper = Paper()
    for y in (100, 120, 180):
        paper.rule(72, y, 400, y)
    for y, row in [
        (114, ("Country", "People", "Capital")),
        (140, ("Austria", "8.9", "Vienna")),
        (156, ("Belgium", "11.5", "Brussels")),
        (172, ("Denmark", "5.8", "Copenhagen")),
    ]:
        for x, text in zip((76, 200, 300), row, strict=True):
            paper.line(x, y, text, size=10)
    assert bodies(paper.save(tmp_path), PDF) == [
        (
            "| Country | People | Capital |\n| --- | --- | --- |\n| Austria | 8.9 | Vienna |\n"
            "| Belgium | 11.5 | Brussels |\n| Denmark | 5.8 | Copenhagen |"
        )
    ]


def test_a_table_over_two_pages_is_one_and_says_its_header_once(tmp_path: Path) -> None:
    paper = Paper()
    grid(paper, [["Name", "Age"], ["Ada", "36"]], x=72, y=700, width=120)
    paper.next_page()
    grid(paper, [["Name", "Age"], ["Bob", "40"]], x=72, y=72, width=120)
    assert bodies(paper.save(tmp_path), PDF) == [
        "| Name | Age |\n| --- | --- |\n| Ada | 36 |\n| Bob | 40 |"
    ]


def test_a_table_larger_than_a_segment_is_cut_by_rows_and_repeats_its_header(
    tmp_path: Path,
) -> None:
    paper = Paper()
    rows = [["Name", "Age"], *([f"Person {number}", str(number)] for number in range(20))]
    grid(paper, rows, x=72, y=72, width=120)
    found = bodies(paper.save(tmp_path), PDF, max_size=100)
    assert {body.split("\n")[0] for body in found} == {"| Name | Age |"}
    assert [line for body in found for line in body.split("\n")[2:]] == [
        f"| Person {number} | {number} |" for number in range(20)
    ]


def test_a_box_around_text_is_no_table(tmp_path: Path) -> None:
    paper = Paper()
    paper.page.draw_rect((60, 60, 540, 160), width=1)
    paper.text(72, 80, 450, LOREM)
    assert bodies(paper.save(tmp_path), PDF) == [LOREM]


def test_code_is_fenced_and_keeps_its_indentation(tmp_path: Path) -> None:
    paper = Paper()
    paper.text(72, 80, 450, LOREM)
    for y, x, text in [
        (160, 72, "def add(a, b):"),
        (174, 72 + 4 * 6, "return a + b"),
        (202, 72, "add(1, 2)"),
    ]:
        paper.line(x, y, text, size=10, font="cour")
    assert bodies(paper.save(tmp_path), PDF) == [
        f"{LOREM}\n\n```\ndef add(a, b):\n    return a + b\n\nadd(1, 2)\n```"
    ]


def test_the_outline_says_how_deep_headings_are(tmp_path: Path) -> None:
    paper = Paper()
    paper.line(72, 80, "1 First part", size=16, font="hebo")
    paper.text(72, 110, 450, LOREM)
    paper.line(72, 200, "1.1 Its detail", size=16, font="hebo")
    paper.text(72, 230, 450, LOREM)
    paper.document.set_toc([[1, "First part", 1], [2, "Its detail", 1]])
    found = segments(paper.save(tmp_path), PDF)
    assert [part.headings for part in found] == [
        ("1 First part",),
        ("1 First part", "1.1 Its detail"),
    ]


def test_a_bold_line_of_the_text_size_is_a_minor_heading_where_there_are_larger_ones(
    tmp_path: Path,
) -> None:
    paper = Paper()
    y = 80.0
    for number in range(2):
        paper.line(72, y, f"Chapter {number}", size=20, font="hebo")
        paper.line(72, y + 30, f"Part {number}", size=15, font="hebo")
        y = paper.text(72, y + 50, 450, LOREM) + 8
        paper.line(72, y, "A remark", font="hebo")
        y = paper.text(72, y + 16, 450, LOREM) + 30
    found = segments(paper.save(tmp_path), PDF)
    assert [part.headings for part in found] == [("Chapter 0", "Part 0"), ("Chapter 1", "Part 1")]
    assert found[0].body == f"# Chapter 0\n\n## Part 0\n\n{LOREM}\n\n### A remark\n\n{LOREM}"


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_page_reads_the_same(tmp_path: Path, rotation: int) -> None:
    paper = Paper()
    paper.line(72, 80, "A heading", size=20, font="hebo")
    paper.text(72, 120, 400, LOREM)
    paper.page.set_rotation(rotation)
    assert bodies(paper.save(tmp_path), PDF) == [f"# A heading\n\n{LOREM}"]


@pytest.mark.parametrize("turn", [90, 270])
def test_text_that_runs_up_or_down_a_page_is_read_as_if_the_page_were_turned(
    tmp_path: Path, turn: int
) -> None:
    paper = Paper()
    words = ["The first line of a wide table", "The second line of it", "and the third one."]
    for place, line in enumerate(words):
        x = 100 + 14 * place if turn == 90 else 500 - 14 * place
        paper.page.insert_text((x, 500), line, rotate=turn)
    found = segments(paper.save(tmp_path), PDF)
    assert " ".join(found[0].body.split()) == " ".join(words)
    box = found[0].boxes[0]
    assert (box.x1 - box.x0) < (box.y1 - box.y0)


def test_footnotes_do_not_part_a_paragraph_that_goes_on_overleaf(tmp_path: Path) -> None:
    paper = Paper()
    paper.text(72, 80, 450, LOREM)
    paper.lines(
        72, 700, ["The last line of the page has no end of its own but reaches the margin and"]
    )
    paper.line(72, 760, "A note in small print.", size=8)
    paper.next_page()
    paper.lines(72, 80, ["goes on here, on the next page."])
    assert bodies(paper.save(tmp_path), PDF) == [
        (
            f"{LOREM}\n\nThe last line of the page has no end of its own but reaches the margin "
            "and goes on here, on the next page.\n\nA note in small print."
        )
    ]


def test_text_drawn_twice_for_its_shadow_is_there_once(tmp_path: Path) -> None:
    paper = Paper()
    paper.line(72, 80, "Shadow")
    paper.line(72.3, 80.3, "Shadow")
    assert bodies(paper.save(tmp_path), PDF) == ["Shadow"]


def test_entries_of_a_table_of_contents_keep_their_lines_but_not_their_dots(tmp_path: Path) -> None:
    paper = Paper()
    paper.lines(
        72,
        80,
        ["Preface . . . . . . . . . . . . . . . . 1", "The sea ........................... 12"],
    )
    assert bodies(paper.save(tmp_path), PDF) == ["Preface \u2026 1\nThe sea \u2026 12"]
