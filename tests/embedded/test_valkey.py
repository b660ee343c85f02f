import asyncio
import fcntl
import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.embedded.supervisor import Running
from app.embedded.valkey import SOCKET_PATH_BYTES, Adopted, Valkey, socket_path


class Started:
    """Servers of one test; they end with it."""

    def __init__(self) -> None:
        self.running: list[Running] = []

    async def start(self, valkey: Valkey) -> Running:
        running = await asyncio.wait_for(valkey.start(), 20)
        self.running.append(running)
        return running


@pytest.fixture
async def started() -> AsyncIterator[Started]:
    kept = Started()
    yield kept
    for running in kept.running:
        try:
            running.send_signal(signal.SIGKILL)
        except ProcessLookupError:
            continue
        await asyncio.wait_for(running.wait(), 20)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data of ours"
    folder.mkdir(mode=0o700)
    return folder


async def kill(running: Running) -> None:
    os.kill(running.pid, signal.SIGKILL)
    await asyncio.wait_for(running.wait(), 20)


async def configured(valkey: Valkey, *names: str) -> dict[str, str]:
    async with Redis.from_url(valkey.url, decode_responses=True) as redis:
        found: dict[str, str] = await redis.config_get(*names)
        return found


async def ask(valkey: Valkey, *command: str) -> object:
    async with Redis.from_url(valkey.url, decode_responses=True) as redis:
        return await redis.execute_command(*command)


@pytest.mark.anyio
async def test_a_server_starts_in_a_folder_whose_name_has_spaces(
    started: Started, data_dir: Path
) -> None:
    valkey = Valkey(data_dir)
    await started.start(valkey)
    assert await valkey.answers()
    assert valkey.url == f"unix://{data_dir}/valkey/valkey.sock"
    assert await ask(valkey, "PING") is True


@pytest.mark.anyio
async def test_it_is_private_and_opens_no_port(started: Started, data_dir: Path) -> None:
    valkey = Valkey(data_dir)
    await started.start(valkey)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (valkey.folder, valkey.folder / "valkey.conf", valkey.socket)
    }
    assert modes == {"valkey": 0o700, "valkey.conf": 0o600, "valkey.sock": 0o700}
    assert await configured(valkey, "port") == {"port": "0"}


@pytest.mark.anyio
async def test_it_keeps_a_log_of_writes_and_never_evicts(started: Started, data_dir: Path) -> None:
    valkey = Valkey(data_dir)
    await started.start(valkey)
    names = ("appendonly", "appendfsync", "save", "maxmemory-policy")
    assert await configured(valkey, *names) == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }


@pytest.mark.anyio
async def test_what_was_written_is_there_again_after_a_kill(
    started: Started, data_dir: Path
) -> None:
    valkey = Valkey(data_dir)
    running = await started.start(valkey)
    await ask(valkey, "SET", "bell", "rung")
    await kill(running)
    assert not await valkey.answers()
    assert valkey.socket.exists()  # a dead one, that the next start clears away
    await started.start(valkey)
    assert await ask(valkey, "GET", "bell") == "rung"


@pytest.mark.anyio
async def test_a_live_server_that_was_left_over_is_adopted(
    started: Started, data_dir: Path
) -> None:
    first = await started.start(Valkey(data_dir))
    second = await started.start(Valkey(data_dir))
    assert isinstance(second, Adopted)
    assert second.pid == first.pid


@pytest.mark.anyio
async def test_the_end_of_an_adopted_server_is_noticed(started: Started, data_dir: Path) -> None:
    first = await started.start(Valkey(data_dir))
    adopted = await started.start(Valkey(data_dir))
    waiting = asyncio.create_task(adopted.wait())
    adopted.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(waiting, 20) == 0
    assert await asyncio.wait_for(first.wait(), 20) == 0


@pytest.mark.anyio
async def test_a_start_waits_for_the_end_of_a_server_that_is_stopping(
    started: Started, data_dir: Path
) -> None:
    (data_dir / "valkey").mkdir(mode=0o700)
    holder = os.open(data_dir / "valkey" / "valkey.lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(holder, fcntl.LOCK_EX)  # what a server holds as long as it lives
    starting = asyncio.create_task(started.start(Valkey(data_dir)))
    done, _ = await asyncio.wait({starting}, timeout=0.2)
    assert done == set()
    os.close(holder)
    assert not isinstance(await starting, Adopted)


@pytest.mark.anyio
async def test_files_that_cannot_be_read_are_moved_aside(started: Started, data_dir: Path) -> None:
    valkey = Valkey(data_dir)
    await kill(await started.start(valkey))
    manifest = valkey.folder / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("this is no manifest\n")
    with pytest.raises(Exception, match="Valkey did not start"):
        await started.start(valkey)
    await started.start(valkey)
    assert await ask(valkey, "DBSIZE") == 0
    aside = list(valkey.folder.glob("appendonlydir.*/appendonly.aof.manifest"))
    assert [path.read_text() for path in aside] == ["this is no manifest\n"]


@pytest.mark.anyio
async def test_a_long_path_gets_a_short_private_socket(
    started: Started, data_dir: Path, monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder))
    long = data_dir / ("x" * 120)
    long.mkdir(mode=0o700)
    valkey = Valkey(long)
    await started.start(valkey)
    assert valkey.socket.parent.parent == short_folder
    assert len(os.fsencode(valkey.socket)) <= SOCKET_PATH_BYTES
    assert stat.S_IMODE(valkey.socket.parent.stat().st_mode) == 0o700
    assert await ask(valkey, "PING") is True


def test_each_long_path_has_a_socket_of_its_own(tmp_path: Path) -> None:
    one, two = tmp_path / ("x" * 120), tmp_path / ("y" * 120)
    assert socket_path(one) == socket_path(one)
    assert socket_path(one) != socket_path(two)


@pytest.mark.anyio
async def test_everything_may_be_flushed(started: Started, data_dir: Path) -> None:
    valkey = Valkey(data_dir)
    await started.start(valkey)
    await ask(valkey, "SET", "bell", "rung")
    assert await ask(valkey, "FLUSHALL") is True
    assert await ask(valkey, "DBSIZE") == 0
