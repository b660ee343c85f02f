"""Rules, and jobs that hang on them, as they may be asked for."""

import strawberry
from strawberry.scalars import JSON

from app.api.inputs import (
    IDEMPOTENCY_KEY,
    KEPT,
    LONGEST_RUN,
    NAME,
    PAGE_SLICE,
    OptionInput,
)
from app.api.tasks import Given, TaskInput
from app.api.vocabulary import JobPriority

CONDITIONS = (
    "What has to hold of the result: {field: value}, {field: {operator: value, ...}} or "
    "{field: [{operator: value}, value, ...]}; all of it must. The operators are $eq, $ne, $gt, "
    "$gte, $lt, $lte, $in and $nin, with the meaning that MongoDB gives them. Dotted names reach "
    "into objects and lists. A literal list is written {$eq: [...]}, since a list means: all of "
    "these."
)
RULE_NAME = (
    "A name of its own: 1 to 100 printable characters without a dot, the first of them no $. It is "
    "a field of the result, which the conditions of other jobs reach by it."
)


@strawberry.input(description="A rule without jobs, to see what it would come to.")
class RuleConditionsInput:
    name: str = strawberry.field(description=RULE_NAME)
    conditions: JSON = strawberry.field(description=CONDITIONS)


@strawberry.input(
    description="A job of a rule. Without documents it works on what the job before it in the rule "
    "produced; with `inputTag`, on the documents that carry the tag and were made of those of the "
    "job whose result the rules look at."
)
class RuleJobInput(Given):
    name: str | None = strawberry.field(
        default=strawberry.UNSET,
        description=NAME,
    )
    task: TaskInput | None = strawberry.field(default=strawberry.UNSET, description="What to do.")
    workflow: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="In the place of a task: the name of a workflow; the default one when both are "
        "left out.",
    )
    profile: str | None = strawberry.field(
        default=strawberry.UNSET, description="A profile of the workflow."
    )
    options: list[OptionInput] | None = strawberry.field(
        default=strawberry.UNSET, description="Options, as for createJob; their order is kept."
    )
    document_ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="The documents to work on, in this order."
    )
    input_tag: str | None = strawberry.field(
        default=strawberry.UNSET, description="The tag of the documents to work on."
    )
    output_tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Tags for every document that it produces: of PDF_IMAGES and TRANSFORM alone.",
    )
    page_slice: str | None = strawberry.field(
        default=strawberry.UNSET,
        description=PAGE_SLICE,
    )
    priority: JobPriority | None = strawberry.field(
        default=JobPriority.NORMAL, description="Which jobs are taken up first."
    )
    timeout_seconds: int | None = strawberry.field(
        default=strawberry.UNSET, description=LONGEST_RUN
    )
    ttl_seconds: int | None = strawberry.field(
        default=strawberry.UNSET,
        description=KEPT,
    )


@strawberry.input(description="Jobs that run where the result of another job says so.")
class RuleInput:
    name: str = strawberry.field(description=RULE_NAME)
    conditions: JSON = strawberry.field(description=CONDITIONS)
    jobs: list[RuleJobInput] = strawberry.field(
        description="The jobs that run then, each after the one before it."
    )


@strawberry.input(description="A job that waits for another one and looks at its result.")
class CreateConditionalJobInput(Given):
    execute_after_id: strawberry.ID = strawberry.field(
        description="The job whose result the rules look at."
    )
    rules: list[RuleInput] = strawberry.field(
        description="The rules, 1 to 50. Any number of them may hold; their jobs run side by side."
    )
    name: str | None = strawberry.field(
        default=strawberry.UNSET,
        description=NAME,
    )
    group_id: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="A word of your own that groups jobs; its children get it, too.",
    )
    priority: JobPriority | None = strawberry.field(
        default=JobPriority.NORMAL, description="Which jobs are taken up first."
    )
    idempotency_key: str | None = strawberry.field(
        default=strawberry.UNSET,
        description=IDEMPOTENCY_KEY,
    )
