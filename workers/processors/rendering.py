"""Pages of a PDF as pictures."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from app.jobs.options import ImageFormat
from app.jobs.results import Issue
from workers.processors.opening import open_pdf

MOST_PIXELS = 50_000_000  # of one picture: A4 at 700 dpi
MOST_PICTURE_BYTES = 24 << 20
_POINTS_AN_INCH = 72
_WEBP_EFFORT = 0  # of 0 to 6: five times as fast as the default, for a quarter more bytes

MEDIA_TYPES = {
    ImageFormat.PNG: "image/png",
    ImageFormat.JPEG: "image/jpeg",
    ImageFormat.WEBP: "image/webp",
}

# The writers of pictures are loaded here, once, and not by each sandboxed child.
Image.init()


@dataclass(frozen=True, slots=True)
class Look:
    """How a picture is made. quality: 1 to 100; PNG has no use for it."""

    dpi: int
    format: ImageFormat
    quality: int


class Pictures:
    """The pictures of the pages of a PDF."""

    def __init__(self, source: Path, passwords: Sequence[str] = ()) -> None:
        """Raises ProcessingFailed: PASSWORD, CORRUPT."""
        opened = open_pdf(source, passwords)
        self.issues = opened.issues()
        self._document = opened.document
        self.total: int = self._document.page_count

    def page(self, number: int, look: Look) -> tuple[bytes | None, Issue | None]:
        """Return the picture of a page, and what is wrong with it.

        Issues: PAGE_FAILED, and no picture; DPI_REDUCED for a page that is too large for its dpi.
        """
        try:
            page = self._document[number - 1]
            dpi = _fitting(page.rect, look.dpi)
            content = _written(page.get_pixmap(dpi=dpi, alpha=False), look)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - MuPDF raises what it likes; one page must not cost the others
            message = "The page could not be drawn and was left out."
            return None, Issue("PAGE_FAILED", message, number)
        if len(content) > MOST_PICTURE_BYTES:
            most = MOST_PICTURE_BYTES >> 20
            message = f"The picture of the page has more than {most} MiB and was left out."
            return None, Issue("PAGE_FAILED", message, number)
        if dpi < look.dpi:
            message = f"The page is too large for {look.dpi} dpi; its picture has {dpi}."
            return content, Issue("DPI_REDUCED", message, number)
        return content, None


def _fitting(rect: Any, dpi: int) -> int:  # noqa: ANN401 - pymupdf has no types
    """Return the most dpi, `dpi` at most, with which the picture is not too large."""
    square_inches = max(rect.width * rect.height, 1.0) / _POINTS_AN_INCH**2
    return max(1, min(dpi, math.floor(math.sqrt(MOST_PIXELS / square_inches))))


def _written(picture: Any, look: Look) -> bytes:  # noqa: ANN401 - pymupdf has no types
    if look.format is ImageFormat.PNG:
        content: bytes = picture.tobytes("png")
        return content
    # MuPDF has no WebP, and takes forty times as long for JPEG.
    size = picture.width, picture.height
    image = Image.frombuffer("RGB", size, picture.samples, "raw", "RGB", 0, 1)
    file = io.BytesIO()
    dots = (picture.xres, picture.yres)
    match look.format:
        case ImageFormat.JPEG:
            image.save(file, "JPEG", quality=look.quality, dpi=dots)
        case ImageFormat.WEBP:
            image.save(file, "WEBP", quality=look.quality, method=_WEBP_EFFORT)
    return file.getvalue()
