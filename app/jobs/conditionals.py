"""Conditional jobs: rules on the result of another job, and the jobs that run where they hold."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlmodel import col, select

from app.accounts.caller import Caller
from app.clock import now
from app.db.work import ReadSession, Work
from app.documents.models import Document, DocumentStatus
from app.errors import FieldError, InvalidInput, NotFound
from app.failures import ErrorCode, Failure
from app.jobs import creation, dependents, events, limits, recording, runs
from app.jobs import rules as evaluation
from app.jobs.conditions import Condition, parse
from app.jobs.creation import GivenDocument, JobRequest
from app.jobs.events import Note
from app.jobs.models import Job, RuleDocument
from app.jobs.options import task_of, to_json, type_of
from app.jobs.queue import Doorbell
from app.jobs.rules import Verdict, judge
from app.jobs.runs import Run
from app.jobs.states import JobStatus
from app.jobs.supply import produces_documents
from app.jobs.types import EventKind, JobOutcome, JobPriority, JobType, Severity
from app.jobs.values import TooCostly

MAX_RULES = 50
MAX_JOBS = 200
MAX_CONDITIONS = 500
MAX_NAMED = 10_000
"""Documents in all of the jobs of the rules: each is a parameter of one statement."""
MAX_NAME_CHARS = 100


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule that is asked for. shown: its jobs as they were given, for whoever reads it."""

    name: str
    conditions: Any
    jobs: Sequence[JobRequest]
    shown: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalRequest:
    """A conditional job that is asked for."""

    execute_after_id: UUID
    rules: Sequence[Rule]
    timeout: timedelta
    max_attempts: int
    ttl: timedelta
    name: str | None = None
    group_id: str | None = None
    priority: JobPriority = JobPriority.NORMAL
    submitter_ip: str | None = None


@dataclass(slots=True)
class Judgement:
    """What the rules of a job came to, or why they could not be judged."""

    verdicts: list[Verdict] = field(default_factory=list)
    failure: Failure | None = None


def parsed(rules: Sequence[tuple[str, Any]]) -> list[tuple[Condition, ...]]:
    """Return the conditions of rules that are given by their names and their conditions.

    Raises:
        InvalidInput: there is no rule, too much of them, one without a name or with that of another
            one, or conditions that are none; with the paths to what is wrong.
    """
    _check_names([name for name, _ in rules])
    found = [
        parse(conditions, loc=("rules", str(place), "conditions"))
        for place, (_, conditions) in enumerate(rules)
    ]
    if sum(map(len, found)) > MAX_CONDITIONS:
        message = f"The rules may have at most {MAX_CONDITIONS} conditions in all."
        raise InvalidInput(FieldError(("rules",), message, "too_long"))
    return found


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise InvalidInput(FieldError(("rules",), "There has to be a rule.", "missing"))
    if len(names) > MAX_RULES:
        message = f"There may be at most {MAX_RULES} rules."
        raise InvalidInput(FieldError(("rules",), message, "too_long"))
    errors = []
    for place, name in enumerate(names):
        loc = ("rules", str(place), "name")
        if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
            message = f"A name has 1 to {MAX_NAME_CHARS} characters, all of them printable."
            errors.append(FieldError(loc, message, "string_length"))
        elif "." in name or name.startswith("$"):
            # The names are the fields of the result, which others may look at in their turn.
            message = "A name has no dot and begins with no $: conditions could not reach it."
            errors.append(FieldError(loc, message, "unreachable"))
        elif name in names[:place]:
            errors.append(FieldError(loc, "Another rule has this name.", "repeated"))
    if errors:
        raise InvalidInput(*errors)


def check_jobs(rules: Sequence[Rule]) -> None:
    """Do nothing where the jobs of these rules can find something to work on.

    Raises:
        InvalidInput: a rule has no jobs, all have too many, or one will never have documents.
    """
    errors = []
    for place, rule in enumerate(rules):
        loc = ("rules", str(place), "jobs")
        if not rule.jobs:
            errors.append(FieldError(loc, "A rule needs at least one job.", "missing"))
        before: JobRequest | None = None
        for number, job in enumerate(rule.jobs):
            errors += _faults_of_documents(job, before, (*loc, str(number), "documentIds"))
            before = job
    jobs = [job for rule in rules for job in rule.jobs]
    if len(jobs) > MAX_JOBS:
        message = f"The rules may have at most {MAX_JOBS} jobs in all."
        errors.append(FieldError(("rules",), message, "too_long"))
    if sum(len(job.documents) for job in jobs) > MAX_NAMED:
        message = f"The rules may name at most {MAX_NAMED:,} documents in all."
        errors.append(FieldError(("rules",), message, "too_long"))
    if errors:
        raise InvalidInput(*errors)


