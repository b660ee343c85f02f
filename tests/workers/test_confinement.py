import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from strangers import run_as_nobody

from workers.confinement import Confinement, libraries, nearly_full

NAMES = ["memory", "time", "files", "network", "signals", "processes"]

needs_landlock = pytest.mark.skipif(
    sys.platform != "linux" or Confinement().landlock_abi == 0, reason="no Landlock here"
)

CONFINED = """if True:
    import json, os, sys, threading
    from datetime import timedelta
    from pathlib import Path
    from workers.confinement import Bounds, Confinement
    source = Path(sys.argv[1])
    bounds = Bounds(memory_bytes=2**29, page_time=timedelta(seconds=9), open_files=32)
    missing = Confinement().apply(bounds, source=source)
    print(json.dumps(missing))
"""


def confined(source: Path, script: str = "") -> list[str]:
    """Run `script` in a process that has confined itself; return the lines it prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{CONFINED}\n{script}", str(source)],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_text("mine")
    return path


@pytest.fixture(scope="module")
def tried() -> list[dict[str, Any]]:
    """What the program says of this system."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "workers.confinement"],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=60,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_each_protection_is_tried(tried: list[dict[str, Any]]) -> None:
    assert [protection["name"] for protection in tried] == NAMES
    assert all(protection["detail"] for protection in tried)


@needs_landlock
def test_everything_holds_on_this_linux(tried: list[dict[str, Any]]) -> None:
    assert [protection for protection in tried if not protection["holds"]] == []


@needs_landlock
def test_everything_holds_for_a_user_without_rights() -> None:
    found = json.loads(run_as_nobody("from workers.confinement import main; main()"))

    assert [item["name"] for item in found if not item["holds"]] == []


@needs_landlock
def test_no_wall_is_missing_on_this_linux(source: Path) -> None:
    assert confined(source) == ["{}"]


def test_the_source_can_be_read(source: Path) -> None:
    assert confined(source, "print(source.read_text())")[1:] == ["mine"]


def test_late_imports_work(source: Path) -> None:
    script = "import wave, lzma, sqlite3, ssl; print(wave.__name__)"

    assert confined(source, script)[1:] == ["wave"]


def test_a_source_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        confined(tmp_path / "missing")


@needs_landlock
def test_what_the_file_system_walls_leave_open_is_forbidden(source: Path) -> None:
    script = """if True:
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        def tried(step):
            try:
                step()
            except PermissionError:
                return "refused"
            return "done"
        print(tried(lambda: os.utime(source)))
        print(tried(lambda: os.chown(source, os.getuid(), -1)))
        print(tried(lambda: os.setxattr(source, "user.x", b"x")))
        print(tried(lambda: os.setpriority(os.PRIO_PROCESS, os.getpid(), -1)))
        print(libc.shmget(0, 4096, 0o1600), libc.unshare(0x10000000), libc.ptrace(0, 0, 0, 0))
    """

    assert confined(source, script)[1:] == ["refused"] * 4 + ["-1 -1 -1"]


def test_only_code_is_readable_besides() -> None:
    root = Path(__file__).parents[2]

    paths = libraries()

    assert root / "app" in paths
    assert root / "workers" in paths
    assert root.resolve() not in paths


def test_a_failure_close_to_the_limit_is_put_down_to_memory() -> None:
    assert nearly_full(80, 100)
    assert not nearly_full(70, 100)
