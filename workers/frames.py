"""What a sandboxed child tells the worker: how it is written, and how it is read without trust.

A frame is two lengths, that many bytes of JSON, and that many bytes of content: the bodies of the
segments in UTF-8 and the produced files, one after the other. They travel apart from the JSON
because a hostile child may send JSON that grows twentyfold when it is parsed; so only the JSON has
to be small.
"""

import json
import re
import struct
from dataclasses import dataclass
from typing import Any

from app.failures import ErrorCode, Failure
from app.jobs.results import (
    DRAFT_TYPE,
    PRODUCED_TYPES,
    Box,
    CategoryScore,
    Issue,
    Page,
    Prediction,
    ProducedFile,
    Segment,
)
from app.jobs.types import Severity
from workers import values

NUL = "\\u0000"
"""As JSON writes it, where it is no backslash of the text itself."""
LENGTHS = struct.Struct("!II")
# Said by exit status: to write a frame takes memory.
OUT_OF_MEMORY_STATUS = 86

MOST_PAGES = 1_000_000
MOST_FILE_BYTES = 2**40
MESSAGE_CHARS = 1000
NAME_CHARS = 1000

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
    contents: list[bytes] = []
    match frame:
        case Ready():
            value: dict[str, Any] = {"kind": "ready"}
        case Unready(reason=reason):
            value = {"kind": "unready", "reason": reason}
        case Page():
            contents = [_clean(part.body).encode(errors="replace") for part in frame.segments]
            value = _page_value(frame, sizes=[len(body) for body in contents])
            contents += [file.content for file in frame.files]
        case Failure(code=code, message=message):
            value = {"kind": "failed", "code": code, "message": message[:MESSAGE_CHARS]}
        case Done():
            value = {"kind": "done"}
    head = _json(value)
    if NUL in head:
        head = _json(_clean(value))
    head_bytes = head.encode(errors="replace")
    lengths = LENGTHS.pack(len(head_bytes), sum(map(len, contents)))
    return b"".join([lengths, head_bytes, *contents])


def decode(head: bytes | bytearray, content: bytes | bytearray) -> Frame:
    """Read what `encode` wrote, and nothing else.

    Raises:
        ProtocolBroken: anything is missing, left over, of another type or out of range.
    """
    try:
        return _frame(json.loads(head.decode(), parse_constant=values.not_finite), content)
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
        "files": [
            [len(file.content), file.media_type, file.page, file.offset] for file in page.files
        ],
        "prediction": None if page.prediction is None else page.prediction.to_json(),
        "attached": page.attached,
        "left_out": [page.left_out, page.left_out_in_all],
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


