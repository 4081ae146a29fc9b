from django.db import models, transaction

from django_future_celery import schedule_job


class Reminder(models.Model):
    text = models.CharField(max_length=200)
    recipient = models.EmailField("e-mail")
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self):
        return self.text

    def schedule(self, when, expires=None):
        """Store the reminder together with the job that mails it: both are there, or neither."""
        with transaction.atomic():
            self.save()
            return schedule_job(when, "reminders.jobs.deliver", content_object=self, expires=expires)
