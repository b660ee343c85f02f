"""What a sandboxed child tells the worker: how it is written, and how it is read without trust.

A frame is two lengths, that many bytes of JSON, and that many bytes of UTF-8: the bodies of the
segments one after the other. They travel apart from the JSON because a hostile child may send JSON
that grows twentyfold when it is parsed; so only the JSON has to be small.
"""

import json
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from app.errors import ErrorCode, Failure
from app.jobs.results import Box, Issue, Page, Segment
from app.jobs.types import Severity

T = TypeVar("T")

NUL = "\\u0000"
"""As JSON writes it, where it is no backslash of the text itself."""
LENGTHS = struct.Struct("!II")
# Said by exit status: to write a frame takes memory.
OUT_OF_MEMORY_STATUS = 86

MOST_PAGES = 1_000_000
MOST_LISTED = 1_000_000
MESSAGE_CHARS = 1000
NAME_CHARS = 1000
DEEPEST = 50

# A child may not claim what would be held against us, or have it run again for ever.
CLAIMABLE = frozenset(ErrorCode) - {
    ErrorCode.INTERNAL,
    ErrorCode.EXTERNAL,
    ErrorCode.CONFIGURATION,
    ErrorCode.CANCELED,
    ErrorCode.EXPIRED,
    ErrorCode.POISONED,
    ErrorCode.WORKER_LOST,
}


class ProtocolBroken(Exception):
    """The bytes are not a frame that an unharmed child would send."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The child is confined and about to open the document; from here on it is not trusted."""