def _faults_of_documents(
    job: JobRequest, before: JobRequest | None, loc: tuple[str, ...]
) -> Iterator[FieldError]:
    """Tell what is wrong with the documents of a job that comes after another one of its rule."""
    seen: set[UUID] = set()
    for place, given in enumerate(job.documents):
        if given.id in seen:
            message = "A document stands in the list twice."
            yield FieldError((*loc, str(place)), message, "repeated")
        seen.add(given.id)
    if seen or job.input_tag is not None:
        return
    if before is None:
        message = "The first job of a rule needs documents, or an inputTag."
        yield FieldError(loc, message, "missing")
    elif not produces_documents(type_of(before.task)):
        message = f"A {type_of(before.task)} job produces no documents; name some."
        yield FieldError(loc, message, "missing")


async def create(work: Work, bell: Doorbell, *, caller: Caller, request: ConditionalRequest) -> Job:
    """Make a conditional job, which waits for the other one.

    Raises:
        InvalidInput: its rules are not right.
        NotFound: the other job or a document is not there.
        TooManyJobs: the application has no room for another open job.
    """
    check_jobs(request.rules)
    documents = await _documents(work, caller, request.rules)
    number = await limits.admit(work, caller.application_id)
    before = await dependents.prerequisite(work, caller=caller, job_id=request.execute_after_id)
    moment = now()
    job = Job(
        application_id=caller.application_id,
        number=number,
        name=request.name or f"{JobType.CONDITIONAL} {number}",
        group_id=request.group_id,
        type=JobType.CONDITIONAL,
        status=JobStatus.PENDING,
        settings={},
        rules=[_to_json(rule) for rule in request.rules],
        execute_after_id=before.id,
        priority=request.priority,
        max_attempts=request.max_attempts,
        queued_at=moment,
        timeout_seconds=round(request.timeout.total_seconds()),
        ttl_seconds=round(request.ttl.total_seconds()),
        submitter_id=caller.api_key_id,
        submitter_ip=request.submitter_ip,
        created_at=moment,
    )
    await events.first(work, bell, [(job, "The job was accepted.")])
    work.session.add_all(RuleDocument(job_id=job.id, document_id=id) for id in documents)
    await work.session.flush()
    await dependents.attach(work, bell, job, before)
    if not job.waits_for_job:
        work.after_commit(lambda: bell.ring(job.id))
    return job


async def judging(session: ReadSession, run: Run) -> Callable[[], Judgement]:
    """Return what judges the rules of a conditional job; it needs no database, and some seconds.

    Raises:
        RunLost: the job is gone.
    """
    job = await session.get(Job, run.job_id)
    if job is None or job.execute_after_id is None:
        raise runs.RunLost
    before = await session.get(Job, job.execute_after_id)
    if before is None:
        message = f"The job {job.execute_after_id}, which this job was to come after, was deleted."
        return partial(Judgement, failure=Failure(ErrorCode.DEPENDENCY, message))
    return partial(_judgement, job.rules or [], before.result)


def _judgement(rules: Sequence[Mapping[str, Any]], result: Any) -> Judgement:  # noqa: ANN401
    found = Judgement()
    for rule in rules:
        try:
            found.verdicts.append(judge(parse(rule["conditions"]), result))
        except TooCostly:
            message = f"The result is too large for the rule {rule['name']!r}."
            return Judgement(failure=Failure(ErrorCode.TOO_LARGE, message))
    return found


async def carry_out(work: Work, bell: Doorbell, run: Run, judgement: Judgement) -> None:
    """Make the jobs of the rules that hold, and let go of the conditional job: they end it.

    Raises:
        RunLost: the job is no longer this run's.
    """
    if judgement.failure is not None:
        await recording.fail(work, bell, run, judgement.failure)
        return
    job = await work.session.get(Job, run.job_id)
    if job is None:
        raise runs.RunLost
    rules = [
        _judged(rule, verdict)
        for rule, verdict in zip(job.rules or [], judgement.verdicts, strict=True)
    ]
    held = [rule for rule in rules if rule["matched"]]
    # The children first, the job itself last: so goes the order of locks.
    chains = [await _make_chain(work, bell, job, rule) for rule in held]
    message = _told(rules, held)
    if not held:
        note = Note(EventKind.STATUS, message, Severity.INFO)
        values = {"outcome": JobOutcome.SUCCESS, "progress": 100, "result": {}, "rules": rules}
        await runs.leave(work, bell, run, JobStatus.COMPLETED, note, values)
        return
    await runs.change(
        work,
        bell,
        run,
        Note(EventKind.LOG, message),
        rules=rules,
        message=f"Jobs that have ended: 0 of {sum(map(len, chains))}.",
        lease_until=None,
        worker_id=None,
    )
    for chain in chains:
        await _begin(work, bell, job, chain)


