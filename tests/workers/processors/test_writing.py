import pytest

from workers.processors.writing import escape, plain


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        (
            "plain text, 3 * 4 = 12 (see *ALLOBJ) a_b_c",
            "plain text, 3 * 4 = 12 (see *ALLOBJ) a_b_c",
        ),
        ("# no heading", "\\# no heading"),
        ("#hashtag", "#hashtag"),
        ("1. no item", "1\\. no item"),
        ("1999.5 metres", "1999.5 metres"),
        ("- no item", "\\- no item"),
        ("-5 degrees", "-5 degrees"),
        ("a *b* c", "a \\*b\\* c"),
        ("a _b_ c", "a \\_b\\_ c"),
        ("`a` b", "\\`a\\` b"),
        ("<b> a < b", "\\<b> a < b"),
        ("&lt; a & b", "\\&lt; a & b"),
        ("C:\\dir \\* x", "C:\\dir \\\\* x"),
        ("[a](b)", "[a]\\(b)"),
        ("two\n> lines", "two\n\\> lines"),
    ],
)
def test_only_what_would_change_its_meaning_is_escaped(text: str, markdown: str) -> None:
    assert escape(text) == markdown


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("A **bold** `code` [link](https://x.example) title", "A bold code link title"),
        ("\\# 1 \\< 2", "# 1 < 2"),
        ("2 * 3 snake_case", "2 * 3 snake_case"),
    ],
)
def test_headings_are_told_without_marks(markdown: str, text: str) -> None:
    assert plain(markdown) == text