@dataclass(frozen=True, slots=True)
class Unready:
    """The child could not get as far as the document."""

    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The processor has returned."""


Frame = Ready | Unready | Page | Failure | Done


def encode(frame: Frame) -> bytes:
    """Return the frame as bytes, without NULs and lone surrogates: no database would take them.

    Raises:
        TypeError, ValueError: a number is not finite, or a checkpoint is not JSON.
    """
    bodies: list[bytes] = []
    match frame:
        case Ready():
            value: dict[str, Any] = {"kind": "ready"}
        case Unready(reason=reason):
            value = {"kind": "unready", "reason": reason}
        case Page():
            bodies = [_clean(part.body).encode(errors="replace") for part in frame.segments]
            value = _page_value(frame, sizes=[len(body) for body in bodies])
        case Failure(code=code, message=message):
            value = {"kind": "failed", "code": code, "message": message[:MESSAGE_CHARS]}
        case Done():
            value = {"kind": "done"}
    head = _json(value)
    if NUL in head:
        head = _json(_clean(value))
    head_bytes = head.encode(errors="replace")
    lengths = LENGTHS.pack(len(head_bytes), sum(map(len, bodies)))
    return b"".join([lengths, head_bytes, *bodies])


def decode(head: bytes | bytearray, text: bytes | bytearray) -> Frame:
    """Read what `encode` wrote, and nothing else.

    Raises:
        ProtocolBroken: anything is missing, left over, of another type or out of range.
    """
    try:
        return _frame(json.loads(head.decode(), parse_constant=_not_finite), text)
    except (
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:
        # The error's own words may quote the child.
        raise ProtocolBroken(type(error).__name__) from None


def _page_value(page: Page, *, sizes: list[int]) -> dict[str, Any]:
    return {
        "kind": "page",
        "number": page.number,
        "total": page.total,
        "segments": [
            {
                "body_bytes": size,
                "page": part.page,
                "headings": list(part.headings),
                "boxes": [[box.page, box.x0, box.y0, box.x1, box.y1] for box in part.boxes],
                "lang": part.lang,
                "place": part.place,
            }
            for part, size in zip(page.segments, sizes, strict=True)
        ],
        "issues": [
            [issue.code, issue.message, issue.page, issue.severity] for issue in page.issues
        ],
        "checkpoint": page.checkpoint,
    }


# What is written here is built of what was read: it cannot contain itself.
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
)


def _json(value: object) -> str:
    return _ENCODER.encode(value)


def _clean(value: Any) -> Any:  # noqa: ANN401 - what comes out is as it came in
    match value:
        case str():
            return value.replace("\0", "")
        case dict():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
    return value


def _frame(value: dict[str, Any], text: bytes | bytearray) -> Frame:
    kind = value.pop("kind")
    if text and kind != "page":
        raise ValueError
    match kind:
        case "ready":
            frame: Frame = Ready()
        case "unready":
            frame = Unready(_text(value.pop("reason"), most=MESSAGE_CHARS))
        case "page":
            frame = _page(value, text)
        case "failed":
            frame = _failure(value)
        case "done":
            frame = Done()
        case _:
            raise ValueError
    if value:
        raise ValueError
    return frame


def _failure(value: dict[str, Any]) -> Failure:
    code = ErrorCode(value.pop("code"))
    message = _text(value.pop("message"), most=MESSAGE_CHARS)
    if code not in CLAIMABLE:
        raise ValueError
    return Failure(code, re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", message))


def _page(value: dict[str, Any], text: bytes | bytearray) -> Page:
    total = _whole(value.pop("total"), most=MOST_PAGES)
    number = _whole(value.pop("number"), most=total)
    bodies = _Bodies(text)
    segments = _tuple(
        value.pop("segments"), lambda part: _segment(part, bodies, number=number, total=total)
    )
    if not bodies.used_up:
        raise ValueError
    issues = _tuple(value.pop("issues"), lambda issue: _issue(issue, total=total))
    checkpoint = value.pop("checkpoint")
    if not isinstance(checkpoint, dict):
        raise TypeError
    # A checkpoint comes with every page: what C code can rule out is not walked through in Python.
    written = _json(checkpoint)
    written.encode()  # a lone surrogate gets through JSON, but into no database
    if NUL in written:
        _check_json(checkpoint, depth=0)
    return Page(number=number, total=total, segments=segments, issues=issues, checkpoint=checkpoint)


class _Bodies:
    """The text of a frame, cut off piece by piece."""

    def __init__(self, text: bytes | bytearray) -> None:
        self._text = memoryview(text)

    @property
    def used_up(self) -> bool:
        return not self._text

    def cut(self, size_bytes: int) -> str:
        body, self._text = self._text[:size_bytes], self._text[size_bytes:]
        if len(body) != size_bytes:
            raise ValueError
        return _text(str(body, "utf-8"), most=size_bytes)


def _segment(value: object, bodies: _Bodies, *, number: int, total: int) -> Segment:
    if not isinstance(value, dict):
        raise TypeError
    segment = Segment(
        body=bodies.cut(_whole(value.pop("body_bytes"), least=0, most=2**32)),
        page=_whole(value.pop("page"), most=number),
        headings=_tuple(value.pop("headings"), lambda item: _text(item, most=MOST_LISTED)),
        boxes=_tuple(value.pop("boxes"), lambda box: _box(box, total=total)),
        lang=_language(value.pop("lang")),
        place=_text(value.pop("place"), most=NAME_CHARS),
    )
    if value:
        raise ValueError
    return segment


def _box(value: object, *, total: int) -> Box:
    page, *edges = _list(value)
    x0, y0, x1, y1 = map(_finite, edges)
    return Box(page=_whole(page, most=total), x0=x0, y0=y0, x1=x1, y1=y1)


def _issue(value: object, *, total: int) -> Issue:
    code, message, page, severity = _list(value)
    return Issue(
        code=_text(code, most=NAME_CHARS),
        message=_text(message, most=MOST_LISTED),
        page=None if page is None else _whole(page, most=total),
        severity=Severity(severity),
    )


def _language(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch("[a-z]{2,3}", value):
        return value
    raise ValueError


def _check_json(value: object, *, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError
    match value:
        case str():
            _text(value, most=len(value))
        case list():
            for item in value:
                _check_json(item, depth=depth + 1)
        case dict():
            for key, item in value.items():
                _text(key, most=len(key))
                _check_json(item, depth=depth + 1)
        case float():
            _finite(value)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list) or len(value) > MOST_LISTED:
        raise TypeError
    return value


def _tuple(value: object, read: Callable[[object], T]) -> tuple[T, ...]:
    return tuple(read(item) for item in _list(value))


def _text(value: object, *, most: int) -> str:
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise ValueError
    if not value.isascii():
        value.encode()  # a lone surrogate gets through JSON, but into no database
    return value


def _whole(value: object, *, least: int = 1, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError
    return value


def _finite(value: object) -> float:
    # A truth value is no number, though Python counts it as one.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _not_finite(_name: str) -> NoReturn:
    raise ValueError
