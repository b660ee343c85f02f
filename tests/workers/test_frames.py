import json

import pytest

from app.failures import ErrorCode, Failure
from app.jobs.results import (
    Box,
    CategoryScore,
    Issue,
    Page,
    Prediction,
    ProducedFile,
    Segment,
)
from app.jobs.types import Severity
from workers.frames import LENGTHS, Done, Frame, ProtocolBroken, Ready, Unready, decode, encode

SEGMENT = {
    "body_bytes": 2,
    "page": 1,
    "headings": [],
    "boxes": [[1, 0, 0.5, 2, 3]],
    "lang": None,
    "place": "",
}
PAGE = {
    "kind": "page",
    "number": 1,
    "total": 2,
    "segments": [SEGMENT],
    "issues": [["ODD", "Odd.", None, "WARNING"]],
    "checkpoint": {},
    "files": [[3, "image/png", 1, None]],
    "prediction": None,
    "attached": 0,
    "left_out": [0, 0],
}
PREDICTION = {
    "category": "a",
    "accuracy": 0.5,
    "score": 1,
    "scores": [{"category": "a", "score": 1}],
    "evidencePages": [1],
}


def read(frame: bytes) -> Frame:
    head_bytes, text_bytes = LENGTHS.unpack(frame[: LENGTHS.size])
    rest = frame[LENGTHS.size :]
    assert len(rest) == head_bytes + text_bytes
    return decode(rest[:head_bytes], rest[head_bytes:])


@pytest.mark.parametrize(
    "frame",
    [
        Ready(),
        Unready("no such file"),
        Done(),
        Failure(ErrorCode.CORRUPT, "The page tree is broken."),
        Page(1, 1),
        Page(
            number=2,
            total=3,
            attached=2,
            left_out=1,
            left_out_in_all=2,
            segments=(
                Segment("Grüße, κόσμε", 1, ("A", "Ω"), (Box(2, -1.5, 0.0, 3.0, 4.0),), "el", "p1"),
                Segment("", 2),
            ),
            issues=(Issue("ODD", "Odd.", 2), Issue("FINE", "Fine.", severity=Severity.INFO)),
            checkpoint={"tail": "C:\\users ü", "deep": [{"a": None, "b": [1, 2.5, True]}]},
            files=(
                ProducedFile(b"\0\xff", "image/webp", page=2),
                ProducedFile("ü".encode(), "text/plain", offset=0),
            ),
            prediction=Prediction(
                "ü", 0.25, 0.5, (CategoryScore("ü", 0.5), CategoryScore("b", 0.0)), (2, 1)
            ),
        ),
    ],
)
def test_a_frame_is_read_as_it_was_written(frame: Frame) -> None:
    assert read(encode(frame)) == frame


def test_what_no_database_takes_is_left_out() -> None:
    page = Page(1, 1, (Segment("a\0b\ud800c", 1, ("\0",)),), checkpoint={"\0k": ["\0\ud800"]})

    read_back = read(encode(page))

    assert read_back == Page(1, 1, (Segment("ab?c", 1, ("",)),), checkpoint={"k": ["?"]})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        encode(Page(1, 1, (Segment("a", 1, boxes=(Box(1, 0, 0, 0, number),)),)))


