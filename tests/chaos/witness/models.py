from django.db import models


class Entry(models.Model):
    """What a job wrote, in its own transaction."""

    job = models.BigIntegerField()
    attempt = models.IntegerField()


class Change(models.Model):
    """A change of a job's status, or any change after its end; written by the trigger in audit.sql."""

    job = models.BigIntegerField()
    old = models.CharField(max_length=16)
    new = models.CharField(max_length=16)
    old_attempts = models.IntegerField()
    attempts = models.IntegerField()
    old_dispatches = models.IntegerField()
    wake_at = models.BigIntegerField(null=True)
    execution_start = models.DateTimeField(null=True)
    at = models.DateTimeField()
    transaction = models.BigIntegerField()
