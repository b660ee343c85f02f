"""The rows of the README's table of other job APIs, and what shows that each can be done here."""

from collections.abc import Awaitable, Callable
from typing import Any

from service import Service

HELVIA, LEIA = "Helvia Document Segmenter", "LEIA"
PDF_TOOLS, REKO, SYNTHO = "PDF Tools Conversion Service", "RekoSearch", "Syntho"
SEGMENT: dict[str, Any] = {"segment": {}}

Row = tuple[str, str]
Port = Callable[[Service], Awaitable[None]]
PORTS: dict[Row, Port] = {}
REAL: set[Port] = set()
"""What needs the processors that ship; the others are told by their documents what to do."""


def port(*rows: Row, real: bool = False) -> Callable[[Port], Port]:
    """Say which rows of the table a function shows."""

    def register(show: Port) -> Port:
        PORTS.update(dict.fromkeys(rows, show))
        if real:
            REAL.add(show)
        return show

    return register


async def done(service: Service, *texts: str, **more: Any) -> str:  # noqa: ANN401 - fields of the input
    """Create a job and have it done."""
    id = await service.create(*(texts or ("page One",)), **more)
    await service.work()
    return id
