"""Named workflows: each a type of job, its profiles, and the options that a caller may set.

A workflow resolves to the same typed task that `task` of createJob would name. To add one is to add
it to WORKFLOWS: its fields are those of the task that callers may set by an option.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from app.errors import AppError, FieldError, InvalidInput, UnsupportedFeature
from app.jobs import checks, extras
from app.jobs.extras import Extra
from app.jobs.given import PASSWORD, GivenOption
from app.jobs.models import Job
from app.jobs.option_specs import (
    COMMON,
    CUSTOM_META,
    MAX_PASSWORDS,
    TOO_MANY_PASSWORDS,
    Loc,
    OptionSpec,
    check_options,
)
from app.jobs.options import TASKS, Category, ImageFormat, Task, TransformOutput, task_of
from app.jobs.types import JobType, OptionType


@dataclass(frozen=True, slots=True)
class Profile:
    """A workflow with some fields of its task set. `preset`: by their names in the task."""

    name: str
    description: str
    preset: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workflow:
    """Work by its name. The first of `profiles` is the default; `fields` are set by options."""

    name: str
    type: JobType
    description: str
    profiles: tuple[Profile, ...]
    fields: tuple[str, ...] = ()

    @property
    def missing(self) -> Extra | None:
        """Return the extra without which it is not available here, None where it is."""
        extra = extras.needed_for(self.type)
        return None if extra is None or extra.installed else extra


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a request comes to. The names are None where it was asked for by a task."""

    task: Task
    workflow: str | None = None
    profile: str | None = None


WORKFLOWS = (
    Workflow(
        "Segment",
        JobType.SEGMENT,
        "Cut documents into pieces that make sense by themselves, as Markdown.",
        (
            Profile("default", "Pieces of a section or so."),
            Profile("search", "Small pieces, for an index.", {"max_size": 1000}),
            Profile("reading", "Large pieces, for long contexts.", {"max_size": 20_000}),
        ),
        fields=("max_size", "doc_type"),
    ),
    Workflow(
        "Page images",
        JobType.PDF_IMAGES,
        "Make a picture of each page of a PDF.",
        (
            Profile("default", "For reading: 150 dpi, nothing lost."),
            Profile(
                "screen", "Small files: 96 dpi, JPEG.", {"dpi": 96, "format": ImageFormat.JPEG}
            ),
            Profile("print", "For printing: 300 dpi, nothing lost.", {"dpi": 300}),
        ),
        fields=("dpi", "format", "quality"),
    ),
    Workflow(
        "Convert to text",
        JobType.TRANSFORM,
        "Make one plain text of each document, in the order of reading.",
        (Profile("default", "UTF-8.", {"output": TransformOutput.TEXT}),),
    ),
    Workflow(
        "Predict",
        JobType.PREDICT,
        "Sort documents into categories of your own, which need no examples.",
        (Profile("default", "The categories are an option that must be set."),),
        fields=("categories",),
    ),
)
"""The first is the default."""


def default_workflow() -> Workflow:
    """Return the workflow of a request that names neither a task nor a workflow."""
    return WORKFLOWS[0]


def by_name(name: str) -> Workflow | None:
    """Return a workflow, None where there is none of this name."""
    return next((each for each in WORKFLOWS if each.name == name), None)


def specs(workflow: Workflow, profile: Profile) -> tuple[OptionSpec, ...]:
    """Return the options that a profile takes, with the values that they have when left out."""
    kind = TASKS[workflow.type]
    hints = get_type_hints(kind)
    found = {each.name: each for each in fields(kind)}
    own = [_spec(workflow.type, found[name], hints[name], profile) for name in workflow.fields]
    return (*own, *COMMON, CUSTOM_META)


def resolve(
    *,
    task: Task | None,
    workflow: str | None,
    profile: str | None,
    given: Sequence[GivenOption],
) -> Resolved:
    """Return the checked task that a request for a job comes to.

    Raises:
        InvalidInput: a task beside a workflow or profile, an unknown name, a bad option or value.
        UnsupportedFeature: a value asks for work that this service cannot do.
    """
    if task is not None:
        for name, value in (("workflow", workflow), ("profile", profile)):
            if value is not None:
                message = f"A task and a {name} exclude each other; leave one out."
                raise InvalidInput(FieldError((name,), message, "unexpected"))
        check_options(given, (*COMMON, CUSTOM_META), loc=("options",), of="A task")
        checks.check(task)
        return Resolved(task)
    chosen, variant = _named(workflow, profile)
    if (extra := chosen.missing) is not None:
        message = f"{chosen.name} is not available here: it needs an extra, {extra.how}."
        raise UnsupportedFeature(FieldError(("workflow",), message, "unsupported"))
    return Resolved(_task(chosen, variant, given, ("options",)), chosen.name, variant.name)


def resolved_of(job: Job) -> Resolved:
    """Return what the request for a job came to."""
    return Resolved(task_of(job.type, job.settings), job.workflow, job.profile)


