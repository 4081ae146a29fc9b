"""What is masked, what stays, and what happens when the function that decides it is broken."""

import logging
import pickle
import time

import pytest
from celery.app.log import TaskFormatter
from hypothesis import given
from hypothesis import strategies as st

from django_future_celery import redaction, serializers
from django_future_celery.exceptions import JobFailed
from django_future_celery.models import ScheduledJob
from django_future_celery.redaction import NOT_SHOWN, ErrorFilter, mask_secrets, redact

JOB = ScheduledJob(callable_name="shop.jobs.pay")
MASK = "*" * 20
HERE = f"{__name__}."


def masked(text):
    return mask_secrets(text, "error", JOB).replace(MASK, "#")


def says(text, what, job):
    return f"{what} of {job.callable_name}"


def breaks(text, what, job):
    raise ValueError(f"cannot take {text}")


def gives_none(text, what, job):
    return None


not_callable = "text"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{'password': 'a, b', 'n': 1}", "{'password': #, 'n': 1}"),
        ("{'a': {'api_key': {'x': [1, 2], 'y': 'it\\'s'}, 'z': 5}}", "{'a': {'api_key': #, 'z': 5}}"),
        ("{'my secret!': Decimal(1.5), 'n': <shop.order 5>}", "{'my secret!': #, 'n': <shop.order 5>}"),
        ("{'token': <shop.order 5>, 'key': datetime(2027-01-01 00:00:00)}", "{'token': #, 'key': #}"),
        ("{b'password': b'x'}", "{b'password': #}"),
        ("{'quoted \"secret\" it\\'s': 1}", "{'quoted \"secret\" it\\'s': #}"),
        ("{\n 'token': {'a': 1,\n  'b': 2},\n 'n': 3}", "{\n 'token': #,\n 'n': 3}"),
        ('{"password": null, "n": 1}', '{"password": #, "n": 1}'),
        ('{\'json\': \'{"password": "x y", "n": 1}\'}', "{'json': '{\"password\": #, \"n\": 1}'}"),
        ('"{\\"password\\": \\"x y\\", \\"n\\": 1}"', '"{\\"password\\": #, \\"n\\": 1}"'),
        ("['/pay?token=abc&n=1']", "['/pay?token=#&n=1']"),
        ("ValueError: password=hunter2, host=db", "ValueError: password=#, host=db"),
        ("ValueError: token: abc is over", "ValueError: token: # is over"),
        ("Authorization: Bearer abc.def for ada", "Authorization: # for ada"),
        ("X-Api-Key: 123\nn: 5", "X-Api-Key: #\nn: 5"),
        ("    login('ada', password=f('a b', [1]))", "    login('ada', password=#"),
        ("    headers['Authorization'] = 'Bearer a b'", "    headers['Authorization'] = #"),
        ("rock 'n roll {'password': 'x y', 'n': 1}", "rock 'n roll {'password': #, 'n': 1}"),
        ("postgres://ada:p@ss@db/shop, redis://:x@r/0", "postgres://#@db/shop, redis://#@r/0"),
        ("https://ghp_abc@host/x", "https://#@host/x"),
    ],
)
def test_values_under_secret_names_are_masked(text, shown):
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "KeyError: 'name'",
        "shop.errors.AuthError: not today",
        "if password == other:",
        "https://auth:80/users/@me",
        "auth://host/path",
        "{'name': 'Ada', 'tags': ('secret', 'key')}",
        "Traceback (most recent call last):\n  File \"/shop/keys.py\", line 1, in get_token\n    raise X('no')\n",
    ],
)
def test_everything_else_stays_as_it_is(text):
    assert masked(text) == text


def test_the_words_and_the_mask_are_those_of_the_projects_own_error_reports(settings):
    settings.DEFAULT_EXCEPTION_REPORTER_FILTER = f"{HERE}OurFilter"
    assert mask_secrets("{'pin': 1, 'password': 2}", "args", JOB) == "{'pin': ?, 'password': 2}"


class OurFilter:
    import re

    hidden_settings = re.compile("pin")
    cleansed_substitute = "?"


@given(st.text())
def test_any_text_can_be_masked(text):
    mask_secrets(text, "error", JOB)


@given(st.text(alphabet="'\"\\{}[](),:= \nab@/<>&;passwordkey"))
def test_any_text_that_looks_like_a_repr_can_be_masked(text):
    mask_secrets(text, "error", JOB)


