"""The service under faults, judged by tests/history.py. Each test starts a real `docyard up`.

    pytest tests/faults                  one round of each fault
    FAULT_ROUNDS=20 pytest tests/faults  twenty rounds of each
    pytest -k FLUSHALL tests/faults -s   one fault
    pytest -m "not faults"               everything else

Add `-s` to see the figures. A new fault is a function in faults.py and a line in FAULTS.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import faults
import pytest
import sample_files
from load import LONG, MIXED
from sample_files import Sample
from scenario import Fault, Kinds, play

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
SHORT: Kinds = (LONG, *((name,) for name in ("short.pdf", "notes.md", "plain.txt") * 3))
FAULTS: dict[str, tuple[Fault, int, Kinds]] = {
    "kill -9 of workers": (faults.kill_workers, 60, MIXED),
    "a worker taken for dead": (faults.stop_worker, 30, MIXED),
    "FLUSHALL": (faults.flush_valkey, faults.QUEUED + 40, SHORT),
    "kill -9 of Valkey": (faults.kill_valkey, 30, MIXED),
    "kill -9 of the API": (faults.kill_api, 30, MIXED),
    "kill -9 of docyard up": (faults.kill_up, 30, MIXED),
}

pytestmark = [
    pytest.mark.faults,
    pytest.mark.anyio,
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at through /proc"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: the socket of Valkey would not fit into so long a path.
    with tempfile.TemporaryDirectory(prefix="faults-") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    return sample_files.make(tmp_path_factory.mktemp("samples"))


@pytest.mark.parametrize("turn", range(ROUNDS))
@pytest.mark.parametrize("name", FAULTS)
async def test_nothing_is_lost_doubled_or_left_by(
    name: str, turn: int, folder: Path, samples: dict[str, Sample]
) -> None:
    fault, jobs, kinds = FAULTS[name]
    report = await play(folder, samples, fault, jobs=jobs, kinds=kinds)
    print(f"\n{name}, round {turn + 1}: {report.figures()}")  # noqa: T201 - for -s
    assert not report.breaches, "\n".join(map(str, report.breaches))
    assert report.strikes
