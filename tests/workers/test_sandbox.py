import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from strangers import run_as_nobody

from app.failures import ErrorCode, Failure, ProcessingFailed
from app.jobs.options import SegmentOptions, to_json
from app.jobs.results import Box, Issue, Page, Segment
from workers.children import END_TIME
from workers.frames import LENGTHS
from workers.sandbox import Limits, Sandbox, SandboxUnavailable

MIB = 2**20
PATIENCE_SECONDS = 30
LIMITS = Limits(memory_bytes=512 * MIB)
SHORT = Limits(memory_bytes=512 * MIB, page_time=timedelta(seconds=1))
LINES = ["one", "two", "three"]

pytestmark = pytest.mark.anyio
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="walls and pidfds of Linux")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_text("\n".join(LINES))
    return path


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(processors="hostile:PROCESSORS") as sandbox:
        yield sandbox


def asked(
    processor: str,
    source: Path,
    *,
    limits: Limits = LIMITS,
    checkpoint: dict[str, Any] | None = None,
    **options: object,
) -> dict[str, Any]:
    return {
        "processor": processor,
        "source": source,
        "options": options,
        "media_type": "text/plain",
        "checkpoint": checkpoint,
        "limits": limits,
    }


async def pages_of(sandbox: Sandbox, request: dict[str, Any]) -> list[Page]:
    async with sandbox.run(**request) as run:
        return [page async for page in run]


async def failure_of(sandbox: Sandbox, request: dict[str, Any]) -> Failure:
    with pytest.raises(ProcessingFailed) as caught:
        await pages_of(sandbox, request)
    return caught.value.failure


def bodies(pages: list[Page]) -> list[str]:
    return [part.body for page in pages for part in page.segments]


def processes(page: Page) -> tuple[int, int]:
    """Return the numbers that the processors WAIT and SPIN tell: the child's and its parent's."""
    child, parent = bodies([page])
    return int(child), int(parent)


