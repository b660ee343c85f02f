import json
from pathlib import Path

import pytest
from papers import CORPUS, HTML, LOREM, MARKDOWN, PDF, TEXT, Paper

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.options import Category, PredictOptions
from app.jobs.results import Page, Prediction
from workers.processors.predict import predict

BIRDS = "Ducks, geese and swans are birds that live on water. They eat weeds and small insects."
COOKING = (
    "Fry the onions in butter, add flour and milk, and let the sauce simmer until it is thick."
)
MONEY = "The company's profit rose by a tenth; its bank lent it money to buy shares of a rival."
KINDS = PredictOptions(
    (Category("animals"), Category("cooking", "Recipes and food."), Category("business"))
)


def run(
    source: Path, media_type: str, options: PredictOptions = KINDS, *, after: Page | None = None
) -> list[Page]:
    pages: list[Page] = []
    checkpoint = None if after is None else json.loads(json.dumps(after.checkpoint))
    predict(source, options, pages.append, media_type=media_type, checkpoint=checkpoint)
    return pages


def prediction(pages: list[Page]) -> Prediction:
    found = [page.prediction for page in pages if page.prediction is not None]
    assert len(found) == 1
    assert found[0] is pages[-1].prediction
    return found[0]


def paper(folder: Path, *texts: str) -> Path:
    made = Paper()
    for number, text in enumerate(texts, 1):
        made.text(72, 100, 450, text)
        if number < len(texts):
            made.next_page()
    return made.save(folder)


@pytest.mark.parametrize(
    ("text", "category"), [(BIRDS, "animals"), (COOKING, "cooking"), (MONEY, "business")]
)
def test_a_text_is_sorted_by_what_it_is_about(tmp_path: Path, text: str, category: str) -> None:
    source = tmp_path / "a.txt"
    source.write_text(text)

    found = prediction(run(source, TEXT))

    assert found.category == category
    assert found.accuracy > 0.8
    assert found.evidence_pages == (1,)
    assert {each.category for each in found.scores} == {"animals", "cooking", "business"}
    scores = [each.score for each in found.scores]
    assert found.score == scores[0] == max(scores)
    assert scores == sorted(scores, reverse=True)


def test_another_language_is_understood(tmp_path: Path) -> None:
    source = tmp_path / "a.md"
    source.write_text("# Enten\n\nEnten, Gänse und Schwäne sind Vögel, die auf dem Wasser leben.")

    assert prediction(run(source, MARKDOWN)).category == "animals"


def test_of_a_single_category_the_accuracy_says_whether_it_fits(tmp_path: Path) -> None:
    source = tmp_path / "a.html"
    source.write_text(f"<p>{COOKING}</p>")

    good, bad = (
        prediction(run(source, HTML, PredictOptions((Category(name),))))
        for name in ("cooking", "tax law")
    )

    assert (bad.category, good.category) == ("tax law", "cooking")
    assert bad.accuracy < 0.85 < good.accuracy
    assert bad.score < good.score


def test_the_pages_that_speak_for_the_category_are_named(tmp_path: Path) -> None:
    more = "A swan is a large white bird; its nest is built of reeds at the edge of a lake."

    found = prediction(run(paper(tmp_path, BIRDS, COOKING, more), PDF))

    assert found.category == "animals"
    assert sorted(found.evidence_pages) == [1, 3]


def test_a_run_goes_on_after_any_page_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    source = paper(tmp_path, "", BIRDS, MONEY)
    pages = run(source, PDF)

    assert [page.number for page in pages] == [1, 2, 3]
    for done in (1, 2):
        assert run(source, PDF, after=pages[done - 1]) == pages[done:]


def test_of_a_long_document_only_some_pages_are_judged(tmp_path: Path) -> None:
    words = LOREM.split()
    texts = [" ".join(words[number : number + 8]) for number in range(26)]

    pages = run(paper(tmp_path, *texts), PDF)

    judged = [page for page, _ in pages[-1].checkpoint["pages"]]
    assert len(pages) == 26
    assert len(judged) == 24
    assert (judged[0], judged[-1]) == (1, 26)


def test_a_document_without_text_fails(tmp_path: Path) -> None:
    with pytest.raises(ProcessingFailed) as failed:
        run(paper(tmp_path, ""), PDF)

    assert failed.value.failure.code is ErrorCode.UNSUPPORTED_FEATURE
    assert str(failed.value) == "The document has no text to judge by."


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")
@pytest.mark.parametrize(
    ("name", "media_type", "category"),
    [
        ("text/wiki_duck.html", HTML, "animals"),
        ("pdf/right_to_left_01.pdf", PDF, "computing"),
        ("pdf/normal_4pages.pdf", PDF, "insurance"),
    ],
)
def test_real_documents_are_sorted(name: str, media_type: str, category: str) -> None:
    words = ("animals", "business", "computing", "insurance")
    options = PredictOptions(tuple(map(Category, words)))

    assert prediction(run(CORPUS / name, media_type, options)).category == category