def test_a_page_of_the_examples_is_good() -> None:
    assert isinstance(decode(json.dumps(PAGE).encode(), b"ab\0\xff\0"), Page)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"kind": None},
        {"extra": 1},
        {"number": 0},
        {"number": 3},
        {"number": True},
        {"number": 1.0},
        {"number": "1"},
        {"total": 10**9},
        {"total": -1},
        {"segments": None},
        {"segments": {}},
        {"segments": [None]},
        {"segments": [{**SEGMENT, "extra": 1}]},
        {"segments": [{**SEGMENT, "body_bytes": 1}]},
        {"segments": [{**SEGMENT, "body_bytes": 3}]},
        {"segments": [{**SEGMENT, "body_bytes": -1}]},
        {"segments": [{**SEGMENT, "page": 2}]},
        {"segments": [{**SEGMENT, "headings": "AB"}]},
        {"segments": [{**SEGMENT, "headings": [1]}]},
        {"segments": [{**SEGMENT, "headings": ["\ud800"]}]},
        {"segments": [{**SEGMENT, "headings": ["\0"]}]},
        {"segments": [{**SEGMENT, "boxes": [[1, 0, 0, 0]]}]},
        {"segments": [{**SEGMENT, "boxes": [[]]}]},
        {"segments": [{**SEGMENT, "boxes": [[3, 0, 0, 0, 0]]}]},
        {"segments": [{**SEGMENT, "boxes": [[1, 0, 0, 0, "1"]]}]},
        {"segments": [{**SEGMENT, "boxes": [[1, 0, 0, 0, True]]}]},
        {"segments": [{**SEGMENT, "boxes": [[1, 0, 0, 0, 10**400]]}]},
        {"segments": [{**SEGMENT, "boxes": [[1, 0, 0, 0, float("inf")]]}]},
        {"segments": [{**SEGMENT, "lang": "English"}]},
        {"segments": [{**SEGMENT, "lang": 1}]},
        {"segments": [{**SEGMENT, "place": "x" * 1001}]},
        {"issues": [["ODD", "Odd.", None]]},
        {"issues": [["ODD", "Odd.", 3, "INFO"]]},
        {"issues": [[1, "Odd.", None, "INFO"]]},
        {"issues": [["ODD", "Odd.", None, "FATAL"]]},
        {"issues": [["ODD", "Odd.", None, None]]},
        {"files": None},
        {"files": [[2, "image/png", 1, None]]},
        {"files": [[4, "image/png", 1, None]]},
        {"files": [[3, "text/html", 1, None]]},
        {"files": [[3, [], 1, None]]},
        {"files": [[3, "image/png", 2, None]]},
        {"files": [[3, "image/png", True, None]]},
        {"files": [[3, "image/png", None, None]]},
        {"files": [[3, "image/png", 1, 0]]},
        {"files": [[3, "text/plain", None, -1]]},
        {"files": [[1, "image/png", 1, None], [2, "image/png", 1, None]]},
        {"attached": 2},
        {"attached": -1},
        {"attached": None},
        {"left_out": None},
        {"left_out": [0]},
        {"left_out": [2, 2]},
        {"left_out": [1, 0]},
        {"left_out": [0, 2]},
        {"left_out": [True, 1]},
        {"prediction": {}},
        {"prediction": {**PREDICTION, "more": 1}},
        {"prediction": {**PREDICTION, "category": "b"}},
        {"prediction": {**PREDICTION, "accuracy": 1.1}},
        {"prediction": {**PREDICTION, "score": True}},
        {"prediction": {**PREDICTION, "scores": [["a", 1]]}},
        {"prediction": {**PREDICTION, "scores": [{"category": "a", "score": 1, "more": 1}]}},
        {"prediction": {**PREDICTION, "evidencePages": [3]}},
        {"checkpoint": []},
        {"checkpoint": {"a": "\ud800"}},
        {"checkpoint": {"\0": 1}},
        {"checkpoint": {"a": float("nan")}},
    ],
    ids=str,
)
def test_a_page_is_refused_that_an_unharmed_child_would_not_send(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolBroken):
        decode(json.dumps({**PAGE, **change}).encode(), b"ab\0\xff\0")


@pytest.mark.parametrize("missing", sorted(PAGE))
def test_a_page_is_refused_that_lacks_a_part(missing: str) -> None:
    page = {name: value for name, value in PAGE.items() if name != missing}

    with pytest.raises(ProtocolBroken):
        decode(json.dumps(page).encode(), b"ab\0\xff\0")


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (b"", b""),
        (b"\xff", b""),
        (b"null", b""),
        (b'"kind"', b""),
        (b"[]", b""),
        (b"{}", b""),
        (b"[" * 100_000, b""),
        (b"9" * 5000, b""),
        (b'{"kind":"done"}', b"x"),
        (b'{"kind":"done","more":1}', b""),
        (b'{"kind":"failed","code":"NO_SUCH","message":""}', b""),
        (b'{"kind":"failed","code":"CORRUPT","message":1}', b""),
        (json.dumps(PAGE).encode(), b"\xff\xff"),
        (json.dumps(PAGE).encode(), b"a\0"),
    ],
)
def test_bytes_are_refused_that_are_no_frame(head: bytes, text: bytes) -> None:
    with pytest.raises(ProtocolBroken):
        decode(head, text)


@pytest.mark.parametrize("code", ["WORKER_LOST", "EXTERNAL", "INTERNAL", "CANCELED", "POISONED"])
def test_a_child_cannot_blame_the_service(code: str) -> None:
    head = json.dumps({"kind": "failed", "code": code, "message": "It was not me."})

    with pytest.raises(ProtocolBroken):
        decode(head.encode(), b"")


def test_a_failure_has_one_line() -> None:
    head = json.dumps({"kind": "failed", "code": "CORRUPT", "message": "a\n\x1b[31mb"})

    assert decode(head.encode(), b"") == Failure(ErrorCode.CORRUPT, "a [31mb")
