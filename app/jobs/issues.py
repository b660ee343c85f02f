"""Issues as documents keep them, and what the log of the job tells of them.

A broken file of 10,000 pages has 10,000 issues and nothing new to say after a few: so many are
kept, the first of each code is told when it is found, and their number when the document ends.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from app.jobs.events import Note
from app.jobs.results import severity_of
from app.jobs.types import EventKind, Severity

MAX_ISSUES = 100
"""Issues kept of one document."""
MAX_TOLD = 10
"""Codes of issues that the log tells of for one document."""

Kept = dict[str, Any]
"""As `Issue.to_json` writes it."""

_WEIGHTS = {Severity.INFO: 0, Severity.WARNING: 1, Severity.ERROR: 2}


def most(issues: Sequence[Kept]) -> list[Kept]:
    """Return at most MAX_ISSUES of them in their order: the first of those that matter most."""
    if len(issues) <= MAX_ISSUES:
        return list(issues)
    places = sorted(range(len(issues)), key=lambda place: -_WEIGHTS[severity_of(issues[place])])
    return [issues[place] for place in sorted(places[:MAX_ISSUES])]


def news(before: Sequence[Kept], kept: Sequence[Kept], document_id: UUID) -> Iterator[Note]:
    """Give what to log of issues that are kept now: the first of each code."""
    told = {issue["code"] for issue in before}
    for issue in kept:
        if issue["code"] not in told and len(told) < MAX_TOLD:
            told.add(issue["code"])
            page = "" if issue["page"] is None else f"Page {issue['page']}: "
            text = f"{page}{issue['message']} ({issue['code']})"
            yield Note(EventKind.LOG, text, severity_of(issue), document_id)


def summary(kept: Sequence[Kept], document_id: UUID) -> Note | None:
    """Return what to log of the issues of a document that ends; None where all was told."""
    counts = Counter(issue["code"] for issue in kept)
    if len(kept) == len(counts) <= MAX_TOLD:
        return None
    number = f"{len(kept)} issues or more" if len(kept) == MAX_ISSUES else f"{len(kept)} issues"
    often = counts.most_common(MAX_TOLD)
    listed = ", ".join(f"{code} {count}" for code, count in often)
    if len(often) < len(counts):
        listed += f", and {len(kept) - sum(count for _, count in often)} more"
    worst = max((severity_of(issue) for issue in kept), key=_WEIGHTS.__getitem__)
    return Note(EventKind.LOG, f"{number}: {listed}.", worst, document_id)
