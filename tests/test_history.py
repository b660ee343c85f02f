"""Each rule of the checker is broken once, by a forged history that keeps every other rule."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from history import (
    BUG,
    CANCEL_TIME,
    RULES,
    Answer,
    Call,
    Event,
    History,
    JobFacts,
    Kind,
    Part,
    Reference,
    Remains,
    Segment,
    Sighting,
    StoreFacts,
    Watch,
    chained,
    check,
)

from app.jobs.states import JobStatus
from app.jobs.types import EventKind

S, K = JobStatus, EventKind
START = datetime(2026, 1, 1, tzinfo=UTC)
BODIES = ("One.", "Two.", "Three.")
DONE = ((K.STATUS, S.PENDING), (K.STATUS, S.PROCESSING), (K.PROGRESS, S.PROCESSING))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def events(*steps: tuple[EventKind, JobStatus]) -> tuple[Event, ...]:
    return tuple(
        Event(seq=seq, kind=kind, status=status, at=at(seq))
        for seq, (kind, status) in enumerate(steps, start=1)
    )


def segments(count: int) -> tuple[Segment, ...]:
    return tuple(
        Segment(ordinal=number, key=f"key {number}", body=body, created_at=at(3))
        for number, body in enumerate(BODIES[:count], start=1)
    )


def part(document_id: str, file: str, status: JobStatus, count: int = 0) -> Part:
    failure = "PASSWORD" if status is S.FAILED else None
    return Part(
        document_id=document_id,
        file=file,
        sha256=f"hash of {file}",
        status=status,
        failure=failure,
        segments=segments(count),
    )


def result(*parts: Part) -> dict[str, Any]:
    documents = [
        {
            "documentId": each.document_id,
            "status": each.status.value,
            "segmentCount": len(each.segments),
            "pageCount": 2 if each.segments else 0,
            "segmentsSha256": chained([segment.body for segment in each.segments]),
        }
        for each in parts
    ]
    return {
        "segmentCount": sum(len(each.segments) for each in parts),
        "pageCount": sum(2 for each in parts if each.segments),
        "documents": documents,
    }


def job(name: str, status: JobStatus, outcome: str, *parts: Part) -> JobFacts:
    return JobFacts(
        id=f"id of {name}",
        name=name,
        status=status,
        outcome=outcome,
        attempt=1,
        charged_attempts=0,
        timeout=timedelta(hours=1),
        duration=timedelta(seconds=2),
        result=result(*parts) if status is S.COMPLETED else None,
        parts=parts,
        events=events(*DONE, (K.STATUS, status)),
    )


def create(name: str, *files: str) -> Call:
    return Call(
        kind=Kind.CREATE,
        answer=Answer.OK,
        at=at(1),
        name=name,
        job_id=f"id of {name}",
        files=files,
    )


def good() -> History:
    """A history that keeps every rule, of jobs that came to every kind of end."""
    paper, locked = part("1", "paper", S.COMPLETED, 3), part("2", "locked", S.FAILED)
    gone = Event(seq=4, kind=K.DELETED, status=S.CANCELED, at=at(4))
    done = job("done", S.COMPLETED, "SUCCESS", paper)
    ended = Call(
        kind=Kind.CANCEL,
        answer=Answer.OK,
        at=at(4),
        name="ended",
        job_id="id of ended",
        changed=True,
    )
    documents: dict[str, tuple[str, str | None]] = {
        "1": ("PROCESSED", "a"),
        "2": ("CANCELED", None),
    }
    return History(
        limit=timedelta(seconds=30),
        grace=timedelta(seconds=5),
        lifted_at=at(10),
        quiet_at=at(20),
        calls=[
            create("done", "paper"),
            create("half", "paper", "locked"),
            create("failed", "locked"),
            create("ended", "paper"),
            create("gone", "paper"),
            ended,
            replace(ended, kind=Kind.DELETE, name="gone", job_id="id of gone", changed=False),
            # Nobody knows whether it is there; it is not.
            replace(create("lost sight of", "paper"), answer=Answer.UNKNOWN, job_id=None),
        ],
        sightings=[
            Sighting(job_id="id of done", at=at(1), status=S.PENDING),
            Sighting(job_id="id of done", at=at(2), status=S.PROCESSING),
            Sighting(job_id="id of done", at=at(3), status=S.PENDING),
            Sighting(job_id="id of done", at=at(3.5), status=S.COMPLETED),
            Sighting(
                job_id="id of ended",
                at=at(3),
                status=S.PROCESSING,
                source="sql",
                lease_until=at(4),
            ),
        ],
        watches=[
            Watch(job_id="id of done", events=list(done.events), connections=2, complete=True),
            Watch(job_id="id of gone", events=[done.events[0], gone], connections=1, complete=True),
        ],
        jobs=[
            done,
            job("half", S.COMPLETED, "WARNING", paper, locked),
            job("failed", S.FAILED, "ERROR", locked),
            job("ended", S.CANCELED, "ERROR", part("3", "paper", S.CANCELED, 1)),
        ],
        ghosts={"id of gone": (gone,)},
        references={
            "paper": Reference(
                sha256="hash of paper",
                real_pages=2,
                status=S.COMPLETED,
                failure=None,
                pages=2,
                segments=tuple(each.content for each in segments(3)),
            ),
            "locked": Reference(
                sha256="hash of locked",
                real_pages=None,
                status=S.FAILED,
                failure="PASSWORD",
                pages=0,
                segments=(),
            ),
        },
        store=StoreFacts(
            documents=documents | {"3": ("NEW", None)},
            attachments={"9": "z"},
            blobs={"1": "a", "3": "half", "9": "z"},
            partial=frozenset({"3"}),
        ),
        store_later=StoreFacts(
            documents=documents, attachments={"9": "z"}, blobs={"1": "a", "9": "z"}
        ),
        work_ended={"id of ended": timedelta(seconds=1)},
    )


Forge = Callable[[History], None]
FORGERIES: list[tuple[str, str, Forge]] = []


def breaks(rule: str, what: str) -> Callable[[Forge], Forge]:
    def note(forge: Forge) -> Forge:
        FORGERIES.append((rule, what, forge))
        return forge

    return note


def change(history: History, name: str, **fields: Any) -> None:  # noqa: ANN401 - its fields
    """Change a job."""
    history.jobs = [replace(each, **fields) if each.name == name else each for each in history.jobs]


def change_part(history: History, name: str, **fields: Any) -> None:  # noqa: ANN401 - its fields
    """Change the first document of a job, and leave its result as it was."""
    (found,) = (each for each in history.jobs if each.name == name)
    change(history, name, parts=(replace(found.parts[0], **fields), *found.parts[1:]))


def change_result(history: History, name: str, **fields: Any) -> None:  # noqa: ANN401 - its fields
    """Change what the result says of the first document, and the sums with it."""
    (found,) = (each for each in history.jobs if each.name == name)
    told = dict(found.result or {})
    first, *others = told["documents"]
    told["documents"] = [first | fields, *others]
    for count in ("segmentCount", "pageCount"):
        told[count] = sum(each[count] for each in told["documents"])
    change(history, name, result=told)


@breaks("acknowledged_creates_exist_once", "done (id of done) was acknowledged and is lost")
def a_job_is_lost(history: History) -> None:
    history.jobs, history.watches = history.jobs[1:], []


@breaks("acknowledged_creates_exist_once", "done is there 2 times")
def a_job_is_there_twice(history: History) -> None:
    history.jobs.append(replace(history.jobs[0], id="another"))


@breaks("acknowledged_creates_exist_once", "stray was asked for by nobody")
def a_job_comes_from_nowhere(history: History) -> None:
    history.jobs.append(replace(history.jobs[0], id="another", name="stray"))


@breaks("acknowledged_creates_exist_once", "no was refused and is there")
def a_refused_job_is_there(history: History) -> None:
    history.calls.append(replace(create("no", "paper"), answer=Answer.REFUSED, job_id=None))
    history.jobs.append(replace(history.jobs[0], id="another", name="no"))


@breaks("acknowledged_creates_exist_once", "done (id of half) has another's name: half")
def an_answer_names_another_job(history: History) -> None:
    history.calls[0] = replace(history.calls[0], job_id="id of half")


@breaks("deleted_jobs_are_gone", "id of done was deleted and is there")
def a_deleted_job_is_there(history: History) -> None:
    history.calls.append(replace(history.calls[6], job_id="id of done"))
    history.ghosts["id of done"] = history.ghosts["id of gone"]


@breaks("deleted_jobs_are_gone", "id of gone was deleted and left the events []")
def a_deleted_job_leaves_no_word(history: History) -> None:
    history.ghosts.clear()


@breaks("deleted_jobs_are_gone", "unheard of left events and was deleted by nobody")
def events_are_left_of_no_job(history: History) -> None:
    history.ghosts["unheard of"] = history.jobs[0].events


@breaks("nobody_meets_a_bug", "CREATE of lost sight of was answered with an internal error")
def an_answer_is_a_masked_error(history: History) -> None:
    history.calls[-1] = replace(history.calls[-1], code="INTERNAL")


@breaks("nobody_meets_a_bug", f"done: {BUG}")
def a_job_met_a_bug(history: History) -> None:
    found = history.jobs[0].events
    told = (*found[:2], replace(found[2], kind=K.LOG, message=BUG), found[3])
    change(history, "done", events=told)


@breaks("nobody_meets_a_bug", "database is locked")
def the_log_complains(history: History) -> None:
    history.complaints = ("database is locked",)


@breaks("every_job_is_final_in_time", "done is PENDING at attempt 1")
def a_job_is_stuck(history: History) -> None:
    history.sightings, history.watches = [], []
    steps = events(*DONE, (K.STATUS, S.PENDING))
    change(history, "done", status=S.PENDING, events=steps, result=None)
    change_part(history, "done", status=S.PENDING)


@breaks("every_job_is_final_in_time", "done ran for 2:00:00 and may for 1:00:00")
def a_job_runs_longer_than_it_may(history: History) -> None:
    change(history, "done", duration=timedelta(hours=2))


@breaks("every_job_is_final_in_time", "it took 0:00:40 until all was quiet, and may take 0:00:30")
def the_service_is_slow_to_recover(history: History) -> None:
    history.quiet_at = at(50)


@breaks("none_is_processing_without_a_lease", "done is COMPLETED and still leased")
def a_lease_outlives_its_job(history: History) -> None:
    change(history, "done", lease_until=at(60))


@breaks(
    "none_is_processing_without_a_lease",
    "id of done was seen PROCESSING long after its lease had ended",
)
def a_dead_lease_lies_there(history: History) -> None:
    seen = Sighting(job_id="id of done", at=at(16), status=S.PROCESSING, source="sql")
    history.sightings.append(replace(seen, lease_until=at(9)))


@breaks("final_is_final", "id of done was seen CANCELED, then PROCESSING")
def a_final_state_is_left(history: History) -> None:
    seen = Sighting(job_id="id of done", at=at(1), status=S.CANCELED)
    history.sightings[:2] = [seen, replace(seen, status=S.PROCESSING)]


@breaks("final_is_final", "done was seen FAILED by sql and is COMPLETED")
def a_job_has_two_ends(history: History) -> None:
    seen = Sighting(job_id="id of done", at=at(1), status=S.FAILED, source="sql")
    history.sightings.append(seen)


def path(history: History, *steps: tuple[EventKind, JobStatus]) -> None:
    """Give a job other events, and its watcher the same."""
    change(history, "done", events=events(*steps))
    history.watches[0].events = list(events(*steps))


@breaks("events_are_a_path", "done: its events are numbered [1, 2, 4]")
def an_event_is_missing(history: History) -> None:
    found = history.jobs[0].events
    change(history, "done", events=(*found[:2], found[3]))
    history.watches[0].events = [*found[:2], found[3]]


@breaks("events_are_a_path", "done: event 4 moves it from PENDING to COMPLETED")
def a_move_is_not_in_the_table(history: History) -> None:
    path(
        history,
        (K.STATUS, S.PENDING),
        (K.STATUS, S.PROCESSING),
        (K.STATUS, S.PENDING),
        (K.STATUS, S.COMPLETED),
    )


@breaks("events_are_a_path", "failed: event 2 says FAILED and is no move from PENDING")
def a_state_changes_without_a_move(history: History) -> None:
    steps = events((K.STATUS, S.PENDING), (K.LOG, S.FAILED))
    change(history, "failed", attempt=0, events=steps)


@breaks("events_are_a_path", "done: its final events are [4, 5] of 5")
def something_follows_the_end(history: History) -> None:
    path(history, *DONE, (K.STATUS, S.COMPLETED), (K.PROGRESS, S.COMPLETED))


@breaks("events_are_a_path", "done: its last event says PROCESSING and it is COMPLETED")
def the_last_event_is_missing(history: History) -> None:
    path(history, *DONE)
    history.watches.clear()


@breaks("events_are_a_path", "done: event 3 is older than the one before")
def events_are_out_of_order(history: History) -> None:
    found = history.jobs[0].events
    change(history, "done", events=(*found[:2], replace(found[2], at=START), found[3]))


@breaks("events_are_a_path", "done: event 4 falls back to 20 %")
def progress_falls(history: History) -> None:
    steps = [*events(*DONE, DONE[2], (K.STATUS, S.COMPLETED))]
    steps[2:4] = [replace(steps[2], progress=50), replace(steps[3], progress=20)]
    change(history, "done", events=tuple(steps))
    history.watches[0].events = steps


@breaks("events_are_a_path", "done: its first event is PROGRESS PENDING")
def a_job_does_not_begin_with_its_acceptance(history: History) -> None:
    path(history, (K.PROGRESS, S.PENDING), *DONE[1:], (K.STATUS, S.COMPLETED))


@breaks("attempts_are_counted", "done was claimed 1 times and is at attempt 2")
def a_claim_left_no_event(history: History) -> None:
    change(history, "done", attempt=2)


@breaks("attempts_are_counted", "done was charged 2 of 1 attempts")
def an_attempt_is_charged_twice(history: History) -> None:
    change(history, "done", charged_attempts=2)


@breaks(
    "fates_are_those_of_an_undisturbed_run",
    "failed: locked is FAILED CRASHED, undisturbed it is FAILED PASSWORD",
)
def a_document_fails_by_the_fault(history: History) -> None:
    change_part(history, "failed", failure="CRASHED")


@breaks(
    "fates_are_those_of_an_undisturbed_run",
    "half is COMPLETED SUCCESS and ought to be COMPLETED WARNING",
)
def a_failure_is_kept_quiet(history: History) -> None:
    change(history, "half", outcome="SUCCESS")


@breaks("jobs_have_their_files", "done: the bytes of paper are others")
def a_file_is_damaged(history: History) -> None:
    change_part(history, "done", sha256="another")


@breaks(
    "jobs_have_their_files",
    "half was asked to read ('locked', 'paper') and reads ('paper', 'locked')",
)
def files_change_places(history: History) -> None:
    history.calls[1] = replace(history.calls[1], files=("locked", "paper"))


@breaks("results_match_their_hashes", "done is COMPLETED and has no result")
def a_result_is_missing(history: History) -> None:
    change(history, "done", result=None)


@breaks("results_match_their_hashes", "failed is FAILED and has a result")
def a_failed_job_has_a_result(history: History) -> None:
    change(history, "failed", result={"documents": [], "pageCount": 0})


@breaks("results_match_their_hashes", 'says {"documentId": "1", "segmentCount": 3')
def a_hash_is_another(history: History) -> None:
    change_result(history, "done", segmentsSha256="another")


@breaks("results_match_their_hashes", 'the result says {"documentId": "1", "segmentCount": 4')
def a_segment_is_counted_that_is_not_there(history: History) -> None:
    change_result(history, "done", segmentCount=4)


@breaks("pages_are_counted_once", "done: paper has 2 pages, counted: {'1': 4}")
def pages_are_counted_twice(history: History) -> None:
    change_result(history, "done", pageCount=4)


@breaks("pages_are_counted_once", "done: pageCount is 3, of the documents {'1': 2}")
def the_sum_of_pages_is_wrong(history: History) -> None:
    change(history, "done", result=dict(history.jobs[0].result or {}) | {"pageCount": 3})


@breaks("pages_are_counted_once", "done: paper has 4 segments, undisturbed other 3")
def a_segment_is_there_twice(history: History) -> None:
    doubled = (*segments(3), replace(segments(3)[2], ordinal=4))
    change_part(history, "done", segments=doubled)
    digest = chained([each.body for each in doubled])
    change_result(history, "done", segmentCount=4, segmentsSha256=digest)


@breaks(
    "pages_are_counted_once", "ended: the segments of paper, which is CANCELED, are no beginning"
)
def a_canceled_job_has_a_gap(history: History) -> None:
    change_part(history, "ended", segments=segments(3)[1:2])


@breaks("canceled_jobs_do_no_work", "done was canceled and is COMPLETED")
def a_canceled_job_goes_on(history: History) -> None:
    canceled = [each for each in history.calls if each.kind is Kind.CANCEL]
    history.calls.append(replace(canceled[0], name="done", job_id="id of done"))


@breaks("canceled_jobs_do_no_work", f"ended has events later than {CANCEL_TIME} after its cancel")
def a_canceled_job_still_tells(history: History) -> None:
    steps = history.jobs[3].events
    change(history, "ended", events=(*steps[:3], replace(steps[3], at=at(9.1))))


@breaks("canceled_jobs_do_no_work", f"ended has segments later than {CANCEL_TIME} after its cancel")
def a_canceled_job_still_writes(history: History) -> None:
    change_part(history, "ended", segments=(replace(segments(1)[0], created_at=at(9.1)),))


@breaks("canceled_jobs_do_no_work", "id of ended was canceled and its file was open in a process")
def a_canceled_job_is_still_read(history: History) -> None:
    history.work_ended["id of ended"] = None


@breaks(
    "watchers_miss_nothing", "the watcher of done received [1, 2, 4], and the log is [1, 2, 3, 4]"
)
def a_watcher_misses_an_event(history: History) -> None:
    del history.watches[0].events[2]


DEPENDENT = "dependents_follow_the_job_before"


@breaks(DEPENDENT, f"done ran at {at(2)}, and half was done at {at(4)}")
def a_job_runs_before_its_turn(history: History) -> None:
    change(history, "done", execute_after_id="id of half")


@breaks(DEPENDENT, "done ran, and failed is FAILED")
def a_job_runs_after_one_that_failed(history: History) -> None:
    change(history, "done", execute_after_id="id of failed")


@breaks(DEPENDENT, "late is FAILED PASSWORD, and ended CANCELED")
def a_job_fails_for_another_reason(history: History) -> None:
    late(history, "ended", error="PASSWORD")


@breaks(DEPENDENT, "late failed because of done, which is COMPLETED")
def a_job_fails_because_of_one_that_is_done(history: History) -> None:
    late(history, "done")


@breaks(DEPENDENT, "late does not name id of ended: It is over.")
def a_job_does_not_say_which_one_it_waited_for(history: History) -> None:
    late(history, "ended", error_message="It is over.")


@breaks(DEPENDENT, f"failed failed because of another job and ran at {at(2)}")
def a_job_that_never_ran_did(history: History) -> None:
    change(history, "failed", error="DEPENDENCY")


def late(history: History, before: str, **fields: Any) -> None:  # noqa: ANN401 - of JobFacts
    """Add a job that comes after another one and failed without running."""
    history.calls.append(create("late"))
    made = replace(
        job("late", S.FAILED, "ERROR"),
        attempt=0,
        events=events((K.STATUS, S.PENDING), (K.STATUS, S.FAILED)),
        error="DEPENDENCY",
        error_message=f"After id of {before}.",
        execute_after_id=f"id of {before}",
    )
    history.jobs.append(replace(made, **fields))


@breaks("families_end_together", "done ended before half")
def a_parent_ends_before_its_child(history: History) -> None:
    change(history, "half", parent_id="id of done")
    (half,) = (each for each in history.jobs if each.name == "half")
    later = [replace(each, at=each.at + timedelta(seconds=9)) for each in half.events]
    change(history, "half", events=tuple(later))


@breaks("families_end_together", "ended ended before half")
def a_canceled_parent_leaves_its_child_to_end_by_itself(history: History) -> None:
    change(history, "half", parent_id="id of ended")
    (half,) = (each for each in history.jobs if each.name == "half")
    later = [replace(each, at=each.at + timedelta(minutes=9)) for each in half.events]
    change(history, "half", events=tuple(later))


@breaks("families_end_together", "half is there, and the job it was made by is gone")
def a_child_outlives_its_parent(history: History) -> None:
    change(history, "half", parent_id="id of gone")


@breaks("watchers_miss_nothing", "the watcher of done received [1, 2, 3, 4, 4]")
def a_watcher_hears_twice(history: History) -> None:
    history.watches[0].events.append(history.jobs[0].events[3])


@breaks("watchers_miss_nothing", "the watcher of id of gone was not told of its deletion")
def a_deletion_is_not_told(history: History) -> None:
    del history.watches[1].events[1]
    history.watches[1].complete = False


@breaks("watchers_miss_nothing", "the watcher of id of gone, which was deleted, received [2, 4]")
def a_watcher_of_a_deleted_job_misses_the_start(history: History) -> None:
    history.watches[1].events[0] = history.jobs[0].events[1]


@breaks("watchers_miss_nothing", "the stream of id of done ended before its final event")
def a_stream_ends_early(history: History) -> None:
    del history.watches[0].events[3]


@breaks("the_store_holds_what_rows_account_for", "the bytes 7 have no row (none)")
def bytes_have_no_row(history: History) -> None:
    history.store = replace(history.store, blobs={**history.store.blobs, "7": "x"})


@breaks("the_store_holds_what_rows_account_for", "the bytes 2 have no row (CANCELED)")
def bytes_outlive_their_upload(history: History) -> None:
    history.store = replace(history.store, blobs={**history.store.blobs, "2": "x"})


@breaks("the_store_holds_what_rows_account_for", "the bytes 1 are not those of its row")
def bytes_are_damaged(history: History) -> None:
    history.store = replace(history.store, blobs={**history.store.blobs, "1": "b"})


@breaks("the_store_holds_what_rows_account_for", "the document 1 is PROCESSED and has no bytes")
def a_row_has_no_bytes(history: History) -> None:
    history.store = replace(history.store, blobs={"9": "z"})


@breaks("the_store_holds_what_rows_account_for", "the attachment 9 has no bytes")
def an_attachment_has_no_bytes(history: History) -> None:
    history.store = replace(history.store, blobs={"1": "a"})


@breaks("the_store_holds_what_rows_account_for", "the temporary bytes 1 belong to no upload")
def temporary_bytes_stay(history: History) -> None:
    history.store = replace(history.store, partial=frozenset({"1"}))


@breaks("the_store_holds_what_rows_account_for", "the bytes 5 still wait to be removed")
def a_removal_is_never_done(history: History) -> None:
    history.store = replace(history.store, removals=frozenset({"5"}))


@breaks(
    "the_store_holds_what_rows_account_for",
    "after all that was unfinished has expired: the bytes 3 have no row (NEW)",
)
def an_upload_is_never_given_up(history: History) -> None:
    history.store_later = replace(history.store, partial=frozenset())


@breaks(
    "the_store_holds_what_rows_account_for",
    "after all that was unfinished has expired: the bytes 6 have no row (none)",
)
def a_file_that_was_begun_is_never_given_up(history: History) -> None:
    for name in ("store", "store_later"):
        store = getattr(history, name)
        begun = replace(store, blobs={**store.blobs, "6": "x"}, writing=frozenset({"6"}))
        setattr(history, name, begun)


@breaks("nothing_goes_on_in_the_quiet", "the sandbox child 7 works")
def a_sandbox_works_on(history: History) -> None:
    history.bustle = ("the sandbox child 7 works",)


@breaks("nothing_is_left_on_the_machine", "the process worker 7 is left")
def a_process_is_left(history: History) -> None:
    history.remains = Remains(processes=("worker 7",))


@breaks("nothing_is_left_on_the_machine", "the file valkey/valkey.sock is left")
def a_socket_is_left(history: History) -> None:
    history.remains = Remains(files=("valkey/valkey.sock",))


@breaks("nothing_is_left_on_the_machine", "the lock up.lock is held")
def a_lock_is_left(history: History) -> None:
    history.remains = Remains(locks=("up.lock",))


@breaks("nothing_is_left_on_the_machine", "the service ended with status 1")
def the_service_ends_badly(history: History) -> None:
    history.remains = Remains(exit_status=1)


def test_a_good_history_breaks_no_rule() -> None:
    assert check(good()) == []


@pytest.mark.parametrize(
    ("rule", "what", "forge"), FORGERIES, ids=[each[2].__name__ for each in FORGERIES]
)
def test_a_forged_history_breaks_the_rule_it_is_made_to_break(
    rule: str, what: str, forge: Forge
) -> None:
    history = good()
    forge(history)
    breaches = check(history)
    assert [breach.rule for breach in breaches if what in breach.what] == [rule]
    assert {breach.rule for breach in breaches} == {rule}


def test_every_rule_is_broken_by_a_forgery() -> None:
    assert {rule.__name__ for rule in RULES} == {rule for rule, _, _ in FORGERIES}


def test_the_hash_over_bodies_is_chained() -> None:
    assert chained([]) is None
    assert chained(["a", "b"]) != chained(["ab"])
    assert chained(["a", "b"]) != chained(["b", "a"])
