"""Workflows, their profiles and options in the schema; options as a job was given them."""

from collections.abc import Iterable, Sequence
from typing import Self

import strawberry
from strawberry.scalars import JSON

from app.api.inputs import OptionInput
from app.api.vocabulary import JobType, OptionType
from app.jobs import given, workflows
from app.jobs.given import GivenOption, Kept


@strawberry.type(description="An option that a profile takes.")
class OptionSpec:
    name: str = strawberry.field(description="Its name.")
    type: OptionType = strawberry.field(description="The JSON type of its value.")
    default: JSON | None = strawberry.field(
        description="Its value when it is left out; null for none."
    )
    repeatable: bool = strawberry.field(description="Whether it may stand more than once.")
    secret: bool = strawberry.field(
        description="Whether its value is sealed, shown to nobody, and forgotten when the job ends."
    )
    description: str = strawberry.field(description="What it is for.")


@strawberry.type(description="A workflow with some of its options preset.")
class Profile:
    name: str = strawberry.field(description="Its name in its workflow.")
    is_default: bool = strawberry.field(description="Whether it is taken when none is named.")
    description: str = strawberry.field(description="What it is for.")
    options: list[OptionSpec] = strawberry.field(description="The options it takes.")


@strawberry.type(description="Work by its name.")
class Workflow:
    name: str = strawberry.field(description="Its name.")
    is_default: bool = strawberry.field(
        description="Whether it is taken where neither a task nor a workflow is named."
    )
    available: bool = strawberry.field(
        description="Whether this service can do it; where not, its jobs are refused, and "
        "`service { capabilities }` says what is missing."
    )
    description: str = strawberry.field(description="What it does.")
    type: JobType = strawberry.field(description="The type of its jobs.")
    profiles: list[Profile] = strawberry.field(description="Its profiles, the default first.")

    @classmethod
    def of(cls, workflow: workflows.Workflow) -> Self:
        """Translate a workflow of the middle."""
        return cls(
            name=workflow.name,
            is_default=workflow is workflows.default_workflow(),
            available=workflow.missing is None,
            description=workflow.description,
            type=workflow.type,
            profiles=[_profile(workflow, each) for each in workflow.profiles],
        )


@strawberry.type(description="An option as it was given.")
class Option:
    name: str = strawberry.field(description="Its name.")
    value: JSON | None = strawberry.field(
        description="Its value; null where it is secret, also once it is forgotten."
    )


def all_workflows() -> list[Workflow]:
    """Return every workflow, the default first."""
    return [Workflow.of(each) for each in workflows.WORKFLOWS]


def workflow_of(name: str) -> Workflow | None:
    """Return a workflow by its name, None where there is none."""
    found = workflows.by_name(name)
    return None if found is None else Workflow.of(found)


def options_of(kept: Iterable[Kept]) -> list[Option]:
    """Return the options that a row keeps as callers see them."""
    return [
        Option(name=each.name, value=None if each.value is None else JSON(each.value))
        for each in given.shown(kept)
    ]


def given_options(options: Sequence[OptionInput] | None) -> list[GivenOption]:
    """Return options of an input in their order."""
    return [GivenOption(each.name, each.value) for each in options or ()]


def _profile(workflow: workflows.Workflow, profile: workflows.Profile) -> Profile:
    return Profile(
        name=profile.name,
        is_default=profile is workflow.profiles[0],
        description=profile.description,
        options=[
            OptionSpec(
                name=spec.name,
                type=spec.type,
                default=None if spec.default is None else JSON(spec.default),
                repeatable=spec.repeatable,
                secret=spec.secret,
                description=spec.description,
            )
            for spec in workflows.specs(workflow, profile)
        ],
    )
