"""Pages a second through the whole service, against PyMuPDF alone on the same files.

    python tests/benchmarks/throughput.py [--jobs N] [--rounds N] [FILE...]

The service: create the jobs, run them, wait until the segments of all are in the database. PyMuPDF
alone: a loop of `get_text("dict")` in as many processes as the service has workers, each warm. The
rounds alternate, so that a busy machine slows both. Also: from createJob to the first segment.
"""

import argparse
import asyncio
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path

import pymupdf
from samples import long_documents

from app.cli.client import Client
from app.cli.reach import Reach
from app.settings import Settings

STATUS = """subscription ($id: ID!) { jobEvents(jobId: $id) { status } }"""
SEGMENTS = """subscription ($id: ID!) { segments(jobId: $id) { cursor } }"""


def plain(paths: list[str]) -> int:
    """Read every page of the files; return how many there were."""
    pages = 0
    for path in paths:
        with pymupdf.open(path) as document:
            for page in document:
                page.get_text("dict")
                pages += 1
    return pages


async def through_service(client: Client, documents: list[str]) -> tuple[int, float]:
    """Run a job for each document; return the pages, and the seconds until the last had ended."""
    begun = time.perf_counter()
    ids = [await client.create_job([id], max_size=5000) for id in documents]
    await asyncio.gather(*(ended(client, id) for id in ids))
    seconds = time.perf_counter() - begun
    jobs = [await client.job(id) for id in ids]
    assert all(job["status"] == "COMPLETED" for job in jobs), jobs
    return sum(job["resultJson"]["pageCount"] for job in jobs), seconds


async def ended(client: Client, id: str) -> None:
    async with client._websocket() as socket:
        async for _ in client._subscribed(socket, STATUS, id=id):
            pass


async def first_segment(client: Client, document: str) -> float:
    """Return the seconds from createJob to the first event of the segments subscription."""
    async with client._websocket() as socket:
        begun = time.perf_counter()
        id = await client.create_job([document], max_size=5000)
        seconds = 0.0
        async for _ in client._subscribed(socket, SEGMENTS, id=id):
            seconds = seconds or time.perf_counter() - begun
    return seconds


def at_once(pool: "multiprocessing.pool.Pool", files: list[str], workers: int) -> tuple[int, float]:
    """Share the files out over the processes; return pages and seconds."""
    begun = time.perf_counter()
    pages = sum(pool.map(plain, [files[each::workers] for each in range(workers)], chunksize=1))
    return pages, time.perf_counter() - begun


async def measure(files: list[Path], *, jobs: int, rounds: int, folder: Path) -> None:
    workers = os.cpu_count() or 1
    names = [str(file) for file in files]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(plain, [names] * workers, chunksize=1)  # warm
        async with Reach(Settings(data_dir=folder), None) as reach:
            client = Client(await reach.endpoint())
            async with client:
                for file in files:
                    id = await client.upload(file)
                    await through_service(client, [id] * workers)  # warm
                    ratios = []
                    for _ in range(rounds):
                        pages, seconds = await through_service(client, [id] * jobs)
                        ours = pages / seconds
                        pages, seconds = await asyncio.to_thread(
                            at_once, pool, [str(file)] * jobs, workers
                        )
                        ratios.append(ours / (pages / seconds))
                        print(  # noqa: T201
                            f"{file.name}: {ours:.0f} pages/s, "
                            f"plain {pages / seconds:.0f} pages/s, ratio {ratios[-1]:.2f}"
                        )
                    waits = sorted([await first_segment(client, id) for _ in range(20)])
                    print(  # noqa: T201
                        f"{file.name}: median ratio {statistics.median(ratios):.2f}; first segment "
                        f"after {statistics.median(waits) * 1000:.0f} ms (median), "
                        f"{waits[-2] * 1000:.0f} ms (19 of 20)"
                    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--jobs", type=int, default=8, help="jobs a round (8)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dy", dir="/tmp") as folder:
        files = given.files or long_documents(Path(folder))
        data = Path(folder) / "data"
        asyncio.run(measure(files, jobs=given.jobs, rounds=given.rounds, folder=data))


if __name__ == "__main__":
    main()
