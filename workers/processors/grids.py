"""Tables of HTML: cells that span are repeated, so that each row reads by itself."""

from collections.abc import Iterator
from dataclasses import dataclass

from workers.processors.writing import one_line, table

_MOST_COLUMNS = 100
_MOST_ROWS = 5000
_LONGEST_CELL = 2000  # a longer one makes it a table of layout, not of data


@dataclass(slots=True)
class _Cell:
    across: int
    down: int
    text: str = ""


class Cells:
    """The cells of one table, in the order in which they come."""

    def __init__(self) -> None:
        self._rows: list[list[_Cell]] = []

    def start_row(self) -> None:
        self._rows.append([])

    def start_cell(self, attributes: dict[str, str]) -> None:
        if not self._rows:
            self._rows.append([])
        self._rows[-1].append(_Cell(_span(attributes, "colspan"), _span(attributes, "rowspan")))

    def text(self, text: str) -> None:
        """Add text, as Markdown, to the cell that came last."""
        if not self._rows or not self._rows[-1]:
            self.start_cell({})
        last = self._rows[-1][-1]
        last.text = f"{last.text} {text}".strip()

    def texts(self) -> Iterator[str]:
        """Yield the texts of all cells, for what is no table of data."""
        for cells in self._rows:
            for one in cells:
                if one.text:
                    yield one.text

    def table(self) -> str | None:
        """Return the table as Markdown; None for a single column, or chapters in cells."""
        rows = [cells for cells in self._rows if cells]
        if len(rows) > _MOST_ROWS or any(
            len(one.text) > _LONGEST_CELL for cells in rows for one in cells
        ):
            return None
        filled = [texts for texts in self._filled(rows) if any(texts)]
        width = max(map(len, filled), default=0)
        if width < 2 or not filled:
            return None
        return table([[*map(one_line, texts), *[""] * (width - len(texts))] for texts in filled])

    def _filled(self, rows: list[list[_Cell]]) -> Iterator[list[str]]:
        below: dict[int, tuple[int, str]] = {}
        for cells in rows:
            texts: list[str] = []
            waiting = iter(cells)
            current = next(waiting, None)
            while len(texts) < _MOST_COLUMNS and (current is not None or len(texts) in below):
                column = len(texts)
                if column in below:
                    left, text = below.pop(column)
                    if left > 1:
                        below[column] = (left - 1, text)
                    texts.append(text)
                    continue
                assert current is not None  # noqa: S101 - the loop's condition
                for _ in range(current.across):
                    if current.down > 1:
                        below[len(texts)] = (current.down - 1, current.text)
                    texts.append(current.text)
                current = next(waiting, None)
            yield texts


def _span(attributes: dict[str, str], name: str) -> int:
    value = attributes.get(name, "1").strip()
    return max(1, min(int(value), _MOST_COLUMNS)) if value.isdecimal() and len(value) < 6 else 1
