import uuid

from django.db import models

from django_future_celery.fields import ScheduledJobs


class Order(models.Model):
    note = models.CharField(max_length=100, default="")

    def remind(self, text="pay"):
        Ledger.objects.using(self._state.db).create(entry=f"order {self.pk}: {text}")
        return text


class Parcel(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    jobs = ScheduledJobs()


class Coupon(models.Model):
    code = models.CharField(primary_key=True, max_length=20)
    jobs = ScheduledJobs(on_delete="cancel")


class Ledger(models.Model):
    """What the jobs of the tests did: the witness that asks no ScheduledJob."""

    entry = models.CharField(max_length=200)
