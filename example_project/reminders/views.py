from django.contrib import messages
from django.contrib.contenttypes.models import ContentType
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from django_future_celery import ScheduledJob

from .forms import ReminderForm
from .models import Reminder
from .outcomes import outcome

SHOWN = 50


@require_http_methods(["GET", "HEAD", "POST"])
def index(request):
    form = ReminderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.schedule()
        messages.success(request, "The reminder is scheduled.")
        return redirect("reminders:index")
    return render(request, "reminders/index.html", {"form": form} | shown_jobs())


@require_GET
def jobs(request):
    """The list alone: page.js puts it in place of the one on the page."""
    return render(request, "reminders/_jobs.html", shown_jobs())


@require_POST
def cancel(request, pk):
    job = get_object_or_404(reminder_jobs(), pk=pk)
    if job.cancel():
        messages.success(request, "The reminder is cancelled.")
    else:
        messages.error(request, "Too late: this reminder does not wait any more.")
    return redirect("reminders:index")


def reminder_jobs():
    return ScheduledJob.objects.filter(content_type=ContentType.objects.get_for_model(Reminder))


def shown_jobs():
    """The jobs that wait or run, the next one first, and those that have ended, the latest first."""
    jobs = reminder_jobs().prefetch_related("content_object")
    waiting = (jobs.running() | jobs.scheduled()).order_by("time_slot_start", "id")
    ended = jobs.ended().order_by("-id")
    return {
        "waiting": [(job, outcome(job)) for job in waiting[:SHOWN]],
        "ended": [(job, outcome(job)) for job in ended[:SHOWN]],
    }
