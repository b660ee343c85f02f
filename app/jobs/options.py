"""What each type of job can be asked for: one definition, from the API to the processors."""

import re
from dataclasses import asdict, dataclass, field, is_dataclass
from enum import Enum, StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from app.errors import FieldError, InvalidInput, UnsupportedFeature
from app.jobs.types import JobType


class PdfBackend(StrEnum):
    """How the structure of a PDF is read."""

    PYMUPDF = "PYMUPDF"
    PYMUPDF_LAYOUT = "PYMUPDF_LAYOUT"


class OcrBackend(StrEnum):
    """Which program reads text from pictures."""

    TESSERACT = "TESSERACT"
    RAPIDOCR = "RAPIDOCR"


@dataclass(frozen=True, slots=True)
class Category:
    """A word to sort by, and what it means."""

    name: str = field(metadata={"help": "The word itself."})
    description: str | None = field(
        default=None, metadata={"help": "What the word means; finds it better than the bare word."}
    )


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """Cut documents into pieces that make sense by themselves, as Markdown."""

    doc_type: str = field(default="", metadata={"help": "What kind of document it is; free text."})
    max_size: int = field(
        default=5000, metadata={"help": "The most characters a segment may have: 100 to 100,000."}
    )
    use_tags: tuple[str, ...] = field(
        default=(), metadata={"help": "The tags to choose from for each segment."}
    )
    tag_descriptions: tuple[Category, ...] | None = field(
        default=None,
        metadata={"help": "What the tags mean; finds them better than bare names."},
    )
    max_tags: int = field(default=1, metadata={"help": "The most tags a segment gets: 0 to 20."})
    process_images: bool = field(
        default=False, metadata={"help": "Also read the text in pictures."}
    )
    pdf_parsing_backend: PdfBackend = field(
        default=PdfBackend.PYMUPDF, metadata={"help": "How the structure of a PDF is read."}
    )
    enable_ocr: bool = field(
        default=False, metadata={"help": "Read pages that have no text of their own by OCR."}
    )
    ocr_backend: OcrBackend | None = field(
        default=None, metadata={"help": "The OCR program; the service's choice when left out."}
    )
    force_full_page_ocr: bool = field(
        default=False, metadata={"help": "Read every page by OCR, also those that have text."}
    )


@dataclass(frozen=True, slots=True)
class DocumentOptions:
    """What goes with a document to any kind of work: what opens it, and what is to be said of it.

    passwords: tried in this order, after the empty one; also on what is attached to the document.
    metadata: author, title and the like, by the <NAME> of META.<NAME>; for what the work produces.
    """

    passwords: tuple[str, ...] = field(default=(), repr=False)
    metadata: dict[str, str] = field(default_factory=dict)


NOTHING_GIVEN = DocumentOptions()

MIN_SEGMENT_CHARS, MAX_SEGMENT_CHARS = 100, 100_000
MAX_TAGS_A_SEGMENT = 20
MAX_DOC_TYPE_CHARS = 255
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")  # NUL, and halves of characters


Task = SegmentOptions
"""What one job is asked for: the options of its type."""

TASKS: dict[JobType, type[Task]] = {JobType.SEGMENT: SegmentOptions}


def type_of(task: Task) -> JobType:
    """Return the type of the job that does this task."""
    return next(type for type, kind in TASKS.items() if isinstance(task, kind))


def check(options: Task) -> None:
    """Do nothing where these options can be worked with.

    Raises:
        InvalidInput: a value is out of range.
        UnsupportedFeature: a value asks for work that this service cannot do.
    """
    errors = []
    if not MIN_SEGMENT_CHARS <= options.max_size <= MAX_SEGMENT_CHARS:
        message = f"maxSize must be {MIN_SEGMENT_CHARS} to {MAX_SEGMENT_CHARS} characters."
        errors.append(FieldError(("task", "segment", "maxSize"), message, "out_of_range"))
    if not 0 <= options.max_tags <= MAX_TAGS_A_SEGMENT:
        message = f"maxTags must be 0 to {MAX_TAGS_A_SEGMENT}."
        errors.append(FieldError(("task", "segment", "maxTags"), message, "out_of_range"))
    if len(options.doc_type) > MAX_DOC_TYPE_CHARS or _UNSTORABLE.search(options.doc_type):
        message = f"docType has at most {MAX_DOC_TYPE_CHARS} characters, NUL not among them."
        errors.append(FieldError(("task", "segment", "docType"), message, "string_length"))
    if errors:
        raise InvalidInput(*errors)
    missing = _unsupported(options)
    if missing:
        raise UnsupportedFeature(
            *(
                FieldError(
                    ("task", "segment", name),
                    f"{name}: {what} is not available here.",
                    "unsupported",
                )
                for name, what in missing.items()
            )
        )


def _unsupported(options: SegmentOptions) -> dict[str, str]:
    asked = {
        "processImages": options.process_images and "reading text in pictures",
        "enableOcr": options.enable_ocr and "OCR",
        "forceFullPageOcr": options.force_full_page_ocr and "OCR",
        "ocrBackend": options.ocr_backend is not None and "OCR",
        "useTags": bool(options.use_tags) and "tagging",
        "tagDescriptions": bool(options.tag_descriptions) and "tagging",
        "pdfParsingBackend": options.pdf_parsing_backend is PdfBackend.PYMUPDF_LAYOUT
        and "the layout model",
    }
    return {name: what for name, what in asked.items() if isinstance(what, str)}


def to_json(task: Task) -> dict[str, Any]:
    """Return the options of a task as a JSON value that `task_of` reads back."""
    return asdict(task)


def task_of(type: JobType, value: dict[str, Any]) -> Task:
    """Read back what `to_json` wrote for a job of this type."""
    task: Task = _read(TASKS[type], value)
    return task


def shown(task: Task) -> dict[str, Any]:
    """Return the options of a task as callers see them: by their names in the schema."""
    value: dict[str, Any] = _camel_keys(to_json(task))
    return value


def _read(kind: Any, value: Any) -> Any:  # noqa: ANN401 - any annotation of a field, any JSON
    if value is None:
        return None
    if isinstance(kind, UnionType):  # X | None
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        return tuple(_read(get_args(kind)[0], each) for each in value)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _read(hints[name], each) for name, each in value.items()})
    return kind(value) if issubclass(kind, Enum) else value


def _camel_keys(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {_camel(name): _camel_keys(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_camel_keys(each) for each in value]
    return value


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
