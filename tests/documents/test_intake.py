"""Names, tags and hashes as they are taken in."""

import pytest

from app.documents.commands import clean_filename, clean_tags
from app.documents.media import extension
from app.errors import InvalidInput


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a b.pdf", "a b.pdf"),
        ("  a.txt \n", "a.txt"),
        ("a\0b\x1b[31m.txt", "ab[31m.txt"),
        ("half \ud800.txt", "half .txt"),
        ("naïve ☃.txt", "naïve ☃.txt"),
        (".hidden", ".hidden"),
        ("x" * 300 + ".txt", "x" * 251 + ".txt"),
        ("x" * 300, "x" * 255),
        ("a." + "x" * 300, "a." + "x" * 253),
    ],
)
def test_a_name_is_kept_without_path_and_control_characters(given: str, kept: str) -> None:
    assert clean_filename(given) == kept


@pytest.mark.parametrize("given", ["", " ", ".", "..", "a/", "a/..", "\\", "\0"])
def test_a_name_of_which_nothing_is_left_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        clean_filename(given)
    assert [(error.loc, error.type) for error in refused.value.errors] == [
        (("filename",), "missing")
    ]


def test_tags_are_trimmed_and_kept_once_in_their_order() -> None:
    assert clean_tags([" b", "a", "b ", "A"]) == ["b", "a", "A"]
    assert clean_tags([]) == []
    assert len(clean_tags([f"{number}" for number in range(100)])) == 100


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        ([f"{number}" for number in range(101)], "too_long"),
        ([""], "string_length"),
        (["x" * 101], "string_length"),
        (["a\0"], "string_length"),
        (["\udfff"], "string_length"),
    ],
)
def test_bad_tags_are_refused(tags: list[str], kind: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        clean_tags(tags)
    assert [(error.loc, error.type) for error in refused.value.errors] == [(("tags",), kind)]


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("application/pdf", "a.exe", "pdf"),
        ("image/jpeg", "a", "jpg"),
        ("application/octet-stream", "a.DAT", "dat"),
        ("application/octet-stream", "a", None),
        ("application/octet-stream", "a.b c", None),
        ("application/octet-stream", "a." + "x" * 17, None),
    ],
)
def test_the_extension_is_that_of_the_type_and_else_of_the_name(
    kind: str, name: str, expected: str | None
) -> None:
    assert extension(kind, name) == expected
