"""A bucket that speaks S3: an object under the id of each row, and parts until all bytes are here.

An upload is `partial/<key>/<offset>` for each block that came, and a mark behind them. The mark is
made first and removed first: parts that have none belong to nobody, and where a listing shows it,
the listing is whole. Parts are objects of their own, for the parts of an S3 multipart upload must
have 5 MiB and cannot be counted on from another process.

obstore is called in threads of ours: its asynchronous calls can abort the interpreter at its end
(PyO3/pyo3-async-runtimes#40). No request carries more than some MiB, so each has a time limit that
does not depend on the size of a file or on the speed of a client.
"""

import asyncio
import errno
import hashlib
import os
import re
import tempfile
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple
from urllib.parse import urlsplit
from uuid import UUID

from app.documents.content import Stored, blocks
from app.documents.media import HEAD_BYTES
from app.errors import FileTooLarge, StoreUnavailable, UploadBusy, UploadRange
from app.settings import MIB, SettingError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Store

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

BLOCK_BYTES = 4 * MIB
"""What one request reads, and what of an upload becomes one part."""
READ_AHEAD = 4
"""Blocks of one file that are fetched at once where the whole of it is read."""
PUT_BYTES = 8 * MIB
"""The largest file that is put in place by one request; larger ones go by multipart upload."""
MULTIPART_PARTS = 10_000
"""So many parts S3 allows."""
THREADS = 64
REQUEST_LIMIT = timedelta(seconds=60)
CONNECT_LIMIT = timedelta(seconds=5)
RETRIES = 3
MARK = "upload"  # sorts behind every offset

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,62}")
_CAUSE = re.compile(r"<Code>(\w+)</Code>|kind: (\w+)")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of one object, from `start` to before `stop`."""

    path: str
    start: int
    stop: int


class BucketStore:
    """Bytes in a bucket: in parts under `partial` until all are here, then in their own place."""

    def __init__(self, url: str) -> None:
        """Reach for nothing yet. url: s3://bucket or s3://bucket/prefix.

        Raises:
            SettingError: the address or a variable AWS_* has a wrong value, or obstore is missing.
        """
        self._objects = _objects(url)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bucket")

    async def append(
        self, key: UUID, chunks: AsyncIterable[bytes], *, offset: int, limit: int
    ) -> int:
        """Write bytes that begin at `offset`; return how many are here then.

        What arrived before the sender went away stays. Memory does not grow with the file.

        Raises:
            UploadRange: `offset` is not where the bytes received so far end.
            UploadBusy: somebody else wrote the same bytes meanwhile.
            FileTooLarge: more than `limit` bytes in all.
        """
        parts = await self._call(self._parts, key)
        here = _end(parts or [])
        if offset != here:
            raise UploadRange(received_bytes=here)
        if parts is None:
            await self._call(self._create, _mark(key), b"")
        try:
            async for block in blocks(chunks, block_bytes=BLOCK_BYTES):
                if here + len(block) > limit:
                    raise FileTooLarge(limit=limit)
                await self._call(self._create, f"{_partial(key)}/{here:020}", block)
                here += len(block)
        finally:
            await self._call(self._forget_deleted, key)
        return here

    async def complete(self, key: UUID) -> Stored:
        """Hash what was appended and put it in its place, in one pass.

        Raises:
            FileNotFoundError: there is no such upload.
        """
        async with _stopping() as stop:
            return await self._call(self._complete, key, stop)

    async def received(self, key: UUID) -> int:
        """Return how many bytes of an unfinished file are here."""
        parts = await self._call(self._parts, key)
        return _end(parts or [])

    async def delete(self, key: UUID) -> None:
        """Remove the bytes, finished or not; nothing happens where there are none."""
        await self._call(self._delete, key)

    @asynccontextmanager
    async def local(self, key: UUID) -> AsyncIterator[Path]:
        """Give the bytes as a private temporary file, for as long as the block lasts.

        Raises:
            FileNotFoundError: there are no such bytes.
        """
        descriptor, name = tempfile.mkstemp(prefix="docyard-")
        os.close(descriptor)
        path = Path(name)
        try:
            async with _stopping() as stop:
                await self._call(self._fetch, key, path, stop)
            yield path
        finally:
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - as quick as it gets

    async def read(self, key: UUID, start: int, stop: int) -> AsyncIterator[bytes]:
        """Give the bytes from `start` to before `stop`, block by block.

        Raises:
            FileNotFoundError: there are no such bytes.
        """
        for span in _spans(_final(key), start, stop):
            yield await self._call(self._get, span)

    def keys(self) -> Iterator[UUID]:
        """Go through the keys of everything that is here, finished or not; blocks meanwhile."""
        try:
            paths = [path.split("/") for path, _size in self._list()]
        except Exception as error:  # noqa: BLE001 - as in `_call`
            raise _plain(error) from None
        yield from {UUID(hex=parts[1]) for parts in paths}

    def check_free_space(self) -> None:
        """Do nothing: a bucket does not say how much room it has."""

    async def _call(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, work, *arguments)
        except Exception as error:  # noqa: BLE001 - what is not obstore's is raised again
            raise _plain(error) from None

    def _list(self, folder: str | None = None) -> Iterator[tuple[str, int]]:
        for batch in self._objects.list(folder, chunk_size=1000):
            yield from ((each["path"], each["size"]) for each in batch)

    def _parts(self, key: UUID) -> list[Span] | None:
        """Return the parts of an upload in their order, None where there is no upload."""
        listed = sorted(self._list(_partial(key)))
        if not listed or listed[-1][0] != _mark(key):
            return None
        return [Span(path, 0, size) for path, size in listed[:-1]]

    def _create(self, path: str, block: bytes) -> None:
        self._objects.put(path, block, mode="create")

    def _get(self, span: Span) -> bytes:
        return bytes(self._objects.get_range(span.path, start=span.start, end=span.stop))

    def _read(self, spans: Iterable[Span], stop: threading.Event) -> Iterator[bytes]:
        """Give blocks in their order, some of them fetched ahead; raise once `stop` is set."""
        # Threads of their own: this runs in one of ours, and within a call of obstore's, which
        # does not suffer another one in the same thread.
        with ThreadPoolExecutor(READ_AHEAD) as readers:
            coming: deque[Future[bytes]] = deque()
            for span in spans:
                if stop.is_set():
                    raise InterruptedError
                coming.append(readers.submit(self._get, span))
                if len(coming) == READ_AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def _fetch(self, key: UUID, path: Path, stop: threading.Event) -> None:
        size = self._objects.head(_final(key))["size"]
        # The file is there already; where the block has ended before, it must not come back.
        with path.open("r+b") as file:
            file.writelines(self._read(_spans(_final(key), 0, size), stop))

    def _complete(self, key: UUID, stop: threading.Event) -> Stored:
        parts = self._parts(key)
        if parts is None:
            raise FileNotFoundError(errno.ENOENT, "no such upload")
        size, digest, head = _end(parts), hashlib.sha256(), bytearray()

        def passing() -> Iterator[bytes]:
            spans = (span for part in parts for span in _spans(part.path, 0, part.stop))
            for block in self._read(spans, stop):
                digest.update(block)
                head.extend(block[: HEAD_BYTES - len(head)])
                yield block

        # Where `passing` raises, neither the object nor the multipart upload stays.
        self._objects.put(
            _final(key),
            passing(),
            use_multipart=size > PUT_BYTES,
            chunk_size=max(PUT_BYTES, -(-size // MULTIPART_PARTS)),
            max_concurrency=2,
        )
        self._remove_partial(key, [part.path for part in parts])
        return Stored(size, digest.hexdigest(), bytes(head))

    def _delete(self, key: UUID) -> None:
        paths = [path for path, _size in self._list(_partial(key)) if path != _mark(key)]
        self._remove_partial(key, paths)
        self._objects.delete([_final(key)])

    def _forget_deleted(self, key: UUID) -> None:
        """Remove parts that were written after the upload was deleted: they belong to nobody."""
        paths = [path for path, _size in self._list(_partial(key))]
        if paths and _mark(key) not in paths:
            self._objects.delete(paths)

    def _remove_partial(self, key: UUID, parts: list[str]) -> None:
        self._objects.delete([_mark(key)])
        if parts:
            self._objects.delete(parts)


def _objects(url: str) -> "S3Store":
    place = urlsplit(url)
    if not _BUCKET.fullmatch(place.netloc) or place.query or place.fragment:
        raise SettingError("DOCYARD_STORE_URL: use s3://bucket or s3://bucket/prefix.")
    try:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - only where a bucket is used
        from obstore.store import S3Store  # noqa: PLC0415
    except ImportError:
        how = "pip install 'docyard[s3]'"
        raise SettingError(f"DOCYARD_STORE_URL names a bucket; for that, {how}.") from None
    try:
        return S3Store(
            place.netloc,
            prefix=place.path.strip("/") or None,
            client_options=_client_options(),
            retry_config={"max_retries": RETRIES, "retry_timeout": REQUEST_LIMIT},
        )
    except BaseError:
        # Its text repeats the value, whichever it is.
        raise SettingError("One of the variables AWS_* has a value that is not known.") from None


def _client_options() -> "ClientConfig":
    # obstore reads all other AWS_* variables itself; this one is lost where options are given.
    allow_http = os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"true", "1", "yes", "on"}
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        if endpoint := os.environ.get(name):
            _check_endpoint(name, endpoint, allow_http=allow_http)
    return {
        "allow_http": allow_http,
        "connect_timeout": CONNECT_LIMIT,
        "timeout": REQUEST_LIMIT,
    }


def _check_endpoint(name: str, endpoint: str, *, allow_http: bool) -> None:
    if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:_]+(/[!-~]*)?", endpoint):
        raise SettingError(f"{name}: use https://host or https://host:port.")
    if endpoint.startswith("http:") and not allow_http:
        raise SettingError(f"{name} begins with http: AWS_ALLOW_HTTP=true permits that.")


def _plain(error: Exception) -> Exception:
    """Return the error without what obstore quotes: addresses and whole answers."""
    from obstore.exceptions import AlreadyExistsError, BaseError  # noqa: PLC0415 - see `_objects`

    found = _CAUSE.search(str(error))
    cause = (found[1] or found[2]) if found else type(error).__name__
    match error:
        case AlreadyExistsError():
            return UploadBusy()
        case FileNotFoundError() if cause != "NoSuchBucket":
            return FileNotFoundError(errno.ENOENT, "no such stored file")
        case BaseError() | FileNotFoundError():
            return StoreUnavailable(cause)
        case _:
            return error


@asynccontextmanager
async def _stopping() -> AsyncIterator[threading.Event]:
    """Give what tells a thread to stop; it is set when the block ends, also by cancellation."""
    stop = threading.Event()
    try:
        yield stop
    finally:
        stop.set()


def _final(key: UUID) -> str:
    # The last characters of a UUIDv7 are random, the first are nearly all the same.
    return f"{key.hex[-2:]}/{key.hex}"


def _partial(key: UUID) -> str:
    return f"partial/{key.hex}"


def _mark(key: UUID) -> str:
    return f"{_partial(key)}/{MARK}"


def _end(parts: list[Span]) -> int:
    return sum(part.stop for part in parts)


def _spans(path: str, start: int, stop: int) -> Iterator[Span]:
    for first in range(start, stop, BLOCK_BYTES):
        yield Span(path, first, min(first + BLOCK_BYTES, stop))
