"""The table of the original django-future, as its documentation describes it."""

from django.db import models


class Job(models.Model):
    time_slot_start = models.DateTimeField()
    time_slot_end = models.DateTimeField()
    execution_start = models.DateTimeField(blank=True, null=True)
    status = models.CharField(max_length=32, default="scheduled")
    callable_name = models.CharField(max_length=255)
    args = models.BinaryField()
    kwargs = models.BinaryField()
    error = models.TextField(blank=True, null=True)  # noqa: DJ001  as it was
    return_value = models.CharField(max_length=255, blank=True, null=True)  # noqa: DJ001

    class Meta:
        app_label = "project"
        db_table = "original_job"

    def __str__(self) -> str:
        return self.callable_name
