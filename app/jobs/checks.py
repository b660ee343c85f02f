"""Whether what a job is asked for can be done: values, what has no use, what is not there."""

from collections.abc import Iterator
from typing import Any, assert_never

from app.characters import UNSTORABLE
from app.errors import FieldError, InvalidInput, UnsupportedFeature
from app.jobs import extras
from app.jobs.options import (
    Category,
    PdfBackend,
    PdfImagesOptions,
    PredictOptions,
    SegmentOptions,
    Task,
    TransformOptions,
    TransformOutput,
)

MIN_SEGMENT_CHARS, MAX_SEGMENT_CHARS = 100, 100_000
MAX_TAGS_A_SEGMENT = 20
MAX_DOC_TYPE_CHARS = 255
MAX_CATEGORIES = 100
MAX_CATEGORY_CHARS, MAX_DESCRIPTION_CHARS = 100, 1000
MIN_DPI, MAX_DPI = 36, 600

_O = TransformOutput
_TEXTS = frozenset({_O.TEXT, _O.TEXT_TREE, _O.MARKDOWN, _O.HTML})
_USED_BY = {
    "dpi": frozenset({_O.IMAGE}),
    "format": frozenset({_O.IMAGE}),
    "quality": frozenset({_O.IMAGE}),
    "splitBy": frozenset({_O.SPLIT}),
    "splitSize": frozenset({_O.SPLIT}),
    "pdfaLevel": frozenset({_O.PDFA}),
    "ocrBackend": _TEXTS | {_O.SEARCHABLE_PDF},
    "languages": _TEXTS | {_O.SEARCHABLE_PDF},
    "entities": frozenset({_O.REDACTED_PDF}),
}
"""For each field of a transformation the outputs that have a use for it."""


def check(task: Task) -> None:
    """Do nothing where this task can be done.

    Raises:
        InvalidInput: a value is out of range, or has no use.
        UnsupportedFeature: a value asks for work that this service cannot do.
    """
    match task:
        case SegmentOptions():
            _refuse(_segment(task), _segment_lacks(task))
        case PredictOptions():
            _refuse(_predict(task), _predict_lacks())
        case PdfImagesOptions():
            _refuse(_picture("pdfImages", dpi=task.dpi, quality=task.quality), ())
        case TransformOptions():
            _refuse(_transform(task), _transform_lacks(task))
        case _:
            assert_never(task)


def _refuse(wrong: Iterator[FieldError], lacking: Iterator[FieldError] | tuple[()]) -> None:
    errors = list(wrong)
    if errors:
        raise InvalidInput(*errors)
    missing = list(lacking)
    if missing:
        raise UnsupportedFeature(*missing)


def _segment(options: SegmentOptions) -> Iterator[FieldError]:
    loc = ("task", "segment")
    if not MIN_SEGMENT_CHARS <= options.max_size <= MAX_SEGMENT_CHARS:
        message = f"maxSize must be {MIN_SEGMENT_CHARS} to {MAX_SEGMENT_CHARS} characters."
        yield FieldError((*loc, "maxSize"), message, "out_of_range")
    if not 0 <= options.max_tags <= MAX_TAGS_A_SEGMENT:
        message = f"maxTags must be 0 to {MAX_TAGS_A_SEGMENT}."
        yield FieldError((*loc, "maxTags"), message, "out_of_range")
    if len(options.doc_type) > MAX_DOC_TYPE_CHARS or UNSTORABLE.search(options.doc_type):
        message = f"docType has at most {MAX_DOC_TYPE_CHARS} characters, NUL not among them."
        yield FieldError((*loc, "docType"), message, "string_length")


def _segment_lacks(options: SegmentOptions) -> Iterator[FieldError]:
    asked: dict[str, tuple[object, str]] = {
        "processImages": (options.process_images, "reading text in pictures"),
        "enableOcr": (options.enable_ocr, "OCR"),
        "forceFullPageOcr": (options.force_full_page_ocr, "OCR"),
        "ocrBackend": (options.ocr_backend, "OCR"),
        "useTags": (options.use_tags, "tagging"),
        "tagDescriptions": (options.tag_descriptions, "tagging"),
        "pdfParsingBackend": (
            options.pdf_parsing_backend is PdfBackend.PYMUPDF_LAYOUT,
            "the layout model",
        ),
    }
    for name, (is_asked, what) in asked.items():
        if is_asked:
            message = f"{name}: {what} is not available here."
            yield FieldError(("task", "segment", name), message, "unsupported")


def _predict(options: PredictOptions) -> Iterator[FieldError]:
    loc = ("task", "predict", "categories")
    if not 1 <= len(options.categories) <= MAX_CATEGORIES:
        yield FieldError(loc, f"categories has 1 to {MAX_CATEGORIES} entries.", "out_of_range")
    seen: set[str] = set()
    for place, category in enumerate(options.categories):
        at = (*loc, str(place))
        if not category.name.strip() or not _fits(category):
            message = (
                f"A category has a name of 1 to {MAX_CATEGORY_CHARS} characters and a description "
                f"of at most {MAX_DESCRIPTION_CHARS}, NUL not among them."
            )
            yield FieldError(at, message, "string_length")
        if category.name in seen:
            message = f"The category {category.name!r} stands in the list twice."
            yield FieldError((*at, "name"), message, "repeated")
        seen.add(category.name)


def _fits(category: Category) -> bool:
    about = category.description or ""
    return (
        len(category.name) <= MAX_CATEGORY_CHARS
        and len(about) <= MAX_DESCRIPTION_CHARS
        and not UNSTORABLE.search(category.name + about)
    )


def _predict_lacks() -> Iterator[FieldError]:
    if not extras.PREDICT.installed:
        message = f"predict: {extras.PREDICT.purpose} needs an extra: {extras.PREDICT.how}."
        yield FieldError(("task", "predict"), message, "unsupported")


def _picture(task: str, *, dpi: int | None, quality: int | None) -> Iterator[FieldError]:
    if dpi is not None and not MIN_DPI <= dpi <= MAX_DPI:
        message = f"dpi must be {MIN_DPI} to {MAX_DPI}."
        yield FieldError(("task", task, "dpi"), message, "out_of_range")
    if quality is not None and not 1 <= quality <= 100:  # noqa: PLR2004 - percent
        yield FieldError(("task", task, "quality"), "quality must be 1 to 100.", "out_of_range")


def _transform(options: TransformOptions) -> Iterator[FieldError]:
    for name in _given(options):
        if options.output not in _USED_BY[name]:
            message = f"{name}: {options.output} has no use for it."
            yield FieldError(("task", "transform", name), message, "unused")
    yield from _picture("transform", dpi=options.dpi, quality=options.quality)


def _transform_lacks(options: TransformOptions) -> Iterator[FieldError]:
    loc = ("task", "transform")
    if options.output not in (TransformOutput.TEXT, TransformOutput.IMAGE):
        message = f"output: {options.output} is not available here; TEXT and IMAGE are."
        yield FieldError((*loc, "output"), message, "unsupported")
    for name in _given(options):
        if name in ("ocrBackend", "languages"):
            yield FieldError((*loc, name), f"{name}: OCR is not available here.", "unsupported")


def _given(options: TransformOptions) -> Iterator[str]:
    values: dict[str, Any] = {
        "dpi": options.dpi,
        "format": options.format,
        "quality": options.quality,
        "splitBy": options.split_by,
        "splitSize": options.split_size,
        "pdfaLevel": options.pdfa_level,
        "ocrBackend": options.ocr_backend,
        "languages": options.languages,
        "entities": options.entities,
    }
    return (name for name, value in values.items() if value is not None)
