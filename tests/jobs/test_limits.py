"""How long somebody is told to wait who has too many open jobs."""

from datetime import timedelta

import pytest
from world import World

from app.clock import now
from app.db.work import reading
from app.jobs import limits
from app.jobs.states import JobStatus

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        ([], 60),
        ([(400, 301)], 60),  # too long ago
        ([(20, 10), (10, 0)], 10),  # one after the other since the service was started
        ([(0, 0)], 1),
        ([(None, 8), (None, 2)], 4),  # canceled before they began
        ([(1000, 200)], 300),
        ([(100 - each, 99 - each) for each in range(100)], 1),
        ([(700, 250), (250, 100), (100, 1)], 100),
    ],
)
async def test_the_time_to_wait_is_what_the_jobs_of_the_application_take(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    ended: list[tuple[int | None, int]],
    told: int,
) -> None:
    moment = now()
    monkeypatch.setattr(limits, "now", lambda: moment)
    for began, finished in ended:
        await world.job(
            JobStatus.COMPLETED,
            started_at=None if began is None else moment - timedelta(seconds=began),
            finished_at=moment - timedelta(seconds=finished),
        )
    async with reading(world.database) as session:
        seconds = await limits.retry_after_seconds(session, world.caller.application_id)
    assert seconds == told
