"""Tables by their ruling lines: a grid, or horizontal rules only and gaps between columns."""

from dataclasses import dataclass

from workers.processors.lines import Line, Rule, Sheet
from workers.processors.writing import cell, table

_NEAR = 3.5
_LONGEST_GRID = 60  # ruling lines in one direction; more is graph paper
_MOST_RULES = 400  # in one direction, on a page; more is a drawing
_FEWEST_ACROSS = 2
_SHORTEST_ACROSS, _SHORTEST_DOWN = 12.0, 6.0
_FILLED = 0.3  # share of a grid's cells that must hold text


@dataclass(slots=True)
class Grid:
    """A table on a page, as Markdown."""

    x0: float
    y0: float
    x1: float
    y1: float
    text: str


def find(sheet: Sheet) -> tuple[list[Grid], list[Line]]:
    """Return the tables of a sheet, and the lines that stand in none of them."""
    across, down = _directions(sheet.rules)
    if not across:
        return [], sheet.lines
    grids: list[Grid] = []
    lines = sheet.lines
    for group_across, group_down in _groups(across, down):
        grid, lines = (
            _ruled(group_across, group_down, lines) if group_down else _open(group_across, lines)
        )
        if grid is not None:
            grids.append(grid)
    return grids, lines


def _directions(rules: list[Rule]) -> tuple[list[Rule], list[Rule]]:
    across = _whole([r for r in rules if r[3] - r[1] < r[2] - r[0]])
    across = [rule for rule in across if rule[2] - rule[0] >= _SHORTEST_ACROSS]
    if len(across) < _FEWEST_ACROSS:
        return [], []
    # What joins rules across joins rules down, once x and y are exchanged.
    down = [_flipped(r) for r in _whole([_flipped(r) for r in rules if r[2] - r[0] < r[3] - r[1]])]
    down = [rule for rule in down if rule[3] - rule[1] >= _SHORTEST_DOWN]
    if len(across) > _MOST_RULES or len(down) > _MOST_RULES:
        return [], []
    return across, down


def _flipped(rule: Rule) -> Rule:
    return rule[1], rule[0], rule[3], rule[2]


def _whole(rules: list[Rule]) -> list[Rule]:
    """Rules across are often drawn cell by cell: put together what lies on one line and touches."""
    whole: list[Rule] = []
    for rule in sorted(rules, key=lambda rule: (round(rule[1] + rule[3]), rule[0])):
        last = whole[-1] if whole else None
        on_line = last is not None and abs(last[1] + last[3] - rule[1] - rule[3]) < 2.0
        if last is not None and on_line and rule[0] <= last[2] + _NEAR:
            whole[-1] = (last[0], last[1], max(last[2], rule[2]), last[3])
        else:
            whole.append(rule)
    return whole


def _groups(across: list[Rule], down: list[Rule]) -> list[tuple[list[Rule], list[Rule]]]:
    """Rules that touch each other, or free horizontal rules of the same extent."""
    groups: list[tuple[list[Rule], list[Rule]]] = []
    rest = sorted(across, key=lambda rule: rule[1])
    left = list(down)
    while left:
        ours_down, ours_across = [left.pop()], list[Rule]()
        grown = True
        while grown:
            touching = [rule for rule in rest if any(_touch(rule, other) for other in ours_down)]
            rest = [rule for rule in rest if rule not in touching] if touching else rest
            ours_across += touching
            more = [rule for rule in left if any(_touch(other, rule) for other in touching)]
            left = [rule for rule in left if rule not in more] if more else left
            ours_down += more
            grown = bool(touching or more)
        groups.append((ours_across, ours_down))
    groups += [(group, []) for group in _stacks(rest)]
    return sorted(groups, key=lambda group: min((rule[1] for rule in group[0]), default=0.0))


def _touch(across: Rule, down: Rule) -> bool:
    return (
        across[0] - _NEAR <= down[2]
        and down[0] <= across[2] + _NEAR
        and down[1] - _NEAR <= across[3]
        and across[1] <= down[3] + _NEAR
    )


def _stacks(rules: list[Rule]) -> list[list[Rule]]:
    stacks: list[list[Rule]] = []
    for rule in rules:
        for stack in stacks:
            if abs(stack[0][0] - rule[0]) < _NEAR and abs(stack[0][2] - rule[2]) < _NEAR:
                stack.append(rule)
                break
        else:
            stacks.append([rule])
    return stacks


def _ruled(
    across: list[Rule], down: list[Rule], lines: list[Line]
) -> tuple[Grid | None, list[Line]]:
    ys = _merged([(rule[1] + rule[3]) / 2 for rule in across])
    xs = _merged([(rule[0] + rule[2]) / 2 for rule in down])
    if len(ys) < 3 or len(xs) < 2 or len(xs) > _LONGEST_GRID or len(ys) > 3 * _LONGEST_GRID:
        return None, lines
    # The outer frame may be missing at the sides.
    left, right = min(rule[0] for rule in across), max(rule[2] for rule in across)
    xs = (
        ([left] if left < xs[0] - 2 * _NEAR else [])
        + xs
        + ([right] if right > xs[-1] + 2 * _NEAR else [])
    )
    if len(xs) < 3:
        return None, lines
    cells: list[list[list[Line]]] = [[[] for _ in xs[1:]] for _ in ys[1:]]
    rest = []
    for line in lines:
        row, column = _slot(ys, (line.y0 + line.y1) / 2), _slot(xs, (line.x0 + line.x1) / 2)
        if row is None or column is None:
            rest.append(line)
        elif line.x1 > xs[column + 1] + _NEAR and line.x0 < xs[column]:
            cells[row][_slot(xs, line.x0 + 1) or 0].append(line)
        else:
            cells[row][column].append(line)
    if not _is_framed(xs, ys, across, down):
        return None, lines
    rows = _without_empty([[_cell_text(found) for found in row] for row in cells])
    if not _is_table(rows):
        return None, lines
    return Grid(xs[0], ys[0], xs[-1], ys[-1], table(rows)), rest