VALUE = "do not show"
LEAVES = st.none() | st.integers() | st.text() | st.binary() | st.decimals(allow_nan=False) | st.timedeltas()
OTHERS = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner), max_leaves=5
)
SECRETS = st.recursive(
    st.tuples(st.text(), st.text()).map(VALUE.join) | st.just(VALUE.encode()),
    lambda inner: (
        st.lists(inner, min_size=1) | st.dictionaries(st.text(), inner, min_size=1) | st.tuples(inner, OTHERS)
    ),
    max_leaves=5,
)
SECRET_NAMES = st.tuples(st.text(), st.sampled_from(["password", "API_KEY", "Token", "secret", "pass"]), st.text()).map(
    "".join
)


@given(st.dictionaries(st.text(), OTHERS), SECRET_NAMES, SECRETS, st.dictionaries(st.text(), OTHERS))
def test_no_value_under_a_secret_name_of_the_arguments_is_shown(before, name, value, after):
    kwargs = before | {"nested": {"in a list": [{name: value}]}, name: value} | after | {name: value}
    shown = mask_secrets(serializers.preview(serializers.dumps(kwargs, bind="a|b|kwargs")), "kwargs", JOB)

    assert VALUE not in shown


@pytest.mark.parametrize(
    "text",
    ["a.", '\\"', "'\"", "\"'!", "a ", "://", "://a@", "'password': ", "password=(", "'password': ([", "'a\n", "p'='"],
)
def test_huge_texts_take_no_time(text):
    began = time.monotonic()
    masked(text * (200_000 // len(text)))
    assert time.monotonic() - began < 10


# -- the setting ------------------------------------------------------------------------------------------------------


def test_none_shows_all(settings):
    settings.FUTURE_CELERY_REDACT = None
    assert redact("password=1", "args", JOB) == "password=1"


def test_a_function_of_the_project_decides(settings):
    settings.FUTURE_CELERY_REDACT = f"{HERE}says"
    assert redact("password=1", "result", JOB) == "result of shop.jobs.pay"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"{HERE}breaks", "raised ValueError at"),
        (f"{HERE}gives_none", "raised TypeError at"),
        (f"{HERE}not_callable", "cannot be called"),
        ("nowhere.redact", "No module named 'nowhere'"),
        (5, "cannot be used"),
    ],
)
def test_a_broken_function_shows_nothing_and_the_log_tells_why_without_the_text(settings, caplog, path, reason):
    settings.FUTURE_CELERY_REDACT = path

    assert redact("hunter2", "args", JOB) == NOT_SHOWN
    assert reason in caplog.text and str(path) in caplog.text
    assert "hunter2" not in caplog.text


# -- logs and events --------------------------------------------------------------------------------------------------


def record_of(error, **extra):
    logger = logging.getLogger("test_redaction")
    try:
        raise error
    except type(error) as caught:
        return logger.makeRecord(
            "x", logging.ERROR, "x.py", 1, "Job failed", (), (type(caught), caught, None), extra=extra
        )


@pytest.mark.parametrize("formatter", [logging.Formatter(), TaskFormatter("%(message)s", use_color=True)])
def test_a_formatter_prints_the_masked_traceback_and_handlers_still_find_the_error(formatter):
    error = ValueError("password=hunter2")
    record = record_of(error, job=JOB)
    assert ErrorFilter().filter(record)

    assert f"ValueError: password={MASK}" in formatter.format(record)
    assert "hunter2" not in formatter.format(record)
    assert record.exc_info[1] is error
    assert not hasattr(record, "job")


def test_a_record_without_a_job_stays_as_it_is():
    record = record_of(ValueError("password=hunter2"))
    ErrorFilter().filter(record)
    assert "hunter2" in logging.Formatter().format(record)


def test_a_logger_of_ours_has_the_filter(caplog):
    logger = redaction.get_logger("test_redaction.ours")
    logger.error("Job failed", exc_info=ValueError("password=hunter2"), extra={"job": JOB})
    logger.error("no error", extra={"job": JOB})

    assert MASK in caplog.text and "hunter2" not in caplog.text


def test_a_failure_tells_celery_its_summary_and_the_traceback_also_after_pickling():
    failure = pickle.loads(pickle.dumps(JobFailed("ValueError: attempt 1 of 1", "Traceback …")))

    assert repr(failure) == "JobFailed('ValueError: attempt 1 of 1')"
    assert str(failure) == "ValueError: attempt 1 of 1\n\nTraceback …"
    assert str(JobFailed("alone")) == "alone"
