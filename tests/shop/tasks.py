from celery import shared_task

from .models import Ledger


@shared_task(ignore_result=True)
def periodic():
    Ledger.objects.create(entry="periodic")
