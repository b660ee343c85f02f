import pytest

from workers.processors.language import language


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("The committee met in the town hall and could not agree.", "en"),
        ("Der Ausschuss tagte im Rathaus und konnte sich nicht einigen.", "de"),
        ("\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1 \u03ba\u03cc\u03c3\u03bc\u03b5", "el"),
        ("Figure 1", None),
        ("", None),
        ('```\nfor (int i = 0; i < 10; i++) print("hello world, hello");\n```', None),
    ],
)
def test_the_language_is_told_where_there_is_text_enough(body: str, code: str | None) -> None:
    assert language(body) == code


def test_a_table_of_numbers_and_addresses_do_not_hide_the_text_after_them() -> None:
    numbers = "| 1,234 | 5,678 |\n" * 15 + "https://example.org/a/b/c " * 8
    text = "Der Ausschuss tagte im Rathaus und konnte sich nicht einigen. " * 5
    assert language(numbers + text) == "de"
