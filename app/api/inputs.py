"""What may be asked for, in the schema. Left out and null both mean the default."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import strawberry
from starlette.datastructures import UploadFile
from strawberry.file_uploads import Upload
from strawberry.scalars import JSON

from app.api.tasks import Given, TaskInput
from app.api.vocabulary import JobPriority
from app.characters import UNREADABLE
from app.errors import FieldError, InvalidInput

if TYPE_CHECKING:
    # What a resolver is handed in the place of the scalar.
    FileUpload = UploadFile
else:
    FileUpload = Upload

NAME = (
    "A name for people, of up to 255 characters; made from type and number when left out. Two jobs "
    "may have the same."
)
PAGE_SLICE = (
    "The pages to work on, as Python slices a list: `0,2:5,-2:`; 0 is the first. Of an EPUB it "
    "means chapters, of the pictures that another job made of a document it chooses pictures; "
    "text, Markdown and HTML are one page. A document of which it means no page fails with "
    "OPTION."
)
LONGEST_RUN = (
    "Longest run of the job, in seconds: 1 or more, 86,400 at most where the service is not set up "
    "otherwise. Its default is the service's."
)
KEPT = (
    "How long it is kept once it has ended, in seconds: 60 to 315,360,000. Its default is the "
    "service's."
)
IDEMPOTENCY_KEY = (
    "A word of your own of up to 255 characters, kept for 24 hours: the same request with the same "
    "key brings back the first job, another request with it is refused."
)


@strawberry.input(one_of=True, description="Where a document comes from; exactly one.")
class DataSourceInput:
    file: strawberry.Maybe[FileUpload] = strawberry.field(
        description="A file sent with this request (GraphQL multipart request specification)."
    )
    document_id: strawberry.Maybe[strawberry.ID] = strawberry.field(
        description="A document that is here already."
    )
    url: strawberry.Maybe[str] = strawberry.field(
        description="An address to fetch; this service does not fetch, and refuses it."
    )


@strawberry.input(
    description="An option of a workflow by its name; `workflows` tells which there are. "
    "DOC.PASSWORD and META.* are options of every job."
)
class OptionInput:
    name: str = strawberry.field(description="Its name.")
    value: JSON = strawberry.field(description="A string, a number, true or false, by its type.")


@strawberry.input(description="A document for a job.")
class DataInput(Given):
    source: DataSourceInput = strawberry.field(description="Where it comes from.")
    filename: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Name of a file that comes with the request; the one it was sent with when "
        "left out. Refused, as tags are, for a document that is here already.",
    )
    tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Words of your own for a file that comes with the request, 100 of 100 "
        "characters at most.",
    )
    options: list[OptionInput] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Options of this document alone, in place of those of the job. Its passwords "
        "are tried before those of the job; 64 in all.",
    )


@strawberry.input(description="A job to be done.")
class CreateJobInput(Given):
    task: TaskInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="What to do; or leave it out and name a workflow. Both together are refused.",
    )
    workflow: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="A workflow by its name; the default one where there is no task either.",
    )
    profile: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="A profile of the workflow; its default when left out.",
    )
    options: list[OptionInput] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Options of the profile; beside a task DOC.PASSWORD and META.* only. Their "
        "order is kept, and only DOC.PASSWORD may stand more than once.",
    )
    name: str | None = strawberry.field(
        default=strawberry.UNSET,
        description=NAME,
    )
    group_id: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="A word of your own that groups jobs, of up to 255 characters.",
    )
    data: list[DataInput] | None = strawberry.field(
        default=strawberry.UNSET, description="Documents to work on, in this order."
    )
    document_ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Documents that are here already; worked on after `data`.",
    )
    execute_after_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="A job that has to be COMPLETED first; where it fails, is canceled or deleted, "
        "this one fails. Without documents this one works on what that one produced.",
    )
    input_tag: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="With executeAfterId, in the place of documents: work on those that carry this "
        "tag and were made of the documents of that job.",
    )
    output_tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Tags for every document that this job produces, 100 of 100 characters at "
        "most. Of PDF_IMAGES and TRANSFORM alone: the others produce none, and are refused with "
        "them.",
    )
    page_slice: str | None = strawberry.field(
        default=strawberry.UNSET,
        description=PAGE_SLICE,
    )
    priority: JobPriority | None = strawberry.field(
        default=JobPriority.NORMAL, description="Which jobs are taken up first."
    )
    start: bool | None = strawberry.field(
        default=True,
        description="False: the job is a draft and takes more data with addJobData until startJob.",
    )
    idempotency_key: str | None = strawberry.field(
        default=strawberry.UNSET,
        description=IDEMPOTENCY_KEY,
    )
    timeout_seconds: int | None = strawberry.field(
        default=strawberry.UNSET, description=LONGEST_RUN
    )
    queue_timeout_seconds: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="Longest wait for its first worker once it is started, in seconds, 1 to "
        "31,536,000; then it fails. null: however long.",
    )
    ttl_seconds: int | None = strawberry.field(
        default=strawberry.UNSET,
        description=KEPT,
    )


def text(value: str | None, loc: str, *, limit: int = 255) -> str | None:
    """Return a short text as it can be stored; empty counts as left out.

    Raises:
        InvalidInput: it is too long, or holds control characters.
    """
    if not value:
        return None
    if len(value) > limit or UNREADABLE.search(value):
        message = f"{loc} has at most {limit} characters, and no control characters."
        raise InvalidInput(FieldError((loc,), message, "string_length"))
    return value


@contextmanager
def within(loc: tuple[str, ...]) -> Iterator[None]:
    """Put the path to a part of an input before the paths of what is wrong in it."""
    try:
        yield
    except InvalidInput as error:
        errors = (replace(each, loc=(*loc, *each.loc)) for each in error.errors)
        raise type(error)(*errors) from None


def plain(value: Any, *, file: Callable[[UploadFile], str], without: Sequence[str] = ()) -> Any:  # noqa: ANN401 - any input
    """Return an input as a JSON value: what was left out is left out, a file becomes its hash."""
    match value:
        case UploadFile():
            return file(value)
        case strawberry.Some():
            return plain(value.value, file=file)
        case Enum():
            return value.value
        case list():
            return [plain(each, file=file) for each in value]
    if not is_dataclass(value):
        return value
    return {
        item.name: plain(each, file=file)
        for item in fields(value)
        if item.name not in without and (each := getattr(value, item.name)) is not None
    }
