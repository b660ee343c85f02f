"""Making conditional jobs."""

from dataclasses import fields, replace
from typing import Any

from starlette.datastructures import UploadFile

from app.api.context import Context
from app.api.creation import CreateJobSuccess, request_of, resolved_input
from app.api.inputs import CreateJobInput, plain, text, within
from app.api.jobs import Job
from app.api.pages import existing_id, id_or_none
from app.api.rule_inputs import CreateConditionalJobInput, RuleInput, RuleJobInput
from app.api.vocabulary import JobPriority, Scope
from app.errors import NotFound
from app.jobs import conditionals, given, idempotency
from app.jobs.conditionals import ConditionalRequest, Rule
from app.jobs.creation import GivenDocument, JobRequest
from app.jobs.idempotency import Fingerprint, Keyed
from app.jobs.options import camel_keys


async def create_conditional_job(
    context: Context, input: CreateConditionalJobInput
) -> CreateJobSuccess:
    """Make a conditional job; everything that can be wrong with its rules is refused here."""
    context.caller.require(Scope.WRITE)
    services, caller = context.services, context.caller
    request = _request(context, input)
    key = text(input.idempotency_key, "idempotencyKey")
    fingerprint = Fingerprint.of(
        _plain(input, without=("idempotency_key",)), keys=services.settings.link_keys
    )
    async with context.writing() as work:
        if key is not None:
            before = await idempotency.replayed(work, caller=caller, key=key, request=fingerprint)
            if before is not None:
                return CreateJobSuccess(job=Job.from_row(before), replayed=True)
        row = await conditionals.create(work, services.bell, caller=caller, request=request)
        if key is not None:
            made = [(Keyed(key, fingerprint), row)]
            await idempotency.remember(work, caller=caller, made=made)
    return CreateJobSuccess(job=Job.from_row(row), replayed=False)


def _request(context: Context, input: CreateConditionalJobInput) -> ConditionalRequest:
    settings = context.services.settings
    conditionals.parsed([(rule.name, rule.conditions) for rule in input.rules])
    return ConditionalRequest(
        execute_after_id=existing_id("job", input.execute_after_id),
        rules=[_rule(context, rule, place) for place, rule in enumerate(input.rules)],
        timeout=settings.job_timeout,
        max_attempts=settings.max_attempts,
        ttl=settings.job_ttl,
        name=text(input.name, "name"),
        group_id=text(input.group_id, "groupId"),
        priority=JobPriority.NORMAL if input.priority is None else input.priority,
        submitter_ip=context.ip,
    )


def _rule(context: Context, rule: RuleInput, place: int) -> Rule:
    loc = ("rules", str(place))
    jobs = [_job(context, job, (*loc, "jobs", str(number))) for number, job in enumerate(rule.jobs)]
    shown = [_shown(job, request) for job, request in zip(rule.jobs, jobs, strict=True)]
    return Rule(rule.name, rule.conditions, jobs, shown)


def _job(context: Context, job: RuleJobInput, loc: tuple[str, ...]) -> JobRequest:
    """Check a job of a rule as createJob would; its documents are looked for later."""
    asked = CreateJobInput(**{item.name: getattr(job, item.name) for item in fields(job)})
    with within(loc):
        request = request_of(context, asked, resolved_input(asked), supplied=True)
    documents = []
    for number, id in enumerate(job.document_ids or ()):
        found = id_or_none(id)
        if found is None:
            raise NotFound("document", id, loc=(*loc, "documentIds", str(number)))
        documents.append(GivenDocument(found))
    return replace(request, documents=documents)


def _shown(job: RuleJobInput, request: JobRequest) -> dict[str, Any]:
    """Return a job of a rule as it was given, by the names of the schema; secrets read null."""
    value: dict[str, Any] = camel_keys(_plain(job, without=("options",)))
    if request.options:
        shown = given.shown(request.options)
        value["options"] = [{"name": each.name, "value": each.value} for each in shown]
    return value


def _plain(value: Any, *, without: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - any input
    return plain(value, file=_no_file, without=without)


def _no_file(_file: UploadFile) -> str:
    raise TypeError("a rule takes no files")
