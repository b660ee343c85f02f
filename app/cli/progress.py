"""How far a job is, on standard error: a bar in a terminal, now and then a line anywhere else."""

import sys
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from app.terminal import printable, tell

LINE_EVERY_PERCENT = 10
WORDS = {
    "NEW": "Not started",
    "PENDING": "Waiting",
    "PROCESSING": "Working",
    "COMPLETED": "Done",
    "FAILED": "Failed",
    "CANCELED": "Canceled",
}


class Bar:
    """A progress bar; it vanishes at the end."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("Connecting", total=None, detail="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Show what is done before there is a job."""
        self._progress.update(self._task, description=printable(text))

    def show(self, event: dict[str, Any]) -> None:
        """Show an event of the job."""
        self._progress.update(
            self._task,
            description=WORDS[event["status"]],
            total=100,
            completed=event["progress"],
            detail=detail(event),
        )


class Lines:
    """A line when the status changes, and one each ten percent."""

    def __init__(self) -> None:
        self._shown: tuple[str, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def say(self, text: str) -> None:
        """Show what is done before there is a job."""
        tell(text)

    def show(self, event: dict[str, Any]) -> None:
        """Show an event of the job."""
        state = (event["status"], event["progress"] // LINE_EVERY_PERCENT)
        if state == self._shown:
            return
        self._shown = state
        text = f"{WORDS[event['status']]}, {event['progress']} %"
        tell(f"{text}: {counted}" if (counted := detail(event)) else text)


class Silence(Lines):
    """Nothing."""

    def say(self, text: str) -> None:
        pass

    def show(self, event: dict[str, Any]) -> None:
        pass


def progress(*, quiet: bool) -> Bar | Lines:
    """Return what fits standard error."""
    if quiet:
        return Silence()
    return Bar() if sys.stderr.isatty() else Lines()


def detail(event: dict[str, Any]) -> str:
    """Return pages done of all, the rate and the time left, as far as they are known."""
    counts = (event.get("job") or {}).get("progressDetail")
    if counts is None:
        return ""
    total = "" if counts["total"] is None else f" of {counts['total']}"
    parts = [f"{counts['done']}{total} {counts['unit'].lower()}"]
    if counts["ratePerSecond"]:
        parts.append(f"{counts['ratePerSecond']:.1f} a second")
    if counts["etaSeconds"] is not None and event["status"] == "PROCESSING":
        parts.append(f"{_clock(counts['etaSeconds'])} left")
    return ", ".join(parts)


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