def check_document(
    resolved: Resolved, given: Sequence[GivenOption], *, job_passwords: int, loc: Loc
) -> None:
    """Do nothing where a document of a job may have these options of its own.

    job_passwords: how many passwords the job itself has.

    Raises:
        InvalidInput, UnsupportedFeature: as `resolve`; or there are too many passwords in all.
    """
    _of_document(resolved, given, loc)
    own = sum(option.name == PASSWORD for option in given)
    if own and own + job_passwords > MAX_PASSWORDS:
        raise InvalidInput(FieldError(loc, TOO_MANY_PASSWORDS, "option"))


def task_of_document(resolved: Resolved, given: Sequence[GivenOption]) -> Task:
    """Return the task of one document: that of the job, changed by the document's own options.

    Raises:
        InvalidInput, UnsupportedFeature: an option is not known any more, or its value not good.
    """
    return _of_document(resolved, given, ("options",))


def _of_document(resolved: Resolved, given: Sequence[GivenOption], loc: Loc) -> Task:
    if resolved.workflow is None:
        check_options(given, (*COMMON, CUSTOM_META), loc=loc, of="A task")
        return resolved.task
    chosen, variant = _named(resolved.workflow, resolved.profile)
    return _task(chosen, variant, given, loc, base=resolved.task)


def _named(workflow: str | None, profile: str | None) -> tuple[Workflow, Profile]:
    chosen = default_workflow() if workflow is None else by_name(workflow)
    if chosen is None:
        names = ", ".join(each.name for each in WORKFLOWS)
        message = f"There is no such workflow; there are: {names}."
        raise InvalidInput(FieldError(("workflow",), message, "unknown"))
    if profile is None:
        return chosen, chosen.profiles[0]
    for each in chosen.profiles:
        if each.name == profile:
            return chosen, each
    names = ", ".join(each.name for each in chosen.profiles)
    message = f"The workflow {chosen.name} has no such profile; it has: {names}."
    raise InvalidInput(FieldError(("profile",), message, "unknown"))


def _task(
    workflow: Workflow,
    profile: Profile,
    given: Sequence[GivenOption],
    loc: Loc,
    *,
    base: Task | None = None,
) -> Task:
    """Return the task of a profile, or `base` in its place, changed by these options."""
    of = f"The workflow {workflow.name} with the profile {profile.name}"
    found = check_options(given, specs(workflow, profile), loc=loc, of=of)
    changes = {spec.field: value for spec, value in found if spec.field is not None}
    kind = TASKS[workflow.type]
    values = dict(profile.preset) if base is None else _fields(base)
    _check_complete(workflow, kind, values | changes, loc)
    task: Task = kind(**values | changes)
    places = {
        spec.field.replace("_", ""): (place, spec.name)
        for place, (spec, _) in enumerate(found)
        if spec.field is not None
    }
    try:
        checks.check(task)
    except InvalidInput as error:
        raise _about_options(error, places, loc) from None
    return task


def _fields(task: Task) -> dict[str, Any]:
    return {each.name: getattr(task, each.name) for each in fields(task)}


def _check_complete(
    workflow: Workflow, kind: type[Task], values: Mapping[str, Any], loc: Loc
) -> None:
    for each in fields(kind):
        if each.name not in values and each.default is MISSING:
            message = f"The option {_option_name(workflow.type, each.name)} must be set."
            raise InvalidInput(FieldError(loc, message, "option"))


def _about_options(
    error: InvalidInput, places: Mapping[str, tuple[int, str]], loc: Loc
) -> AppError:
    """Say of a fault of the task which option it comes from."""
    found = []
    for each in error.errors:
        field = each.loc[2] if len(each.loc) > len(("task", "type")) else ""
        if field.lower() not in places:
            found.append(FieldError(loc, each.msg, "option"))
            continue
        place, name = places[field.lower()]
        here = (*loc, str(place), "value")
        found.append(FieldError(here, each.msg.replace(field, name, 1), "option"))
    return type(error)(*found)


def _spec(type: JobType, of: Any, hint: Any, profile: Profile) -> OptionSpec:  # noqa: ANN401 - a field and its annotation
    default = profile.preset.get(of.name, None if of.default is MISSING else of.default)
    kind, listed = _kind(hint)
    return OptionSpec(
        name=_option_name(type, of.name),
        type=OptionType.STRING if listed else _json_type(kind),
        description=of.metadata["help"] + (" Separated by commas." if listed else ""),
        default=_json_default(default),
        field=of.name,
        kind=kind,
        listed=listed,
    )


def _option_name(type: JobType, field: str) -> str:
    return f"{type}.{field.upper()}"


def _kind(hint: Any) -> tuple[type, bool]:  # noqa: ANN401 - any annotation of a field
    if isinstance(hint, UnionType):  # X | None
        (hint,) = (each for each in get_args(hint) if each is not NoneType)
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


def _json_type(kind: type) -> OptionType:
    if kind is bool:
        return OptionType.BOOLEAN
    return OptionType.NUMBER if kind in (int, float) else OptionType.STRING


def _json_default(value: Any) -> Any:  # noqa: ANN401 - the default of any field
    if isinstance(value, tuple):
        return ", ".join(each.name if isinstance(each, Category) else each for each in value)
    return value
