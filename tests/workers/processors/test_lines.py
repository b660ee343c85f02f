import pytest

from workers.processors.lines import readable


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
