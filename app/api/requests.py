"""Reading HTTP requests: from headers and body to the four parameters of a GraphQL request."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import Message, Receive

from app.api.answers import HTTP_STATUS, Code
from app.db.columns import new_id

JSON_MEDIA_TYPE = "application/json"
GRAPHQL_MEDIA_TYPE = "application/graphql-response+json"
STREAM_MEDIA_TYPE = "text/event-stream"
PREFLIGHT_HEADERS = (
    "graphql-require-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
    "x-requested-with",
)
"""A page of another origin cannot send these before the browser has asked us; a form never can."""

REQUEST_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}")
MAX_FILES = 100
MAX_FIELDS = 10


class RequestRefused(Exception):
    """A request that is answered before GraphQL has a say."""

    def __init__(
        self, code: str, message: str, *, status: int | None = None, headers: Mapping[str, str] = {}
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status or HTTP_STATUS[code]
        self.headers = headers


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """The four parameters of a GraphQL request."""

    query: str | None
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any] | None


async def read_operation(request: Request, *, json_limit_bytes: int) -> OperationRequest:
    """Read what a request asks for. The files in it stay open until the request is closed.

    Raises:
        RequestRefused: it is not well-formed.
    """
    try:
        if request.method == "GET":
            return operation_request(_query_parameters(request))
        _refuse_other_encodings(request)
        if has_files(request):
            _refuse_without_preflight(request)
            return operation_request(await _multipart(request, json_limit_bytes=json_limit_bytes))
        if content_type(request) == JSON_MEDIA_TYPE:
            return operation_request(read_json(await request.body()))
    except json.JSONDecodeError as error:
        raise bad_request(f"The request is not valid JSON: {error.msg}.") from None
    except ClientDisconnect:
        raise bad_request("The request ended early.") from None
    raise RequestRefused(
        Code.UNSUPPORTED_MEDIA_TYPE,
        "Send the request as application/json, or as multipart/form-data with files.",
    )


def read_json(data: str | bytes) -> object:
    """Read JSON from a caller.

    Raises:
        JSONDecodeError: for whatever reason, in words of ours; json itself has four.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise _no_json("it nests too deeply") from None
    except UnicodeDecodeError:
        raise _no_json("it is not in UTF-8") from None
    except ValueError:  # of a number that Python does not read
        raise _no_json("a number is too long") from None


def bad_request(message: str) -> RequestRefused:
    """Make the refusal of a request that is not well-formed."""
    return RequestRefused(Code.BAD_REQUEST, message)


def refuse_other_methods(request: Request) -> None:
    """Refuse what is no GraphQL request, before anything else is asked of it."""
    if request.method not in ("GET", "POST"):
        raise RequestRefused(
            Code.METHOD_NOT_ALLOWED, "GraphQL takes GET and POST.", headers={"Allow": "GET, POST"}
        )
    wants_page = "text/html" in request.headers.get("accept", "")
    if request.method == "GET" and wants_page and "query" not in request.query_params:
        raise RequestRefused(
            Code.NOT_FOUND,
            "There is no page here; send GraphQL by POST. The explorer is at /graphiql.",
        )


def bearer_token(authorization: object) -> str | None:
    """Return the token of `Bearer <token>`, None if it is anything else."""
    if not isinstance(authorization, str):
        return None
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def request_id_of(connection: HTTPConnection) -> str:
    """Return the id of a request: the one it came with, if that is a plain word, else a new one."""
    if not hasattr(connection.state, "request_id"):
        given = connection.headers.get("x-request-id", "")
        connection.state.request_id = given if REQUEST_ID.fullmatch(given) else str(new_id())
    return str(connection.state.request_id)


def ip_of(connection: HTTPConnection) -> str | None:
    """Return the address of the client, as far as the server knows."""
    return connection.client.host if connection.client else None


