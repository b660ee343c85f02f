"""What a job can be asked to do, in the schema. Left out and null both mean the default."""

from dataclasses import MISSING, fields
from typing import Any, TypeVar

import strawberry

from app.api.vocabulary import ImageFormat, OcrBackend, PdfBackend, SplitBy, TransformOutput
from app.errors import FieldError, InvalidInput
from app.jobs.options import (
    Category,
    PdfImagesOptions,
    PredictOptions,
    SegmentOptions,
    Task,
    TransformOptions,
)

T = TypeVar("T")


class Given:
    """Reads null as left out: both mean the default."""

    def __post_init__(self) -> None:
        """Fill in defaults; null where there is none, of which the schema shows nothing."""
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if value is None:
                value = item.default if item.default_factory is MISSING else item.default_factory()
            if value is strawberry.UNSET or value is MISSING:
                value = None
            setattr(self, item.name, value)


def _option(kind: type, name: str, default: Any = strawberry.UNSET) -> Any:  # noqa: ANN401 - a field of an input
    help = next(item.metadata["help"] for item in fields(kind) if item.name == name)
    if default is ...:
        return strawberry.field(description=help)
    if isinstance(default, list):
        return strawberry.field(default_factory=lambda: default, description=help)
    return strawberry.field(default=default, description=help)


def _options(kind: type[T], input: Given) -> T:
    """Return what is asked for; null counts as left out."""
    given = {item.name: getattr(input, item.name) for item in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: _value(each) for name, each in given.items() if each is not None})


def _value(value: Any) -> Any:  # noqa: ANN401 - a value of an input
    if isinstance(value, list):
        return tuple(_value(each) for each in value)
    return Category(value.name, value.description) if isinstance(value, CategoryInput) else value


@strawberry.input(description=Category.__doc__)
class CategoryInput(Given):
    name: str = _option(Category, "name", ...)
    description: str | None = _option(Category, "description")


@strawberry.input(
    description=f"{SegmentOptions.__doc__} What asks for OCR, for tags or for the layout model is "
    "refused with UNSUPPORTED_FEATURE where `service { capabilities }` says that they are not here."
)
class SegmentInput(Given):
    doc_type: str | None = _option(SegmentOptions, "doc_type", "")
    max_size: int | None = _option(SegmentOptions, "max_size", 5000)
    use_tags: list[str] | None = _option(SegmentOptions, "use_tags", [])
    tag_descriptions: list[CategoryInput] | None = _option(SegmentOptions, "tag_descriptions")
    max_tags: int | None = _option(SegmentOptions, "max_tags", 1)
    process_images: bool | None = _option(SegmentOptions, "process_images", default=False)
    pdf_parsing_backend: PdfBackend | None = _option(
        SegmentOptions, "pdf_parsing_backend", PdfBackend.PYMUPDF
    )
    enable_ocr: bool | None = _option(SegmentOptions, "enable_ocr", default=False)
    ocr_backend: OcrBackend | None = _option(SegmentOptions, "ocr_backend")
    force_full_page_ocr: bool | None = _option(SegmentOptions, "force_full_page_ocr", default=False)


@strawberry.input(description=PredictOptions.__doc__)
class PredictInput(Given):
    categories: list[CategoryInput] = _option(PredictOptions, "categories", ...)


@strawberry.input(description=PdfImagesOptions.__doc__)
class PdfImagesInput(Given):
    dpi: int | None = _option(PdfImagesOptions, "dpi", 150)
    format: ImageFormat | None = _option(PdfImagesOptions, "format", ImageFormat.PNG)
    quality: int | None = _option(PdfImagesOptions, "quality", 75)


@strawberry.input(description=TransformOptions.__doc__)
class TransformInput(Given):
    output: TransformOutput = _option(TransformOptions, "output", ...)
    dpi: int | None = _option(TransformOptions, "dpi")
    format: ImageFormat | None = _option(TransformOptions, "format")
    quality: int | None = _option(TransformOptions, "quality")
    split_by: SplitBy | None = _option(TransformOptions, "split_by")
    split_size: int | None = _option(TransformOptions, "split_size")
    pdfa_level: str | None = _option(TransformOptions, "pdfa_level")
    ocr_backend: OcrBackend | None = _option(TransformOptions, "ocr_backend")
    languages: list[str] | None = _option(TransformOptions, "languages")
    entities: list[str] | None = _option(TransformOptions, "entities")


@strawberry.input(one_of=True, description="What the job does; exactly one.")
class TaskInput:
    segment: strawberry.Maybe[SegmentInput] = strawberry.field(description=SegmentOptions.__doc__)
    predict: strawberry.Maybe[PredictInput] = strawberry.field(description=PredictOptions.__doc__)
    pdf_images: strawberry.Maybe[PdfImagesInput] = strawberry.field(
        description=PdfImagesOptions.__doc__
    )
    transform: strawberry.Maybe[TransformInput] = strawberry.field(
        description=TransformOptions.__doc__
    )

    def task(self) -> Task:
        """Return what is asked for.

        Raises:
            InvalidInput: the one that is given is null.
        """
        given = (self.segment, self.predict, self.pdf_images, self.transform)
        match next((each.value for each in given if each is not None), None):
            case SegmentInput() as input:
                return _options(SegmentOptions, input)
            case PredictInput() as input:
                return _options(PredictOptions, input)
            case PdfImagesInput() as input:
                return _options(PdfImagesOptions, input)
            case TransformInput() as input:
                return _options(TransformOptions, input)
        raise InvalidInput(FieldError(("task",), "A task names one kind of work.", "missing"))
