"""Hundreds of watchers of one service, by the program that also measures thousands."""

import re
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent.parent / "benchmarks" / "sockets.py"


def test_300_sockets_are_told_of_every_event() -> None:
    few = ["--sockets", "300", "--deliveries", "300", "--seconds", "3", "--rounds", "0"]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *few], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    delivered = re.search(r"^(\d+) of (\d+) deliveries", done.stdout, re.MULTILINE)
    assert delivered is not None, done.stdout
    assert int(delivered[1]) == int(delivered[2]) > 300
