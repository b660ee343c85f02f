"""The options that callers may set: their JSON types, and the values that were given for them."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.characters import UNSTORABLE
from app.errors import FieldError, InvalidInput
from app.jobs.given import META, PASSWORD, GivenOption
from app.jobs.types import OptionType

MAX_OPTIONS = 200
MAX_PASSWORDS = 64
MAX_PASSWORD_CHARS = 1000
MAX_TEXT_CHARS = 10_000
_META_NAME = re.compile(r"META\.[A-Z][A-Z0-9_]{0,63}")

Loc = tuple[str, ...]


TOO_MANY_PASSWORDS = f"At most {MAX_PASSWORDS} passwords can be tried on one document."


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """An option that may be set: its JSON type, and what it means when it is not.

    field: of the task, which it sets. kind: what that field holds; an int is a NUMBER without a
    fraction, an enum a STRING that is one of its words. listed: a STRING holds several, separated
    by commas.
    """

    name: str
    type: OptionType
    description: str
    default: Any = None
    repeatable: bool = False
    secret: bool = False
    field: str | None = None
    kind: Callable[[Any], Any] = str
    listed: bool = False


COMMON = (
    OptionSpec(
        PASSWORD,
        OptionType.STRING,
        "A password for locked files, also for files embedded in or attached to them. May stand "
        f"up to {MAX_PASSWORDS} times; the empty one is tried first, then each in its order.",
        repeatable=True,
        secret=True,
    ),
    *(
        OptionSpec(f"{META}{name}", OptionType.STRING, f"{what} of what the job produces.")
        for name, what in (
            ("AUTHOR", "The author"),
            ("TITLE", "The title"),
            ("SUBJECT", "The subject"),
            ("KEYWORDS", "Keywords"),
        )
    ),
)
"""Options of every profile, which may also stand beside a task."""

CUSTOM_META = OptionSpec(
    f"{META}<NAME>",
    OptionType.STRING,
    "Any other word of yours about what the job produces; the name in capitals, digits and _.",
)


def check_options(
    given: Sequence[GivenOption], known: Sequence[OptionSpec], *, loc: Loc, of: str
) -> list[tuple[OptionSpec, Any]]:
    """Return each option with its spec and its value as the task has it.

    of: what they are options of, as the beginning of a sentence.

    Raises:
        InvalidInput: an option is unknown, repeated or of another type. No message repeats a value,
            nor a name: callers confuse the two.
    """
    if len(given) > MAX_OPTIONS:
        raise InvalidInput(FieldError(loc, f"At most {MAX_OPTIONS} options can be set.", "option"))
    by_name = {spec.name: spec for spec in known if spec is not CUSTOM_META}
    errors: list[FieldError] = []
    seen: set[str] = set()
    found: list[tuple[OptionSpec, Any]] = []
    for place, option in enumerate(given):
        here = (*loc, str(place))
        spec = by_name.get(option.name)
        if spec is None and _META_NAME.fullmatch(option.name):
            spec = CUSTOM_META
        if spec is None:
            names = ", ".join(spec.name for spec in known)
            message = f"{of} takes no such option; there are: {names}."
            errors.append(FieldError((*here, "name"), message, "option"))
            continue
        if option.name in seen and not spec.repeatable:
            message = f"{option.name} stands twice; only {PASSWORD} may be repeated."
            errors.append(FieldError((*here, "name"), message, "option"))
        seen.add(option.name)
        try:
            found.append((spec, _value(spec, option)))
        except _WrongValue as wrong:
            errors.append(FieldError((*here, "value"), f"{option.name} {wrong}.", "option"))
    if sum(option.name == PASSWORD for option in given) > MAX_PASSWORDS:
        errors.append(FieldError(loc, TOO_MANY_PASSWORDS, "option"))
    if errors:
        raise InvalidInput(*errors)
    return found


class _WrongValue(Exception):
    """Says what a value should be; never what it is."""


def _value(spec: OptionSpec, option: GivenOption) -> Any:  # noqa: ANN401 - of the field it is for
    value = option.value
    match spec.type:
        case OptionType.BOOLEAN:
            if not isinstance(value, bool):
                raise _WrongValue("takes true or false")
            return value
        case OptionType.NUMBER:
            return _number(spec, value)
        case OptionType.STRING:
            return _string(spec, value)


def _number(spec: OptionSpec, value: Any) -> int | float:  # noqa: ANN401 - any JSON
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _WrongValue("takes a number")
    number = "a whole number" if spec.kind is int else "a number"
    try:
        found: int | float = spec.kind(value)
    except (ValueError, OverflowError):  # infinity, what is no number, what no float can hold
        raise _WrongValue(f"takes {number}") from None
    if found != value or found in {math.inf, -math.inf}:
        raise _WrongValue(f"takes {number}")
    return found


def _string(spec: OptionSpec, value: Any) -> Any:  # noqa: ANN401 - any JSON
    if not isinstance(value, str):
        raise _WrongValue("takes a string")
    most = MAX_PASSWORD_CHARS if spec.secret else MAX_TEXT_CHARS
    if len(value) > most or UNSTORABLE.search(value):
        raise _WrongValue(f"has at most {most:,} characters, NUL not among them")
    if spec.listed:
        return tuple(_word(spec, part.strip()) for part in value.split(",") if part.strip())
    return _word(spec, value)


def _word(spec: OptionSpec, value: str) -> Any:  # noqa: ANN401 - of the field it is for
    try:
        return spec.kind(value)
    except ValueError:
        words = ", ".join(getattr(spec.kind, "__members__", ()))
        raise _WrongValue(f"is one of: {words}") from None
