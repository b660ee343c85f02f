"""Reading order: where a page has columns, each is read to its end; full-width lines part them."""

from collections import Counter
from dataclasses import dataclass

from workers.processors.lines import Line
from workers.processors.tables import Grid


@dataclass(slots=True)
class Piece:
    """A line or a table to be ordered. letters: 0 for what is not running text."""

    x0: float
    y0: float
    x1: float
    y1: float
    letters: int
    thing: Line | Grid


_DEEPEST = 6
_FEWEST_LINES = 3  # of a column
_FEWEST_LETTERS = 9.0  # mean of a column's lines: shorter ones are numbers, labels or cells
_FILLED = 0.42  # how much of a column its lines fill at least, in the mean
_TOUCH = 1.0


def columns(pieces: list[Piece], depth: int = 0) -> list[list[Piece]]:
    """Return the pieces as columns in the order of reading, each from top to bottom.

    A page of one column is one list. Pieces that reach over the gutter (titles, wide tables) part a
    page into regions, and each region is read column by column, the left one first.
    """
    pieces = sorted(pieces, key=lambda piece: (piece.y0 + piece.y1, piece.x0))
    gutter = _gutter(pieces) if depth < _DEEPEST else None
    if gutter is None:
        return [pieces] if pieces else []
    found: list[list[Piece]] = []
    for crossing, run in _runs(pieces, gutter):
        sides = _sides(run, gutter)
        if crossing or _side_by_side(*sides) == 0:
            # One column with what stands above: paragraphs may run through both.
            if found and not isinstance(found[-1], _Closed):
                found[-1].extend(run)
            else:
                found.append(list(run))
        else:
            for side in sides:
                found.extend(_Closed(column) for column in columns(side, depth + 1))
    return [list(column) for column in found]


class _Closed(list[Piece]):
    """A column that nothing is added to."""


def _gutter(pieces: list[Piece]) -> float | None:
    """The x that parts the most lines which stand side by side, if any does so convincingly."""
    starts = Counter(round(piece.x0 / 3) for piece in pieces if piece.letters)
    if len(starts) < 2:
        return None
    left = min(starts)
    likely = [
        x for x, count in starts.items() if x - left > 15 and count + starts[x + 1] >= _FEWEST_LINES
    ]
    best, best_score = None, 2 * _FEWEST_LINES - 1
    for x in sorted(likely):
        at = x * 3 - 2.5
        score = sum(
            _side_by_side(*_sides(run, at)) for crossing, run in _runs(pieces, at) if not crossing
        )
        if score > best_score:
            best, best_score = at, score
    return best


def _runs(pieces: list[Piece], gutter: float) -> list[tuple[bool, list[Piece]]]:
    """Part sorted pieces into those that cross the gutter and those between."""
    before, after = gutter - _TOUCH, gutter + _TOUCH
    runs: list[tuple[bool, list[Piece]]] = []
    run: list[Piece] = []
    of_crossing: bool | None = None
    for piece in pieces:
        crossing = piece.x0 < before and piece.x1 > after
        if crossing is of_crossing:
            run.append(piece)
        else:
            run, of_crossing = [piece], crossing
            runs.append((crossing, run))
    return runs


def _sides(run: list[Piece], gutter: float) -> tuple[list[Piece], list[Piece]]:
    left = [piece for piece in run if piece.x0 + piece.x1 < 2 * gutter]
    right = [piece for piece in run if piece.x0 + piece.x1 >= 2 * gutter]
    return left, right


def _side_by_side(left: list[Piece], right: list[Piece]) -> int:
    """How many lines stand beside each other as two columns of text; 0 for anything else."""
    if len(left) < _FEWEST_LINES or len(right) < _FEWEST_LINES:
        return 0
    top = max(left[0].y0, right[0].y0)
    bottom = min(left[-1].y1, right[-1].y1)
    if bottom - top < 0.3 * min(left[-1].y1 - left[0].y0, right[-1].y1 - right[0].y0):
        return 0
    if not (_is_text(left) and _is_text(right)):
        return 0
    return len(left) + len(right)


def _is_text(column: list[Piece]) -> bool:
    """Lines of text are long and fill their column; cells of a table, labels and numbers do not."""
    letters = sum(piece.letters for piece in column)
    if letters < _FEWEST_LETTERS * len(column):
        return False
    width = max(piece.x1 for piece in column) - min(piece.x0 for piece in column)
    # Short last lines of paragraphs and headings do not tell against a column: weigh by letters.
    filled = sum(piece.letters * (piece.x1 - piece.x0) for piece in column)
    return filled >= _FILLED * width * letters
