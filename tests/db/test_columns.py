"""Ids, words and JSON as they are kept."""

from enum import StrEnum

import pytest
from sqlalchemy.exc import StatementError
from world import World

from app.db.columns import Word, fold, new_id, words
from app.db.work import transaction
from app.jobs.models import Job
from app.jobs.states import JobStatus


class Fruit(StrEnum):
    PEAR = "PEAR"
    APPLE = "APPLE"


def test_ids_are_unique_and_in_the_order_of_their_making() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    times = [id.int >> 64 for id in ids]  # with the fraction of the millisecond
    assert times == sorted(times)
    assert {id.version for id in ids} == {7}
    assert {id.variant for id in ids} == {"specified in RFC 4122"}


@pytest.mark.parametrize(
    ("text", "folded"),
    [("Straße", "strasse"), ("ÄÉ", "äé"), ("A\u0308", "ä"), ("ΣΊΣΥΦΟΣ", "σίσυφοσ"), ("", "")],
)
def test_texts_are_folded_beyond_ascii(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_words_are_written_as_sql() -> None:
    assert words(Fruit) == "'APPLE','PEAR'"
    assert words(frozenset({Fruit.PEAR})) == "'PEAR'"


@pytest.mark.anyio
async def test_what_is_no_word_is_refused_before_the_database(world: World) -> None:
    id = await world.job(JobStatus.PENDING)
    work_on = transaction(world.database)
    with pytest.raises(StatementError, match="'LOST' is not a valid JobStatus"):  # noqa: PT012 - the flush is what raises
        async with work_on as work:
            job = await work.session.get_one(Job, id)
            job.status = "LOST"  # type: ignore[assignment] # what a bug would do
            await work.session.flush()
    assert (await world.row(id)).status is JobStatus.PENDING


def test_a_word_keeps_null() -> None:
    word = Word(Fruit)
    assert word.process_bind_param(None, None) is None  # type: ignore[arg-type] # no dialect is asked
    assert word.process_result_value("PEAR", None) is Fruit.PEAR  # type: ignore[arg-type]
