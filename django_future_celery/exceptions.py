"""All that can go wrong, on one page. Each error also is the built-in error that a caller would expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from django_future_celery.models import ScheduledJob


class FutureCeleryError(Exception):
    """The base of all errors of this package."""


class InvalidTime(FutureCeleryError, ValueError):
    """A date, an offset or an expiry that cannot be understood or is out of order.

    Args:
        message: a sentence that a page may translate, with places for ``params``, as ValidationError takes them.
        hint: what only code can do.
    """

    def __init__(self, message: str, params: Mapping[str, Any] | None = None, hint: str = "") -> None:
        super().__init__(message, params, hint)
        self.message, self.params, self.hint = message, params, hint

    def __str__(self) -> str:
        message = self.message if self.params is None else self.message % self.params
        return f"{message} {self.hint}".rstrip()


class InvalidTimeType(FutureCeleryError, TypeError):
    """A date, an offset or an expiry of a type that says no time: a number, a date, None."""


class InvalidCallable(FutureCeleryError, TypeError):
    """A callable that has no path by which another process could find it."""


class CallableNotFound(FutureCeleryError, ImportError):
    """A dotted path or a method name behind which there is no callable."""


class UnknownCallable(CallableNotFound):
    """A path whose module or name this process does not have; another one may, which runs newer code."""


class CallableNotAllowed(FutureCeleryError, ValueError):
    """A callable that no pattern of FUTURE_CELERY_ALLOWED_CALLABLES names."""


class InvalidArguments(FutureCeleryError, TypeError):
    """Arguments that cannot be stored, or that the callable does not take."""


class ArgumentsTooLarge(InvalidArguments, ValueError):
    """Arguments longer than FUTURE_CELERY_MAX_ARGUMENTS_SIZE."""


class CorruptArguments(FutureCeleryError, ValueError):
    """Stored arguments that cannot be read back, or whose signature is not ours."""


class InvalidContentObject(FutureCeleryError, ValueError):
    """A content object that no later query could find: unsaved, not a model, or with a composite key."""


class ObjectGone(FutureCeleryError, LookupError):
    """The content object, or an object among the arguments, is no longer in the database."""


class UnknownModel(ObjectGone):
    """The model of the content object is not in this process's code; another one may have it."""


class InvalidOption(FutureCeleryError, ValueError):
    """A priority, queue, number of attempts or key that is out of its range."""


class WrongStatus(FutureCeleryError, RuntimeError):
    """The job's status does not allow what was asked for."""


class InsideTransaction(FutureCeleryError, RuntimeError):
    """Jobs were to be run inside somebody's transaction."""


class TransactionLeftOpen(FutureCeleryError, RuntimeError):
    """A job returned inside an atomic block of its own, so what it wrote cannot be committed."""


class BrokerAway(FutureCeleryError, ConnectionError):
    """The broker could not be reached, so the message was certainly not sent."""


class BrokerLost(FutureCeleryError, ConnectionError):
    """The broker did not answer, or went away, while a message was sent; whether it was taken, nobody knows."""


class JobCancelled(FutureCeleryError):
    """Raised by a job that stops, asked to or on its own: what it wrote is rolled back, and it is cancelled."""


class CodeMissing(FutureCeleryError, ImportError):
    """A run found that this process does not have the job's code; nothing was called, and the start is taken back."""


class NotYet(FutureCeleryError, RuntimeError):
    """A job is about to be due."""

    def __init__(self, job: ScheduledJob) -> None:
        super().__init__(job.pk)
        self.job = job


class ClaimLost(FutureCeleryError, RuntimeError):
    """This run no longer owns its row: its lease was taken over, or the row was deleted."""


class LeaseLost(FutureCeleryError, RuntimeError):
    """This beat no longer holds the lease: another one sends the periodic tasks."""


class JobFailed(FutureCeleryError):
    """Tells Celery and Flower that a job failed: in short, and with what may be shown of the job's own traceback."""

    def __init__(self, summary: str, traceback: str = "") -> None:
        super().__init__(summary, traceback)

    def __str__(self) -> str:
        return "\n\n".join(filter(None, self.args))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.args[0]!r})"
