import pytest

from workers.processors.elements import Element, Kind
from workers.processors.wording import unmarked, wording
from workers.processors.writing import escape


def element(kind: Kind, text: str, *, level: int = 0, tight: bool = False) -> Element:
    return Element(kind, text, 1, "p1", level=level, tight=tight)


def test_elements_are_written_without_marks() -> None:
    elements = [
        element(Kind.HEADING, r"A \*title\*", level=2),
        element(Kind.PARAGRAPH, "Some **bold** text with [a link](https://x.example) and `code`."),
        element(Kind.ITEM, "- first"),
        element(Kind.ITEM, "1. inner", level=1),
        element(Kind.CODE, "if a:\n    *b*"),
        element(Kind.TABLE, "| A | B |\n| --- | --- |\n| 1 \\| 2 | **3** |\n|  | 4 |"),
        element(Kind.SOURCE, "> quoted *text*\n    deeper", tight=True),
    ]

    assert wording(elements) == (
        "A *title*\n\nSome bold text with a link and code.\n\n- first\n  1. inner\n\n"
        "if a:\n    *b*\n\nA\tB\n1 | 2\t3\n\t4\n> quoted text\n    deeper"
    )


@pytest.mark.parametrize(
    "text",
    [
        "2 * 3 * 4",
        "*a* _b_ `c`",
        "a\\b \\* [x](y)",
        "<b> &amp; ~~x~~",
        "# 1. - >",
        "f(*args, **kw)",
    ],
)
def test_plain_text_comes_back_as_it_was_escaped(text: str) -> None:
    assert unmarked(escape(text)) == text
