"""What leaves the server: results, and errors with a code and without a secret."""

import logging
import re
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum

from graphql import GraphQLError, GraphQLFormattedError, GraphQLSyntaxError
from strawberry.exceptions import MissingQueryError, StrawberryInputCoercionError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult

from app.api.limits import QUERY_TOO_COMPLEX
from app.errors import AppError, InvalidInput

logger = logging.getLogger(__name__)


class Code(StrEnum):
    """`extensions.code` of what GraphQL and its transports refuse; the rest are in app.errors."""

    BAD_REQUEST = "BAD_REQUEST"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    INTERNAL = "INTERNAL"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    NOT_FOUND = "NOT_FOUND"
    PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
    PREFLIGHT_REQUIRED = "PREFLIGHT_REQUIRED"
    QUERY_TOO_COMPLEX = QUERY_TOO_COMPLEX
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    SUBSCRIPTION_NEEDS_STREAM = "SUBSCRIPTION_NEEDS_STREAM"
    TOO_MANY_SUBSCRIPTIONS = "TOO_MANY_SUBSCRIPTIONS"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"


HTTP_STATUS: dict[str, int] = {
    Code.BAD_REQUEST: 400,
    Code.BAD_USER_INPUT: 400,
    Code.GRAPHQL_PARSE_FAILED: 400,
    Code.GRAPHQL_VALIDATION_FAILED: 400,
    Code.INTERNAL: 500,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.NOT_FOUND: 404,
    Code.PERSISTED_QUERY_NOT_SUPPORTED: 400,
    Code.PREFLIGHT_REQUIRED: 400,
    Code.QUERY_TOO_COMPLEX: 400,
    Code.REQUEST_TOO_LARGE: 413,
    Code.SUBSCRIPTION_NEEDS_STREAM: 400,
    Code.TOO_MANY_SUBSCRIPTIONS: 400,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
}


MEANINGS: dict[Code, str] = {
    Code.BAD_REQUEST: "The request cannot be read: not JSON, not GraphQL, or put together wrongly.",
    Code.BAD_USER_INPUT: "A variable has a value that its type does not take.",
    Code.GRAPHQL_PARSE_FAILED: "The document is not GraphQL.",
    Code.GRAPHQL_VALIDATION_FAILED: "The document does not fit the schema.",
    Code.INTERNAL: "A bug of ours; its details are in the log under the request id of the answer.",
    Code.METHOD_NOT_ALLOWED: "The HTTP method is wrong: mutations go by POST.",
    Code.NOT_FOUND: "There is nothing here.",
    Code.PERSISTED_QUERY_NOT_SUPPORTED: "The request has the hash of a document instead of it.",
    Code.PREFLIGHT_REQUIRED: "A request with files lacks the header `GraphQL-Require-Preflight`.",
    Code.QUERY_TOO_COMPLEX: "The document is too long, too deep or asks for too much; see Limits.",
    Code.REQUEST_TOO_LARGE: "The request is longer than DOCYARD_REQUEST_LIMIT_BYTES.",
    Code.SUBSCRIPTION_NEEDS_STREAM: "A subscription was sent over plain HTTP; use a websocket, or "
    "`Accept: text/event-stream`.",
    Code.TOO_MANY_SUBSCRIPTIONS: "One websocket carries too many operations at once.",
    Code.UNSUPPORTED_MEDIA_TYPE: "The content type of the request is not one that is understood.",
}


ADVICE: dict[Code, str] = {
    Code.BAD_REQUEST: "Correct the request as the message says.",
    Code.BAD_USER_INPUT: "Correct the variable that the message names.",
    Code.GRAPHQL_PARSE_FAILED: "Correct the document where the message points.",
    Code.GRAPHQL_VALIDATION_FAILED: "Compare the document with schema.graphql.",
    Code.INTERNAL: "Try again later; tell the operator the request id.",
    Code.METHOD_NOT_ALLOWED: "Use the method that the Allow header names.",
    Code.NOT_FOUND: "Check the address.",
    Code.PERSISTED_QUERY_NOT_SUPPORTED: "Send the document; clients that persist queries do so by "
    "themselves.",
    Code.PREFLIGHT_REQUIRED: "Send the header `GraphQL-Require-Preflight: 1`.",
    Code.QUERY_TOO_COMPLEX: "Ask for less in one document, or for it in several.",
    Code.REQUEST_TOO_LARGE: "Send large files by createUpload.",
    Code.SUBSCRIPTION_NEEDS_STREAM: "Open a websocket, or send `Accept: text/event-stream`.",
    Code.TOO_MANY_SUBSCRIPTIONS: "Complete an operation first, or open another websocket.",
    Code.UNSUPPORTED_MEDIA_TYPE: "Send application/json, or multipart/form-data with files.",
}
"""What a caller can do about each, in the error catalogue."""


class OperationNotNamed(CannotGetOperationTypeError):
    """There are several operations and the request names none. Strawberry would run the first."""

    def __init__(self) -> None:
        super().__init__(None)

    def as_http_error_reason(self) -> str:
        """Return the text for the caller."""
        return "The document has several operations; name one of them in operationName."


