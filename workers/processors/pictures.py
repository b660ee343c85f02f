"""PDF_IMAGES: a picture of each page of a PDF."""

from pathlib import Path
from typing import Any

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.options import NOTHING_GIVEN, DocumentOptions, PdfImagesOptions
from app.jobs.results import Emit, Page, ProducedFile
from workers.processors import rendering
from workers.processors.reading import counting, wanted_of
from workers.processors.rendering import Look, Pictures


def pdf_images(
    source: Path,
    options: PdfImagesOptions,
    emit: Emit,
    *,
    media_type: str,
    checkpoint: dict[str, Any] | None = None,
    given: DocumentOptions = NOTHING_GIVEN,
) -> None:
    """Hand on every page of a PDF in order, each with its picture.

    A run that is given the checkpoint of page n goes on with page n + 1.

    Issues: as `Pictures.page` tells them; PASSWORD_USED where a password of `given` was needed.

    Raises:
        ProcessingFailed: PASSWORD, UNSUPPORTED_FORMAT, or CORRUPT, also where no page could be
            drawn.
    """
    kind = media_type.split(";", maxsplit=1)[0].strip().lower()
    if kind != "application/pdf":
        message = f"{kind} cannot be made into pictures; application/pdf can."
        raise ProcessingFailed(ErrorCode.UNSUPPORTED_FORMAT, message)
    look = Look(options.dpi, options.format, options.quality)
    pictures = Pictures(source, given.passwords)
    done = checkpoint or {"page": 0, "drawn": 0}
    drawn: int = done["drawn"]
    wanted = wanted_of(given.page_slice, pictures.total)
    emit = counting(emit, wanted=wanted, total=pictures.total)
    for number in range(done["page"] + 1, pictures.total + 1):
        content, issue = pictures.page(number, look) if number in wanted else (None, None)
        kind = rendering.MEDIA_TYPES[look.format]
        files = () if content is None else (ProducedFile(content, kind, page=number),)
        issues = pictures.issues if number == 1 else ()
        issues += () if issue is None else (issue,)
        drawn += len(files)
        state = {"page": number, "drawn": drawn}
        emit(Page(number, pictures.total, (), issues, state, files))
    if not drawn:
        raise ProcessingFailed(ErrorCode.CORRUPT, "None of the pages could be drawn.")
