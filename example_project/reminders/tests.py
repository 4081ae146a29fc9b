from datetime import timedelta

from django.core import mail
from django.test import TestCase
from django.utils import timezone

from django_future_celery import ScheduledJob, run_jobs

from .models import Reminder
from .outcomes import outcome


def remind(text="Water the plants", recipient="ada@example.com", when="1d", expires=None):
    return Reminder(text=text, recipient=recipient).schedule(when, expires)


class PageTests(TestCase):
    def send(self, **changes):
        data = {"text": "Water the plants", "recipient": "ada@example.com", "when": "5m", "expires": "1h"}
        return self.client.post("/", data | changes)

    def test_a_valid_form_stores_the_reminder_and_its_job(self):
        self.assertRedirects(self.send(), "/")
        job = ScheduledJob.objects.get()
        self.assertEqual(job.content_object, Reminder.objects.get())
        self.assertEqual(job.callable_name, "reminders.jobs.deliver")
        self.assertEqual(job.time_slot_end - job.time_slot_start, timedelta(hours=1))

    def test_without_an_expiry_it_never_expires(self):
        self.send(expires="")
        self.assertIsNone(ScheduledJob.objects.get().time_slot_end)

    def test_a_date_and_time_is_understood_as_utc(self):
        self.send(when="2100-01-31 09:00")
        self.assertEqual(ScheduledJob.objects.get().time_slot_start.isoformat(), "2100-01-31T09:00:00+00:00")

    def test_a_wrong_time_is_told_at_its_field_and_nothing_is_stored(self):
        for field, value in (("when", "soon"), ("when", "5"), ("expires", "soon"), ("expires", "0s")):
            with self.subTest(field=field, value=value):
                errors = self.send(**{field: value}).context["form"].errors
                self.assertEqual(list(errors), [field])
                self.assertIn(value, errors[field][0])
        self.assertFalse(Reminder.objects.exists() or ScheduledJob.objects.exists())

    def test_the_list_tells_waiting_jobs_from_ended_ones(self):
        waiting, ended = remind("Wait"), remind("Gone")
        ended.cancel()
        context = self.client.get("/jobs/").context
        self.assertEqual([job for job, _ in context["waiting"]], [waiting])
        self.assertEqual([job for job, _ in context["ended"]], [ended])

    def test_the_list_shows_text_as_text(self):
        remind("<script>alert(1)</script>")
        self.assertNotContains(self.client.get("/jobs/"), "<script>")

    def test_a_job_whose_reminder_was_deleted_is_still_shown(self):
        remind().content_object.delete()
        self.assertContains(self.client.get("/"), "(deleted)")

    def test_a_waiting_reminder_can_be_cancelled_once(self):
        job = remind()
        self.assertContains(self.client.post(f"/jobs/{job.pk}/cancel/", follow=True), "is cancelled")
        self.assertContains(self.client.post(f"/jobs/{job.pk}/cancel/", follow=True), "Too late")
        job.refresh_from_db()
        self.assertEqual(job.status, "cancelled")

    def test_cancelling_needs_a_post(self):
        job = remind()
        with self.assertLogs("django.request", "WARNING"):
            self.assertEqual(self.client.get(f"/jobs/{job.pk}/cancel/").status_code, 405)


class DeliverTests(TestCase):
    """Jobs are tested by moving the clock: no worker, no broker, no waiting."""

    def run_later(self):
        with self.captureOnCommitCallbacks(execute=True):
            run_jobs(ignore_errors=True, now=timezone.now() + timedelta(days=2))

    def test_a_reminder_is_mailed(self):
        job = remind()
        self.run_later()
        job.refresh_from_db()
        self.assertEqual((job.status, outcome(job)), ("complete", "mailed to ada@example.com"))
        self.assertEqual([message.to for message in mail.outbox], [["ada@example.com"]])
        self.assertIsNotNone(Reminder.objects.get().delivered_at)

    def test_a_wrong_address_fails_the_job_and_leaves_nothing(self):
        job = remind(recipient="bob, the neighbour")
        with self.assertLogs("django_future_celery", "ERROR"):
            self.run_later()
        job.refresh_from_db()
        self.assertEqual(job.status, "failed")
        self.assertIn("Enter a valid email address", outcome(job))
        self.assertEqual(mail.outbox, [])
        self.assertIsNone(Reminder.objects.get().delivered_at)

    def test_an_expired_reminder_is_not_mailed(self):
        job = remind(expires="1h")
        self.run_later()
        job.refresh_from_db()
        self.assertEqual(job.status, "expired")
        self.assertEqual(mail.outbox, [])
