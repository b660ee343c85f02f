"""PREDICT: sort a document into one of the categories of the request."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.options import NOTHING_GIVEN, Category, DocumentOptions, PredictOptions
from app.jobs.results import CategoryScore, Emit, Page, Prediction
from workers.processors import meaning, reading
from workers.processors.elements import Element
from workers.processors.meaning import Vectors
from workers.processors.pdf import sample
from workers.processors.wording import wording

FIRST_CHARS, LATER_CHARS = 600, 300
"""Of the first page that is looked at, and of the others: a beginning says what it is about."""
FIRST_SHARE = 0.5
"""What the first page weighs. Alone it is right a little more often, but it may be a cover."""
LABEL_CHARS = 200
"""Of a category: a hundred of them are understood before the first page, in the time of a page."""
MOST_EVIDENCE = 5
_FEWEST_LETTERS = 20
_CHECKPOINT_VERSION = 1

# How alike a page and a category are lies in a narrow band, which is spread over 0 to 1.
_UNLIKE, _ALIKE = 0.70, 0.88
# Fitted on 84 articles of an encyclopedia and 36 of a newspaper, sorted into 2 to 10 of 16 and 12
# topics, one time in five without their own among them. Of predictions with an accuracy above 0.8
# nineteen in twenty were right; of those below 0.4 one in five.
_SHARPNESS = 120.0
_NONE_OF_THEM = 0.77

Judged = tuple[int, list[float]]


def predict(
    source: Path,
    options: PredictOptions,
    emit: Emit,
    *,
    media_type: str,
    checkpoint: dict[str, Any] | None = None,
    given: DocumentOptions = NOTHING_GIVEN,
) -> None:
    """Hand on every page of a document in order, and with the last one the prediction.

    At most 24 pages, spread over the document, are looked at, each by the beginning of its text,
    the first of them more closely. A run that is given the checkpoint of page n goes on with page
    n + 1.

    Issues: PAGE_FAILED; NO_TEXT and PASSWORD_USED once.

    Raises:
        ProcessingFailed: PASSWORD, CORRUPT, UNSUPPORTED_FORMAT, TOO_LARGE for an archive, or
            UNSUPPORTED_FEATURE for a document without text.
    """
    done = reading.begun(
        checkpoint, {"version": _CHECKPOINT_VERSION, "page": 0, "told": False, "pages": []}
    )
    labels = meaning.of_statements([_label(category) for category in options.categories])
    pages = reading.pages(
        source,
        media_type,
        done=done["page"],
        passwords=given.passwords,
        page_slice=given.page_slice,
    )
    readable = sorted(pages.wanted)
    wanted = [readable[place - 1] for place in sample(len(readable))]
    telling = reading.Telling(pages.issues, told=done["told"])
    judged: list[Judged] = [(page, alike) for page, alike in done["pages"]]
    emit = reading.counting(emit, wanted=pages.wanted, total=pages.total)
    for number, (elements, issue) in enumerate(pages.read, done["page"] + 1):
        issues = telling.issues(number, issue)
        # The turn of a page without text goes to the next one that has some.
        if len(judged) < sum(page <= number for page in wanted):
            chars = LATER_CHARS if judged else FIRST_CHARS
            judged += _judge(elements, labels, chars=chars)
        state = {
            "version": _CHECKPOINT_VERSION,
            "page": number,
            "told": telling.told,
            "pages": [[page, alike] for page, alike in judged],
        }
        is_last = number == pages.total
        found = _prediction(options.categories, judged) if is_last else None
        emit(Page(number, pages.total, (), issues, state, prediction=found))


def _label(category: Category) -> str:
    about = category.description
    label = f"{category.name}: {about}" if about else f"This text is about {category.name}."
    return label[:LABEL_CHARS]


def _judge(elements: Sequence[Element], labels: Vectors, *, chars: int) -> list[Judged]:
    """Return how alike a page and each category are; nothing for a page without text."""
    text = " ".join(wording(elements).split())[:chars]
    if sum(map(str.isalpha, text)) < _FEWEST_LETTERS:
        return []
    alike = labels @ meaning.of_texts([text])[0]
    return [(elements[0].page, [round(float(each), 4) for each in alike])]


def _prediction(categories: Sequence[Category], judged: Sequence[Judged]) -> Prediction:
    if not judged:
        message = "The document has no text to judge by."
        raise ProcessingFailed(ErrorCode.UNSUPPORTED_FEATURE, message)
    columns = zip(*(alike for _, alike in judged), strict=True)
    means = [_mean(column) for column in columns]
    order = sorted(range(len(means)), key=lambda place: -means[place])
    best = order[0]
    scores = tuple(CategoryScore(categories[at].name, _score(means[at])) for at in order)
    return Prediction(
        category=categories[best].name,
        accuracy=_accuracy(means, best),
        score=scores[0].score,
        scores=scores,
        evidence_pages=_evidence(judged, best),
    )


def _mean(column: Sequence[float]) -> float:
    first, *later = column
    if not later:
        return first
    return FIRST_SHARE * first + (1 - FIRST_SHARE) * math.fsum(later) / len(later)


def _score(alike: float) -> float:
    return round(min(1.0, max(0.0, (alike - _UNLIKE) / (_ALIKE - _UNLIKE))), 4)


def _accuracy(means: Sequence[float], best: int) -> float:
    """Return the chance that the best is right, rather than another or none of them."""
    weights = [math.exp(_SHARPNESS * (mean - means[best])) for mean in (*means, _NONE_OF_THEM)]
    return round(1 / math.fsum(weights), 4)


def _evidence(judged: Sequence[Judged], best: int) -> tuple[int, ...]:
    """Return the pages that speak for this category; the one that does most where none does."""

    def lead(page: Judged) -> float:
        return page[1][best] - math.fsum(page[1]) / len(page[1])

    leading = sorted(judged, key=lead, reverse=True)
    telling = [page for page in leading if page[1][best] == max(page[1])] or leading[:1]
    return tuple(dict.fromkeys(number for number, _ in telling))[:MOST_EVIDENCE]
