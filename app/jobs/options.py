"""What each type of job can be asked for: one definition, from the API to the processors."""

from dataclasses import asdict, dataclass, field, is_dataclass, replace
from enum import Enum, StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from app.jobs.types import JobType


class PdfBackend(StrEnum):
    """How the structure of a PDF is read."""

    PYMUPDF = "PYMUPDF"
    PYMUPDF_LAYOUT = "PYMUPDF_LAYOUT"


class OcrBackend(StrEnum):
    """Which program reads text from pictures."""

    TESSERACT = "TESSERACT"
    RAPIDOCR = "RAPIDOCR"


class ImageFormat(StrEnum):
    """How a picture is written."""

    PNG = "PNG"
    JPEG = "JPEG"
    WEBP = "WEBP"


class SplitBy(StrEnum):
    """What the size of a part is counted in."""

    PAGES = "PAGES"
    WORDS = "WORDS"


class TransformOutput(StrEnum):
    """What a document is made into."""

    TEXT = "TEXT"
    TEXT_TREE = "TEXT_TREE"
    MARKDOWN = "MARKDOWN"
    HTML = "HTML"
    PDF = "PDF"
    SEARCHABLE_PDF = "SEARCHABLE_PDF"
    PDFA = "PDFA"
    IMAGE = "IMAGE"
    MERGE = "MERGE"
    SPLIT = "SPLIT"
    AUTOROTATE = "AUTOROTATE"
    TRIM = "TRIM"
    REDACTED_PDF = "REDACTED_PDF"


@dataclass(frozen=True, slots=True)
class Category:
    """A word to sort by, and what it means."""

    name: str = field(metadata={"help": "The word itself, of up to 100 characters."})
    description: str | None = field(
        default=None,
        metadata={
            "help": "What the word means; finds it better than the bare word. Its first 200 "
            "characters count, and 1,000 are taken."
        },
    )


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """Cut documents into pieces that make sense by themselves, as Markdown."""

    doc_type: str = field(
        default="",
        metadata={
            "help": "What kind of document it is: free text of up to 255 characters, kept with "
            "the job. It changes nothing in the segments of this version."
        },
    )
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
    max_tags: int = field(
        default=1, metadata={"help": "The most of `useTags` that a segment gets: 0 to 20."}
    )
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
    page_slice: the pages to work on, as `jobs.page_slices` reads it; None for all.
    """

    passwords: tuple[str, ...] = field(default=(), repr=False)
    metadata: dict[str, str] = field(default_factory=dict)
    page_slice: str | None = None


NOTHING_GIVEN = DocumentOptions()


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """Sort documents into categories of your own, which need no examples."""

    categories: tuple[Category, ...] = field(
        metadata={"help": "The categories to choose from: 1 to 100."}
    )


@dataclass(frozen=True, slots=True)
class PdfImagesOptions:
    """Make a picture of each page of a PDF."""

    dpi: int = field(default=150, metadata={"help": "Dots per inch: 36 to 600."})
    format: ImageFormat = field(
        default=ImageFormat.PNG, metadata={"help": "How the picture is written."}
    )
    quality: int = field(
        default=75, metadata={"help": "1 to 100; PNG, which loses nothing, has no use for it."}
    )


@dataclass(frozen=True, slots=True)
class TransformOptions:
    """Make other files of documents. A field that the output has no use for is refused."""

    output: TransformOutput = field(metadata={"help": "What to make."})
    dpi: int | None = field(
        default=None, metadata={"help": "Of IMAGE: dots per inch, 36 to 600; 150 when left out."}
    )
    format: ImageFormat | None = field(
        default=None, metadata={"help": "Of IMAGE: how it is written; PNG when left out."}
    )
    quality: int | None = field(
        default=None, metadata={"help": "Of IMAGE: 1 to 100, 75 when left out; not for PNG."}
    )
    split_by: SplitBy | None = field(
        default=None, metadata={"help": "Of SPLIT: what the size of a part is counted in."}
    )
    split_size: int | None = field(default=None, metadata={"help": "Of SPLIT: size of a part."})
    pdfa_level: str | None = field(default=None, metadata={"help": "Of PDFA: the standard."})
    ocr_backend: OcrBackend | None = field(
        default=None, metadata={"help": "Of texts and SEARCHABLE_PDF: the OCR program."}
    )
    languages: tuple[str, ...] | None = field(
        default=None, metadata={"help": "Of texts and SEARCHABLE_PDF: what OCR is to read."}
    )
    entities: tuple[str, ...] | None = field(
        default=None, metadata={"help": "Of REDACTED_PDF: what is blacked out."}
    )


Task = SegmentOptions | PredictOptions | PdfImagesOptions | TransformOptions
"""What one job is asked for: the options of its type."""

TASKS: dict[JobType, type[Task]] = {
    JobType.SEGMENT: SegmentOptions,
    JobType.PREDICT: PredictOptions,
    JobType.PDF_IMAGES: PdfImagesOptions,
    JobType.TRANSFORM: TransformOptions,
}


def type_of(task: Task) -> JobType:
    """Return the type of the job that does this task."""
    return next(type for type, kind in TASKS.items() if isinstance(task, kind))


def resolved(task: Task) -> Task:
    """Return the task with the defaults that depend on what is asked for."""
    if not isinstance(task, TransformOptions) or task.output is not TransformOutput.IMAGE:
        return task
    given = PdfImagesOptions()
    return replace(
        task,
        dpi=task.dpi or given.dpi,
        format=task.format or given.format,
        quality=task.quality or given.quality,
    )


def to_json(task: Task) -> dict[str, Any]:
    """Return the options of a task as a JSON value that `task_of` reads back."""
    return asdict(task)


def task_of(type: JobType, value: dict[str, Any]) -> Task:
    """Read back what `to_json` wrote for a job of this type."""
    task: Task = _read(TASKS[type], value)
    return task


def shown(task: Task) -> dict[str, Any]:
    """Return the options of a task as callers see them: by their names in the schema."""
    value: dict[str, Any] = camel_keys(to_json(task))
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


def camel_keys(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a JSON value with its names as the schema writes them."""
    if isinstance(value, dict):
        return {_camel(name): camel_keys(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [camel_keys(each) for each in value]
    return value


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