def _frame(value: dict[str, Any], content: bytes | bytearray) -> Frame:
    kind = value.pop("kind")
    if content and kind != "page":
        raise ValueError
    match kind:
        case "ready":
            frame: Frame = Ready()
        case "unready":
            frame = Unready(values.text(value.pop("reason"), most=MESSAGE_CHARS))
        case "page":
            frame = _page(value, content)
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
    message = values.text(value.pop("message"), most=MESSAGE_CHARS)
    if code not in CLAIMABLE:
        raise ValueError
    return Failure(code, re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", message))


def _page(value: dict[str, Any], content: bytes | bytearray) -> Page:
    total = values.whole(value.pop("total"), most=MOST_PAGES)
    number = values.whole(value.pop("number"), most=total)
    contents = _Contents(content)
    segments = values.each(
        value.pop("segments"), lambda part: _segment(part, contents, number=number, total=total)
    )
    issues = values.each(value.pop("issues"), lambda issue: _issue(issue, total=total))
    files = _files(value.pop("files"), contents, number=number)
    left_out, left_out_in_all = value.pop("left_out")
    if not contents.used_up:
        raise ValueError
    return Page(
        number=number,
        total=total,
        segments=segments,
        issues=issues,
        checkpoint=_checkpoint(value.pop("checkpoint")),
        files=files,
        prediction=_prediction(value.pop("prediction"), total=total),
        attached=values.whole(value.pop("attached"), least=0, most=total - 1),
        left_out=values.whole(left_out, least=0, most=number),
        left_out_in_all=values.whole(
            left_out_in_all, least=left_out, most=min(total - 1, left_out + total - number)
        ),
    )


def _checkpoint(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    # A checkpoint comes with every page: what C code can rule out is not walked through in Python.
    written = _json(value)
    written.encode()  # a lone surrogate gets through JSON, but into no database
    if NUL in written:
        values.check_json(value, depth=0)
    return value


class _Contents:
    """The content of a frame, cut off piece by piece."""

    def __init__(self, content: bytes | bytearray) -> None:
        self._content = memoryview(content)

    @property
    def used_up(self) -> bool:
        return not self._content

    def cut(self, size_bytes: int) -> memoryview:
        piece, self._content = self._content[:size_bytes], self._content[size_bytes:]
        if len(piece) != size_bytes:
            raise ValueError
        return piece


def _segment(value: object, contents: _Contents, *, number: int, total: int) -> Segment:
    if not isinstance(value, dict):
        raise TypeError
    body = contents.cut(values.whole(value.pop("body_bytes"), least=0, most=2**32))
    segment = Segment(
        body=values.text(str(body, "utf-8"), most=len(body)),
        page=values.whole(value.pop("page"), most=number),
        headings=values.each(
            value.pop("headings"), lambda item: values.text(item, most=values.MOST_LISTED)
        ),
        boxes=values.each(value.pop("boxes"), lambda box: _box(box, total=total)),
        lang=_language(value.pop("lang")),
        place=values.text(value.pop("place"), most=NAME_CHARS),
    )
    if value:
        raise ValueError
    return segment


def _box(value: object, *, total: int) -> Box:
    page, *edges = values.listed(value)
    x0, y0, x1, y1 = map(values.finite, edges)
    return Box(page=values.whole(page, most=total), x0=x0, y0=y0, x1=x1, y1=y1)


def _issue(value: object, *, total: int) -> Issue:
    code, message, page, severity = values.listed(value)
    return Issue(
        code=values.text(code, most=NAME_CHARS),
        message=values.text(message, most=values.MOST_LISTED),
        page=None if page is None else values.whole(page, most=total),
        severity=Severity(severity),
    )


def _files(value: object, contents: _Contents, *, number: int) -> tuple[ProducedFile, ...]:
    files = values.each(value, lambda file: _file(file, contents, number=number))
    # Each makes a row: at most one picture of the page, and one piece of the whole.
    if len({file.page for file in files}) != len(files):
        raise ValueError
    return files


def _file(value: object, contents: _Contents, *, number: int) -> ProducedFile:
    size_bytes, media_type, page, offset = values.listed(value)
    is_piece = offset is not None
    if media_type not in ({DRAFT_TYPE} if is_piece else PRODUCED_TYPES):
        raise ValueError
    if page is not None if is_piece else page != number:
        raise ValueError
    return ProducedFile(
        content=bytes(contents.cut(values.whole(size_bytes, least=0, most=2**32))),
        media_type=media_type,
        page=None if page is None else values.whole(page, most=number),
        offset=None if offset is None else values.whole(offset, least=0, most=MOST_FILE_BYTES),
    )


def _prediction(value: object, *, total: int) -> Prediction | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise TypeError
    prediction = Prediction(
        category=values.text(value.pop("category"), most=NAME_CHARS),
        accuracy=values.share(value.pop("accuracy")),
        score=values.share(value.pop("score")),
        scores=values.each(value.pop("scores"), _category_score),
        evidence_pages=values.each(
            value.pop("evidencePages"), lambda page: values.whole(page, most=total)
        ),
    )
    if value or prediction.category not in {each.category for each in prediction.scores}:
        raise ValueError
    return prediction


def _category_score(value: object) -> CategoryScore:
    if not isinstance(value, dict):
        raise TypeError
    score = CategoryScore(
        values.text(value.pop("category"), most=NAME_CHARS), values.share(value.pop("score"))
    )
    if value:
        raise ValueError
    return score


def _language(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch("[a-z]{2,3}", value):
        return value
    raise ValueError