async def end_of(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with anyio.fail_after(PATIENCE_SECONDS):
            await anyio.wait_readable(handle)
    finally:
        os.close(handle)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def sizes(*paths: Path) -> list[int]:
    return [path.stat().st_size for path in paths]


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_pages_arrive_in_order_with_all_they_have(sandbox: Sandbox, source: Path) -> None:
    pages = await pages_of(sandbox, asked("READ", source, colour="red"))

    assert pages == [
        Page(
            number=number,
            total=3,
            segments=(
                Segment(line, number, ("A", "B"), (Box(number, 0.5, 1, 2, 3),), "en", f"p{number}"),
            ),
            issues=(Issue("ODD", "text/plain", number),),
            checkpoint={"next": number + 1, "colour": "red"},
        )
        for number, line in enumerate(LINES, 1)
    ]


async def test_a_page_arrives_while_the_next_is_worked_on(sandbox: Sandbox, source: Path) -> None:
    async with sandbox.run(**asked("WAIT", source)) as run:
        page = await anext(run)

        assert page.number == 1
        assert not is_gone(processes(page)[0])


async def test_a_run_goes_on_after_its_checkpoint(sandbox: Sandbox, source: Path) -> None:
    pages = await pages_of(sandbox, asked("READ", source, checkpoint={"next": 2}))

    assert [page.number for page in pages] == [2, 3]


async def test_the_peak_of_memory_is_known_after_the_end(sandbox: Sandbox, source: Path) -> None:
    async with sandbox.run(**asked("READ", source)) as run:
        assert run.peak_bytes is None
        async for _ in run:
            pass

    assert run.peak_bytes is not None
    assert MIB < run.peak_bytes < LIMITS.memory_bytes


@pytest.mark.parametrize(
    ("processor", "options", "failure"),
    [
        ("REFUSE", {}, Failure(ErrorCode.PASSWORD, "The document is encrypted.")),
        ("STUMBLE", {}, Failure(ErrorCode.CRASHED, "The processor raised LookupError.")),
        ("DIE", {"signal": 11}, Failure(ErrorCode.CRASHED, "The processor died by signal 11.")),
        ("DIE", {"signal": 6}, Failure(ErrorCode.CRASHED, "The processor died by signal 6.")),
        (
            "DIE",
            {"signal": 9},
            Failure(ErrorCode.MEMORY, "The document needs more than 512 MiB of memory."),
        ),
        (
            "LEAVE",
            {"status": 0},
            Failure(ErrorCode.CRASHED, "The processor exited with status 0, unfinished."),
        ),
        (
            "LEAVE",
            {"status": 3},
            Failure(ErrorCode.CRASHED, "The processor exited with status 3, unfinished."),
        ),
        (
            "HANG_UP",
            {},
            Failure(ErrorCode.CRASHED, "The processor closed its pipe and went on."),
        ),
    ],
)
async def test_a_run_fails_with_the_reason_of_its_child(
    sandbox: Sandbox, source: Path, processor: str, options: dict[str, Any], failure: Failure
) -> None:
    assert await failure_of(sandbox, asked(processor, source, **options)) == failure


@pytest.mark.parametrize("processor", ["EAT", "WRAP", "PAINT"])
async def test_a_child_that_needs_too_much_memory_fails_for_memory(
    sandbox: Sandbox, source: Path, processor: str
) -> None:
    failure = await failure_of(sandbox, asked(processor, source))

    assert failure == Failure(ErrorCode.MEMORY, "The document needs more than 512 MiB of memory.")


@pytest.mark.parametrize("processor", ["WAIT", "SPIN"])
async def test_a_page_that_takes_too_long_is_ended(
    sandbox: Sandbox, source: Path, processor: str
) -> None:
    async with sandbox.run(**asked(processor, source, limits=SHORT)) as run:
        child, _ = processes(await anext(run))
        with pytest.raises(ProcessingFailed) as caught:
            await anext(run)

    assert caught.value.failure == Failure(ErrorCode.TIMEOUT, "A page took longer than 1 s.")
    assert is_gone(child)


@only_linux
async def test_a_page_that_computes_too_long_is_ended_by_the_kernel(
    sandbox: Sandbox, source: Path
) -> None:
    async with sandbox.run(**asked("SPIN", source, limits=SHORT)) as run:
        child, _ = processes(await anext(run))
        await end_of(child)  # the clock stands still meanwhile: nobody waits for the page
        with pytest.raises(ProcessingFailed) as caught:
            await anext(run)

    assert caught.value.failure == Failure(
        ErrorCode.TIMEOUT, "A page took more than 1 s of the processor."
    )


async def test_a_page_that_is_too_large_is_not_read(sandbox: Sandbox, source: Path) -> None:
    limits = Limits(memory_bytes=512 * MIB, page_output_bytes=MIB)

    failure = await failure_of(sandbox, asked("FLOOD", source, limits=limits, page_bytes=MIB))

    assert failure == Failure(ErrorCode.TOO_LARGE, "A page gave more than 1,048,576 bytes.")


async def test_a_document_may_not_give_too_much(sandbox: Sandbox, source: Path) -> None:
    limits = Limits(memory_bytes=512 * MIB, output_bytes=10 * MIB)

    failure = await failure_of(sandbox, asked("FLOOD", source, limits=limits, page_bytes=MIB))

    assert failure == Failure(ErrorCode.TOO_LARGE, "The document gave more than 10,485,760 bytes.")


@pytest.mark.parametrize("length", ["ffffffff00000000", "00000000ffffffff", "0080000100000000"])
async def test_a_claimed_length_is_refused_before_memory_is_given(
    sandbox: Sandbox, source: Path, length: str
) -> None:
    failure = await failure_of(sandbox, asked("GARBLE", source, hex=length))

    assert failure.code is ErrorCode.TOO_LARGE


def frame(value: object) -> bytes:
    head = json.dumps(value).encode()
    return LENGTHS.pack(len(head), 0) + head


def page(number: int, *, offset: int | None = None) -> dict[str, Any]:
    """A page, and with it an empty piece of the file that is made of the whole document."""
    files = [] if offset is None else [[0, "text/plain", None, offset]]
    empty: dict[str, Any] = {"segments": [], "issues": [], "checkpoint": {}}
    more = {"files": files, "prediction": None, "attached": 0, "left_out": [0, 0]}
    return {"kind": "page", "number": number, "total": 9, **empty, **more}


@pytest.mark.parametrize(
    "sent",
    [
        LENGTHS.pack(2, 0) + b"{{",
        frame({"kind": "ready"}),
        frame({"kind": "unready", "reason": "Take me back."}),
        frame(page(2)),
        frame(page(1)) + frame(page(1)),
        frame(page(1)) + frame(page(3)),
        frame(page(1, offset=1)),
        frame(page(1, offset=0)) + frame(page(2, offset=1)),
    ],
)
async def test_a_child_that_says_anything_else_has_crashed(
    sandbox: Sandbox, source: Path, sent: bytes
) -> None:
    failure = await failure_of(sandbox, asked("GARBLE", source, hex=sent.hex()))

    assert failure == Failure(ErrorCode.CRASHED, "The processor broke the protocol.")


async def test_pages_that_follow_each_other_are_taken(sandbox: Sandbox, source: Path) -> None:
    sent = frame(page(1, offset=0)) + frame(page(2, offset=0)) + frame({"kind": "done"})

    pages = await pages_of(sandbox, asked("GARBLE", source, hex=sent.hex()))

    assert [page.number for page in pages] == [1, 2]


@pytest.mark.parametrize("processor", ["WAIT", "SPIN"])
async def test_leaving_early_kills_the_child_and_leaves_nothing(
    sandbox: Sandbox, source: Path, processor: str
) -> None:
    before = open_files()

    with anyio.fail_after(PATIENCE_SECONDS):
        async with sandbox.run(**asked(processor, source)) as run:
            child, _ = processes(await anext(run))
            left = anyio.current_time()

    assert anyio.current_time() - left < END_TIME.total_seconds() / 2
    assert is_gone(child)
    assert open_files() == before


async def test_an_exception_kills_the_child(sandbox: Sandbox, source: Path) -> None:
    before = open_files()

    children: list[int] = []

    async def stumble() -> None:
        async with sandbox.run(**asked("WAIT", source)) as run:
            children.extend(processes(await anext(run))[:1])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stumble()

    assert is_gone(children[0])
    assert open_files() == before


@pytest.mark.parametrize("processor", ["WAIT", "SPIN"])
async def test_a_canceled_task_kills_its_child(
    sandbox: Sandbox, source: Path, processor: str
) -> None:
    before = open_files()
    children: list[int] = []

    async def read(scope: anyio.CancelScope) -> None:
        async with sandbox.run(**asked(processor, source)) as run:
            async for page in run:
                children.append(processes(page)[0])
                scope.cancel()

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, tasks.cancel_scope)
        await end_of(children[0])

    assert open_files() == before


