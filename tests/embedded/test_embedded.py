"""`docyard up`, as it is started and stopped, and killed."""

import json
import os
import queue
import re
import select
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import httpx2
import pytest

ROOT = Path(__file__).parents[1]
LIMIT_SECONDS = 60

pytestmark = pytest.mark.timeout(180)


class Up:
    """A service that runs, and what it and its children say."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.data_dir = data_dir
        self.ready_file = data_dir.parent / "ready.json"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DOCYARD_")}
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "app", "up", "--data-dir", str(data_dir), "--port", "0"),
                *("--workers", "1", "--ready-file", str(self.ready_file), *arguments),
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read, args=(pipe,), daemon=True)
            for pipe in (self.process.stdout, self.process.stderr)
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, pipe: IO[str]) -> None:
        with pipe:
            for line in pipe:
                self._lines.put(line)

    def expect(self, pattern: str) -> str:
        """Wait for a line that holds this; return its first group, or the line."""
        while True:
            line = self._lines.get(timeout=LIMIT_SECONDS)
            if found := re.search(pattern, line):
                return found[1] if found.groups() else line

    def ready(self) -> dict[str, Any]:
        self.expect(r"Ctrl-C stops it\.")
        found: dict[str, Any] = json.loads(self.ready_file.read_text())
        return found

    def wait(self) -> int:
        """Return the exit status; every child has closed its end of the pipes by then."""
        status = self.process.wait(LIMIT_SECONDS)
        for thread in self._threads:
            thread.join(LIMIT_SECONDS)
        return status

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data of ours"


@pytest.fixture
def start(data_dir: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(*arguments: str, folder: Path = data_dir) -> Up:
        started.append(Up(folder, *arguments))
        return started[-1]

    yield start
    for up in started:
        up.process.kill()
        up.wait()


Start = Callable[..., Up]


def status(ready: dict[str, Any], *, key: str | None = None) -> int:
    """Ask the service something; return the HTTP status."""
    headers = {"authorization": f"Bearer {key or ready['api_key']}"}
    body = {"query": "{ viewer { scope } }"}
    answer = httpx2.post(ready["graphql"], json=body, headers=headers, timeout=LIMIT_SECONDS)
    return answer.status_code


def another_link(data_dir: Path) -> str:
    """Return what `docyard explorer` prints."""
    command = [sys.executable, "-m", "app", "explorer", "--data-dir", str(data_dir)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def ended(pid: int) -> Callable[[], bool]:
    """Return a call that waits for the end of a process that is not ours."""
    fd = os.pidfd_open(pid)

    def wait() -> bool:
        ready, _, _ = select.select([fd], [], [], LIMIT_SECONDS)
        os.close(fd)
        return bool(ready)

    return wait


def test_the_service_answers_and_says_where(start: Start, data_dir: Path) -> None:
    up = start()
    key = up.expect(r"^    (dy_\S+)$")
    link = up.expect(r"Explorer +(\S+)$")
    ready = up.ready()
    assert status(ready) == 200
    assert status(ready, key=key) == 200
    assert ready["graphql"] == f"{ready['url']}/graphql"
    assert ready["pid"] == up.process.pid
    for each in (link, another_link(data_dir)):
        page, _, code = each.partition("#code=")
        assert page == f"{ready['url']}/graphiql"
        answer = httpx2.post(f"{page}/sign-in", json={"code": code}, timeout=LIMIT_SECONDS)
        assert status(ready, key=answer.json()["token"]) == 200
    assert json.loads((data_dir / "service.json").read_text()) == ready
    for path in (data_dir / "service.json", up.ready_file, data_dir / "secret.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything_in_turn(start: Start, data_dir: Path, number: int) -> None:
    up = start()
    up.ready()
    up.process.send_signal(number)
    assert up.expect(r"stopped: ([^\"]+)") == "the API"
    assert up.expect(r"stopped: ([^\"]+)") == "worker 1"
    assert up.expect(r"stopped: ([^\"]+)") == "Valkey"
    assert up.wait() == 0
    assert not up.ready_file.exists()
    assert not (data_dir / "service.json").exists()
    assert not (data_dir / "valkey" / "valkey.sock").exists()


def test_the_first_key_is_shown_once_and_the_key_of_a_start_ends_with_it(start: Start) -> None:
    up = start()
    first_key = up.expect(r"^    (dy_\S+)$")
    of_first_start = up.ready()["api_key"]
    assert up.stop() == 0
    up = start()
    said = up.expect(r"^Docyard|    dy_")
    assert said == "Docyard is running.\n"
    ready = up.ready()
    assert status(ready) == 200
    assert status(ready, key=first_key) == 200
    assert status(ready, key=of_first_start) == 401


def test_a_second_service_on_the_same_folder_says_so(start: Start, data_dir: Path) -> None:
    first = start()
    ready = first.ready()
    second = start()
    assert second.expect("docyard: ") == (
        f"docyard: A service runs on this data folder already: {data_dir}"
        f" (process {first.process.pid}).\n"
    )
    assert second.wait() == 1
    assert status(ready) == 200
    assert (data_dir / "service.json").exists()


def test_two_services_on_two_folders_do_not_meet(start: Start, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, two = start(), start(folder=tmp_path / "other" / "data")
    first, second = one.ready(), two.ready()
    assert (status(first), status(second)) == (200, 200)
    assert status(first, key=second["api_key"]) == 401


def test_a_port_that_is_taken_is_told_in_a_sentence(start: Start, tmp_path: Path) -> None:
    port = start().ready()["url"].rpartition(":")[2]
    (tmp_path / "other").mkdir()
    second = start("--port", port, folder=tmp_path / "other" / "data")
    assert second.expect("docyard: ") == (
        f"docyard: Port {port} of 127.0.0.1 is taken; choose another with --port (0: a free one).\n"
    )
    assert second.wait() == 1


def test_whatever_child_is_killed_comes_back(start: Start) -> None:
    up = start()
    pids = {
        name: int(up.expect(rf"{name} runs as process (\d+)"))
        for name in ("Valkey", "worker 1", "the API")
    }
    ready = up.ready()
    for name, pid in pids.items():
        os.kill(pid, signal.SIGKILL)
        assert int(up.expect(rf"{name} runs as process (\d+)")) != pid
        assert status(ready) == 200  # at the same address
    assert up.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_nothing_is_left_and_nothing_is_broken_when_the_parent_is_killed(
    start: Start, data_dir: Path
) -> None:
    up = start()
    children = [
        ended(int(up.expect(rf"{name} runs as process (\d+)")))
        for name in ("Valkey", "worker 1", "the API")
    ]
    before = up.ready()
    up.process.kill()
    assert [wait() for wait in children] == [True, True, True]
    assert (data_dir / "service.json").exists()
    up = start("--port", before["url"].rpartition(":")[2])
    ready = up.ready()
    assert ready["url"] == before["url"]
    assert status(ready) == 200
    assert status(ready, key=before["api_key"]) == 401
    assert up.stop() == 0


def test_a_database_that_cannot_be_opened_ends_the_start_with_a_sentence(
    start: Start, data_dir: Path
) -> None:
    data_dir.mkdir(mode=0o700)
    (data_dir / "docyard.db").write_bytes(b"this is no database" * 100)
    up = start()
    assert "file is not a database" in up.expect("^docyard: ")
    assert up.wait() == 1
    assert not (data_dir / "service.json").exists()
