"""Files that come with a request for a job: stored first, thrown away where nothing needs them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from starlette.datastructures import UploadFile

from app.api.context import Context
from app.api.documents import receive
from app.api.inputs import DataInput, within
from app.api.pages import existing_id
from app.documents import uploads
from app.errors import FieldError, InvalidInput, UnsupportedFeature
from app.jobs.creation import GivenDocument
from app.jobs.given import Kept


class Intake:
    """What one job was given. Its files are stored, their rows still say NEW."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._received: list[UUID] = []
        self._hashes: dict[int, str] = {}
        self._kept = False

    async def take(
        self, data: Sequence[DataInput], options: Sequence[Sequence[Kept]]
    ) -> list[GivenDocument]:
        """Return the documents that `data` means, in its order; files are stored now.

        options: of each of them, as its row keeps them.

        Raises:
            InvalidInput: a source is missing, or a name or tag is bad.
            UnsupportedFeature: an address is to be fetched.
            NotFound: an id that is malformed.
            FileTooLarge, StorageFull: a file cannot be taken.
        """
        found = [await self._document(each, place) for place, each in enumerate(data)]
        return [replace(each, options=own) for each, own in zip(found, options, strict=True)]

    def sha256(self, file: UploadFile) -> str:
        """Return the hash of a file that was taken in."""
        return self._hashes[id(file)]

    def keep(self) -> None:
        """Say that the job is made and the files are in use."""
        self._kept = True

    async def discard(self) -> None:
        """Throw the files away, unless they are kept."""
        if self._received and not self._kept:
            services = self._context.services
            await uploads.discard(services.database, services.store, *self._received)
        self._received.clear()

    async def _document(self, data: DataInput, place: int) -> GivenDocument:
        source = data.source
        loc = ("data", str(place), "source")
        if source.file is not None and source.file.value is not None:
            with within(("data", str(place))):
                return await self._file(source.file.value, data)
        if source.document_id is not None and source.document_id.value is not None:
            return GivenDocument(existing_id("document", source.document_id.value))
        if source.url is not None and source.url.value is not None:
            message = "This service does not fetch addresses; upload the file."
            raise UnsupportedFeature(FieldError((*loc, "url"), message, "unsupported"))
        message = "A source names a file, a document or an address."
        raise InvalidInput(FieldError(loc, message, "missing"))

    async def _file(self, file: UploadFile, data: DataInput) -> GivenDocument:
        received = await receive(self._context, file, filename=data.filename, tags=data.tags or [])
        self._received.append(received.document_id)
        self._hashes[id(file)] = received.stored.sha256
        return GivenDocument(received.document_id, owned=True, stored=received.stored)


@asynccontextmanager
async def intake(context: Context) -> AsyncIterator[Intake]:
    """Take in files within the block; those that are not kept at its end are thrown away."""
    taken = Intake(context)
    try:
        yield taken
    finally:
        await taken.discard()