def _judged(rule: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    clauses = [evaluation.to_json(clause) for clause in verdict.clauses]
    return {**rule, "matched": verdict.matched, "clauses": clauses, "jobIds": []}


async def _make_chain(
    work: Work, bell: Doorbell, parent: Job, rule: dict[str, Any]
) -> list[tuple[Job, UUID | None]]:
    """Make the jobs of a rule, each after the one before it, and note them in the rule."""
    chain: list[tuple[Job, UUID | None]] = []
    for value in rule["requests"]:
        request = _request(value, parent, after_id=chain[-1][0].id if chain else None)
        chain.append(await creation.create_child(work, bell, parent=parent, request=request))
    rule["jobIds"] = [str(child.id) for child, _ in chain]
    return chain


async def _begin(
    work: Work, bell: Doorbell, parent: Job, chain: Sequence[tuple[Job, UUID | None]]
) -> None:
    """Do what could not be done before the parent knew its children: some end at once."""
    for child, gone in chain:
        if gone is not None:
            message = f"The document {gone} of this job is gone."
            await events.move(
                work,
                bell,
                child.id,
                to=JobStatus.FAILED,
                note=Note(EventKind.STATUS, message, Severity.ERROR),
                outcome=JobOutcome.ERROR,
                error_code=ErrorCode.GENERIC,
                error_message=message,
                waits_for_job=False,
            )
    first, gone = chain[0]
    if first.input_tag is not None and gone is None and parent.execute_after_id is not None:
        await dependents.supply_first(work, bell, first, before_id=parent.execute_after_id)


async def _documents(work: Work, caller: Caller, rules: Sequence[Rule]) -> Collection[UUID]:
    """Return the documents that rules name, held; raise NotFound for the first that is not there.

    With the path to it.
    """
    spots = {
        given.id: ("rules", str(place), "jobs", str(number), "documentIds", str(each))
        for place, rule in reversed(list(enumerate(rules)))
        for number, job in reversed(list(enumerate(rule.jobs)))
        for each, given in reversed(list(enumerate(job.documents)))
    }
    statement = (
        select(Document.id)
        .where(
            col(Document.id).in_(list(spots)),
            Document.application_id == caller.application_id,
            col(Document.status) != DocumentStatus.CANCELED,
        )
        .order_by(col(Document.id))
        .with_for_update(read=True)
    )
    there = set(await work.session.exec(statement))
    for id in reversed(list(spots)):
        if id not in there:
            raise NotFound("document", str(id), loc=spots[id])
    return there


def _told(rules: Sequence[Mapping[str, Any]], held: Sequence[Mapping[str, Any]]) -> str:
    names = ", ".join(repr(rule["name"]) for rule in held)
    return f"Rules that hold, {len(held)} of {len(rules)}: {names}." if held else "No rule holds."


def _to_json(rule: Rule) -> dict[str, Any]:
    """Return a rule as `Job.rules` keeps it: as it was given, and as it will be carried out."""
    return {
        "name": rule.name,
        "conditions": rule.conditions,
        "jobs": [dict(job) for job in rule.shown],
        "requests": [_stored(request) for request in rule.jobs],
        "matched": None,
        "clauses": [],
        "jobIds": [],
    }


def _stored(request: JobRequest) -> dict[str, Any]:
    return {
        "type": type_of(request.task),
        "task": to_json(request.task),
        "documents": [
            {"id": str(each.id), "options": [dict(option) for option in each.options]}
            for each in request.documents
        ],
        "timeoutSeconds": request.timeout.total_seconds(),
        "maxAttempts": request.max_attempts,
        "ttlSeconds": request.ttl.total_seconds(),
        "name": request.name,
        "priority": int(request.priority),
        "workflow": request.workflow,
        "profile": request.profile,
        "options": [dict(option) for option in request.options],
        "inputTag": request.input_tag,
        "outputTags": list(request.output_tags),
        "pageSlice": request.page_slice,
    }


def _request(value: Mapping[str, Any], parent: Job, *, after_id: UUID | None) -> JobRequest:
    return JobRequest(
        task=task_of(JobType(value["type"]), value["task"]),
        documents=[
            GivenDocument(UUID(each["id"]), options=each["options"]) for each in value["documents"]
        ],
        timeout=timedelta(seconds=value["timeoutSeconds"]),
        max_attempts=value["maxAttempts"],
        ttl=timedelta(seconds=value["ttlSeconds"]),
        name=value["name"],
        group_id=parent.group_id,
        priority=JobPriority(value["priority"]),
        workflow=value["workflow"],
        profile=value["profile"],
        options=value["options"],
        execute_after_id=after_id,
        input_tag=value["inputTag"],
        output_tags=value["outputTags"],
        page_slice=value["pageSlice"],
        submitter_ip=parent.submitter_ip,
    )
