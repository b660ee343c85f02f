"""Plain files: each under the id of its row, in a folder of this machine."""

import asyncio
import errno
import fcntl
import os
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from app.documents.content import Stored, blocks, measured
from app.errors import FileTooLarge, StorageFull, UploadBusy, UploadRange
from app.settings import MIB

BLOCK_BYTES = MIB


class LocalStore:
    """Bytes in a folder: under `partial` until all are here, then in their own place."""

    def __init__(self, root: Path, *, free_disk_bytes: int) -> None:
        self.root = root
        self.free_disk_bytes = free_disk_bytes
        self._partial = root / "partial"
        self._partial.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def append(
        self, key: UUID, chunks: AsyncIterable[bytes], *, offset: int, limit: int
    ) -> int:
        """Write bytes that begin at `offset`; return how many are here then.

        What arrived before the sender went away stays. Memory does not grow with the file.

        Raises:
            UploadRange: `offset` is not where the bytes received so far end.
            UploadBusy: somebody else writes the same file now.
            FileTooLarge: more than `limit` bytes in all.
            StorageFull: the disk is full, or nearly.
        """
        with self._open_partial(key) as file:
            here = file.seek(0, os.SEEK_END)
            if offset != here:
                raise UploadRange(received_bytes=here)
            async for block in blocks(chunks, block_bytes=BLOCK_BYTES):
                here += len(block)
                if here > limit:
                    raise FileTooLarge(limit=limit)
                await asyncio.to_thread(self._write, file, block)
            return here

    async def complete(self, key: UUID) -> Stored:
        """Hash what was appended, make it durable, and put it in its place."""
        return await asyncio.to_thread(self._complete, key)

    async def received(self, key: UUID) -> int:
        """Return how many bytes of an unfinished file are here."""
        partial = self._partial / key.hex
        return partial.stat().st_size if partial.exists() else 0

    async def delete(self, key: UUID) -> None:
        """Remove the bytes, finished or not; nothing happens where there are none."""
        for path in (self._partial / key.hex, self.path(key)):
            path.unlink(missing_ok=True)

    @asynccontextmanager
    async def local(self, key: UUID) -> AsyncIterator[Path]:
        """Give the bytes as a file on this machine, for as long as the block lasts.

        Raises:
            FileNotFoundError: there are no such bytes.
        """
        path = self.path(key)
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "no such stored file")
        yield path

    async def read(self, key: UUID, start: int, stop: int) -> AsyncIterator[bytes]:
        """Give the bytes from `start` to before `stop`, block by block.

        Raises:
            FileNotFoundError: there are no such bytes.
        """
        with await asyncio.to_thread(self.path(key).open, "rb", buffering=0) as file:
            file.seek(start)
            while block := await asyncio.to_thread(file.read, min(BLOCK_BYTES, stop - start)):
                start += len(block)
                yield block

    def path(self, key: UUID) -> Path:
        """Return where the bytes of this key are, or would be."""
        # The last characters of a UUIDv7 are random, the first are nearly all the same.
        return self.root / key.hex[-2:] / key.hex

    def keys(self) -> Iterator[UUID]:
        """Go through the keys of everything that is here, finished or not."""
        for path in self.root.glob("*/*"):
            yield UUID(hex=path.name)

    def check_free_space(self) -> None:
        """Do nothing where there is room.

        Raises:
            StorageFull: less than `free_disk_bytes` is free.
        """
        if shutil.disk_usage(self.root).free < self.free_disk_bytes:
            raise StorageFull

    def _open_partial(self, key: UUID) -> BinaryIO:
        self.check_free_space()
        descriptor = os.open(self._partial / key.hex, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UploadBusy from None
        return os.fdopen(descriptor, "ab", buffering=0)

    def _write(self, file: BinaryIO, block: bytes) -> None:
        try:
            file.write(block)
            self.check_free_space()
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StorageFull from error
            raise

    def _complete(self, key: UUID) -> Stored:
        partial, final = self._partial / key.hex, self.path(key)
        if final.exists() and partial.exists():
            # Put in place before, by a request that did not live to say so, or is about to say it:
            # those bytes stay, whatever came after them.
            partial.unlink()
            _sync(final)
            return measured(final)
        _sync(partial)
        stored = measured(partial)
        final.parent.mkdir(mode=0o700, exist_ok=True)
        partial.rename(final)
        _sync(final.parent)
        _sync(self.root)
        return stored


def _sync(path: Path) -> None:
    """Make a file, or what was renamed in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