@only_linux
async def test_a_killed_worker_leaves_no_process(source: Path) -> None:
    script = f"""if True:
        import asyncio, sys
        from pathlib import Path
        from workers.sandbox import Limits, Sandbox
        async def main():
            async with Sandbox(processors="hostile:PROCESSORS") as sandbox:
                async with sandbox.run(
                    processor="SPIN", source=Path({str(source)!r}), options={{}},
                    media_type="", checkpoint=None, limits=Limits(memory_bytes=2**29),
                ) as run:
                    page = await anext(run)
                    print(*(part.body for part in page.segments), flush=True)
                    await anext(run)
        asyncio.run(main())
    """
    worker = subprocess.Popen(  # noqa: ASYNC220 - it is to be killed, not to be waited for
        [sys.executable, "-P", "-c", script],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    )
    with worker:
        assert worker.stdout is not None
        await anyio.wait_readable(worker.stdout)
        child, forkserver = map(int, worker.stdout.readline().split())
        assert not is_gone(child)

        worker.kill()
        await end_of(child)
        await end_of(forkserver)


@only_linux
async def test_a_killed_forkserver_fails_the_run_and_is_replaced(
    sandbox: Sandbox, source: Path
) -> None:
    before = open_files()
    async with sandbox.run(**asked("WAIT", source)) as run:
        child, forkserver = processes(await anext(run))
        os.kill(forkserver, signal.SIGKILL)
        with pytest.raises(SandboxUnavailable, match="The forkserver died"):
            await anext(run)
    await end_of(child)

    assert bodies(await pages_of(sandbox, asked("READ", source))) == LINES
    assert is_gone(forkserver)
    assert open_files() == before


@only_linux
async def test_a_killed_forkserver_is_replaced_though_who_met_it_is_canceled(
    sandbox: Sandbox, source: Path
) -> None:
    before = open_files()
    async with sandbox.run(**asked("WAIT", source)) as run:
        _, forkserver = processes(await anext(run))
        os.kill(forkserver, signal.SIGKILL)
    await end_of(forkserver)
    dead = sandbox._parent
    assert dead is not None
    meeting = asyncio.create_task(pages_of(sandbox, asked("READ", source)))
    while dead._control.fileno() >= 0:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    meeting.cancel()
    await asyncio.wait({meeting})
    assert meeting.cancelled()

    assert bodies(await pages_of(sandbox, asked("READ", source))) == LINES
    assert open_files() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_to_the_whole_service_is_not_held_against_documents(
    sandbox: Sandbox, source: Path, number: signal.Signals
) -> None:
    async with sandbox.run(**asked("WAIT", source)) as run:
        child, forkserver = processes(await anext(run))
        os.kill(child, number)
        os.kill(forkserver, number)

        assert bodies(await pages_of(sandbox, asked("READ", source))) == LINES
        assert not is_gone(child)


async def test_many_runs_at_once_stay_apart(sandbox: Sandbox, source: Path) -> None:
    results: list[object] = []

    async def read(number: int) -> None:
        if number % 4 == 0:
            failure = await failure_of(sandbox, asked("DIE", source, signal=11))
            results.append(failure.code)
        else:
            results.append(bodies(await pages_of(sandbox, asked("READ", source))))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(read, number)

    assert results.count(ErrorCode.CRASHED) == 5
    assert results.count(LINES) == 15


