"""Rows of one paragraph, item, heading or piece of code: where each begins and ends."""

import re
from dataclasses import dataclass, field

from workers.processors.joining import glue, is_hyphenated
from workers.processors.rows import Row

_TERMINAL = re.compile(
    r"[.!?:;\u2026\u3002\uff01\uff1f\u061f\u06d4][\"'\u201c\u201d\u2019\u00bb)\]\u00b9\u00b2\u00b3\u2070-\u2079]*$"
)


_TAIL = 12  # letters that can tell how a sentence ends
_CODE_GAP = 3.6  # times the size: one or two empty lines


@dataclass(slots=True)
class Group:
    """Rows that belong together.

    ends: places of rows after which the line was meant to end. right: where full rows end here.
    """

    rows: list[Row]
    right: float
    ends: set[int] = field(default_factory=set)
    step: float = 0.0

    def text(self) -> str:
        """Return its text; words broken at the end of a row are whole again."""
        text = self.rows[0].text
        for place in range(1, len(self.rows)):
            after = self.rows[place].text
            if place - 1 in self.ends and not is_hyphenated(text):
                text = f"{text}\n{after}"
            else:
                text = glue(text, after, spaced=self.rows[place - 1].spaced)
        return text


def groups(rows: list[Row], leading: float) -> list[Group]:
    """Part the rows of a column, from top to bottom.

    leading: from baseline to baseline in running text, times the size.
    """
    found: list[Group] = []
    rights = _rights(rows, leading)
    for place, row in enumerate(rows):
        below = rows[place + 1] if place + 1 < len(rows) else None
        group = found[-1] if found else None
        if group is None or _begins(group, row, below, leading):
            found.append(Group([row], rights[place]))
        else:
            if not group.step:
                group.step = row.line.y1 - group.rows[-1].line.y1
            if _meant_to_end(group, row):
                group.ends.add(len(group.rows) - 1)
            group.rows.append(row)
            group.right = max(group.right, rights[place])
    return found


def _rights(rows: list[Row], leading: float) -> list[float]:
    """Where full rows end: text beside a picture, or a quotation, ends earlier than its column."""
    right = max(row.line.x1 for row in rows)
    rights: list[float] = []
    start = 0
    for place, row in enumerate(rows):
        below = rows[place + 1] if place + 1 < len(rows) else None
        if below is None or below.line.y1 - row.line.y1 > 1.7 * leading * row.line.size:
            count = place + 1 - start
            local = max(part.line.x1 for part in rows[start : place + 1])
            rights += [local if count > 2 else right] * count
            start = place + 1
    return rights


def _begins(group: Group, row: Row, below: Row | None, leading: float) -> bool:
    last = group.rows[-1]
    if row.code or last.code:
        apart = row.line.y1 - last.line.y1 > _CODE_GAP * row.line.size
        return not (row.code and last.code) or apart
    if row.entry or last.entry:
        return not (row.entry and last.entry) or row.line.bold != last.line.bold
    return (
        abs(row.line.size - last.line.size) > 0.06 * max(row.line.size, last.line.size)
        or row.line.y1 - last.line.y1 < -0.5 * row.line.size
        or _far_below(group, row, leading)
        or (row.line.bold != last.line.bold and not _runs_on(group, row))
        or _is_item(group, row)
        or _is_indented(group, row, below)
        or (_meant_to_end(group, row) and is_terminal(last.text))
    )


def _far_below(group: Group, row: Row, leading: float) -> bool:
    step = row.line.y1 - group.rows[-1].line.y1
    if group.step:
        return step > 1.3 * max(group.step, row.line.size)
    return step > 1.4 * leading * row.line.size


def _runs_on(group: Group, row: Row) -> bool:
    """A bold term may break over two rows."""
    return row.text[0].islower() and not _meant_to_end(group, row)


def _is_item(group: Group, row: Row) -> bool:
    """A number at the start of a row may be a part of the sentence."""
    if row.marker is None:
        return False
    first = group.rows[0]
    if not row.marker.numbered:
        return (
            row.text[0] not in "-\u2013\u2014*+"
            or first.marker is not None
            or _meant_to_end(group, row)
        )
    if first.marker is not None and first.marker.numbered:
        return True
    return (
        _meant_to_end(group, row) or abs(row.line.x0 - group.rows[-1].line.x0) > 0.5 * row.line.size
    )


def _is_indented(group: Group, row: Row, below: Row | None) -> bool:
    last, em = group.rows[-1], 0.8 * row.line.size
    first = group.rows[0]
    if first.marker is not None:
        if row.line.x0 < first.line.x0 - em / 2:
            return True
        # Text below the marker belongs to the item only if the row above was full.
        return row.line.x0 < first.text_x - em and _meant_to_end(group, row)
    shift = row.line.x0 - last.line.x0
    if shift > em:
        if len(group.rows) == 1 and below is not None and abs(below.line.x0 - row.line.x0) < em / 2:
            return _meant_to_end(group, row)  # else it hangs, as entries of bibliographies do
        return True
    if shift < -em:
        return len(group.rows) > 1 or _meant_to_end(group, row)
    return False


def _meant_to_end(group: Group, row: Row) -> bool:
    """Tell whether the first word of a row would have had room on the row above."""
    last = group.rows[-1]
    if row.entry and last.entry:
        return True
    word = row.text.split(" ", 1)[0]
    letter = (row.line.x1 - row.line.x0) / max(len(row.line.text), 1)
    right = max(group.right, row.line.x1)
    return right - last.line.x1 > 1.15 * len(word) * letter + 0.9 * row.line.size


def ends_full(group: Group) -> bool:
    """Tell whether its last row is full, so that the text may go on elsewhere."""
    last = group.rows[-1]
    return group.right - last.line.x1 < 0.12 * max(group.right - last.line.x0, 1.0) + last.line.size


def is_terminal(text: str) -> bool:
    """Tell whether a text ends as a sentence does."""
    return _TERMINAL.search(text[-_TAIL:]) is not None
