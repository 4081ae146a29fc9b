"""Addresses in Flower, and the way back to the admin."""

from types import FunctionType, SimpleNamespace

import pytest

from django_future_celery.flower import task_formatter, task_page

UUID = "5e1f0a3c-8f0e-4f9a-9f0b-8d9b3b0f7f11"


@pytest.mark.parametrize("url", ["https://flower.example.com", "https://flower.example.com/"])
def test_a_task_has_a_page_in_flower(settings, url):
    settings.FUTURE_CELERY_FLOWER_URL = url

    assert task_page(f"{UUID}-7") == f"https://flower.example.com/task/{UUID}-7"


def test_a_hostile_task_id_leads_nowhere_else(settings):
    settings.FUTURE_CELERY_FLOWER_URL = "https://flower.example.com/sub"

    assert task_page('../x?"<a') == "https://flower.example.com/sub/task/..%2Fx%3F%22%3Ca"


def test_there_is_no_page_without_flower_or_without_a_task(settings):
    assert task_page(UUID) is None
    settings.FUTURE_CELERY_FLOWER_URL = "https://flower.example.com/"
    assert task_page("") is None


def formatted(uuid):
    task = SimpleNamespace(uuid=uuid, _fields=("uuid", "name"))
    return task_formatter("https://example.com/admin/")(task)


@pytest.mark.parametrize("uuid", [f"{UUID}-7", f"{UUID}.7"])
def test_the_task_of_a_job_names_its_page_in_the_admin(uuid):
    task = formatted(uuid)

    assert task.admin == "https://example.com/admin/django_future_celery/scheduledjob/7/change/"
    assert task._fields == ("uuid", "name", "admin")


@pytest.mark.parametrize("uuid", [UUID, "beat-7", f"{UUID}-", f"{UUID}-x", f"{UUID}-7-7", "", None])
def test_other_tasks_stay_as_they_are(uuid):
    task = formatted(uuid)

    assert not hasattr(task, "admin")
    assert task._fields == ("uuid", "name")


def test_flower_takes_it_as_an_option():
    # Flower declares the option with this very type.
    assert isinstance(task_formatter("https://example.com/admin/"), FunctionType)
