"""Bytes as both stores take them in: in blocks, and told of once all are here."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that are all here: how many, their SHA-256 as hex, and the first of them."""

    size: int
    sha256: str
    head: bytes


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
