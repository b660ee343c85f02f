"""What a list shows of each of its entries, read for all of them by one statement.

Resolvers of the entries of a list run side by side: each asks for its own key, and what was asked
for in the same moment is read together. Nothing is cached: a subscription lives for hours.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from sqlmodel import SQLModel, col, select
from strawberry.dataloader import DataLoader

from app.accounts.caller import Caller
from app.accounts.models import ApiKey, Application
from app.db.engine import Database
from app.db.work import ReadSession, reading
from app.documents.models import Document
from app.jobs.models import Job

Row = TypeVar("Row", bound=SQLModel)
K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")

KEYS_A_STATEMENT = 10_000
"""SQLite takes 32,766 parameters in one statement, PostgreSQL 32,767."""


class Loaders:
    """The loaders of one operation. Rows by id are those of the caller's application."""

    def __init__(self, database: Database, caller: Caller) -> None:
        self._database = database
        self._gathering: dict[object, DataLoader[Any, Any]] = {}

        def own(model: type[Row]) -> DataLoader[UUID, Row | None]:
            return _loader(_rows(database, model, caller))

        self.jobs = own(Job)
        self.documents = own(Document)
        self.api_keys = own(ApiKey)
        self.applications = own(Application)

    # A query has arguments of its own, which mypy checks here as it does in a plain call.
    async def gather(
        self,
        query: Callable[Concatenate[ReadSession, Sequence[K], P], Awaitable[Mapping[K, V]]],
        key: K,
        *args: P.args,
        **same: P.kwargs,
    ) -> V:
        """Return what a query finds for one key, as `await loaders.gather(documents_of, id)` does.

        The query gets all keys that are asked for with the same arguments at the same moment, each
        once, and gives a value for every one of them. Arguments must be hashable.
        """
        name = (query, args, tuple(sorted(same.items())))
        if name not in self._gathering:

            async def load(keys: list[K]) -> list[V]:
                async with reading(self._database) as session:
                    found = await query(session, list(dict.fromkeys(keys)), *args, **same)
                return [found[key] for key in keys]

            self._gathering[name] = _loader(load)
        value: V = await self._gathering[name].load(key)
        return value


def _loader(load: Callable[[list[K]], Awaitable[list[V]]]) -> DataLoader[K, V]:
    return DataLoader(load, cache=False, max_batch_size=KEYS_A_STATEMENT)


def _rows(
    database: Database, model: type[Row], caller: Caller
) -> Callable[[list[UUID]], Awaitable[list[Row | None]]]:
    owner = Application.id if model is Application else model.application_id  # type: ignore[attr-defined]
    key = model.id  # type: ignore[attr-defined]

    async def load(ids: list[UUID]) -> list[Row | None]:
        wanted = col(key).in_(set(ids))
        statement = select(model).where(wanted, owner == caller.application_id)
        async with reading(database) as session:
            found = {row.id: row for row in await session.exec(statement)}  # type: ignore[attr-defined]
        return [found.get(id) for id in ids]

    return load