async def test_a_crash_in_a_storm_of_ends_does_not_take_the_forkserver(
    sandbox: Sandbox, source: Path
) -> None:
    """Ends and kills of many children fall together; none may be mistaken for another."""
    async with sandbox.run(**asked("WAIT", source)) as run:
        _, forkserver = processes(await anext(run))
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(pages_of, sandbox, asked("NOTHING", source))

        assert not is_gone(forkserver)


async def test_a_child_that_cannot_begin_is_not_the_documents_fault(
    sandbox: Sandbox, source: Path
) -> None:
    with pytest.raises(SandboxUnavailable, match="NO_SUCH"):
        await pages_of(sandbox, asked("NO_SUCH", source))
    with pytest.raises(SandboxUnavailable, match="FileNotFoundError"):
        await pages_of(sandbox, asked("READ", source.with_name("missing")))


async def test_a_forkserver_that_does_not_start_says_why() -> None:
    before = open_files()

    with pytest.raises(SandboxUnavailable, match="No module named 'nowhere'"):
        async with Sandbox(processors="nowhere:PROCESSORS"):
            pass

    assert open_files() == before


async def test_a_closed_sandbox_leaves_nothing(source: Path) -> None:
    before = open_files()
    async with (
        Sandbox(processors="hostile:PROCESSORS") as sandbox,
        sandbox.run(**asked("WAIT", source)) as run,
    ):
        child, forkserver = processes(await anext(run))

    assert is_gone(child)
    assert is_gone(forkserver)
    assert open_files() == before


async def test_a_child_sees_nothing_of_the_service(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCYARD_SECRET_KEYS", "secret")
    async with Sandbox(processors="hostile:PROCESSORS") as sandbox:
        seen = bodies(await pages_of(sandbox, asked("LOOK", source)))

    assert sorted(line.partition("=")[0] for line in seen[:-4]) == [
        "LANG",
        "MKL_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OMP_THREAD_LIMIT",
        "OPENBLAS_NUM_THREADS",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPATH",
    ]
    assert seen[-4:] == ["cwd=/", "open=0,1,2,3", "threads=1", "layout=False"]


REFUSED = {
    "read": "PermissionError",
    "passwd": "PermissionError",
    "list": "PermissionError",
    "write": "PermissionError",
    "create": "PermissionError",
    "remove": "PermissionError",
    "mode": "PermissionError",
    "overwrite source": "PermissionError",
    "connect": "PermissionError",
    "resolve": "gaierror",
    "signal parent": "PermissionError",
    "fork": "PermissionError",
    "execute": "PermissionError",
    "raise memory": "ValueError",
    "limit parent": "PermissionError",
    "be nice": "PermissionError",
    "many files": "OSError",
}


@only_linux
async def test_a_child_reaches_nothing_but_its_document(
    sandbox: Sandbox, source: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        request = asked("REACH", source, outside=str(outside), port=port)
        outcomes = bodies(await pages_of(sandbox, request))

    assert dict(line.split(": ") for line in outcomes) == REFUSED
    assert sizes(outside, source) == [0, len("\n".join(LINES))]


def test_it_all_holds_for_a_user_without_rights() -> None:
    script = """if True:
        import asyncio, json, tempfile
        from pathlib import Path
        from workers.sandbox import Limits, Sandbox
        async def main():
            with tempfile.TemporaryDirectory() as folder:
                source, outside = Path(folder, "source"), Path(folder, "outside")
                source.touch()
                outside.touch()
                async with Sandbox(processors="hostile:PROCESSORS") as sandbox:
                    async with sandbox.run(
                        processor="REACH", source=source, media_type="", checkpoint=None,
                        options={"outside": str(outside), "port": 9},
                        limits=Limits(memory_bytes=2**29),
                    ) as run:
                        page = await anext(run)
                        print(json.dumps([part.body for part in page.segments]))
        asyncio.run(main())
    """
    outcomes = json.loads(run_as_nobody(script))

    assert dict(line.split(": ") for line in outcomes) == REFUSED


PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R
/Resources<</Font<</F 5 0 R>>>>>>
endobj
4 0 obj<</Length 55>>stream
BT /F 12 Tf 72 720 Td (Hello from inside the box.) Tj ET
endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>
"""


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "hello.pdf"
    path.write_bytes(PDF)
    return path


async def test_the_processors_that_ship_work_in_here(pdf: Path) -> None:
    request = {**asked("SEGMENT", pdf), "media_type": "application/pdf"}
    async with Sandbox() as sandbox:
        pages = await pages_of(sandbox, {**request, "options": to_json(SegmentOptions())})

    assert bodies(pages) == ["Hello from inside the box."]
