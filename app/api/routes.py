"""HTTP beside GraphQL: uploads, downloads, health, and the source code."""

import asyncio
import io
import os
import re
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache, partial
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.api import health
from app.api.answers import HTTP_STATUS, Code, internal_error, log_bug
from app.api.context import Services
from app.api.requests import request_id_of
from app.api.vocabulary import AttachmentType, DocumentStatus
from app.db.work import reading, transaction
from app.documents import commands, uploads
from app.documents.links import Action
from app.documents.media import UNKNOWN
from app.documents.models import Document
from app.errors import (
    AppError,
    FieldError,
    InvalidInput,
    InvalidLink,
    NotFound,
    UploadMismatch,
    UploadRange,
    problem_type,
)
from app.jobs import commands as jobs
from app.jobs import log
from app.jobs.models import Attachment

# A file of a stranger's must not become a page of ours, whatever a browser makes of it.
FILE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-transform",
}
PROBLEM_MEDIA_TYPE = "application/problem+json"
SOURCE = Path(__file__).parent.parent.parent
SOURCE_SUFFIXES = {".py", ".mako", ".js", ".jsx", ".css", ".html", ".svg", ".json"}
MADE = {"dist", "node_modules", "__pycache__"}


def routes(services: Services) -> list[Route]:
    """Return the routes of one API process."""

    async def put_upload(request: Request) -> Response:
        return await _upload(services, request)

    async def get_file(request: Request) -> Response:
        return await _download(services, request)

    async def readyz(_request: Request) -> Response:
        return await health.readyz(services)

    async def metrics(request: Request) -> Response:
        return await health.metrics(services, request)

    return [
        Route("/uploads/{id}", problems(put_upload), methods=["PUT"]),
        Route("/files/{id}", problems(get_file), methods=["GET"]),
        Route("/livez", health.livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", problems(metrics), methods=["GET"]),
        Route("/source", _source, methods=["GET"]),
    ]


def problems(endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """Answer refusals as application/problem+json (RFC 9457), and bugs without a word of theirs."""

    async def answer(request: Request) -> Response:
        headers = {}
        try:
            response: Response = await endpoint(request)
        except HTTPException:
            raise
        except AppError as error:
            body: dict[str, object] = {
                "type": error.type,
                "title": error.title,
                "status": error.status,
                "detail": str(error),
                "code": error.code,
            }
            if isinstance(error, UploadRange):
                body["receivedBytes"] = error.received_bytes
            if error.retry_after_seconds is not None:
                headers["Retry-After"] = str(error.retry_after_seconds)
            response = JSONResponse(body, error.status, headers, PROBLEM_MEDIA_TYPE)
        except Exception as bug:  # noqa: BLE001 - the last place that can log it with its request id
            request_id = request_id_of(request)
            log_bug(bug, request_id=request_id)
            response = JSONResponse(_internal(request_id), 500, headers, PROBLEM_MEDIA_TYPE)
        return response

    return answer


def _internal(request_id: str) -> dict[str, object]:
    return {
        "type": problem_type(Code.INTERNAL),
        "title": "Internal error",
        "status": HTTP_STATUS[Code.INTERNAL],
        "detail": internal_error(request_id)["message"],
        "code": Code.INTERNAL,
        "requestId": request_id,
    }


async def _upload(services: Services, request: Request) -> Response:
    id = _checked(services, request, Action.UPLOAD)
    offset = _offset(request)
    database, store = services.database, services.store
    try:
        received = await uploads.put(
            database, store, document_id=id, chunks=request.stream(), offset=offset
        )
    except ClientDisconnect:
        return Response(status_code=400)
    async with reading(database) as session:
        document = await session.get(Document, id)
    if document is None:
        raise InvalidLink
    if received == document.announced_size:
        document = await _complete(services, id)
    body = {
        "documentId": str(id),
        "receivedBytes": received,
        "size": document.size,
        "sha256": document.sha256,
        "status": document.status.value,
    }
    return JSONResponse(body)


async def _complete(services: Services, id: UUID) -> Document:
    """Make an upload whose bytes are all here a document, and let the jobs go that wait for it."""
    try:
        stored = await services.store.complete(id)
        async with transaction(services.database) as work:
            document = await commands.complete(work, id, stored)
            await jobs.data_arrived(work, services.bell, id)
            work.after_commit(partial(services.bell.ring, id))
    except UploadMismatch:
        # No retry can mend it: jobs that wait for these bytes go on without them.
        async with transaction(services.database) as work:
            await commands.give_up(work, id, store=services.store)
            await jobs.data_arrived(work, services.bell, id)
        raise
    except (FileNotFoundError, InvalidLink):
        # It was given up meanwhile, and what we have just put in place belongs to nobody.
        await services.store.delete(id)
        raise InvalidLink from None
    return document


async def _download(services: Services, request: Request) -> Response:
    id = _checked(services, request, Action.DOWNLOAD)
    async with reading(services.database) as session:
        file: Document | Attachment | None = await session.get(Document, id)
        file = file or await session.get(Attachment, id)
    if file is None or (isinstance(file, Document) and file.status is not DocumentStatus.PROCESSED):
        raise NotFound("file", str(id))
    if isinstance(file, Attachment) and file.type is AttachmentType.LOG:
        return await _log(services, request, file)
    return await _ranges(request, file, partial(services.store.read, file.id))


async def _log(services: Services, request: Request, file: Attachment) -> Response:
    async with reading(services.database) as session:
        text = await log.whole(session, file.job_id)
    # Its row was read before: since then a deletion may have taken words out of it.
    file.size, file.sha256 = len(text), sha256(text).hexdigest()

    async def read(start: int, stop: int) -> AsyncIterator[bytes]:
        yield text[start:stop]

    return await _ranges(request, file, read)


async def _ranges(
    request: Request,
    file: Document | Attachment,
    read: Callable[[int, int], AsyncIterator[bytes]],
) -> Response:
    """Answer with the bytes asked for; where several ranges are, or none we know, with all."""
    size, etag = file.size or 0, f'"{file.sha256}"'
    wanted = {each.strip() for each in _listed(request, "if-match")}
    if wanted and not wanted & {etag, "*"}:
        return Response(status_code=412, headers={"ETag": etag})
    if _is_known(request, etag):
        return Response(status_code=304, headers={**FILE_HEADERS, "ETag": etag})
    asked = None if request.headers.get("if-range", etag) != etag else _range(request, size)
    if asked is not None and not asked:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    span = range(size) if asked is None else asked
    headers = {
        **FILE_HEADERS,
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": _disposition(file.filename),
        "Content-Length": str(len(span)),
    }
    if asked is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    status, media_type = 200 if asked is None else 206, file.mime_type or UNKNOWN
    if request.method == "HEAD":
        return Response(None, status, headers, media_type)
    blocks = read(span.start, span.stop)
    try:
        first = await anext(blocks, b"")  # what is gone is told before the headers are
    except FileNotFoundError:
        raise NotFound("file", str(file.id)) from None

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for block in blocks:
            yield block

    return StreamingResponse(body(), status, headers, media_type)


def _is_known(request: Request, etag: str) -> bool:
    """Return whether the caller has these very bytes already."""
    known = {each.strip().removeprefix("W/") for each in _listed(request, "if-none-match")}
    return bool(known & {etag, "*"})


def _listed(request: Request, name: str) -> list[str]:
    return [each for line in request.headers.getlist(name) for each in line.split(",")]


def _range(request: Request, size: int) -> range | None:
    """Return the one range of bytes asked for, empty where it is outside; None for the whole."""
    value = request.headers.get("range", "").strip()
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", value, re.IGNORECASE)
    if match is None or match[0].endswith("=-"):
        return None
    first, last = match[1], match[2]
    if not first:
        return range(size)[max(0, size - int(last)) :]
    if last and int(last) < int(first):
        return None
    return range(size)[int(first) : int(last) + 1 if last else None]


def _disposition(filename: str) -> str:
    quoted = quote(filename)
    same = quoted == filename
    return (
        f'attachment; filename="{filename}"' if same else f"attachment; filename*=utf-8''{quoted}"
    )


def _checked(services: Services, request: Request, action: Action) -> UUID:
    query = request.query_params
    try:
        id = UUID(request.path_params["id"])
    except ValueError:
        raise InvalidLink from None
    services.links.check(
        action, id, expires=query.get("expires", ""), signature=query.get("signature", "")
    )
    return id


def _offset(request: Request) -> int:
    """Return where the bytes of this request begin: Content-Range says so, without it 0."""
    value = request.headers.get("content-range")
    if value is None:
        return 0
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", value.strip())
    if match is None:
        message = "Content-Range is written as: bytes first-last/total"
        raise InvalidInput(FieldError(("Content-Range",), message, "malformed"))
    return int(match[1])


async def _source(_request: Request) -> Response:
    archive = await asyncio.to_thread(_source_archive)
    headers = {"Content-Disposition": 'attachment; filename="docyard-source.tar.gz"'}
    return Response(archive, media_type="application/gzip", headers=headers)


@lru_cache(maxsize=1)
def _source_archive() -> bytes:
    """Pack the very code that runs, which the licence says users must be offered."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for path in _source_files():
            archive.add(path, f"docyard/{path.relative_to(SOURCE)}", recursive=False)
        for name, content in _texts_beside():
            entry = tarfile.TarInfo(f"docyard/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def _texts_beside() -> Iterator[tuple[str, bytes]]:
    """Give what the source is built with and read by, which installing keeps beside the code."""
    about = metadata.distribution("docyard")
    yield "LICENSE", (about.read_text("licenses/LICENSE") or "").encode()
    yield "pyproject.toml", (about.read_text("extra_metadata/pyproject.toml") or "").encode()
    yield "README.md", str(about.metadata.json["description"]).encode()


def _source_files() -> Iterator[Path]:
    for package in ("app", "workers"):
        for folder, inside, names in os.walk(SOURCE / package):
            inside[:] = sorted(set(inside) - MADE)
            for path in (Path(folder) / name for name in sorted(names)):
                if path.suffix in SOURCE_SUFFIXES or path.name == ".npmrc":
                    yield path
