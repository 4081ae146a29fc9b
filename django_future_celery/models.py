from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models, router, transaction
from django.db.models import F, Q
from django.db.models.base import ModelState
from django.db.models.lookups import Exact, IsNull
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_future_celery import content_objects, serializers, watching
from django_future_celery.clock import database_now, to_datetime, to_micros
from django_future_celery.exceptions import WrongStatus
from django_future_celery.indexes import PartialIndex
from django_future_celery.leases import BeatLeaseQuerySet
from django_future_celery.querysets import ScheduledJobQuerySet
from django_future_celery.reasons import why_not_yet
from django_future_celery.states import END_STATES, Kind, Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

#: What may change while a job waits. All else is settled at the insert, or is moved by querysets.py alone.
EDITABLE = ("time_slot_start", "time_slot_end", "priority", "queue")


class FailedAttempt(NamedTuple):
    """An attempt that did not succeed, of a job that was tried again. The last attempt is on the job itself."""

    number: int
    execution_start: datetime
    execution_end: datetime
    worker: str
    task_id: str
    error: str


class WakeField(models.BigIntegerField):  # type: ignore[type-arg]
    """Microseconds since 1970 UTC. Set by every insert: the start of the slot, or nothing for a job that has ended."""

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        if add and getattr(model_instance, self.attname) is None and model_instance.status not in END_STATES:
            setattr(model_instance, self.attname, model_instance.due_at)
        return super().pre_save(model_instance, add)


