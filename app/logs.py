"""Logging of every process, to standard error: lines for a terminal, JSON for anything else."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from app.terminal import printable

TALKATIVE = (
    "alembic", "httpx2", "httpcore2", "websockets", "aiosqlite", "multipart", "uvicorn", "arq",
)  # fmt: skip
"""Libraries whose INFO is our DEBUG."""


_ABOUT: ContextVar[Mapping[str, str]] = ContextVar("about")


@contextmanager
def about(**ids: str) -> Iterator[None]:
    """Add ids (request_id, job_id) to every line that is logged within the block."""
    token = _ABOUT.set({**_ABOUT.get({}), **ids})
    try:
        yield
    finally:
        _ABOUT.reset(token)


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, process, message, exception if any.

    With them the ids of the request and of the job that it is about, where there are any.
    """

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            **_ABOUT.get({}),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class Lines(logging.Formatter):
    """One line a record, without the escape sequences that came with a document's name."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def set_up(level: str, *, for_people: bool | None = None) -> None:
    """Log from this level on. for_people: plain lines; None: where standard error is a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    plain = sys.stderr.isatty() if for_people is None else for_people
    handler.setFormatter(Lines() if plain else JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
