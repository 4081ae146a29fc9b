"""Jobs that one process runs one after another: the commit that completes one starts the next."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, OperationalError, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_future_celery import heartbeat, job_as_parameter, non_atomic_job
from django_future_celery.batch import Batch, read
from django_future_celery.clock import database_now
from django_future_celery.dispatcher import FEW, MESSAGES, MESSAGES_OF_BACKLOG, messages, take_due, tick
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet
from tests.factories import MINUTE, due_job, row_of
from tests.model.bench import raising_at_commit
from tests.shop.jobs import write
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

HERE = f"{__name__}."
NOTE = "tests.shop.jobs.note"

#: What the jobs of this module saw.
seen = []


@pytest.fixture(autouse=True)
def nothing_seen():
    seen.clear()


def statuses(alias):
    return dict(ScheduledJob.objects.using(alias).order_by("pk").values_list("pk", "status"))


@job_as_parameter
def look(job):
    """See the rows as another process would."""
    seen.append((job.pk, statuses(job._state.db)))
    write(job, "looked")


@job_as_parameter
def steal_the_next(job, change):
    """Change the row behind this one."""
    CHANGES[change](ScheduledJob.objects.using(job._state.db).filter(pk__gt=job.pk))
    write(job, "stole")


@job_as_parameter
def lose_this(job):
    """Have this run know of another attempt than the row has, as if its lease had been over."""
    job.attempts = 7
    write(job, "must be rolled back")


@job_as_parameter
def leave_a_hook(job):
    alias = job._state.db
    transaction.on_commit(lambda: seen.append(statuses(alias)), using=alias)


@job_as_parameter
def roll_back(job):
    transaction.set_rollback(True, using=job._state.db)


@non_atomic_job
@job_as_parameter
def without_transaction(job):
    write(job, "stays")


def jobs_for(alias, *names, **columns):
    return [due_job(alias, callable_name=name if "." in name else HERE + name, **columns) for name in names]


def run(alias, jobs, **options):
    return list(Batch(alias, *read(alias, [(job.pk, job.attempts) for job in jobs]), **options))


def ends(alias, jobs):
    return [row_of(job)["status"] for job in jobs]


def ledger(alias):
    return sorted(Ledger.objects.using(alias).values_list("entry", flat=True))


class TestMessages:
    def jobs(self, number, first=0, **columns):
        return [ScheduledJob(pk=first + each, **columns) for each in range(number)]

    def test_few_jobs_have_a_message_each(self):
        assert [len(message) for message in messages(self.jobs(FEW))] == [1] * FEW

    def test_many_jobs_share_a_few(self):
        shared = messages(self.jobs(400))

        assert [len(message) for message in shared] == [400 // MESSAGES] * MESSAGES
        assert [job.pk for message in shared for job in message] == list(range(400))

    def test_fewer_do_while_due_jobs_are_left_behind(self):
        assert [len(message) for message in messages(self.jobs(200), more=True)] == [200 // MESSAGES_OF_BACKLOG] * (
            MESSAGES_OF_BACKLOG
        )

    @pytest.mark.parametrize(("size", "number"), [(1, 400), (10, 40), (100, MESSAGES)])
    def test_no_more_share_one_than_the_setting_says(self, settings, size, number):
        settings.FUTURE_CELERY_BATCH_SIZE = size

        assert len(messages(self.jobs(400))) == number

    def test_those_of_another_queue_or_priority_have_their_own(self):
        jobs = self.jobs(20, priority=5) + self.jobs(20, queue="mail") + self.jobs(20)

        assert all(len({(job.queue, job.priority) for job in message}) == 1 for message in messages(jobs))

    @pytest.mark.parametrize("limit", ["soft_time_limit", "time_limit"])
    def test_a_job_with_a_time_limit_has_one_to_itself(self, limit):
        limited = self.jobs(20, first=100, **{limit: 5.0})
        shared = messages(limited + self.jobs(20))

        assert [message for message in shared if set(message) & set(limited)] == [[job] for job in limited]


class TestTheCommit:
    def test_that_completes_a_job_starts_the_next(self, alias):
        jobs = jobs_for(alias, "look", "look", "look")
        outcomes = run(alias, jobs, message_id="message")

        first, second, third = (job.pk for job in jobs)
        assert [outcome.job.pk for outcome in outcomes] == [first, second, third]
        assert seen == [
            (first, {first: "running", second: "scheduled", third: "scheduled"}),
            (second, {first: "complete", second: "running", third: "scheduled"}),
            (third, {first: "complete", second: "complete", third: "running"}),
        ]
        rows = [row_of(job) for job in jobs]
        assert [(row["status"], row["attempts"], row["wake_at"]) for row in rows] == [("complete", 1, None)] * 3
        assert [row["task_id"] for row in rows] == [f"message.{job.pk}" for job in jobs]
        assert len({row["worker"] for row in rows}) == 1
        assert ledger(alias) == ["looked"] * 3

    def test_is_the_only_one_of_a_job(self, alias, vendor):
        jobs = jobs_for(alias, *["tests.shop.jobs.nothing"] * 5)
        with CaptureQueriesContext(connections[alias]) as queries:
            run(alias, jobs)
        commits = [query for query in queries if query["sql"] == "COMMIT"]

        assert len(commits) == 5 + (vendor != "postgresql")  # of each end; there the first start is one statement
        per_job = {"postgresql": 3, "mysql": 7, "sqlite": 4}[vendor]  # BEGIN, what is between, COMMIT
        assert len(queries) <= 8 + 5 * per_job

    def test_writes_what_a_start_of_its_own_writes(self, alias):
        alone, first, chained = jobs_for(alias, NOTE, NOTE, NOTE)
        run(alias, [alone])
        run(alias, [first, chained])

        differs = {"id", "created_at", "time_slot_start", "time_slot_end", "execution_start", "execution_end"}
        rows = [{name: value for name, value in row_of(job).items() if name not in differs} for job in (alone, chained)]
        assert rows[0] == rows[1]

    @pytest.mark.parametrize("name", [NOTE, "tests.shop.jobs.nothing"])
    def test_is_a_transaction_by_itself_where_a_job_has_begun_none(self, alias, vendor, name):
        jobs = jobs_for(alias, name, name, name)
        inside = []

        def note(execute, sql, params, many, context):
            if sql.startswith("WITH done"):
                inside.append(context["connection"].in_atomic_block)
            return execute(sql, params, many, context)

        with connections[alias].execute_wrapper(note):
            run(alias, jobs)
        assert ends(alias, jobs) == ["complete"] * 3
        assert inside == ([name == NOTE] * 2 if vendor == "postgresql" else [])

    def test_is_no_commit_where_a_job_wants_a_rollback(self, alias):
        jobs = jobs_for(alias, "roll_back", NOTE)
        run(alias, jobs)

        assert ends(alias, jobs) == ["failed", "complete"]

    def test_is_prepared_where_the_project_allows_it(self, alias, vendor):
        if vendor != "postgresql":
            pytest.skip("PostgreSQL only")
        jobs = jobs_for(alias, *["tests.shop.jobs.nothing"] * 3)
        with connections[alias].cursor() as cursor:
            before, connections[alias].connection.prepare_threshold = connections[alias].connection.prepare_threshold, 1
            run(alias, jobs)
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'WITH done%%'")
            connections[alias].connection.prepare_threshold = before

            assert ends(alias, jobs) == ["complete"] * 3
            assert cursor.fetchone()[0] >= 1

    def test_of_a_lost_run_is_rolled_back_and_starts_nothing(self, alias):
        jobs = jobs_for(alias, "lose_this", NOTE)
        run(alias, jobs)

        assert ends(alias, jobs) == ["running", "complete"]  # as a job that another process runs
        assert ledger(alias) == ["done"]

    def test_does_not_start_what_would_run_before_the_hooks_end(self, alias):
        jobs = jobs_for(alias, "leave_a_hook", NOTE)
        run(alias, jobs)

        assert [list(each.values()) for each in seen] == [["complete", "scheduled"]]
        assert ends(alias, jobs) == ["complete", "complete"]

    def test_starts_nothing_where_a_transaction_sees_only_its_snapshot(self, alias, monkeypatch):
        monkeypatch.setattr("django_future_celery.transactions.reads_committed", lambda connection: False)
        monkeypatch.delattr(ScheduledJobQuerySet, "complete_and_start")

        jobs = jobs_for(alias, NOTE, NOTE)
        run(alias, jobs)

        assert ends(alias, jobs) == ["complete", "complete"]

    def test_whose_answer_was_lost_leaves_no_job_behind(self, alias, monkeypatch):
        """The database has committed, and this process does not know: the next job was started, by it alone."""
        jobs = jobs_for(alias, NOTE, NOTE, NOTE)
        connection, commits = connections[alias], []
        commit = connection._commit

        def lose_the_second_answer():
            commit()
            commits.append(1)
            if len(commits) == 2:
                raise OperationalError("server closed the connection unexpectedly")

        batch = read(alias, [(job.pk, 0) for job in jobs])
        monkeypatch.setattr(connection, "_commit", lose_the_second_answer)
        outcomes = list(Batch(alias, *batch))

        assert [row_of(job)["attempts"] for job in jobs] == [1, 1, 1]
        assert ends(alias, jobs) == ["complete"] * 3
        assert ledger(alias) == ["done"] * 3
        assert [outcome.failure for outcome in outcomes] == [None] * 3

    def test_that_fails_leaves_the_next_job_to_be_started_by_itself(self, alias, vendor):
        """As that of a deferred constraint does: its start was rolled back as well."""
        jobs = jobs_for(alias, NOTE, NOTE)
        batch = read(alias, [(job.pk, 0) for job in jobs])
        first = 0 if vendor == "postgresql" else 1  # Elsewhere the first start has a commit.
        with raising_at_commit(alias, first, IntegrityError("no such order")):
            list(Batch(alias, *batch))

        assert ends(alias, jobs) == ["failed", "complete"]
        assert ledger(alias) == ["done"]

    def test_does_not_take_the_run_of_another_thread_with_a_copy_of_the_message_for_its_own(self, alias):
        pairs = [(job.pk, 0) for job in jobs_for(alias, NOTE, NOTE)]
        one, other = (Batch(alias, *read(alias, pairs), "message") for _ in range(2))
        run = one.start_next()
        assert other.start_next().job.pk == pairs[1][0]

        assert one.finish(run)[1] is None

    def test_nor_where_its_commit_raised(self, alias):
        pairs = [(job.pk, 0) for job in jobs_for(alias, NOTE, NOTE)]
        one, other = (Batch(alias, *read(alias, pairs), "message") for _ in range(2))
        run = one.start_next()
        second = other.start_next()
        # Two threads of one process may start at one instant, but for this test they do not.
        earlier = second.job.execution_start - MINUTE
        ScheduledJob.objects.using(alias).filter(pk=second.job.pk).update(execution_start=earlier)
        with raising_at_commit(alias, 0, IntegrityError("no such order")):
            assert one.finish(run)[1] is None


CHANGES = {
    "cancel": lambda rows: rows.cancel(),
    "later": lambda rows: [move(row) for row in rows],
    "shorter": lambda rows: [shorten(row) for row in rows],
    "start": lambda rows: [rows.start(row.pk, 0, worker="other:1", task_id="other") for row in rows],
}


def move(job):
    job.time_slot_start = timezone.now() + timedelta(hours=1)
    job.time_slot_end = None
    job.save()


def shorten(job):
    job.time_slot_end = timezone.now() - timedelta(seconds=1)
    job.save()


@pytest.mark.parametrize(
    ("change", "end"),
    [("cancel", "cancelled"), ("later", "scheduled"), ("shorter", "expired"), ("start", "running")],
)
def test_what_became_of_the_next_job_does_not_touch_this_one(alias, change, end):
    jobs = jobs_for(alias, "steal_the_next", args_text=f'["{change}"]') + jobs_for(alias, NOTE)
    run(alias, jobs)

    assert ends(alias, jobs) == ["complete", end]
    assert ledger(alias) == ["stole"]


def test_a_job_that_somebody_holds_is_not_waited_for(alias, vendor):
    if vendor == "sqlite":
        pytest.skip("SQLite has no row locks")
    jobs = jobs_for(alias, NOTE, NOTE, NOTE)
    other = connections[alias].copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {ScheduledJob._meta.db_table} WHERE id = %s FOR UPDATE", [jobs[1].pk])
        run(alias, jobs)
    finally:
        other.close()

    assert ends(alias, jobs) == ["complete", "scheduled", "complete"]


def test_after_a_job_that_raised_the_next_one_runs(alias):
    jobs = jobs_for(alias, NOTE, "tests.shop.jobs.write_and_raise", NOTE)
    outcomes = run(alias, jobs)

    assert ends(alias, jobs) == ["complete", "failed", "complete"]
    assert isinstance(outcomes[1].failure, ValueError)
    assert ledger(alias) == ["done", "done"]


def test_a_job_without_a_transaction_is_followed_by_the_next(alias):
    jobs = jobs_for(alias, "without_transaction", NOTE)
    run(alias, jobs)

    assert ends(alias, jobs) == ["complete", "complete"]
    assert ledger(alias) == ["done", "stays"]


def test_a_job_whose_code_is_missing_waits_and_the_others_run(alias):
    jobs = jobs_for(alias, NOTE, HERE + "from_the_next_release", NOTE)
    run(alias, jobs)

    assert ends(alias, jobs) == ["complete", "scheduled", "complete"]
    assert "from_the_next_release" in row_of(jobs[1])["error"]


def test_a_message_that_comes_again_runs_nothing(alias):
    jobs = jobs_for(alias, NOTE, NOTE)
    batch = [(job.pk, 0) for job in jobs]

    assert len(list(Batch(alias, *read(alias, batch)))) == 2
    stale = Batch(alias, jobs)
    assert list(stale) == []
    assert read(alias, batch) == ([], None)
    assert ledger(alias) == ["done", "done"]


def test_a_job_that_was_started_by_the_commit_before_waits_again_if_nobody_asks_for_it(alias):
    jobs = jobs_for(alias, NOTE, NOTE)
    batch = iter(Batch(alias, *read(alias, [(job.pk, 0) for job in jobs])))
    next(batch)
    assert ends(alias, jobs) == ["complete", "running"]
    batch.close()

    row = row_of(jobs[1])
    assert (row["status"], row["attempts"], row["max_attempts"], row["error"]) == ("scheduled", 1, 2, "")
    assert row["wake_at"] <= database_now(alias)
    assert run(alias, [ScheduledJob.objects.using(alias).get(pk=jobs[1].pk)])
    assert ends(alias, jobs) == ["complete", "complete"]


class TestWhatIsNotStartedInTime:
    @pytest.fixture
    def jobs(self, alias, settings):
        """Jobs that a tick has sent in shared messages."""
        settings.FUTURE_CELERY_BATCH_SIZE = 10
        for _ in range(FEW + 4):
            due_job(alias)
        return take_due(alias, database_now(alias)).ready

    def test_is_due_as_before(self, alias, jobs):
        before = {job.pk: job.due_at for job in jobs}
        batch = Batch(alias, *read(alias, [(job.pk, 0) for job in jobs]), seconds=0)
        with heartbeat.holding(batch):
            assert len(list(batch)) == 1

        waiting = ScheduledJob.objects.using(alias).scheduled()
        assert {job.pk: job.wake_at for job in waiting} == {pk: before[pk] for pk in before if pk != jobs[0].pk}
        assert {(job.dispatched_at, job.dispatches) for job in waiting} == {(None, 0)}
        sent = []
        tick(sent.append, alias)
        assert sum(map(len, sent)) == len(jobs) - 1

    def test_is_released_behind_a_long_job(self, alias, jobs):
        batch = Batch(alias, *read(alias, [(job.pk, 0) for job in jobs]), seconds=0)
        with heartbeat.holding(batch):
            outcomes = iter(batch)
            batch.began = 0.0
            heartbeat.release_all()
            assert not ScheduledJob.objects.using(alias).sent().exists()
            assert list(outcomes) == []

    def test_is_left_alone_while_it_is_young(self, alias, jobs):
        batch = Batch(alias, *read(alias, [(job.pk, 0) for job in jobs]))
        with heartbeat.holding(batch):
            heartbeat.release_all()
            assert ScheduledJob.objects.using(alias).sent().count() == len(jobs)
            assert len(list(batch)) == len(jobs)

    def test_is_due_at_once_if_it_has_had_an_attempt(self, alias, rows):
        job = due_job(alias, max_attempts=3, attempts=1, dispatched_at=timezone.now(), dispatches=1)
        rows.filter(pk=job.pk).update(wake_at=database_now(alias) + 60_000_000)
        Batch(alias, *read(alias, [(job.pk, 1)])).release()

        assert row_of(job)["wake_at"] <= database_now(alias)
        assert row_of(job)["dispatched_at"] is None

    def test_stops_where_the_worker_is_to_end(self, alias, jobs):
        batch = Batch(alias, *read(alias, [(job.pk, 0) for job in jobs]), stop=lambda: True)

        assert len(list(batch)) == 1


def test_a_slot_that_is_over_meanwhile_is_not_started(alias):
    """By the clock that the process goes on counting itself, too."""
    jobs = jobs_for(alias, NOTE, NOTE, time_slot_end=timezone.now() + MINUTE)
    batch = read(alias, [(job.pk, 0) for job in jobs])
    outcomes = list(Batch(alias, *batch, now=timezone.now() + 2 * MINUTE))

    assert outcomes == []
    assert ends(alias, jobs) == ["expired", "expired"]
