"""What a run under a fault has to show: records of everything seen, and the rules they must keep.

A driver (tests/faults) writes a `History`: each call of a client as ok, refused or unknown, what
was seen of the jobs meanwhile, and, once the fault is lifted and all is quiet, what the service,
its database, its store and the machine hold. `check` returns what is wrong, one `Breach` each, and
is pure: no rule asks anybody anything. A new fault brings no new rule; a new promise brings one.

tests/test_history.py breaks every rule once.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from itertools import pairwise
from typing import Any

from app.jobs.states import FINISHED, MOVES, JobStatus
from app.jobs.types import EventKind, JobType

CANCEL_TIME = timedelta(seconds=5)
"""So long after the answer to a cancel, and no longer, something may still happen."""
MOMENT = timedelta(milliseconds=500)
"""What is one transaction may carry times so far apart."""
BEGINNINGS = frozenset({JobStatus.NEW, JobStatus.PENDING})
INTERNAL = "INTERNAL"
BUG = "A bug was met; the log says more."


class Kind(StrEnum):
    """What a client asked for."""

    CREATE = "CREATE"
    CANCEL = "CANCEL"
    DELETE = "DELETE"


class Answer(StrEnum):
    """UNKNOWN: the connection broke, or nothing came in time; it may have been done or not."""

    OK = "OK"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. `name`: of the job, another one for each create, so that a job is known again.

    changed: a cancel that says it ended the job. code: of the refusal or the error.
    """

    kind: Kind
    answer: Answer
    at: datetime
    name: str
    job_id: str | None = None
    files: tuple[str, ...] = ()
    changed: bool = False
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A job as somebody saw it. source: who; what two of them saw has no order between them."""

    job_id: str
    at: datetime
    status: JobStatus
    source: str = "api"
    lease_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    seq: int
    kind: EventKind
    status: JobStatus
    at: datetime
    progress: int = 0
    message: str | None = None


@dataclass(slots=True, kw_only=True)
class Watch:
    """What one watcher of a job received, over all connections. complete: the stream said so."""

    job_id: str
    events: list[Event] = field(default_factory=list)
    connections: int = 0
    complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    ordinal: int
    key: str
    body: str
    created_at: datetime

    @property
    def content(self) -> tuple[int, str, str]:
        """What is the same in every run of the same file."""
        return self.ordinal, self.key, self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One document of a job. pages: as the result says; None where there is no result."""

    document_id: str
    file: str
    sha256: str | None
    status: JobStatus
    failure: str | None = None
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job in the end, as the API tells of it; `lease_until` from its row.

    error: the code of why it failed. execute_after_id, parent_id: also of jobs that are gone.
    """

    id: str
    name: str
    status: JobStatus
    outcome: str | None
    attempt: int
    charged_attempts: int
    timeout: timedelta
    duration: timedelta
    result: Mapping[str, Any] | None
    parts: tuple[Part, ...]
    events: tuple[Event, ...]
    lease_until: datetime | None = None
    type: JobType = JobType.SEGMENT
    error: str | None = None
    error_message: str | None = None
    execute_after_id: str | None = None
    parent_id: str | None = None

    @property
    def began(self) -> datetime | None:
        """When a worker first took it up."""
        took = (event.at for event in self.events if event.status is JobStatus.PROCESSING)
        return next(took, None)

    @property
    def never_ran(self) -> bool:
        """It failed because of another job."""
        return self.error == "DEPENDENCY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What an undisturbed run made of a file. real_pages: from whoever made it, None: has none."""

    sha256: str
    real_pages: int | None
    status: JobStatus
    failure: str | None
    pages: int
    segments: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """The store and the rows that account for it, by id. blobs: the hash of the bytes found.

    removals: of bytes that are to go now. writing: of those that go where no row comes in time.
    """

    documents: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    attachments: Mapping[str, str] = field(default_factory=dict)
    blobs: Mapping[str, str] = field(default_factory=dict)
    partial: frozenset[str] = frozenset()
    removals: frozenset[str] = frozenset()
    writing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What is left on the machine once the service was told to stop."""

    exit_status: int | None = 0
    processes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class History:
    """Everything that is known of one run.

    limit: from the lifting of the fault to quiet. grace: how long a lease that ran out may lie
    there until the sweep takes it. work_ended: for each canceled job how long after the answer its
    file was still open in a process, None: at the last look still. bustle: what still went on in
    the quiet, such as children of a sandbox.
    """

    limit: timedelta
    grace: timedelta
    lifted_at: datetime
    quiet_at: datetime
    calls: list[Call] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)
    jobs: list[JobFacts] = field(default_factory=list)
    ghosts: dict[str, tuple[Event, ...]] = field(default_factory=dict)
    """The events that are kept of jobs that are gone."""
    references: dict[str, Reference] = field(default_factory=dict)
    store: StoreFacts = field(default_factory=StoreFacts)
    store_later: StoreFacts = field(default_factory=StoreFacts)
    """The same once every unfinished upload has expired, and accounts for nothing any more."""
    work_ended: dict[str, timedelta | None] = field(default_factory=dict)
    bustle: tuple[str, ...] = ()
    complaints: tuple[str, ...] = ()
    """Lines of the service's log that no fault excuses."""
    remains: Remains = field(default_factory=Remains)

    def of(self, kind: Kind, answer: Answer) -> list[Call]:
        """Return the calls of a kind that were answered so."""
        return [call for call in self.calls if call.kind is kind and call.answer is answer]

    def gone(self) -> set[str]:
        """Return the ids of the jobs that were deleted, as far as the clients know."""
        return {call.job_id for call in self.of(Kind.DELETE, Answer.OK) if call.job_id}

    def maybe_gone(self) -> set[str]:
        """Return the ids of the jobs whose deletion had no answer."""
        return {call.job_id for call in self.of(Kind.DELETE, Answer.UNKNOWN) if call.job_id}


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that was broken, and how."""

    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


Rule = Callable[[History], Iterator[str]]


def check(history: History) -> list[Breach]:
    """Return every breach of every rule."""
    return [Breach(rule.__name__, what) for rule in RULES for what in rule(history)]


def acknowledged_creates_exist_once(history: History) -> Iterator[str]:
    """A create that was acknowledged is there under its id; one name is never two jobs."""
    there = {job.id: job for job in history.jobs}
    names = Counter(job.name for job in history.jobs)
    children = {job.name for job in history.jobs if job.parent_id is not None}
    asked = {call.name: call for call in history.calls if call.kind is Kind.CREATE}
    excused = history.gone() | history.maybe_gone()
    for call in history.of(Kind.CREATE, Answer.OK):
        if call.job_id not in there and call.job_id not in excused:
            yield f"{call.name} ({call.job_id}) was acknowledged and is lost"
        elif call.job_id in there and there[call.job_id].name != call.name:
            yield f"{call.name} ({call.job_id}) has another's name: {there[call.job_id].name}"
    for name, count in names.items():
        if count > 1:
            yield f"{name} is there {count} times"
        if name not in asked:
            if name not in children:
                yield f"{name} was asked for by nobody"
        elif asked[name].answer is Answer.REFUSED:
            yield f"{name} was refused and is there"


def deleted_jobs_are_gone(history: History) -> Iterator[str]:
    """A job whose deletion was acknowledged leaves its DELETED event and nothing else."""
    there = {job.id for job in history.jobs}
    for job_id in history.gone():
        if job_id in there:
            yield f"{job_id} was deleted and is there"
        kinds = [event.kind for event in history.ghosts.get(job_id, ())]
        if kinds != [EventKind.DELETED]:
            yield f"{job_id} was deleted and left the events {kinds}"
    for job_id in history.ghosts.keys() - there - history.gone() - history.maybe_gone():
        yield f"{job_id} left events and was deleted by nobody"


def nobody_meets_a_bug(history: History) -> Iterator[str]:
    """A fault is no bug: no masked error in an answer or an event, no complaint in the log."""
    for call in history.calls:
        if call.code == INTERNAL:
            yield f"{call.kind} of {call.name} was answered with an internal error"
    for job in history.jobs:
        if any(event.message == BUG for event in job.events):
            yield f"{job.name}: {BUG}"
    yield from history.complaints


def every_job_is_final_in_time(history: History) -> Iterator[str]:
    """All jobs are final, within the limit after the fault and within their own time."""
    for job in history.jobs:
        if job.status not in FINISHED:
            yield f"{job.name} is {job.status} at attempt {job.attempt}"
        if job.duration > job.timeout + history.grace:
            yield f"{job.name} ran for {job.duration} and may for {job.timeout}"
    took = history.quiet_at - history.lifted_at
    if took > history.limit:
        yield f"it took {took} until all was quiet, and may take {history.limit}"


def none_is_processing_without_a_lease(history: History) -> Iterator[str]:
    """Who works holds a lease; one that ran out is taken back by the next sweep."""
    for job in history.jobs:
        if job.type is JobType.CONDITIONAL:  # its children hold the leases
            continue
        if job.status is JobStatus.PROCESSING and not _alive(job.lease_until, history.quiet_at):
            yield f"{job.name} is PROCESSING, its lease ended at {job.lease_until}"
        if job.status is not JobStatus.PROCESSING and job.lease_until is not None:
            yield f"{job.name} is {job.status} and still leased"
    told = set()
    without = {job.id for job in history.jobs if job.type is JobType.CONDITIONAL}
    for seen in history.sightings:
        leased = seen.source == "sql" and seen.status is JobStatus.PROCESSING
        leased = leased and seen.job_id not in without
        late = seen.at > history.lifted_at + history.grace
        if leased and late and not _alive(seen.lease_until, seen.at - history.grace):
            told.add(seen.job_id)
    for job_id in sorted(told):
        yield f"{job_id} was seen PROCESSING long after its lease had ended"


def final_is_final(history: History) -> Iterator[str]:
    """Whoever saw a job end saw nothing else afterwards; all else follows the table of moves."""
    last: dict[tuple[str, str], JobStatus] = {}
    for seen in history.sightings:
        before = last.get((seen.source, seen.job_id))
        if before is not None and seen.status is not before and seen.status not in _ahead(before):
            yield f"{seen.job_id} was seen {before}, then {seen.status}"
        last[seen.source, seen.job_id] = seen.status
    for job in history.jobs:
        for (source, job_id), status in last.items():
            if job_id == job.id and status in FINISHED and status is not job.status:
                yield f"{job.name} was seen {status} by {source} and is {job.status}"


def events_are_a_path(history: History) -> Iterator[str]:
    """The events of a job are 1, 2, 3 ..., in order, and walk the table of moves to its end."""
    for job in history.jobs:
        for what in _faults_of_path(job):
            yield f"{job.name}: {what}"


def attempts_are_counted(history: History) -> Iterator[str]:
    """Each claim is an attempt, and no attempt is charged twice."""
    for job in history.jobs:
        claims = sum(event.status is JobStatus.PROCESSING for event in _moves(job.events))
        if claims != job.attempt:
            yield f"{job.name} was claimed {claims} times and is at attempt {job.attempt}"
        if job.charged_attempts > job.attempt:
            yield f"{job.name} was charged {job.charged_attempts} of {job.attempt} attempts"


def fates_are_those_of_an_undisturbed_run(history: History) -> Iterator[str]:
    """What could be read undisturbed is read, what could not fails for the same reason."""
    for job in history.jobs:
        if job.status not in {JobStatus.COMPLETED, JobStatus.FAILED}:
            continue
        if job.never_ran or job.type is JobType.CONDITIONAL:
            continue
        for part in job.parts:
            reference = history.references[part.file]
            if (part.status, part.failure) != (reference.status, reference.failure):
                yield (
                    f"{job.name}: {part.file} is {part.status} {part.failure or ''},"
                    f" undisturbed it is {reference.status} {reference.failure or ''}"
                )
        good = [part for part in job.parts if part.status is JobStatus.COMPLETED]
        ended = (
            (JobStatus.FAILED, "ERROR")
            if not good
            else (JobStatus.COMPLETED, "SUCCESS" if len(good) == len(job.parts) else "WARNING")
        )
        if (job.status, job.outcome) != ended:
            yield f"{job.name} is {job.status} {job.outcome} and ought to be {' '.join(ended)}"


def jobs_have_their_files(history: History) -> Iterator[str]:
    """A job works on the files it was created with, in their order, byte for byte."""
    asked = {call.name: call.files for call in history.calls if call.kind is Kind.CREATE}
    for job in history.jobs:
        files = tuple(part.file for part in job.parts)
        if files != asked.get(job.name, files):
            yield f"{job.name} was asked to read {asked[job.name]} and reads {files}"
        for part in job.parts:
            if part.sha256 != history.references[part.file].sha256:
                yield f"{job.name}: the bytes of {part.file} are others"


def results_match_their_hashes(history: History) -> Iterator[str]:
    """COMPLETED means that the result can be read, and is what its counts and hashes say."""
    for job in history.jobs:
        if job.status is not JobStatus.COMPLETED:
            if job.result is not None:
                yield f"{job.name} is {job.status} and has a result"
            continue
        if job.result is None:
            yield f"{job.name} is COMPLETED and has no result"
            continue
        if job.type is JobType.CONDITIONAL:
            continue
        told = {part["documentId"]: part for part in job.result["documents"]}
        for part in job.parts:
            found = {
                "documentId": part.document_id,
                "status": part.status.value,
                "segmentCount": len(part.segments),
                "segmentsSha256": chained(segment.body for segment in part.segments),
            }
            said = {name: told.get(part.document_id, {}).get(name) for name in found}
            if said != found:
                yield f"{job.name}: {part.file} is {_json(found)}, the result says {_json(said)}"
        if job.result["segmentCount"] != sum(len(part.segments) for part in job.parts):
            yield f"{job.name}: segmentCount is {job.result['segmentCount']}"


def pages_are_counted_once(history: History) -> Iterator[str]:
    """However many attempts ran, a page is one page and its segments are there once, unchanged."""
    for job in history.jobs:
        for part in job.parts:
            yield from (f"{job.name}: {what}" for what in _faults_of_segments(history, part))
        if job.result is None or job.type is JobType.CONDITIONAL:
            continue
        pages = {part["documentId"]: part["pageCount"] for part in job.result["documents"]}
        for part in job.parts:
            reference = history.references[part.file]
            real = reference.pages if reference.real_pages is None else reference.real_pages
            if part.status is JobStatus.COMPLETED and pages.get(part.document_id) != real:
                yield f"{job.name}: {part.file} has {real} pages, counted: {pages}"
        if job.result["pageCount"] != sum(pages.values()):
            yield f"{job.name}: pageCount is {job.result['pageCount']}, of the documents {pages}"


def canceled_jobs_do_no_work(history: History) -> Iterator[str]:
    """A cancel that says it ended the job did so; soon after, nothing works on it any more."""
    there = {job.id: job for job in history.jobs}
    for call in history.of(Kind.CANCEL, Answer.OK):
        job = there.get(call.job_id or "")
        if job is None or not call.changed:
            continue
        until = call.at + CANCEL_TIME
        if job.status is not JobStatus.CANCELED:
            yield f"{job.name} was canceled and is {job.status}"
        if any(event.at > until for event in job.events):
            yield f"{job.name} has events later than {CANCEL_TIME} after its cancel"
        if any(segment.created_at > until for part in job.parts for segment in part.segments):
            yield f"{job.name} has segments later than {CANCEL_TIME} after its cancel"
    for job_id, ended in history.work_ended.items():
        if ended is None or ended > CANCEL_TIME:
            yield f"{job_id} was canceled and its file was open in a process {ended or ''} later"


def dependents_follow_the_job_before(history: History) -> Iterator[str]:
    """None runs before the job it comes after is COMPLETED; where that is lost, it fails too."""
    there = {job.id: job for job in history.jobs}
    for job in history.jobs:
        if job.never_ran and job.began is not None and job.type is not JobType.CONDITIONAL:
            yield f"{job.name} failed because of another job and ran at {job.began}"
        if job.never_ran and (job.execute_after_id or "") not in (job.error_message or ""):
            yield f"{job.name} does not name {job.execute_after_id}: {job.error_message}"
        before = there.get(job.execute_after_id or "")
        if before is not None:
            yield from _faults_of_order(before, job)


def families_end_together(history: History) -> Iterator[str]:
    """A conditional job ends with the last of its children, or takes them along."""
    there = {job.id: job for job in history.jobs}
    for child in history.jobs:
        parent = there.get(child.parent_id or "")
        if child.parent_id is not None and parent is None:
            yield f"{child.name} is there, and the job it was made by is gone"
        if parent is None or not parent.events or not child.events:
            continue
        # One that is canceled takes them along: it is written first, and they soon after.
        soon = CANCEL_TIME if parent.status is JobStatus.CANCELED else MOMENT
        if parent.events[-1].at < child.events[-1].at - soon:
            yield f"{parent.name} ended before {child.name}"
        if parent.status is JobStatus.CANCELED and child.status not in FINISHED:
            yield f"{parent.name} was canceled and {child.name} is {child.status}"


def watchers_miss_nothing(history: History) -> Iterator[str]:
    """Over all its connections a watcher received 1, 2, 3 ... to the final event, each once."""
    there = {job.id: job for job in history.jobs}
    for watch in history.watches:
        job = there.get(watch.job_id)
        seqs = [event.seq for event in watch.events]
        if job is not None:
            expected = [event.seq for event in job.events]
            if seqs != expected:
                yield f"the watcher of {job.name} received {seqs}, and the log is {expected}"
        elif not watch.events or watch.events[-1].kind is not EventKind.DELETED:
            yield f"the watcher of {watch.job_id} was not told of its deletion"
        elif seqs[:-1] != list(range(1, len(seqs))) or seqs[-1] < len(seqs):
            # What the watcher had not read yet went with the job: one gap, before the last.
            yield f"the watcher of {watch.job_id}, which was deleted, received {seqs}"
        if watch.complete and not (watch.events and _is_last(watch.events[-1])):
            yield f"the stream of {watch.job_id} ended before its final event"


def the_store_holds_what_rows_account_for(history: History) -> Iterator[str]:
    """No bytes without a row, no row without bytes; what is unfinished accounts for its own."""
    yield from _faults_of_store(history.store, unfinished=frozenset({"NEW"}))
    for what in _faults_of_store(history.store_later, unfinished=frozenset()):
        yield f"after all that was unfinished has expired: {what}"


def nothing_goes_on_in_the_quiet(history: History) -> Iterator[str]:
    """When every job is final no sandbox works and nothing waits to be removed."""
    yield from history.bustle


def nothing_is_left_on_the_machine(history: History) -> Iterator[str]:
    """A service that was told to stop leaves no process, lock, socket or temporary file."""
    remains = history.remains
    if remains.exit_status != 0:
        yield f"the service ended with status {remains.exit_status}"
    yield from (f"the process {process} is left" for process in remains.processes)
    yield from (f"the file {file} is left" for file in remains.files)
    yield from (f"the lock {lock} is held" for lock in remains.locks)


RULES: tuple[Rule, ...] = (
    acknowledged_creates_exist_once,
    deleted_jobs_are_gone,
    nobody_meets_a_bug,
    every_job_is_final_in_time,
    none_is_processing_without_a_lease,
    final_is_final,
    events_are_a_path,
    attempts_are_counted,
    fates_are_those_of_an_undisturbed_run,
    jobs_have_their_files,
    results_match_their_hashes,
    pages_are_counted_once,
    canceled_jobs_do_no_work,
    dependents_follow_the_job_before,
    families_end_together,
    watchers_miss_nothing,
    the_store_holds_what_rows_account_for,
    nothing_goes_on_in_the_quiet,
    nothing_is_left_on_the_machine,
)


def chained(bodies: Iterator[str] | Sequence[str]) -> str | None:
    """Return the hash over the bodies of a document in their order, None where there is none."""
    digest = ""
    for body in bodies:
        digest = sha256(digest.encode() + body.encode()).hexdigest()
    return digest or None


def _alive(lease_until: datetime | None, at: datetime) -> bool:
    return lease_until is not None and lease_until >= at


def _ahead(status: JobStatus) -> set[JobStatus]:
    """Return every state that can follow, at once or later."""
    found: set[JobStatus] = set()
    front = set(MOVES[status])
    while front:
        found |= front
        front = {target for each in front for target in MOVES[each]} - found
    return found


def _moves(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event.kind is EventKind.STATUS]


def _is_last(event: Event) -> bool:
    return event.kind is EventKind.DELETED or event.status in FINISHED


def _faults_of_path(job: JobFacts) -> Iterator[str]:
    events = job.events
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        yield f"its events are numbered {[event.seq for event in events]}"
    if not events or events[0].kind is not EventKind.STATUS or events[0].status not in BEGINNINGS:
        yield f"its first event is {_short(events[:1])}"
    for before, event in pairwise(events):
        yield from (f"event {event.seq} {what}" for what in _faults_of_step(before, event))
    ends = [event.seq for event in events if event.status in FINISHED]
    if job.status in FINISHED and ends != [event.seq for event in events[-1:]]:
        yield f"its final events are {ends} of {len(events)}"
    if any(event.status is not job.status for event in events[-1:]):
        yield f"its last event says {events[-1].status} and it is {job.status}"


def _faults_of_step(before: Event, event: Event) -> Iterator[str]:
    moves = event.kind is EventKind.STATUS
    if moves and event.status not in MOVES[before.status]:
        yield f"moves it from {before.status} to {event.status}"
    if not moves and event.status is not before.status:
        yield f"says {event.status} and is no move from {before.status}"
    if not moves and event.progress < before.progress:
        yield f"falls back to {event.progress} %"
    if event.at < before.at:
        yield "is older than the one before"


def _short(events: Sequence[Event]) -> str:
    return " ".join(f"{event.kind} {event.status}" for event in events) or "none"


def _faults_of_order(before: JobFacts, job: JobFacts) -> Iterator[str]:
    if before.status is JobStatus.COMPLETED:
        done = before.events[-1].at
        if job.began is not None and job.began < done:
            yield f"{job.name} ran at {job.began}, and {before.name} was done at {done}"
        if job.never_ran:
            yield f"{job.name} failed because of {before.name}, which is COMPLETED"
    elif job.began is not None:
        yield f"{job.name} ran, and {before.name} is {before.status}"
    elif job.status is not JobStatus.CANCELED and not job.never_ran:
        yield f"{job.name} is {job.status} {job.error}, and {before.name} {before.status}"


def _faults_of_segments(history: History, part: Part) -> Iterator[str]:
    found = tuple(segment.content for segment in part.segments)
    reference = history.references[part.file].segments
    whole = part.status is JobStatus.COMPLETED
    if whole and found != reference:
        yield f"{part.file} has {len(found)} segments, undisturbed other {len(reference)}"
    elif not whole and found != reference[: len(found)]:
        yield f"the segments of {part.file}, which is {part.status}, are no beginning of it"


def _faults_of_store(store: StoreFacts, *, unfinished: frozenset[str]) -> Iterator[str]:
    written = store.writing if unfinished else frozenset()
    for key, found in store.blobs.items():
        status, expected = store.documents.get(key, ("", None))
        expected = expected or store.attachments.get(key)
        if expected is None and status not in unfinished and key not in written:
            yield f"the bytes {key} have no row ({status or 'none'})"
        elif expected is not None and expected != found:
            yield f"the bytes {key} are not those of its row"
    for key, (status, _) in store.documents.items():
        if status == "PROCESSED" and key not in store.blobs:
            yield f"the document {key} is PROCESSED and has no bytes"
    for key in store.attachments.keys() - store.blobs.keys():
        yield f"the attachment {key} has no bytes"
    for key in sorted(store.partial - written):
        if store.documents.get(key, ("", None))[0] not in unfinished:
            yield f"the temporary bytes {key} belong to no upload"
    for key in sorted(store.removals):
        yield f"the bytes {key} still wait to be removed"


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)