class ScheduledJob(models.Model):
    """One call of one callable, not before its slot begins and not after its slot is over."""

    id = models.BigAutoField(_("id"), primary_key=True)
    time_slot_start = models.DateTimeField(_("not before"))
    time_slot_end = models.DateTimeField(_("not after"), null=True, blank=True)
    callable_name = models.CharField(_("callable"), max_length=255)
    # No constraint: a job must outlive its content type, to end as failed with the reason.
    content_type = models.ForeignKey(
        ContentType,
        verbose_name=_("content type"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        null=True,
        blank=True,
    )
    object_id = models.CharField(_("object id"), max_length=255, null=True, blank=True)  # noqa: DJ001
    content_object = GenericForeignKey("content_type", "object_id", for_concrete_model=False)
    #: As serializers.py writes them; ``args`` and ``kwargs`` decode them on access, so that a list never does.
    args_text = models.TextField(_("arguments"), db_column="args", default="[]")
    kwargs_text = models.TextField(_("keyword arguments"), db_column="kwargs", default="{}")
    queue = models.CharField(_("queue"), max_length=100, blank=True, default="")
    priority = models.SmallIntegerField(_("priority"), default=0)
    # No PositiveSmallIntegerField, here and below: PostgreSQL parses such checks anew for each statement, dearly.
    max_attempts = models.SmallIntegerField(_("at most attempts"), default=1)
    #: Seconds; None leaves them to the settings.
    retry_backoff = models.FloatField(_("pause before the second attempt"), null=True, blank=True)
    retry_backoff_max = models.FloatField(_("longest pause between attempts"), null=True, blank=True)
    #: Seconds; None leaves them to Celery's own settings.
    soft_time_limit = models.FloatField(_("soft time limit"), null=True, blank=True)
    time_limit = models.FloatField(_("time limit"), null=True, blank=True)
    unique_key = models.CharField(_("unique key"), max_length=255, null=True, blank=True, editable=False)  # noqa: DJ001
    #: The id of the job that reschedule() made this one from. No index: nothing asks for the jobs made from one.
    rescheduled_from = models.BigIntegerField(_("rescheduled from"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    #: What connects the run with whoever scheduled it, as headers of OpenTelemetry; NULL unless that is on.
    trace_context = models.JSONField(_("trace context"), null=True, editable=False, default=watching.trace_context)

    status = models.CharField(
        _("status"), max_length=16, choices=Status.choices, default=Status.SCHEDULED, editable=False
    )
    wake_at = WakeField(_("wake at"), null=True, editable=False)
    #: Starts that were committed. A run may write to its row only while this is the number it started with.
    attempts = models.SmallIntegerField(_("attempts"), default=0, editable=False)
    dispatched_at = models.DateTimeField(_("sent at"), null=True, editable=False)
    dispatches = models.IntegerField(_("times sent"), default=0, editable=False)
    #: NULL unless the last process that was to start the job did not have its code.
    unknown_since = models.DateTimeField(_("waits for its code since"), null=True, editable=False)
    #: Whether the run was asked to stop, and is to be killed, too.
    cancel_requested_at = models.DateTimeField(_("cancel requested at"), null=True, editable=False)
    terminate = models.BooleanField(_("is to be terminated"), default=False, editable=False)
    execution_start = models.DateTimeField(_("started at"), null=True, editable=False)
    #: Of a job that was never started: when it expired, or was failed.
    execution_end = models.DateTimeField(_("ended at"), null=True, editable=False)
    worker = models.CharField(_("worker"), max_length=255, default="", editable=False)
    task_id = models.CharField(_("Celery task"), max_length=255, default="", editable=False)
    #: NULL until the job returned something other than None.
    return_value = models.TextField(_("result"), null=True, editable=False)  # noqa: DJ001
    error = models.TextField(_("error"), default="", editable=False)
    #: The attempts before the last one, as try_again() of querysets.py writes them; NULL without any.
    failures = models.JSONField(_("failed attempts"), null=True, editable=False)

    objects: ClassVar[Any] = ScheduledJobQuerySet.as_manager()

    class Meta:
        verbose_name = _("scheduled job")
        verbose_name_plural = _("scheduled jobs")
        get_latest_by = "id"
        indexes: ClassVar = [
            # The due rows, in the order in which they are taken.
            PartialIndex(name="future_wake", fields=["priority", "wake_at", "id"], where=Q(wake_at__isnull=False)),
            # The few rows that have a message out.
            PartialIndex(name="future_sent", fields=["dispatched_at", "wake_at"], where=Q(dispatched_at__isnull=False)),
            # The few rows that run. The condition says so without naming a status: a status arrives as a parameter,
            # which a planner cannot compare with the condition of an index.
            PartialIndex(
                name="future_running",
                fields=["status", "wake_at"],
                where=Q(execution_start__isnull=False, execution_end__isnull=True),
            ),
            # The ended rows by age, of each status for itself: a kept status is not read to find those of another.
            # The id comes last: MariaDB would use an index on (status, id) to update a row by its id, and lock itself.
            PartialIndex(name="future_ended", fields=["status", "execution_end", "id"], where=Q(wake_at__isnull=True)),
            PartialIndex(
                name="future_object",
                fields=["content_type", "object_id"],
                where=Q(content_type__isnull=False),
            ),
        ]
        constraints: ClassVar = [
            # Not unique=True: that brings a second index, for LIKE, which each change of a row would write.
            models.UniqueConstraint(name="future_unique_key", fields=["unique_key"]),
            # In the fewest words, since PostgreSQL parses these, too.
            models.CheckConstraint(
                name="future_waiting_rows_wake",
                condition=Exact(IsNull(F("wake_at"), False), Q(status=Status.RUNNING) | Q(status=Status.SCHEDULED)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.callable_name} ({self.get_status_display()})"

    def __repr__(self) -> str:
        return f"<ScheduledJob ({self.status}) callable={self.callable_name!r}>"

    def save(self, **options: Any) -> None:
        """Insert a new job; of a stored one write the slot, the priority and the queue, while it waits.

        Everything else of a stored job is settled or belongs to whoever runs it, and stays as the database has it.

        Raises:
            WrongStatus: the stored job is running or has ended.
        """
        if self._state.adding:
            # Never over a stored row, whatever its id.
            super().save(**options | {"force_insert": True})
            return
        if others := set(options.get("update_fields") or ()) - set(EDITABLE):
            raise WrongStatus(f"save() does not write {sorted(others)} of a stored job; it may change {EDITABLE}.")
        objects: ScheduledJobQuerySet = type(self).objects.using(options.get("using") or self.database)
        if not objects.edit(self, self.due_at):
            raise WrongStatus(f"Job {self.pk} does not wait any more, so it cannot be changed: reschedule() it.")

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Iterable[str], values: Iterable[Any], *, fetch_mode: Any = None
    ) -> ScheduledJob:
        job = cls.from_values(zip(field_names, values, strict=True), db)
        if fetch_mode is not None:
            vars(job._state)["fetch_mode"] = fetch_mode
        return job

    @classmethod
    def from_values(cls, values: Any, db: str | None, *, adding: bool = False) -> ScheduledJob:
        """Make an instance as unpickling does, without signals: with 30 columns, Django's way takes ten times as long.

        Args:
            values: by the names of the columns; those that are left out are read when somebody asks for them.
        """
        job = cls.__new__(cls)
        vars(job).update(values, _state=ModelState())
        job._state.db, job._state.adding = db, adding
        return job

    def refresh_from_db(self, using: str | None = None, *args: Any, **options: Any) -> None:
        """Read from the database that the row came from, also what was left unread: a replica may lag behind."""
        super().refresh_from_db(using or self._state.db, *args, **options)

    @property
    def args(self) -> Any:
        """The positional arguments as they were given, a list or a tuple."""
        return serializers.loads(self.args_text, bind=self.binding("args"))

    @property
    def kwargs(self) -> dict[str, Any]:
        value: dict[str, Any] = serializers.loads(self.kwargs_text, bind=self.binding("kwargs"))
        return value

    @property
    def failed_attempts(self) -> list[FailedAttempt]:
        """The attempts that failed before the last one, the oldest first."""
        return [
            FailedAttempt(**each | {name: _stored(each[name]) for name in ("execution_start", "execution_end")})
            for each in self.failures or ()
        ]

    @property
    def due_at(self) -> int:
        """The start of the slot in microseconds since 1970 UTC."""
        return to_micros(self.time_slot_start)

    @property
    def database(self) -> str:
        """The alias of the database to write to: where there are replicas, the row may have been read from one."""
        alias: str = router.db_for_write(type(self), instance=self)
        return alias

    @property
    def phase(self) -> str:
        """What is to be said beside the status: a message is 'sent', its code 'unknown', its run 'stopping', or ''."""
        if self.status == Status.SCHEDULED and self.dispatched_at is not None:
            return "sent"
        if self.status == Status.SCHEDULED and self.unknown_since is not None:
            return "unknown"
        return "stopping" if self.status == Status.RUNNING and self.cancel_requested_at is not None else ""

    @property
    def is_method_call(self) -> bool:
        """Whether the callable is a method of the content object."""
        return "." not in self.callable_name

    def why_not_yet(self, now: datetime | None = None) -> str:
        """Say in one sentence why the job has not run yet, or how far it has come, in the language of the reader.

        Args:
            now: as Django stores it; None: the database's clock.
        """
        return why_not_yet(self, to_datetime(database_now(self.database)) if now is None else now)

    def fetch_content_object(self) -> models.Model | None:
        """Fetch the content object.

        Raises:
            ObjectGone: the job has one, and it is no longer in the database.
        """
        if self.content_type_id is None:
            return None
        model = content_objects.model_of(self.content_type_id, using=self._state.db)
        return content_objects.fetch(model, self.object_id or "", using=self._state.db)

    def binding(self, column: str) -> str:
        """What a pickle in ``column`` is signed with: it must not be moved to another column, callable or object."""
        # The label, not the number: content types are numbered anew in each database.
        type_id, using = self.content_type_id, self._state.db
        label = content_objects.model_of(type_id, using)._meta.label_lower if type_id is not None else ""
        return "|".join((self.callable_name, label, self.object_id or "", column))

    def reschedule(self, date: datetime | timedelta | str, *args: Any, **options: Any) -> ScheduledJob:
        """Schedule a new job like this one; see :func:`django_future_celery.scheduling.reschedule`."""
        from django_future_celery.scheduling import reschedule

        return reschedule(self, date, *args, **options)

    def cancel(self, *, terminate: bool = False) -> bool:
        """End the job if it waits; if it runs, ask it to stop. Whether it is cancelled now.

        Args:
            terminate: also have a running job's process killed, by Celery and at the next tick. That takes a prefork
                worker; what the job wrote in its transaction is rolled back.
        """
        row: ScheduledJobQuerySet = type(self).objects.using(self.database).filter(pk=self.pk)
        ended = row.filter(status=Status.CANCELLED)
        cancelled = row.cancel(terminate=terminate) == 1 and ended.exists()
        if cancelled:
            transaction.on_commit(partial(watching.all_ended, ended), using=self.database, robust=True)
        return cancelled

    def cancel_requested(self) -> bool:
        """Whether the running job should stop: somebody asked for it, or took its row because its lease was over.

        It may return, and is complete, or raise JobCancelled, which rolls back what it wrote.
        """
        objects: ScheduledJobQuerySet = type(self).objects.using(self.database)
        return not objects.run_of(self).filter(cancel_requested_at=None).exists()


class BeatLease(models.Model):
    """Which of several beats sends the periodic tasks of a Celery app."""

    name = models.CharField(max_length=100, primary_key=True)
    holder = models.CharField(max_length=255, default="")
    #: Microseconds since 1970 UTC, by the database's clock; 0 once it is given back.
    until = models.BigIntegerField(default=0)
    #: When each periodic task was last sent, as JSON; empty where the rows of django-celery-beat say so.
    last_runs = models.TextField(default="")

    objects: ClassVar[Any] = BeatLeaseQuerySet.as_manager()

    class Meta:
        verbose_name = _("beat lease")
        verbose_name_plural = _("beat leases")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder or 'free'}"


class Process(models.Model):
    """A beat, a worker or a command that looks after the jobs in this database, written by presence.py."""

    #: A beat's is its name as holder of a BeatLease, a worker's is Celery's.
    name = models.CharField(_("name"), max_length=255, primary_key=True)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveBigIntegerField(_("process id"))
    #: Microseconds since 1970 UTC, by the database's clock. A beat is seen when it has ticked here.
    since = models.BigIntegerField(_("since"))
    seen = models.BigIntegerField(_("seen"))

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.name}"

    @property
    def since_at(self) -> datetime:
        return to_datetime(self.since)

    @property
    def seen_at(self) -> datetime:
        return to_datetime(self.seen)


def _stored(text: str) -> datetime:
    """Give the instant as the other columns have it, also if ``USE_TZ`` was another one when it was written."""
    return to_datetime(to_micros(datetime.fromisoformat(text)))
