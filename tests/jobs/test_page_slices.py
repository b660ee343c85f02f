"""Pages are chosen as Python slices a list."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.jobs.page_slices import PageSlice, chosen


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("4", {5}),
        ("-4", {7}),
        ("-1", {10}),
        ("2:", {3, 4, 5, 6, 7, 8, 9, 10}),
        (":5", {1, 2, 3, 4, 5}),
        ("2:5", {3, 4, 5}),
        ("-4:", {7, 8, 9, 10}),
        (":-2", {1, 2, 3, 4, 5, 6, 7, 8}),
        ("-4:-2", {7, 8}),
        ("::2", {1, 3, 5, 7, 9}),
        ("1::2", {2, 4, 6, 8, 10}),
        ("0,2:5,-2:-1", {1, 3, 4, 5, 9}),
        (" 0 , 2 : 4 ", {1, 3, 4}),
        ("8::-3", {9, 6, 3}),
        (":", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}),
        ("10", set()),
        ("-11", set()),
        ("5:2", set()),
    ],
)
def test_pages_of_ten(text: str, pages: set[int]) -> None:
    assert chosen(text, 10) == pages


@pytest.mark.parametrize(
    "text", ["", ",", "1,", "a", "1-3", "::0", "1:2:3:4", "1.5", "٣", "9" * 300]
)
def test_what_is_no_slice_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        PageSlice.parse(text)
    assert [(error.loc, error.type) for error in refused.value.errors] == [
        (("pageSlice",), "page_slice")
    ]


BOUND = st.none() | st.integers(-12, 12)


@settings(max_examples=200, deadline=None)
@given(BOUND, BOUND, st.none() | st.integers(-4, 4).filter(bool), st.integers(0, 10))
def test_a_slice_means_what_python_means(
    start: int | None, stop: int | None, step: int | None, total: int
) -> None:
    text = ":".join("" if each is None else str(each) for each in (start, stop, step))
    assert chosen(text, total) == set(range(1, total + 1)[start:stop:step])
