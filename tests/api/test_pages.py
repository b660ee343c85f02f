"""Pages of lists: requests, cursors, and what is none."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from app.api.pages import existing_id, id_or_none
from app.db.pages import (
    Page,
    PageRequest,
    cursor,
    cursor_of,
    id_of,
    keys,
    number,
    page,
    page_request,
    page_request_both_ways,
)
from app.errors import InvalidCursor, InvalidPage, NotFound


def test_a_cursor_gives_back_what_it_was_made_of() -> None:
    id = uuid4()
    assert id_of(cursor_of(id)) == id
    assert keys(cursor(7, "é", id.hex), count=3) == ["7", "é", id.hex]
    assert set(cursor(*range(100))) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


@pytest.mark.parametrize("value", ["", "x", "é", "\0", "!!!!", "\ud800", "/w", cursor("a", "b")])
def test_what_is_no_cursor_is_refused(value: str) -> None:
    with pytest.raises(InvalidCursor):
        id_of(value)


@pytest.mark.parametrize(("key", "value"), [("0", 0), ("12", 12), ("2147483647", 2**31 - 1)])
def test_a_key_may_be_a_number(key: str, value: int) -> None:
    assert number(key) == value


@pytest.mark.parametrize("key", ["", "-1", "+1", " 1", "1.0", "²", "٣", "2147483648", "9" * 5000])
def test_a_number_that_no_column_holds_is_refused(key: str) -> None:
    with pytest.raises(InvalidCursor):
        number(key)


def test_a_page_is_asked_for_with_defaults_and_limits() -> None:
    assert page_request(None, None) == PageRequest(20, None)
    assert page_request(100, "c") == PageRequest(100, "c")
    assert page_request(None, None, default=50, limit=500) == PageRequest(50, None)
    for first in (0, -1, 101):
        with pytest.raises(InvalidPage, match=r"^`first` must be 1 to 100\.$"):
            page_request(first, None)


def test_a_page_is_asked_for_from_either_end() -> None:
    def asked(first: int | None = None, after: str | None = None, **more: Any) -> PageRequest:  # noqa: ANN401 - of the function
        rest: dict[str, Any] = {"last": None, "before": None, **more}
        return page_request_both_ways(first, after, **rest)

    assert asked() == PageRequest(20)
    assert asked(7, "a", before="b") == PageRequest(7, "a", "b")
    assert asked(last=7, after="a") == PageRequest(7, "a", backwards=True)
    assert asked(offset=3) == PageRequest(20, offset=3)
    for refused in (
        {"first": 1, "last": 1},
        {"first": 0},
        {"last": 101},
        {"offset": -1},
        {"offset": 0, "last": 1},
        {"offset": 0, "after": "a"},
        {"offset": 0, "before": "a"},
    ):
        with pytest.raises(InvalidPage):
            asked(**refused)


def test_one_row_more_says_that_there_is_a_next_page() -> None:
    assert page([1, 2, 3], PageRequest(2)) == Page([1, 2], has_next=True, has_previous=False)
    assert page([1, 2], PageRequest(2, "c")) == Page([1, 2], has_next=False, has_previous=True)
    back = PageRequest(2, backwards=True)
    assert page([3, 2, 1], back) == Page([2, 3], has_next=False, has_previous=True)
    back = PageRequest(2, before="c", backwards=True)
    assert page([2, 1], back) == Page([1, 2], has_next=True, has_previous=False)
    assert page([1], PageRequest(2, before="c")) == Page([1], has_next=True, has_previous=False)
    assert page([1], PageRequest(2, offset=1)) == Page([1], has_next=False, has_previous=True)
    assert page([], PageRequest(2)) == Page([], has_next=False, has_previous=False)


def test_an_id_that_is_malformed_is_one_that_nobody_has() -> None:
    id = uuid4()
    assert id_or_none(str(id)) == existing_id("job", str(id)) == id
    assert id_or_none(None) is None
    for bad in ("", "x", "\0", "\ud800", str(id)[:-1]):
        assert id_or_none(bad) is None
        with pytest.raises(NotFound, match=r"^There is no job with this id\.$"):
            existing_id("job", bad)
    assert isinstance(id_or_none(id.hex), UUID)
