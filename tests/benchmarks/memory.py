"""Peak memory of the API for a large upload, and of a worker for a long document.

    python tests/benchmarks/memory.py [--megabytes N] [--pages N]

Starts the whole service with one worker, notes the resident memory of each process at rest, then
the highest seen (VmHWM, reset through /proc before each step) while a file is sent by PUT, and
while a long PDF is cut into segments. Linux only.
"""

import argparse
import asyncio
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from samples import book

from app.cli.client import Client
from app.cli.reach import Reach
from app.settings import Settings

MIB = 1024 * 1024


def processes(root: int) -> dict[int, str]:
    """Return the processes of a service by what they are: api, worker, forkserver, valkey."""
    found = {}
    for pid in descendants(root):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        for word, name in (
            ("workers.forkserver", "forkserver"),
            ("-m workers", "worker"),
            ("app serve", "api"),
            ("valkey", "valkey"),
        ):
            if word in command:
                found[pid] = name
                break
    return found


def descendants(root: int) -> Iterator[int]:
    for path in Path(f"/proc/{root}/task").glob("*/children"):
        for child in path.read_text().split():
            yield int(child)
            yield from descendants(int(child))


def megabytes(pid: int, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) / 1024 if match else 0.0


class Watch:
    """Notes the memory of processes at rest, and tells how far above that they went."""

    def __init__(self, root: int) -> None:
        self.names = processes(root)
        self.rest: dict[int, float] = {}
        for pid in self.names:
            self.rest[pid] = megabytes(pid, "VmRSS")
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def tell(self, what: str) -> None:
        for pid, name in sorted(self.names.items(), key=lambda item: item[1]):
            peak = megabytes(pid, "VmHWM")
            print(  # noqa: T201
                f"{what}: {name} {self.rest[pid]:.0f} MB at rest, peak {peak:.0f} MB "
                f"(+{peak - self.rest[pid]:.0f})"
            )


async def measure(*, upload_megabytes: int, pages: int, folder: Path) -> None:
    large = folder / "large.bin"
    with large.open("wb") as file:
        for _ in range(upload_megabytes):
            file.write(os.urandom(MIB))
    document = book(folder / "long.pdf", pages=pages)
    os.environ["DOCYARD_WORKERS"] = "1"
    async with Reach(Settings(data_dir=folder / "data"), None) as reach:
        endpoint = await reach.endpoint()
        async with Client(endpoint) as client:
            small = await client.upload(book(folder / "small.pdf", pages=3))
            await follow(client, await client.create_job([small], max_size=5000))  # warm
            watch = Watch(endpoint.pid)
            await client.upload(large)
            watch.tell(f"PUT of {upload_megabytes} MB")
            id = await client.upload(document)
            watch = Watch(endpoint.pid)
            await follow(client, await client.create_job([id], max_size=5000))
            watch.tell(f"PDF of {pages} pages")


async def follow(client: Client, id: str) -> None:
    async for _ in client.events(id, after=None):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--pages", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dy", dir="/tmp") as folder:
        asyncio.run(
            measure(upload_megabytes=given.megabytes, pages=given.pages, folder=Path(folder))
        )


if __name__ == "__main__":
    main()