def content_type(request: Request) -> str:
    """Return the media type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def has_files(request: Request) -> bool:
    """Whether the body follows the GraphQL multipart request specification."""
    return content_type(request) == "multipart/form-data"


def answer_media_type(request: Request) -> str:
    """Return the media type a client asked for; one that names neither gets application/json."""
    accepted = _accepted(request)
    asked = accepted.get(GRAPHQL_MEDIA_TYPE, 0)
    return GRAPHQL_MEDIA_TYPE if 0 < asked >= accepted.get(JSON_MEDIA_TYPE, 0) else JSON_MEDIA_TYPE


def takes_gzip(request: Request) -> bool:
    """Whether a client takes an answer that is packed with gzip."""
    accepted = _accepted(request, "accept-encoding")
    return accepted.get("gzip", accepted.get("*", 0)) > 0


def takes_stream(request: Request) -> bool:
    """Whether a client names event streams among what it takes."""
    return _accepted(request).get(STREAM_MEDIA_TYPE, 0) > 0


def prefers_stream(request: Request) -> bool:
    """Whether a client wants an event stream rather than JSON; many merely list all they know."""
    accepted = _accepted(request)
    asked = accepted.pop(STREAM_MEDIA_TYPE, 0)
    answers = (JSON_MEDIA_TYPE, GRAPHQL_MEDIA_TYPE, "application/*", "*/*")
    return asked > max(accepted.get(name, 0) for name in answers)


def _accepted(request: Request, header: str = "accept") -> dict[str, float]:
    accepted = {}
    for part in request.headers.get(header, "").lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        accepted[name] = _quality(parameters)
    return accepted


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if match := re.fullmatch(r"q\s*=\s*([01](?:\.\d{0,3})?)", parameter):
            return float(match[1])
    return 1.0


def _refuse_other_encodings(request: Request) -> None:
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise RequestRefused(
            Code.UNSUPPORTED_MEDIA_TYPE, "Send the request without Content-Encoding."
        )
    _, parameters = parse_options_header(request.headers.get("content-type"))
    charset = parameters.get(b"charset", b"utf-8").decode("latin-1").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise RequestRefused(Code.UNSUPPORTED_MEDIA_TYPE, "Send the request in UTF-8.")


def _refuse_without_preflight(request: Request) -> None:
    """Refuse what the form of a strange page could send as well."""
    if not any(request.headers.get(name) for name in PREFLIGHT_HEADERS):
        raise RequestRefused(
            Code.PREFLIGHT_REQUIRED,
            "A request with files needs the header GraphQL-Require-Preflight: 1.",
        )


def limited_receive(request: Request, limit: int) -> Receive:
    """Return a receive that refuses a body of more than `limit` bytes, announced or not."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(limit)
        return message

    return receive


def _too_large(limit: int) -> RequestRefused:
    return RequestRefused(
        Code.REQUEST_TOO_LARGE, f"A request of this kind may have at most {limit} bytes."
    )


def operation_request(parameters: object) -> OperationRequest:
    """Read the parameters of a GraphQL request.

    Raises:
        RequestRefused: one of them is not what the specification says.
    """
    if isinstance(parameters, list):
        raise bad_request("Batches are not taken; send one operation in a request.")
    if not isinstance(parameters, dict):
        raise bad_request("A request must be a JSON object.")
    for name, kind, word in (
        ("query", str, "a string"),
        ("operationName", str, "a string"),
        ("variables", dict, "an object"),
        ("extensions", dict, "an object"),
    ):
        if not isinstance(parameters.get(name), kind | None):
            raise bad_request(f"{name} must be {word}.")
    if not parameters.get("query") and "persistedQuery" in (parameters.get("extensions") or {}):
        # The text that clients look for: they send the document then.
        raise RequestRefused(Code.PERSISTED_QUERY_NOT_SUPPORTED, "PersistedQueryNotSupported")
    return OperationRequest(
        query=parameters.get("query"),
        variables=parameters.get("variables"),
        operation_name=parameters.get("operationName") or None,
        extensions=parameters.get("extensions"),
    )


def _no_json(why: str) -> json.JSONDecodeError:
    return json.JSONDecodeError(why, "", 0)


def _no_constant(name: str) -> None:
    raise _no_json(f"{name} is not a number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _no_json("a number is too large")
    return number


def _query_parameters(request: Request) -> dict[str, object]:
    parameters: dict[str, object] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if name in parameters:
            text = request.query_params[name]
            parameters[name] = read_json(text) if text else None
    return parameters


async def _multipart(request: Request, *, json_limit_bytes: int) -> object:
    try:
        form = await request.form(
            max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=json_limit_bytes
        )
    except MultiPartException as error:
        raise bad_request(error.message) from None
    except HTTPException as error:  # what Starlette makes of it inside an application
        raise bad_request(error.detail) from None
    operations, paths = form.get("operations"), form.get("map")
    if not isinstance(operations, str) or not isinstance(paths, str):
        raise bad_request("A multipart request needs the fields operations and map.")
    parameters = read_json(operations)
    place_files(parameters, read_json(paths), form)
    return parameters


def place_files(operations: object, paths: object, form: FormData) -> None:
    """Put each file where `map` says: {"0": ["variables.file"]}; there must be a null there.

    Raises:
        RequestRefused: the map, or a place in it, is not what the specification says.
    """
    if not isinstance(paths, dict):
        raise bad_request("map must be a JSON object.")
    placed = 0
    for name, places in paths.items():
        file = form.get(name)
        if not isinstance(file, UploadFile):
            raise bad_request(f"map names a file {name!r} that is not in the request.")
        if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
            raise bad_request("Each entry of map must be a list of paths.")
        placed += len(places)
        if placed > MAX_FILES:  # each place is stored: a file in a thousand places is a thousand
            raise bad_request(f"map may name at most {MAX_FILES} places.")
        for place in places:
            _place(operations, place, file)


def _place(operations: object, place: str, file: UploadFile) -> None:
    *way, last = place.split(".")
    target: Any = operations
    try:
        for step in way:
            target = target[_key(target, step)]
        empty = target[_key(target, last)] is None
    except (KeyError, IndexError, TypeError, ValueError):
        empty = False
    if not empty or way[:1] != ["variables"]:
        raise bad_request(f"map puts a file at {place!r}, where the variables have no null.")
    target[_key(target, last)] = file


def _key(target: object, step: str) -> str | int:
    return step if isinstance(target, dict) or not step.isdecimal() else int(step)
