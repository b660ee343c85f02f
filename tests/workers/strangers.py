"""Runs a script as a user without any rights, where the tests themselves run as root."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

NOBODY = 65534


def run_as_nobody(script: str, *arguments: str) -> str:
    """Run `script` with our import path; return what it prints. Skips where it cannot be done."""
    if os.geteuid() != 0:
        pytest.skip("the tests run without rights anyway")
    python = _interpreter()
    if python is None:
        pytest.skip("no Python that another user may start")
    done = _start(python, "-c", script, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def _interpreter() -> str | None:
    """Root's own Python may lie where others cannot look; then the system's, if it is the same."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/python{version}"):
        if Path(python).exists():
            try:
                if _start(python, "-c", "import socket").returncode == 0:
                    return python
            except PermissionError:
                continue
    return None


def _start(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        env={
            "PYTHONPATH": os.pathsep.join(_packages()),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _packages() -> list[str]:
    """Our import path without the standard library, of which the other Python has its own."""
    own = Path(os.__file__).parent
    return [entry for entry in sys.path if entry and not Path(entry).is_relative_to(own)]
