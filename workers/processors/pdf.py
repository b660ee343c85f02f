"""The pages of a PDF as elements, one page at a time, after a look at a few of them."""

from typing import Any

from app.jobs.results import Issue
from workers.processors import composing, headings
from workers.processors.elements import Element
from workers.processors.headings import Outline, Profile
from workers.processors.lines import Sheet, read

SAMPLED_PAGES = 24
_LONGEST_OUTLINE = 5000


class Pdf:
    """An open PDF. What its pages have in common is learned before the first of them is read."""

    def __init__(self, document: Any) -> None:  # noqa: ANN401 - pymupdf has no types
        self._document = document
        self.total: int = document.page_count
        self._sheets: dict[int, Sheet] = {}
        self._profile: Profile | None = None

    def page(self, number: int) -> tuple[list[Element], Issue | None]:
        """Return the elements of a page, and what is wrong with it: PAGE_FAILED or NO_TEXT."""
        profile = self._profile = self._profile or self._learned()
        try:
            sheet = self._sheets.pop(number, None)
            if sheet is None:
                sheet = read(self._document[number - 1])
            if not sheet.lines and self._is_picture(number):
                return [], Issue(
                    "NO_TEXT", "The page is a picture without text; OCR can read it.", number
                )
            return composing.elements(sheet, profile), None
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - MuPDF raises what it likes; one page must not cost the others
            return [], Issue("PAGE_FAILED", "The page could not be read and was left out.", number)

    def _learned(self) -> Profile:
        for number in sample(self.total):
            try:
                self._sheets[number] = read(self._document[number - 1])
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001, S112 - it is told when its turn comes
                continue
        return headings.learn(list(self._sheets.values()), _outline(self._document))

    def _is_picture(self, number: int) -> bool:
        return bool(self._document.get_page_images(number - 1))


def sample(total: int) -> list[int]:
    """Return the numbers of at most 24 pages, spread over the document; the first is among them."""
    if total <= SAMPLED_PAGES:
        return list(range(1, total + 1))
    return sorted(
        {1 + place * (total - 1) // (SAMPLED_PAGES - 1) for place in range(SAMPLED_PAGES)}
    )


def _outline(document: Any) -> Outline:  # noqa: ANN401 - pymupdf has no types
    try:
        entries = document.get_toc(simple=True)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a broken outline is none
        return []
    return [(level, title, page) for level, title, page in entries[:_LONGEST_OUTLINE] if page > 0]