def _is_framed(xs: list[float], ys: list[float], across: list[Rule], down: list[Rule]) -> bool:
    """The lines of figures cross too; the rules of a table reach from side to side."""
    width, height = xs[-1] - xs[0], ys[-1] - ys[0]
    for place, y in enumerate(ys):
        covered = _covered([(r[0], r[2]) for r in across if abs((r[1] + r[3]) / 2 - y) < _NEAR])
        if covered < (0.8 if place in (0, len(ys) - 1) else 0.3) * width:
            return False
    for x in xs[1:-1]:
        if (
            _covered([(r[1], r[3]) for r in down if abs((r[0] + r[2]) / 2 - x) < _NEAR])
            < 0.3 * height
        ):
            return False
    return True


def _covered(spans: list[tuple[float, float]]) -> float:
    length, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        length += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return length


def _merged(values: list[float]) -> list[float]:
    merged: list[float] = []
    for value in sorted(values):
        if merged and value - merged[-1] < _NEAR:
            continue
        merged.append(value)
    return merged


def _slot(edges: list[float], at: float) -> int | None:
    for place in range(len(edges) - 1):
        if edges[place] <= at < edges[place + 1]:
            return place
    return None


def _cell_text(lines: list[Line]) -> str:
    if not lines:
        return ""
    if len(lines) > 1:
        if not lines[0].level:
            lines = sorted(lines, key=lambda line: line.x0)
        else:
            lines = [line for row in _rows(lines) for line in row]
    return cell(" ".join(line.text for line in lines))


def _without_empty(rows: list[list[str]]) -> list[list[str]]:
    rows = [row for row in rows if any(row)]
    filled = [any(row[column] for row in rows) for column in range(len(rows[0]) if rows else 0)]
    return [[text for text, keep in zip(row, filled, strict=True) if keep] for row in rows]


def _is_table(rows: list[list[str]]) -> bool:
    if len(rows) < 2 or len(rows[0]) < 2:
        return False
    texts = [text for row in rows for text in row]
    return sum(map(bool, texts)) >= max(3, _FILLED * len(texts))


def _rows(lines: list[Line]) -> list[list[Line]]:
    """Lines on one height, from left to right; rows from top to bottom."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: (line.y0 + line.y1, line.x0)):
        if rows and line.y0 + line.y1 - rows[-1][0].y0 - rows[-1][0].y1 < 0.8 * line.size:
            rows[-1].append(line)
        else:
            rows.append([line])
    for row in rows:
        row.sort(key=lambda line: line.x0)
    return rows


def _open(across: list[Rule], lines: list[Line]) -> tuple[Grid | None, list[Line]]:
    """A table with rules above, below its header and at its end, none between its columns."""
    ys = _merged([(rule[1] + rule[3]) / 2 for rule in across])
    if not 3 <= len(ys) <= _LONGEST_GRID:
        return None, lines
    x0, x1 = min(rule[0] for rule in across) - _NEAR, max(rule[2] for rule in across) + _NEAR
    inside = [
        line
        for line in lines
        if ys[0] < (line.y0 + line.y1) / 2 < ys[-1] and x0 <= line.x0 and line.x1 <= x1
    ]
    rows = _rows(inside)
    edges = _gaps(rows, x0, x1)
    if len(rows) < 3 or len(edges) < 3:
        return None, lines
    cells = []
    for row in rows:
        texts: list[list[Line]] = [[] for _ in edges[1:]]
        for line in row:
            texts[_slot(edges, (line.x0 + line.x1) / 2) or 0].append(line)
        cells.append([_cell_text(found) for found in texts])
    header = sum((row[0].y0 + row[0].y1) / 2 < ys[1] for row in rows)
    cells = _unwrapped(cells, max(header, 1))
    if not _is_table(cells) or sum(bool(text) for row in cells for text in row) < 0.6 * len(
        cells
    ) * len(cells[0]):
        return None, lines
    taken = set(map(id, inside))
    return Grid(x0, ys[0], x1, ys[-1], table(cells)), [
        line for line in lines if id(line) not in taken
    ]


def _gaps(rows: list[list[Line]], x0: float, x1: float) -> list[float]:
    """The x between columns: where no line of any row stands."""
    spans = sorted((line.x0, line.x1) for row in rows for line in row)
    edges, end = [x0], None
    for start, stop in spans:
        if end is not None and start - end > 4.0:
            edges.append((start + end) / 2)
        end = stop if end is None else max(end, stop)
    return [*edges, x1]


def _unwrapped(cells: list[list[str]], header: int) -> list[list[str]]:
    """Header rows become one; a row without a first cell goes on with the row above it."""
    joined: list[list[str]] = []
    for place, row in enumerate(cells):
        if joined and (place < header or (place > header and not row[0])):
            joined[-1] = [
                f"{above} {text}".strip() for above, text in zip(joined[-1], row, strict=True)
            ]
        else:
            joined.append(row)
    return joined