def payload(result: ExecutionResult, *, request_id: str) -> dict[str, object]:
    """Return a result as it leaves the server; one that failed as a whole has no `data`."""
    body: dict[str, object] = {}
    errors = public_errors(result.errors or (), request_id=request_id)
    if errors:
        body["errors"] = errors
    if is_request_error(result):
        return body
    body["data"] = result.data
    if result.extensions:
        body["extensions"] = result.extensions
    return body


def is_request_error(result: ExecutionResult) -> bool:
    """Whether the operation as a whole failed, so that there is no `data`, not even null."""
    errors = result.errors or ()
    return bool(errors) and result.data is None and all(error.path is None for error in errors)


def public_errors(
    errors: Sequence[GraphQLError], *, request_id: str
) -> list[GraphQLFormattedError]:
    """Return errors as they may leave the server: each with a code, bugs without a word of theirs.

    Bugs are logged, the first of a result with its traceback; neither document nor variables are.
    """
    bugs = [bug for bug in map(_bug, errors) if bug is not None]
    if bugs:
        log_bug(bugs[0], request_id=request_id, others=len(bugs) - 1)
    return [_public_error(error, request_id=request_id) for error in errors]


def log_bug(bug: BaseException, *, request_id: str, others: int = 0) -> None:
    """Write a bug of ours to the log."""
    more = f" (and {others} more)" if others else ""
    logger.error("Request %s met a bug%s", request_id, more, exc_info=bug)


def error_entry(code: str, message: str) -> GraphQLFormattedError:
    """Make an entry of `errors` that has no place in a document."""
    return {"message": message, "extensions": {"code": code}}


def internal_error(request_id: str) -> GraphQLFormattedError:
    """Make what a caller reads of a bug of ours."""
    message = f"Something went wrong on our side. The request id is {request_id}."
    return {"message": message, "extensions": {"code": Code.INTERNAL, "requestId": request_id}}


_VALUE_FOUND = re.compile(r"(?:,|[.?!]) [Ff]ound: \{.*\Z", re.DOTALL)
"""How graphql-core repeats an object that has a field too many or too few; it may hold a secret."""


TOO_MANY_ERRORS = "Too many errors processing variables"
"""What graphql-core adds after fifty of them, without a place."""


def _public_error(error: GraphQLError, *, request_id: str) -> GraphQLFormattedError:
    public = error.formatted
    public["message"] = _VALUE_FOUND.sub(".", public["message"])
    if _bug(error) is not None:
        public |= internal_error(request_id)
        return public
    cause = _cause(error)
    match cause:
        case AppError():
            public |= _refusal(cause)
        case CannotGetOperationTypeError() | InvalidOperationTypeError() | MissingQueryError():
            public |= operation_refused(cause)
        case _:
            public["extensions"] = {"code": _graphql_code(error), **(error.extensions or {})}
    return public


def _refusal(error: AppError) -> GraphQLFormattedError:
    entry = error_entry(error.code, str(error))
    if isinstance(error, InvalidInput):  # the fields of FieldError, as mutations have them
        entry["extensions"]["errors"] = [asdict(each) for each in error.errors]
    return entry


def operation_refused(
    error: CannotGetOperationTypeError | InvalidOperationTypeError | MissingQueryError,
) -> GraphQLFormattedError:
    """Say why no operation could be chosen from a document."""
    match error:
        case OperationNotNamed():
            reason = error.as_http_error_reason()
        case CannotGetOperationTypeError(operation_name=None):
            reason = "The document holds no operation."
        case CannotGetOperationTypeError(operation_name=name):
            reason = f'The document holds no operation named "{name}".'
        case InvalidOperationTypeError(operation_type=kind):
            reason = f"A {kind.value} cannot be sent this way."
        case MissingQueryError():
            reason = "The request has no query."
    return error_entry(Code.BAD_REQUEST, reason)


def _graphql_code(error: GraphQLError) -> Code:
    if not isinstance(error, GraphQLSyntaxError):
        return Code.BAD_USER_INPUT
    if error.message.endswith("Parsing aborted."):  # a limit of _parse_options, or of the stack
        return Code.QUERY_TOO_COMPLEX
    return Code.GRAPHQL_PARSE_FAILED


def _bug(error: GraphQLError) -> Exception | None:
    """Return what to log if the error is a bug of ours, None if a caller may read it."""
    if error.path is None and (error.nodes or error.message.startswith(TOO_MANY_ERRORS)):
        return None  # about the document or its variables: nothing has run yet
    cause = _cause(error)
    match cause:
        case (
            AppError()
            | CannotGetOperationTypeError()
            | InvalidOperationTypeError()
            | MissingQueryError()
            | GraphQLSyntaxError()
            | StrawberryInputCoercionError()  # a variable for an input of which one field is taken
        ):
            return None
        case GraphQLError():
            # Raised by a resolver with a code, or by graphql-core about an argument. What has
            # neither code nor place is about a value of ours that the schema cannot express.
            return None if error.extensions or cause.nodes else cause
        case _:
            return cause


def _cause(error: GraphQLError) -> Exception:
    """Return what was raised first; the error itself if that is all there is."""
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause
