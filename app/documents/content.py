"""Bytes as both stores take them in: in blocks, and told of once all are here."""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from app.documents.media import HEAD_BYTES

OUR_LIMIT_BYTES = 2**40
"""The limit of what the service itself writes: far more than comes out of the sandbox."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that are all here: how many, their SHA-256 as hex, and the first of them."""

    size: int
    sha256: str
    head: bytes


def measured(path: Path) -> Stored:
    """Read a file once, and tell of it what the stores tell of bytes that are all here."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256")
        return Stored(file.tell(), digest.hexdigest(), head)


async def at_once(*chunks: bytes) -> AsyncIterator[bytes]:
    """Give bytes that are all here as a store takes them."""
    for chunk in chunks:
        yield chunk


async def blocks(chunks: AsyncIterable[bytes], *, block_bytes: int) -> AsyncIterator[bytes]:
    """Gather small chunks: neither a thread nor a request is worth making for each."""
    block = bytearray()
    try:
        async for chunk in chunks:
            block += chunk
            if len(block) >= block_bytes:
                yield bytes(block)
                block.clear()
    except Exception:
        # The sender went away: what came before stays, and is not sent again.
        if block:
            yield bytes(block)
        raise
    if block:
        yield bytes(block)
