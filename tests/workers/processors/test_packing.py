from dataclasses import replace

from app.jobs.results import Segment
from workers.processors.elements import Element, Kind
from workers.processors.packing import Packer


def heading(text: str, level: int, *, minor: bool = False) -> Element:
    return Element(Kind.HEADING, text, 1, f"h-{text}", level=level, minor=minor)


def paragraph(text: str, place: str = "x") -> Element:
    return Element(Kind.PARAGRAPH, text, 1, place)


def packed(*elements: Element, max_size: int = 100) -> list[tuple[tuple[str, ...], str]]:
    packer = Packer(max_size)
    found = [*packer.add([replace(element) for element in elements]), *packer.end()]
    return [(part.headings, part.body) for part in found]


def test_a_section_is_a_segment_and_its_headings_are_its_path() -> None:
    assert packed(
        heading("A", 1),
        paragraph("a"),
        heading("B", 2),
        paragraph("b"),
        paragraph("c"),
        heading("D", 1),
        paragraph("d"),
    ) == [
        (("A",), "# A\n\na"),
        (("A", "B"), "## B\n\nb\n\nc"),
        (("D",), "# D\n\nd"),
    ]


def test_headings_without_text_move_on_to_the_next_text() -> None:
    assert packed(paragraph("x"), heading("A", 1), heading("B", 2), paragraph("b")) == [
        ((), "x"),
        (("A", "B"), "# A\n\n## B\n\nb"),
    ]


def test_a_paragraph_that_does_not_fit_opens_the_next_segment() -> None:
    assert packed(heading("A", 1), paragraph("a" * 60), paragraph("b" * 60)) == [
        (("A",), f"# A\n\n{'a' * 60}"),
        (("A",), "b" * 60),
    ]


def test_a_heading_stays_with_the_first_sentence_of_a_paragraph_that_is_too_long() -> None:
    long = "The second one is a good deal longer than it needs to be."
    text = f"The first sentence is short. {long} {long}"
    assert packed(heading("A", 1), paragraph(text)) == [
        (
            ("A",),
            f"# A\n\nThe first sentence is short. {long}",
        ),
        (("A",), long),
    ]


def test_minor_sections_share_a_segment_until_it_is_half_full() -> None:
    parts = [
        part
        for name in "PQR"
        for part in (heading(name, 2, minor=True), paragraph(name.lower() * 25))
    ]
    assert packed(heading("A", 1), paragraph("a"), *parts) == [
        (("A",), f"# A\n\na\n\n## P\n\n{'p' * 25}\n\n## Q\n\n{'q' * 25}"),
        (("A", "R"), f"## R\n\n{'r' * 25}"),
    ]


def test_two_halves_of_a_paragraph_are_joined_with_their_word() -> None:
    first = replace(paragraph("A para-", "p1"), open_end=True)
    note = Element(Kind.FOOTNOTE, "1 A note.", 1, "n")
    rest = replace(paragraph("graph goes on.", "p2"), goes_on=True)
    assert packed(first, note, rest) == [((), "A paragraph goes on.\n\n1 A note.")]


def test_the_state_of_a_packer_is_its_open_tail() -> None:
    elements = [
        heading("A", 1),
        paragraph("a" * 50),
        paragraph("b" * 50),
        heading("B", 2),
        paragraph("c"),
    ]
    whole = packed(*elements)
    packer = Packer(100)
    found: list[Segment] = []
    for element in elements:
        found += packer.add([replace(element)])
        packer = Packer(100, packer.to_json())
    assert [(part.headings, part.body) for part in [*found, *packer.end()]] == whole


def test_a_list_cut_from_its_outer_items_begins_at_the_margin() -> None:
    items = [
        Element(Kind.ITEM, f"- {'x' * 40}{level}", 1, str(level), level=level)
        for level in (0, 1, 1)
    ]
    assert [body for _, body in packed(*items)] == [
        f"- {'x' * 40}0\n    - {'x' * 40}1",
        f"- {'x' * 40}1",
    ]
