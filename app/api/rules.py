"""Rules in the schema: as they were given, what they came to, and what they would come to."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from app import errors
from app.api.context import Context, Info
from app.api.pages import existing_id
from app.api.problems import Conflict, InvalidInput, NotFound
from app.api.rule_inputs import RuleConditionsInput
from app.errors import FieldError
from app.jobs import conditionals, rules
from app.jobs.conditions import Condition
from app.jobs.states import JobStatus
from app.jobs.values import TooCostly

if TYPE_CHECKING:
    from app.api.jobs import Job

JobLater = Annotated["Job", strawberry.lazy("app.api.jobs")]


@strawberry.type(description="A rule of a conditional job, as it was given.")
class Rule:
    name: str = strawberry.field(description="Its name, the only one of its kind in the job.")
    conditions: JSON = strawberry.field(description="What has to hold of the result.")
    jobs: JSON = strawberry.field(
        description="The jobs that run then, in their order; values of secret options are null."
    )

    @classmethod
    def from_row(cls, rule: Mapping[str, Any]) -> Self:
        """Translate a rule as its job keeps it."""
        return cls(name=rule["name"], conditions=rule["conditions"], jobs=rule["jobs"])


@strawberry.type(description="One demand of a rule, and what became of it.")
class Clause:
    field: str = strawberry.field(description="The name of the field.")
    operator: str = strawberry.field(
        description="One of $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin; $eq where none was written."
    )
    expected: JSON | None = strawberry.field(description="What the field is held against.")
    seen: JSON | None = strawberry.field(
        description="What was there; where the name went through a list and came to several "
        "values, a list of them."
    )
    missing: bool = strawberry.field(description="True where nothing was there at all.")
    truncated: bool = strawberry.field(
        description="True where `seen` is only the beginning of what was there."
    )
    holds: bool = strawberry.field(description="Whether the demand is met.")

    @classmethod
    def from_value(cls, clause: Mapping[str, Any]) -> Self:
        """Translate a clause as its job keeps it."""
        names = ("field", "operator", "expected", "seen", "missing", "holds")
        return cls(**{name: clause[name] for name in names}, truncated=clause["cut"])


@strawberry.type(
    description="What a rule came to: whether it held, each of its demands with the value it saw, "
    "and the jobs it ran, in order."
)
class RuleResult:
    job_ids: strawberry.Private[list[UUID]]

    name: str = strawberry.field(description="Its name.")
    matched: bool = strawberry.field(description="Whether it held.")
    clauses: list[Clause] = strawberry.field(description="Its demands, in the order given.")

    @strawberry.field(
        description="The jobs that it ran, in their order; those that were deleted are left out."
    )
    async def jobs(self, info: Info) -> list[JobLater]:
        from app.api.jobs import Job as Shown  # noqa: PLC0415 - jobs and their results name each other

        rows = await info.context.loaders.jobs.load_many(self.job_ids)
        info.context.spend(len(rows))
        return [Shown.from_row(row) for row in rows if row is not None]


@strawberry.type(description="What came of the rules of a conditional job.")
class ConditionalResult:
    rules: list[RuleResult] = strawberry.field(description="Every rule, in the order given.")

    @classmethod
    def from_row(cls, found: list[dict[str, Any]] | None) -> Self | None:
        """Translate the rules of a job; None where they were not looked at yet."""
        if not found or found[0]["matched"] is None:
            return None
        return cls(
            rules=[
                RuleResult(
                    job_ids=[UUID(id) for id in rule["jobIds"]],
                    name=rule["name"],
                    matched=rule["matched"],
                    clauses=[Clause.from_value(clause) for clause in rule["clauses"]],
                )
                for rule in found
            ]
        )


@strawberry.type(description="What a rule would come to.")
class RuleVerdict:
    name: str = strawberry.field(description="Its name.")
    matched: bool = strawberry.field(description="Whether it holds.")
    clauses: list[Clause] = strawberry.field(description="Its demands, in the order given.")


@strawberry.type(description="What these rules come to on the result of the job.")
class RulePreview:
    rules: list[RuleVerdict] = strawberry.field(description="Every rule, in the order given.")


PreviewRulesResult = Annotated[
    RulePreview | InvalidInput | NotFound | Conflict,
    strawberry.union("PreviewRulesResult", description="What rules would come to."),
]


async def preview_rules(context: Context, id: str, asked: list[RuleConditionsInput]) -> RulePreview:
    """Judge rules on the result of a finished job; nothing is run and nothing is kept.

    Raises:
        InvalidInput: a rule is not right, or the result is too large for it.
        NotFound: there is no such job.
        Conflict: it has no result.
    """
    parsed = conditionals.parsed([(rule.name, rule.conditions) for rule in asked])
    row = await context.loaders.jobs.load(existing_id("job", id))
    if row is None:
        raise errors.NotFound("job", id)
    if row.status is not JobStatus.COMPLETED:
        raise errors.Conflict(
            f"The job is {row.status}; only a COMPLETED one has a result.", job_id=row.id
        )
    # In a thread: fifty rules on a large result may take a second.
    verdicts = await asyncio.to_thread(_verdicts, [rule.name for rule in asked], parsed, row.result)
    return RulePreview(rules=verdicts)


def _verdicts(
    names: list[str],
    parsed: list[tuple[Condition, ...]],
    result: Any,  # noqa: ANN401 - any JSON
) -> list[RuleVerdict]:
    return [
        _verdict(name, wanted, result, place)
        for place, (name, wanted) in enumerate(zip(names, parsed, strict=True))
    ]


def _verdict(
    name: str,
    wanted: tuple[Condition, ...],
    result: Any,  # noqa: ANN401 - any JSON
    place: int,
) -> RuleVerdict:
    try:
        verdict = rules.judge(wanted, result)
    except TooCostly:
        message = "The result is too large for these conditions."
        error = FieldError(("rules", str(place), "conditions"), message, "too_large")
        raise errors.InvalidInput(error) from None
    clauses = [Clause.from_value(rules.to_json(clause)) for clause in verdict.clauses]
    return RuleVerdict(name=name, matched=verdict.matched, clauses=clauses)
