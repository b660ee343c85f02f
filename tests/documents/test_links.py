"""Signed links: good until they expire, for one action on one thing, under any known key."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest

from app.clock import now
from app.documents.links import Action, Links
from app.errors import InvalidLink

ID = uuid4()
OLD, NEW = b"o" * 32, b"n" * 32


def link(links: Links, *, action: Action = Action.DOWNLOAD, seconds: int = 60) -> tuple[str, str]:
    """Make a link; return its two parameters."""
    path = links.path(action, ID, expires_at=now() + timedelta(seconds=seconds))
    parts = urlsplit(path)
    assert parts.path == f"/{action}/{ID}"
    query = parse_qs(parts.query)
    return query["expires"][0], query["signature"][0]


def check(
    links: Links, given: tuple[str, str], *, action: Action = Action.DOWNLOAD, id: UUID = ID
) -> None:
    """Check a link."""
    links.check(action, id, expires=given[0], signature=given[1])


def test_a_link_is_good_until_it_expires() -> None:
    links = Links((NEW,))
    check(links, link(links))
    for seconds in (0, -1, -(10**6)):
        with pytest.raises(InvalidLink):
            check(links, link(links, seconds=seconds))


def test_links_outlive_a_change_of_keys_until_the_old_one_is_gone() -> None:
    old = link(Links((OLD,)))
    check(Links((NEW, OLD)), old)
    check(Links((NEW,)), link(Links((NEW, OLD))))
    with pytest.raises(InvalidLink):
        check(Links((NEW,)), old)


def test_a_link_is_for_one_action_on_one_thing() -> None:
    links = Links((NEW,))
    with pytest.raises(InvalidLink):
        check(links, link(links), action=Action.UPLOAD)
    with pytest.raises(InvalidLink):
        check(links, link(links), id=uuid4())


@pytest.mark.parametrize(
    "change",
    [
        lambda expires, signature: (str(int(expires) + 1), signature),
        lambda expires, _: (expires, ""),
        lambda expires, signature: (expires, signature[:-1]),
        lambda expires, signature: (expires, signature.upper()),
        lambda expires, signature: (expires, signature + "é"),
        lambda _, signature: ("", signature),
        lambda _, signature: ("never", signature),
        lambda _, signature: ("9" * 5000, signature),
        lambda _, signature: ("-1", signature),
    ],
    ids=range(9),
)
def test_a_changed_link_is_refused(change: Callable[[str, str], tuple[str, str]]) -> None:
    links = Links((NEW,))
    with pytest.raises(InvalidLink):
        check(links, change(*link(links)))
