"""Lists in the form clients know: edges, nodes, page info, and a count that costs only who asks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar
from uuid import UUID

import strawberry

from app.db.ordering import Placed
from app.db.pages import Page, PageRequest, cursor, keys
from app.errors import InvalidCursor, NotFound

NOBODY = UUID(int=0)
"""What a malformed id in a filter stands for: nothing has it."""

NodeT = TypeVar("NodeT")
Row = TypeVar("Row")


@strawberry.interface(description="Anything that has an id of its own.")
class Node:
    id: strawberry.ID = strawberry.field(description="Unique among all things of the service.")


@strawberry.type(description="Where a page of a list lies.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follow.")
    has_previous_page: bool = strawberry.field(description="Whether others come before.")
    start_cursor: str | None = strawberry.field(
        description="Cursor of the first, null if empty; give it as `before` to go back."
    )
    end_cursor: str | None = strawberry.field(
        description="Cursor of the last, null if empty; give it as `after` to go on."
    )


@strawberry.type(description="One entry of a list, and its place in it.")
class Edge(Generic[NodeT]):
    node: NodeT = strawberry.field(description="The entry.")
    cursor: str = strawberry.field(description="Its place; opaque.")


@strawberry.type(
    description="A page of a list. `first` is 20 by default and 100 at most where the list says "
    "nothing else. A cursor is good in the list that gave it out, in the same order, and in no "
    "other."
)
class Connection(Generic[NodeT]):
    edges: list[Edge[NodeT]] = strawberry.field(description="The entries with their cursors.")
    nodes: list[NodeT] = strawberry.field(description="The entries alone.")
    page_info: PageInfo = strawberry.field(description="Where this page lies.")
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @strawberry.field(
        description="How many there are in all, on all pages; counted only when asked for."
    )
    async def total_count(self) -> int:
        return await self.count()


@dataclass(frozen=True, slots=True)
class InnerList:
    """A list that belongs to one thing. Its cursors name both, and are good in it alone."""

    name: str
    owner: UUID

    def request(self, asked: PageRequest) -> PageRequest:
        """Return what is asked for with the place that its cursor stands for.

        Raises:
            InvalidCursor: the cursor was not given out by this list.
        """
        return replace(asked, after=self.place(asked.after))

    def place(self, after: str | None) -> str | None:
        """Return the place that a cursor stands for.

        Raises:
            InvalidCursor: it was not given out by this list.
        """
        if after is None:
            return None
        try:
            name, owner, place = keys(after, count=3)
        except InvalidCursor:
            return after  # the first version named no list; what is no place is refused later
        if (name, owner) != (self.name, self.owner.hex):
            raise InvalidCursor
        return place

    def cursor(self, place: str) -> str:
        """Return a place in this list as an opaque word."""
        return cursor(self.name, self.owner.hex, place)

    def connection(
        self,
        page: Page[Row],
        *,
        node: Callable[[Row], NodeT],
        place: Callable[[Row], str],
        count: Callable[[], Awaitable[int]],
    ) -> Connection[NodeT]:
        """Translate a page of this list. place: of a row in it, as the query tells it."""
        return connection(page, node=node, cursor=lambda row: self.cursor(place(row)), count=count)


def connection(
    page: Page[Row],
    *,
    node: Callable[[Row], NodeT],
    cursor: Callable[[Row], str],
    count: Callable[[], Awaitable[int]],
) -> Connection[NodeT]:
    """Translate a page of rows."""
    edges = [Edge(node=node(row), cursor=cursor(row)) for row in page.rows]
    info = PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return Connection(edges=edges, nodes=[edge.node for edge in edges], page_info=info, count=count)


def placed_connection(
    page: Page[Placed[Row]],
    *,
    node: Callable[[Row], NodeT],
    count: Callable[[], Awaitable[int]],
) -> Connection[NodeT]:
    """Translate a page of rows that know their cursors."""
    return connection(
        page, node=lambda placed: node(placed.row), cursor=lambda placed: placed.cursor, count=count
    )


def id_or_none(id: str | None) -> UUID | None:
    """Read an id; one that is malformed is one that nobody has."""
    try:
        return None if id is None else UUID(id)
    except ValueError:
        return None


def existing_id(kind: str, id: str) -> UUID:
    """Read an id.

    Raises:
        NotFound: it is malformed.
    """
    found = id_or_none(id)
    if found is None:
        raise NotFound(kind, id)
    return found
